"""Single-use, expiring links: given out, looked at, used up. Only their hash is stored."""

import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.credentials import hashed
from app.accounts.tables import Link, LinkKind, User
from app.errors import NotFound
from app.events import record
from app.translation import _

LASTS = {
    LinkKind.sign_in: timedelta(hours=24),
    LinkKind.invitation: timedelta(days=14),
    LinkKind.password_reset: timedelta(hours=2),
}
PATHS = {LinkKind.sign_in: "/sign-in/", LinkKind.invitation: "/invitations/", LinkKind.password_reset: "/reset/"}
FIRST_ADDRESS = "admin@localhost"  # until the first admin gives their own


class LinkOver(NotFound):
    """Used, expired, withdrawn or never given out: the four are not told apart."""

    code = "link-over"
    sentence = _("This link does not work any more. Each one works once and for a limited time: ask for a new one.")


async def give_link(session: AsyncSession, kind: LinkKind, **values: Any) -> tuple[Link, str]:
    """A new link and its address on this site, which is shown or mailed now and cannot be shown again."""
    token = secrets.token_urlsafe(32)
    link = Link(token_hash=hashed(token), kind=kind, expires_at=func.now() + LASTS[kind], **values)
    session.add(link)
    await session.flush()
    return link, PATHS[kind] + token


async def read_link(session: AsyncSession, kind: LinkKind, token: str) -> Link:
    """The link behind a token, still unused.

    :raises LinkOver: there is none, or it is over, or its person was disabled.
    """
    found = (
        select(Link)
        .outerjoin(User, User.id == Link.user_id)
        .where(Link.token_hash == hashed(token), Link.kind == kind, Link.used_at.is_(None))
        .where(Link.expires_at > func.now(), User.disabled_at.is_(None))
    )
    link = await session.scalar(found)
    if link is None:
        raise LinkOver
    return link


async def use_link(session: AsyncSession, link: Link) -> None:
    """Use it up. Of two who do so at the same time, one wins.

    :raises LinkOver: somebody was faster.
    """
    mine = update(Link).where(Link.id == link.id, Link.used_at.is_(None)).values(used_at=func.now())
    if await session.scalar(mine.returning(Link.id)) is None:
        raise LinkOver


async def end_links(session: AsyncSession, user_id: int, *kinds: LinkKind) -> None:
    """Make all unused links of a person (of these kinds, or all) useless."""
    ended = update(Link).where(Link.user_id == user_id, Link.used_at.is_(None)).values(used_at=func.now())
    await session.execute(ended.where(Link.kind.in_(kinds)) if kinds else ended)


async def first_admin(session: AsyncSession) -> User:
    """The oldest admin who is not disabled, made now when there is none."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("hone.first_admin"))))
    admins = select(User).where(User.is_admin, User.disabled_at.is_(None)).order_by(User.id).limit(1)
    admin = await session.scalar(admins)
    if admin is None:
        taken = await session.scalar(select(User.id).where(func.lower(User.email) == FIRST_ADDRESS))
        address = f"admin-{secrets.token_hex(4)}@localhost" if taken else FIRST_ADDRESS
        admin = User(name=_("Admin"), email=address, is_admin=True)
        session.add(admin)
        await session.flush()
        await record(session, "user.created", subject=admin.public_id, first=True)
    return admin


async def make_sign_in_link(session: AsyncSession) -> str:
    """The path of a one-time sign-in link for the first admin, who is made when there is none.

    For those who sit at the machine: `hone up` prints it. A new link ends the ones before it.
    """
    admin = await first_admin(session)
    await end_links(session, admin.id, LinkKind.sign_in)
    _link, path = await give_link(session, LinkKind.sign_in, user_id=admin.id)
    return path
