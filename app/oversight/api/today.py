"""REST: what needs a decision in a project."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.oversight.today import today_of
from app.projects.queries import get_project

router = APIRouter(tags=["oversight"])
Counter = Annotated[Access, may(Permission.progress_read)]


class DecisionView(BaseModel):
    """kind: the same word for the same matter, for scripts. address: of the page on which it is decided."""

    kind: str
    title: str
    evidence: str
    action: str
    address: str


@router.get("/projects/{project}/today")
async def list_decisions(project: UUID, access: Counter, session: Session) -> list[DecisionView]:
    """What waits for a decision that you may take, the most urgent first."""
    found = await today_of(session, access, await get_project(session, access.of_project()))
    return [DecisionView.model_validate(one, from_attributes=True) for one in found.decisions]
