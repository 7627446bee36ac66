"""Pages: the classes of a project's people that tasks may be kept for."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.audiences import edit_audience, make_audience, retire_audience
from app.accounts.forms import AudienceForm
from app.accounts.permissions import Permission
from app.accounts.queries import audiences_of, named_project
from app.database import Session
from app.pages import redirect, respond
from app.translation import _

router = APIRouter(prefix="/projects/{project}/audiences")
Manager = Annotated[Access, may(Permission.member_manage)]
Sent = Annotated[AudienceForm, Form()]


@router.get("")
async def index(request: Request, project: UUID, access: Manager, session: Session) -> Response:
    told: dict[str, Any] = {
        "project": await named_project(session, access.of_project()),
        "audiences": await audiences_of(session, access.of_project()),
    }
    return respond(request, "accounts/audiences.html", "audiences", **told)


@router.post("")
async def make(request: Request, project: UUID, form: Sent, access: Manager, session: Session) -> Response:
    made = await make_audience(session, access, form)
    return redirect(request, f"/projects/{project}/audiences", _("“{name}” is there.").format(name=made.name))


@router.post("/{audience}")
async def edit(
    request: Request, project: UUID, audience: UUID, form: Sent, access: Manager, session: Session
) -> Response:
    await edit_audience(session, access, audience, form)
    return redirect(request, f"/projects/{project}/audiences", _("Saved. It holds from the next task on."))


@router.post("/{audience}/retire")
async def retire(request: Request, project: UUID, audience: UUID, access: Manager, session: Session) -> Response:
    await retire_audience(session, access, audience)
    return redirect(request, f"/projects/{project}/audiences", _("It is gone."))
