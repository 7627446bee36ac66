"""REST: many answers at once are set aside, given back, or brought back."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.reworking import start_rework, undo_rework
from app.annotations.reworking import Does, ReworkForm, Selection, effect_of, reworks_of
from app.annotations.tables import Rework, ReworkState
from app.database import Session
from app.projects.queries import get_project

router = APIRouter(tags=["annotations"])
Reviewer = Annotated[Access, may(Permission.annotation_review)]


class EffectView(BaseModel):
    """What a rework would change now. paid: in hundredths of the currency, for those who may see pay; it stays paid."""

    answers: int
    tasks: int
    people: int
    paid: int | None


class ReworkView(BaseModel):
    """answers: changed, or brought back, so far."""

    id: UUID
    selection: dict[str, Any]
    does: Does
    reason: str
    state: ReworkState
    answers: int
    at: datetime
    ended_at: datetime | None


def view(rework: Rework) -> ReworkView:
    plain = ("selection", "does", "reason", "state", "answers", "at", "ended_at")
    return ReworkView(id=rework.public_id, **{name: getattr(rework, name) for name in plain})


@router.get("/projects/{project}/reworks/effect")
async def show_effect(
    project: UUID, access: Reviewer, session: Session, chosen: Annotated[Selection, Query()]
) -> EffectView:
    """How many answers of how many people a selection has; with nothing said, all that count."""
    found = await effect_of(session, await get_project(session, access.of_project()), chosen)
    paid = found.paid if access.may(Permission.pay_read) else None
    return EffectView(answers=found.answers, tasks=found.tasks, people=found.people, paid=paid)


@router.get("/projects/{project}/reworks")
async def list_reworks(project: UUID, access: Reviewer, session: Session) -> list[ReworkView]:
    """The newest fifty."""
    return [view(rework) for rework, _by in await reworks_of(session, access.of_project())]


@router.post("/projects/{project}/reworks", status_code=202)
async def post_rework(project: UUID, form: ReworkForm, access: Reviewer, session: Session) -> ReworkView:
    """Set aside or give back what is selected; a worker does it. Answers that come from now on are left alone."""
    found = await get_project(session, access.of_project())
    return view(await start_rework(session, found, form, access.person.id))


@router.post("/projects/{project}/reworks/{rework}/undo", status_code=202)
async def post_undo(project: UUID, rework: UUID, access: Reviewer, session: Session) -> ReworkView:
    """Bring back what it set aside: to its own place where nobody has taken that, else outside of k."""
    return view(await undo_rework(session, access.of_project(), rework, access.person.id))
