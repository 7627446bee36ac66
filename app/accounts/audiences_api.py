"""REST: a project's people, and the audiences that tasks may be kept for."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.actions.audiences import edit_audience, make_audience, retire_audience
from app.accounts.actions.members import change_member
from app.accounts.forms import AudienceForm, MemberForm
from app.accounts.permissions import Permission, Role
from app.accounts.queries import InAudience, audiences_of, members
from app.accounts.tables import Membership
from app.cursors import Cursor, Limit, page_of
from app.database import Session

router = APIRouter(tags=["accounts"])
Reader = Annotated[Access, may(Permission.member_read)]
Manager = Annotated[Access, may(Permission.member_manage)]


class AudienceView(BaseModel):
    """people, without: pseudonyms of those that are named. size: active people who are in it."""

    id: UUID
    name: str
    cohorts: list[str]
    skills: list[str]
    people: list[str]
    without: list[str]
    size: int


class MemberView(BaseModel):
    """limits empty: a day's is the project's own; in all there is none."""

    rater: str
    role: Role
    cohort: str | None
    skills: list[str]
    daily_limit: int | None
    total_limit: int | None
    is_paused: bool
    since: datetime


class MemberPage(BaseModel):
    rows: list[MemberView]
    next: str | None


def audience_view(one: InAudience) -> AudienceView:
    plain = {name: getattr(one.audience, name) for name in ("name", "cohorts", "skills")}
    return AudienceView(id=one.audience.public_id, people=one.people, without=one.without, size=one.size, **plain)


def member_view(member: Membership) -> MemberView:
    plain = {name: getattr(member, name) for name in ("role", "cohort", "skills", "daily_limit", "total_limit")}
    paused = member.paused_at is not None
    return MemberView(rater=member.pseudonym, is_paused=paused, since=member.created_at, **plain)


async def _audience(session: Session, project_id: int, public_id: UUID) -> AudienceView:
    there = await audiences_of(session, project_id)
    return next(audience_view(one) for one in there if one.audience.public_id == public_id)


@router.get("/projects/{project}/members")
async def list_members(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> MemberPage:
    """The project's people by pseudonym, in the order in which they joined."""
    page = await page_of(session, members(access), Membership.id, cursor=cursor, limit=limit, newest_first=False)
    return MemberPage(rows=[member_view(row[0]) for row in page.rows], next=page.next)


@router.put("/projects/{project}/members/{member}")
async def put_member(project: UUID, member: str, form: MemberForm, access: Manager, session: Session) -> MemberView:
    """A member's role, cohort, skills and limits. member: the pseudonym."""
    changed = await change_member(session, access, member, form)
    await session.flush()
    return member_view(changed)


@router.get("/projects/{project}/audiences")
async def list_audiences(project: UUID, access: Reader, session: Session) -> list[AudienceView]:
    """Classes of people that rounds, tags and tasks may be kept for."""
    return [audience_view(one) for one in await audiences_of(session, access.of_project())]


@router.post("/projects/{project}/audiences", status_code=201)
async def post_audience(project: UUID, form: AudienceForm, access: Manager, session: Session) -> AudienceView:
    """A new one: those named, and whoever is of one of the cohorts and has all the skills; never those in `without`."""
    made = await make_audience(session, access, form)
    return await _audience(session, access.of_project(), made.public_id)


@router.put("/projects/{project}/audiences/{audience}")
async def put_audience(
    project: UUID, audience: UUID, form: AudienceForm, access: Manager, session: Session
) -> AudienceView:
    """Who is in it changes at once; tasks in people's hands stay there."""
    await edit_audience(session, access, audience, form)
    return await _audience(session, access.of_project(), audience)


@router.delete("/projects/{project}/audiences/{audience}", status_code=204)
async def delete_audience(project: UUID, audience: UUID, access: Manager, session: Session) -> None:
    """409 while tasks, rounds or tags are kept for it."""
    await retire_audience(session, access, audience)
