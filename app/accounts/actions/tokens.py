"""API tokens: made once, shown once, revoked at once."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.credentials import hashed
from app.accounts.forms import TokenForm
from app.accounts.permissions import ROLE_PERMISSIONS, Permission
from app.accounts.queries import projects_for_tokens
from app.accounts.rules import make_token
from app.accounts.tables import ApiToken
from app.errors import Invalid, NotFound
from app.events import record
from app.translation import _


@dataclass(frozen=True)
class NewToken:
    """A token and its text, which nobody can read again."""

    row: ApiToken
    text: str


async def make_api_token(session: AsyncSession, access: Access, form: TokenForm) -> NewToken:
    """A token that acts as the caller, within a role, scopes and one project as far as these are given.

    :raises Invalid: a project the caller is not in, or a scope that the role does not have.
    """
    refuse_scopes_beyond(form)
    project_id = await own_project(session, access, form.project) if form.project else None
    text = make_token()
    row = ApiToken(
        token_hash=hashed(text),
        hint=text[:9],
        user_id=access.person.id,
        project_id=project_id,
        name=form.name,
        role=form.role,
        scopes=[scope.value for scope in form.scopes],
        skips_reading=form.skips_reading,
        expires_at=None if form.days is None else func.now() + timedelta(days=form.days),
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    await record(
        session,
        "token.made",
        actor_id=access.person.id,
        project_id=project_id,
        subject=row.public_id,
        role=form.role,
        scopes=row.scopes,
        days=form.days,
        skips_reading=form.skips_reading,
    )
    return NewToken(row, text)


def refuse_scopes_beyond(form: TokenForm) -> None:
    beyond = set(form.scopes) - ROLE_PERMISSIONS[form.role] if form.role else set[Permission]()
    if beyond:
        reason = _("{role} does not have {scopes}").format(role=form.role, scopes=", ".join(sorted(beyond)))
        raise Invalid(field="scopes", reason=reason)


async def own_project(session: AsyncSession, access: Access, outside: UUID) -> int:
    """The inside id of a project the caller may bind a token to."""
    for project in await projects_for_tokens(session, access):
        if project.public_id == outside:
            return int(project.id)
    raise Invalid(field="project", reason=_("you have no place in a project with this id"))


async def revoke_token(session: AsyncSession, user_id: int, outside: UUID) -> None:
    """End one of a person's own tokens; its next request is refused.

    :raises NotFound: not theirs, or ended before.
    """
    mine = update(ApiToken).where(ApiToken.public_id == outside, ApiToken.user_id == user_id)
    ended = mine.where(ApiToken.revoked_at.is_(None)).values(revoked_at=func.now()).returning(ApiToken.id)
    if await session.scalar(ended) is None:
        raise NotFound
    await record(session, "token.revoked", actor_id=user_id, subject=outside)
