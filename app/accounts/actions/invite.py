"""Inviting people, and letting those back in who forgot their password."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords
from app.accounts.access import Person
from app.accounts.actions.attempts import Browser, count_attempt
from app.accounts.actions.joining import add_member
from app.accounts.actions.links import end_links, give_link, use_link
from app.accounts.actions.sign_in import WrongCredentials, begin_sign_in, check_password, person_with
from app.accounts.forms import AcceptForm, InvitationForm, MemberInvitationForm
from app.accounts.jobs import SendMail
from app.accounts.queries import unused_invitations
from app.accounts.tables import Link, LinkKind, User
from app.errors import Conflict, DomainError, Invalid, NotFound
from app.events import record
from app.jobs.queue import enqueue
from app.settings import get_settings
from app.translation import _, reader


class ConsentNeeded(DomainError):
    status = 422
    code = "consent-needed"
    sentence = _("consent: joining a project needs your agreement to how your answers are used.")


class NotYourAccount(WrongCredentials):
    status = 422
    code = "not-your-account"
    sentence = _("That did not work. If you already have an account with this address, give its own password.")


@dataclass(frozen=True)
class Given:
    """A link that was made: the path to hand over, or None when it goes out by mail and nobody else sees it."""

    email: str
    path: str | None


def mails() -> bool:
    """Whether this installation sends mail; without it, links are shown to be handed over."""
    return get_settings().smtp_url is not None


async def deliver(session: AsyncSession, link: Link, path: str, email: str) -> Given:
    """Mail a link when mail is set up, else give it back to be handed over."""
    if not mails():
        return Given(email, path)
    await enqueue(session, SendMail(link_id=link.id, locale=reader.get().locale))
    return Given(email, None)


async def invite(session: AsyncSession, form: InvitationForm, inviter: Person) -> list[Given]:
    """Invite people to the installation. Whether they have an account already makes no difference here."""
    values = {"makes_admin": form.makes_admin}
    return [await invite_one(session, email, inviter, **values) for email in form.emails]


async def invite_members(
    session: AsyncSession, project_id: int, form: MemberInvitationForm, inviter: Person
) -> list[Given]:
    """Invite people to a project; a new invitation of the same address replaces the one before."""
    values = {"role": form.role, "cohort": form.cohort}
    return [await invite_one(session, email, inviter, project_id, **values) for email in form.emails]


async def invite_one(
    session: AsyncSession, email: str, inviter: Person, project_id: int | None = None, **values: object
) -> Given:
    before = update(Link).where(func.lower(Link.email) == email.lower(), *unused_invitations(project_id))
    await session.execute(before.values(used_at=func.now()))
    values |= {"email": email, "project_id": project_id, "created_by_id": inviter.id}
    link, path = await give_link(session, LinkKind.invitation, **values)
    told: dict[str, Any] = {
        "actor_id": inviter.id,
        "project_id": link.project_id,
        "role": link.role,
        "admin": link.makes_admin,
    }
    await record(session, "invitation.given", subject=link.public_id, **told)
    return await deliver(session, link, path, email)


async def withdraw_invitation(session: AsyncSession, outside: object, project_id: int | None) -> None:
    """Make an unused invitation of this project (None: of the installation) useless.

    :raises NotFound:
    """
    mine = update(Link).where(Link.public_id == outside, *unused_invitations(project_id))
    if await session.scalar(mine.values(used_at=func.now()).returning(Link.id)) is None:
        raise NotFound


async def accept(
    session: AsyncSession, link: Link, form: AcceptForm, person: Person | None, browser: Browser
) -> str | None:
    """Use an invitation up: whoever is signed in joins; anybody else makes the account, or proves to have it.

    Returns a cookie's value for those who were not signed in.
    :raises ConsentNeeded: :raises NotYourAccount: :raises TooEasy: :raises LinkOver:
    """
    if link.project_id is not None and not form.consent:
        raise ConsentNeeded
    user = await session.get_one(User, person.id) if person else await account_for(session, link, form, browser)
    await use_link(session, link)
    if link.makes_admin:
        user.is_admin = True
    if link.project_id is not None and link.role is not None:
        await add_member(session, link.project_id, user, link.role, cohort=link.cohort, consents=True)
    await record(session, "invitation.accepted", actor_id=user.id, project_id=link.project_id, subject=link.public_id)
    return None if person else await begin_sign_in(session, user, browser)


async def account_for(session: AsyncSession, link: Link, form: AcceptForm, browser: Browser) -> User:
    """The account of an invited address: a new one, or the one whose password was given."""
    if form.password is None:
        raise Invalid(field="password", reason=_("please choose one"))
    assert link.email is not None, "invitations carry an address"
    password = form.password.get_secret_value()
    if await person_with(session, link.email):
        try:
            return await check_password(session, link.email, password, browser)
        except WrongCredentials:
            raise NotYourAccount from None
    if form.name is None:
        raise Invalid(field="name", reason=_("enter your name"))
    return await create_user(session, link.email, form.name, password)


async def create_user(session: AsyncSession, email: str, name: str, password: str, **values: object) -> User:
    """A new account.

    :raises TooEasy: :raises Conflict: the address has one.
    """
    passwords.refuse_easy(password, name, email, email.partition("@")[0])
    user = User(email=email, name=name, password_hash=await passwords.hash_password(password), **values)
    try:
        async with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise Conflict from None
    await record(session, "user.created", actor_id=user.id, subject=user.public_id)
    return user


async def forgot(session: AsyncSession, email: str, browser: Browser) -> None:
    """Ask for a reset link by mail. The same rows are written whether the account exists or not: the worker looks.

    :raises TooMany:
    """
    await count_attempt(session, email, browser, use="forgot")
    if mails():
        link, _path = await give_link(session, LinkKind.password_reset, email=email)
        await enqueue(session, SendMail(link_id=link.id, locale=reader.get().locale))


async def give_reset_link(session: AsyncSession, outside: object, admin: Person) -> Given:
    """A reset link for somebody, mailed or to be handed over; it ends the ones before it.

    :raises NotFound: unknown or disabled.
    """
    user = await session.scalar(select(User).where(User.public_id == outside, User.disabled_at.is_(None)))
    if user is None:
        raise NotFound
    await end_links(session, user.id, LinkKind.password_reset)
    values = {"user_id": user.id, "email": user.email, "created_by_id": admin.id}
    link, path = await give_link(session, LinkKind.password_reset, **values)
    await record(session, "user.reset_given", actor_id=admin.id, subject=user.public_id)
    return await deliver(session, link, path, user.email)
