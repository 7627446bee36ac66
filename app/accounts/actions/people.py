"""People as the installation knows them: their own settings, and what an admin may do to them."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Person
from app.accounts.actions.links import end_links
from app.accounts.actions.sign_in import end_sign_ins
from app.accounts.forms import ProfileForm
from app.accounts.tables import ApiToken, User
from app.errors import Conflict, NotFound
from app.events import record
from app.translation import _


class LastAdmin(Conflict):
    code = "last-admin"
    sentence = _("The installation needs an admin. Make somebody else admin first.")


class OnlyImported(Conflict):
    code = "only-imported"
    sentence = _("This is a pseudonym from a file of labelled data: nobody can sign in as it.")


async def edit_profile(session: AsyncSession, person: Person, form: ProfileForm) -> None:
    """Change one's own name, time zone and language."""
    user = await session.get_one(User, person.id)
    user.name, user.zone, user.locale = form.name, form.zone, form.locale


async def keep_preferences(session: AsyncSession, person: Person, **chosen: Any) -> None:
    """Change some of one's own preferences by name; the others stay."""
    user = await session.get_one(User, person.id, with_for_update=True)
    user.preferences = user.preferences | chosen


async def person_to_change(session: AsyncSession, outside: UUID) -> User:
    """Somebody, locked.

    :raises NotFound:
    """
    user: User | None = await session.scalar(select(User).where(User.public_id == outside).with_for_update())
    if user is None:
        raise NotFound
    return user


async def keep_an_admin(session: AsyncSession, user: User) -> None:
    """Refuse to take the last admin away.

    :raises LastAdmin:
    """
    others = select(User.id).where(User.is_admin, User.disabled_at.is_(None)).order_by(User.id).with_for_update()
    if user.is_admin and set(await session.scalars(others)) <= {user.id}:
        raise LastAdmin


async def disable(session: AsyncSession, outside: UUID, admin: Person) -> User:
    """End everything somebody could come in by, at once. Their answers stay.

    :raises LastAdmin: :raises NotFound:
    """
    user = await person_to_change(session, outside)
    await keep_an_admin(session, user)
    user.disabled_at = func.now()
    await session.flush()
    await end_sign_ins(session, user.id)
    await end_links(session, user.id)
    tokens = update(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
    await session.execute(tokens.values(revoked_at=func.now()))
    await record(session, "user.disabled", actor_id=admin.id, subject=user.public_id)
    return user


async def enable(session: AsyncSession, outside: UUID, admin: Person) -> User:
    """Let somebody sign in again; what had ended stays ended.

    :raises OnlyImported: nobody is behind it. :raises NotFound:
    """
    user = await person_to_change(session, outside)
    if user.is_imported:
        raise OnlyImported
    user.disabled_at = None
    await record(session, "user.enabled", actor_id=admin.id, subject=user.public_id)
    return user


async def change_admin(session: AsyncSession, outside: UUID, admin: Person, *, is_admin: bool) -> User:
    """Make somebody an admin, or an ordinary person again; their sign-ins end, so that none outlives the change.

    :raises LastAdmin: :raises NotFound:
    """
    user = await person_to_change(session, outside)
    if not is_admin:
        await keep_an_admin(session, user)
    user.is_admin = is_admin
    if user.id != admin.id:
        await end_sign_ins(session, user.id)
    kind = "user.made_admin" if is_admin else "user.unmade_admin"
    await record(session, kind, actor_id=admin.id, subject=user.public_id)
    return user
