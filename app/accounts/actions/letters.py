"""What a mail with a link says. The link's token is made now, so that it stands in the mail and nowhere else."""

import secrets
from dataclasses import dataclass

from sqlalchemy import column, delete, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.links import PATHS
from app.accounts.actions.sign_in import person_with
from app.accounts.credentials import hashed
from app.accounts.tables import Attempt, Link, LinkKind
from app.settings import address_of, get_settings
from app.translation import SOURCE, _, reading

PROJECTS = table("projects", column("id"), column("name"))  # a later chapter's: by name


@dataclass(frozen=True)
class Letter:
    """One mail: to whom, its subject line and its plain text."""

    to: str
    subject: str
    text: str


async def write_letter(session: AsyncSession, link_id: int, locale: str = SOURCE) -> Letter | None:
    """The mail for a link, with a new token for it; None when the link is over or has nobody to go to.

    locale: the language of a reader who has not chosen one.

    Run again after a failure it makes another token: the mail that was sent last is the one that works.
    """
    found = select(Link).where(Link.id == link_id, Link.used_at.is_(None), Link.expires_at > func.now())
    link = await session.scalar(found.with_for_update())
    if link is None or link.email is None:
        return None
    if link.kind is LinkKind.password_reset and not await finds_its_person(session, link):
        return None
    token = secrets.token_urlsafe(32)
    link.token_hash = hashed(token)
    address = address_of(get_settings()) + PATHS[link.kind] + token
    place = await session.scalar(select(PROJECTS.c.name).where(PROJECTS.c.id == link.project_id))
    person = await person_with(session, link.email)
    with reading((person and person.locale) or locale):
        if link.kind is LinkKind.password_reset:
            return Letter(link.email, _("Set a new password for Hone"), reset_text(address))
        name = " ".join((place or "Hone").split())  # a subject is one line
        return Letter(link.email, _("You are invited to {place}").format(place=name), invitation_text(address))


async def finds_its_person(session: AsyncSession, link: Link) -> bool:
    """Whether a reset link belongs to somebody; one that was asked for by address is given to its person now."""
    if link.user_id is not None:
        return True
    person = await person_with(session, link.email or "")
    if person is None or person.disabled_at is not None:
        await session.delete(link)
        return False
    link.user_id = person.id
    return True


def reset_text(address: str) -> str:
    return _(
        "Somebody, most likely you, asked for a new password.\n\n{address}\n\n"
        "The link works once, for two hours. If it was not you, do nothing: your password stays as it is."
    ).format(address=address)


def invitation_text(address: str) -> str:
    return _(
        "You are invited to compare answers of language models and to say which you find better.\n\n{address}\n\n"
        "The link works once, for 14 days."
    ).format(address=address)


async def sweep_attempts(session: AsyncSession) -> None:
    """Forget tries to sign in after a day, and links a month after they ended."""
    day, month = func.make_interval(0, 0, 0, 1), func.make_interval(0, 1)
    await session.execute(delete(Attempt).where(Attempt.at < func.now() - day))
    await session.execute(delete(Link).where(Link.expires_at < func.now() - month))
