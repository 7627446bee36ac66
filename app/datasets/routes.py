"""Pages: datasets of a project, one dataset, and the form that freezes one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm, Name
from app.datasets.queries import dataset_of, datasets_of
from app.datasets.rules import Form as Shape
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.dataset_read)]
Freezer = Annotated[Access, may(Permission.dataset_edit)]

SHAPES = {
    Shape.native: _("Hone records, with every vote"),
    Shape.trl: _("TRL preference, conversational"),
    Shape.trl_standard: _("TRL preference, standard"),
    Shape.hh: _("HH transcripts"),
}


class FreezeFields(BaseModel):
    """The few choices that the page offers; REST takes them all."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    heldout_share: float = Field(default=0.1, ge=0.0, le=0.9)
    minimum_votes: int = Field(default=1, ge=1, le=50)


@router.get("/projects/{project}/datasets")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await datasets_of(session, access.of_project())
    shown = await get_project(session, access.of_project())
    return respond(request, "datasets/index.html", "datasets", project=shown, datasets=found)


@router.post("/projects/{project}/datasets")
async def freeze(
    request: Request, project: UUID, form: Annotated[FreezeFields, Form()], access: Freezer, session: Session
) -> Response:
    question = FreezeForm(**form.model_dump())
    dataset = await ask_to_freeze(session, access.of_project(), question, access.person.id)
    return redirect(request, f"/datasets/{dataset.public_id}", _("The answers are being frozen."))


@router.get("/datasets/{dataset}")
async def show(request: Request, dataset: UUID, access: Reader, session: Session) -> Response:
    found = await dataset_of(session, access.of_project(), dataset)
    shown = await get_project(session, access.of_project())
    return respond(request, "datasets/show.html", "dataset", project=shown, dataset=found, shapes=SHAPES)
