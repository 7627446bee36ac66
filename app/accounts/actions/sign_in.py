"""Coming in and going out: passwords, links, and the sign-ins they begin and end."""

import secrets
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords
from app.accounts.actions.attempts import Browser, count_attempt, forgive, place_of
from app.accounts.actions.links import end_links, use_link
from app.accounts.credentials import IDLE, hashed
from app.accounts.forms import FirstVisitForm
from app.accounts.tables import Link, LinkKind, SignIn, User
from app.errors import Conflict, DomainError, Invalid, NotFound, SignInNeeded
from app.events import record
from app.translation import _


class WrongCredentials(SignInNeeded):
    """One sentence for a wrong password, an unknown address, a disabled account and one without a password."""

    code = "wrong-credentials"
    sentence = _("Wrong e-mail or password.")


class AddressTaken(Conflict):
    code = "address-taken"
    sentence = _("This e-mail address cannot be used here. Please choose another.")


async def begin_sign_in(session: AsyncSession, user: User, browser: Browser) -> str:
    """A new sign-in under a new id, whatever cookie came along; returns the cookie's value."""
    await sign_out(session, browser.cookie)
    token = secrets.token_urlsafe(32)
    agent = "".join(sign for sign in browser.agent if sign.isprintable())[:200]
    session.add(
        SignIn(
            token_hash=hashed(token),
            user_id=user.id,
            user_agent=agent,
            place=place_of(browser),
            expires_at=func.now() + IDLE,
        )
    )
    await record(session, "user.signed_in", actor_id=user.id, subject=user.public_id)
    return token


async def person_with(session: AsyncSession, email: str) -> User | None:
    """The account under an e-mail address, upper and lower case alike."""
    found: User | None = await session.scalar(select(User).where(func.lower(User.email) == func.lower(email.strip())))
    return found


async def check_password(session: AsyncSession, email: str, password: str, browser: Browser) -> User:
    """The person whose password this is. Tries are counted; the time taken tells nothing.

    :raises WrongCredentials: :raises TooMany:
    """
    email = email.replace("\0", "")
    attempt = await count_attempt(session, email, browser)  # no transaction is open while hashing
    user = await person_with(session, email)
    stored = user.password_hash if user else None
    fits = await passwords.matches(password, stored)
    if user is None or stored is None or not fits or user.disabled_at is not None:
        raise WrongCredentials
    if passwords.is_outdated(stored):
        user.password_hash = await passwords.hash_password(password)
    await forgive(session, attempt)
    return user


async def sign_in(session: AsyncSession, email: str, password: str, browser: Browser) -> tuple[User, str]:
    """Sign in with e-mail and password; returns the person and the cookie's value."""
    user = await check_password(session, email, password, browser)
    return user, await begin_sign_in(session, user, browser)


async def sign_in_by_link(session: AsyncSession, link: Link, form: FirstVisitForm, browser: Browser) -> str:
    """Use a sign-in link up; on the first visit the account gets its name, address and password.

    :raises Invalid: the first visit without all three. :raises TooEasy: :raises AddressTaken: :raises LinkOver:
    """
    user = await session.get_one(User, link.user_id)
    if user.password_hash is None:
        if form.name is None or form.email is None or form.password is None:
            raise Invalid(field=_("name, email and password"), reason=_("please fill in all three"))
        await choose_password(session, user, form.password.get_secret_value(), form.name, form.email)
        await rename(session, user, form.name, form.email)
    await use_link(session, link)
    return await begin_sign_in(session, user, browser)


async def rename(session: AsyncSession, user: User, name: str, email: str) -> None:
    """:raises AddressTaken: another account has this address."""
    user.name, user.email = name, email
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError:
        raise AddressTaken from None


async def choose_password(session: AsyncSession, user: User, password: str, *own: str) -> None:
    """Store a new password and end the links that would let somebody set another one.

    :raises TooEasy:
    """
    passwords.refuse_easy(password, user.name, user.email, user.email.partition("@")[0], *own)
    user.password_hash = await passwords.hash_password(password)
    await end_links(session, user.id, LinkKind.password_reset)
    await record(session, "user.password_set", actor_id=user.id, subject=user.public_id)


async def end_sign_ins(session: AsyncSession, user_id: int, *, but: int | None = None) -> None:
    """End all sign-ins of a person, except the one with the inside id `but`."""
    ended = update(SignIn).where(SignIn.user_id == user_id, SignIn.revoked_at.is_(None)).values(revoked_at=func.now())
    await session.execute(ended.where(SignIn.id != but) if but is not None else ended)


async def end_sign_in(session: AsyncSession, user_id: int, outside: UUID) -> None:
    """End one of a person's own sign-ins.

    :raises NotFound: not theirs.
    """
    mine = update(SignIn).where(SignIn.public_id == outside, SignIn.user_id == user_id, SignIn.revoked_at.is_(None))
    if await session.scalar(mine.values(revoked_at=func.now()).returning(SignIn.id)) is None:
        raise NotFound


async def sign_out(session: AsyncSession, token: str | None) -> None:
    """End the sign-in behind a cookie; none, or one that is over, is no error."""
    if token:
        over = update(SignIn).where(SignIn.token_hash == hashed(token), SignIn.revoked_at.is_(None))
        await session.execute(over.values(revoked_at=func.now()))


async def reset_password(session: AsyncSession, link: Link, password: str, browser: Browser) -> str:
    """A new password by a reset link: ends every sign-in of the person and begins one here.

    :raises TooEasy: :raises LinkOver:
    """
    user = await session.scalar(select(User).where(User.id == link.user_id)) if link.user_id else None
    if user is None:
        raise NotFound
    await use_link(session, link)
    await choose_password(session, user, password)
    await end_sign_ins(session, user.id)
    return await begin_sign_in(session, user, browser)


class WrongPassword(DomainError):
    status = 422
    code = "wrong-password"
    sentence = _("current: this is not your password.")


async def change_password(
    session: AsyncSession, user_id: int, current: str, password: str, *, here: int, browser: Browser
) -> None:
    """Change one's own password; all other sign-ins end, the one with the inside id `here` stays.

    :raises WrongPassword: :raises TooEasy: :raises TooMany: guessing with a stolen cookie is slowed as well.
    """
    user = await session.get_one(User, user_id)
    try:
        await check_password(session, user.email, current, browser)
    except WrongCredentials:
        raise WrongPassword from None
    await choose_password(session, user, password)
    await end_sign_ins(session, user_id, but=here)
