"""Pages: consent is taken back, by a person or by an admin whom they asked; what that does is shown first."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.withdrawing import (
    consequence_of,
    place_of,
    take_consent_back,
    take_part_again,
)
from app.database import Session
from app.datasets.queries import MOST_SINCE, frozen_since, is_freezing
from app.datasets.withdrawing import datasets_of_person
from app.oversight.descent import trained_from
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.translation import _

router = APIRouter(prefix="/projects/{project}")
Own = Annotated[Access, may(Permission.annotation_own)]
Annotator = Annotated[Access, may(Permission.annotate)]
Manager = Annotated[Access, may(Permission.member_manage)]


@router.get("/consent/withdraw")
async def look(request: Request, access: Own, session: Session) -> Response:
    """What it would do to my answers."""
    taken_back = access.has_withdrawn
    page = await _page(session, access, access.person.id) | {"place": None, "taken_back": taken_back}
    page |= {"address": "consent/withdraw", "is_own": True}
    return respond(request, "oversight/withdrawal.html", None, **page)


@router.post("/consent/withdraw")
async def withdraw(request: Request, access: Annotator, session: Session) -> Response:
    await take_consent_back(session, access.of_project(), access.person.id, access.person.id)
    return redirect(request, f"/projects/{access.project}/consent/withdraw", _("Your consent is taken back."))


@router.post("/consent/again")
async def come_back(request: Request, access: Annotator, session: Session) -> Response:
    freezes = await is_freezing(session, access.of_project())
    await take_part_again(session, access.of_project(), access.person.id, is_freezing=freezes)
    return redirect(request, f"/projects/{access.project}/annotate")


@router.get("/members/{member}/withdraw")
async def look_for(request: Request, member: str, access: Manager, session: Session) -> Response:
    """What it would do to somebody's answers, and where these have gone."""
    place = await place_of(session, access.of_project(), member)
    address = f"members/{place.pseudonym}/withdraw"
    page = await _page(session, access, place.user_id) | {"place": place, "taken_back": place.withdrawn_at is not None}
    page |= {"address": address, "is_own": False}
    return respond(request, "oversight/withdrawal.html", None, **page)


@router.post("/members/{member}/withdraw")
async def withdraw_for(request: Request, member: str, access: Manager, session: Session) -> Response:
    place = await place_of(session, access.of_project(), member)
    await take_consent_back(session, access.of_project(), place.user_id, access.person.id)
    address = f"/projects/{access.project}/members/{place.pseudonym}/withdraw"
    return redirect(request, address, _("The consent is taken back."))


async def _page(session: Session, access: Access, person_id: int) -> dict[str, Any]:
    """datasets: that may hold something, since nobody has looked yet; is_cut: there may be more; marked: that do."""
    project = await get_project(session, access.of_project())
    consequence = await consequence_of(session, project.id, person_id)
    first = consequence.first
    datasets = await frozen_since(session, project.id, first) if first is not None else ()
    marked = await datasets_of_person(session, project.id, person_id)
    runs = await trained_from(session, project.id, person_id) if access.may(Permission.run_read) else []
    return {
        "project": project,
        "consequence": consequence,
        "datasets": datasets,
        "is_cut": len(datasets) >= MOST_SINCE,
        "marked": marked,
        "runs": runs,
        "reads_datasets": access.may(Permission.dataset_read),
    }
