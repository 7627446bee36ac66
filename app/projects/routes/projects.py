"""Pages: my projects, and the settings of one."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, anybody, may, signed_in
from app.accounts.permissions import Permission
from app.checkpoints.actions import must_answer
from app.checkpoints.queries import checkpoint_of, serving, writers_of
from app.checkpoints.tables import Checkpoint
from app.database import Session
from app.oversight.today import has_a_say
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile, edit_project
from app.projects.forms import ProjectEdit, filled
from app.projects.queries import (
    default_batch,
    get_project,
    my_projects,
    newest_guidelines,
    newest_protocol,
)
from app.projects.rules import zones
from app.projects.tables import Project, ProjectState
from app.translation import _

router = APIRouter()
Editor = Annotated[Access, may(Permission.project_edit)]
TEXTS = ("description", "guidelines")


@router.get("/")
async def start(request: Request, access: Annotated[Access | None, anybody()], session: Session) -> Response:
    if access is None:
        return redirect(request, "/sign-in")
    if access.token_id is None and await has_a_say(session, access):  # what needs a decision is for people
        return redirect(request, "/today")
    return await index(request, access, session)


@router.get("/projects")
async def index(request: Request, access: Annotated[Access, signed_in()], session: Session) -> Response:
    return respond(request, "projects/index.html", "projects", mine=await my_projects(session, access))


@router.get("/projects/{project}/settings")
async def settings(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    return respond(request, "projects/settings.html", "settings", **await _settings(session, found))


@router.post("/projects/{project}/settings")
async def save_settings(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    """Saved, or the form again with what was written: 422 with reasons, 409 beside what others saved meanwhile."""
    sent = await _sent(request)
    form, errors = filled(ProjectEdit, sent, TEXTS)
    found = await get_project(session, access.of_project())
    page = await _settings(session, found)
    if form is None:
        return respond(request, "projects/settings.html", "settings", 422, **page | {"values": sent, "errors": errors})
    checkpoint = await checkpoint_of(session, found.id, form.checkpoint) if form.checkpoint else None
    if checkpoint is not None:
        must_answer(checkpoint)
    if "checkpoint" in sent and not sent["checkpoint"]:
        form = form.model_copy(update={"checkpoint": None})
    try:
        await edit_project(session, found.id, form, access.person.id, checkpoint.id if checkpoint else None)
    except EditedMeanwhile as conflict:
        page |= {"values": sent | {"version": found.version}, "conflict": conflict}
        return respond(request, "projects/settings.html", "settings", 409, **page)
    return redirect(request, f"/projects/{project}/settings", _("Saved."))


async def _sent(request: Request) -> dict[str, Any]:
    return {name: str(value) for name, value in (await request.form()).items()}


async def _choices(session: Session, project_id: int | None) -> dict[str, Any]:
    writers: list[Checkpoint] = await writers_of(session, project_id)
    return {
        "zones": [(zone, zone) for zone in sorted(zones())],
        "checkpoints": [("", _("none yet"))] + [(str(one.public_id), one.name) for one in writers],
        "states": [(state.value, _(state.value)) for state in ProjectState],
    }


async def _settings(session: Session, project: Project) -> dict[str, Any]:
    chosen = await serving(session, project.id)
    batch = await default_batch(session, project.id)
    plain = ("name", "description", "zone", "daily_limit", "edit_minutes", "low_water", "generation_limit", "version")
    values = {field: getattr(project, field) for field in plain} | {"state": project.state.value, "k": batch.k}
    values |= {f"split.{use}": share for use, share in project.split.items()}
    values["checkpoint"] = str(chosen.public_id) if chosen else ""
    more = {"protocol": await newest_protocol(session, project.id)}
    more["guidelines"] = await newest_guidelines(session, project.id)  # type: ignore[assignment]
    choices = await _choices(session, project.id)
    return choices | more | {"project": project, "values": values, "errors": {}, "conflict": None}
