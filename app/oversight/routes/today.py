"""Pages: what needs a decision today, over all of a person's projects and in one."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, in_person, may
from app.accounts.permissions import Permission
from app.database import Session
from app.oversight.today import today_of, today_over_all
from app.pages import respond
from app.projects.queries import get_project

router = APIRouter()
Me = Annotated[Access, in_person()]
Counter = Annotated[Access, may(Permission.progress_read)]


@router.get("/today")
async def over_all(request: Request, me: Me, session: Session) -> Response:
    return respond(request, "oversight/today.html", None, days=await today_over_all(session, me), project=None)


@router.get("/projects/{project}/today")
async def in_one(request: Request, access: Counter, session: Session) -> Response:
    project = await get_project(session, access.of_project())
    days = [await today_of(session, access, project)]
    return respond(request, "oversight/today.html", None, days=days, project=project)
