"""Pages: datasets of a project, one dataset, and the form that freezes one."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm, Name
from app.datasets.queries import dataset_of, datasets_of, rounds_of
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
    Shape.flat: _("Ratings and questions, a row for each rater and answer"),
    Shape.trl_demonstrations: _("TRL prompt and completion, conversational"),
}


class FreezeFields(BaseModel):
    """The few choices that the page offers; REST takes them all."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    heldout_share: float = Field(default=0.1, ge=0.0, le=0.9)
    minimum_votes: int = Field(default=1, ge=1, le=50)
    batch: UUID | Literal[""] = ""

    def as_form(self) -> FreezeForm:
        return FreezeForm(**self.model_dump(exclude={"batch"}), batches=(self.batch,) if self.batch else ())


@router.get("/projects/{project}/datasets")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await datasets_of(session, access.of_project())
    shown = await get_project(session, access.of_project())
    rounds = [(str(one.public_id), one.name) for one in await rounds_of(session, access.of_project())]
    return respond(request, "datasets/index.html", "datasets", project=shown, datasets=found, batches=rounds)


@router.post("/projects/{project}/datasets")
async def freeze(
    request: Request, project: UUID, form: Annotated[FreezeFields, Form()], access: Freezer, session: Session
) -> Response:
    dataset = await ask_to_freeze(session, access.of_project(), form.as_form(), access.person.id)
    return redirect(request, f"/datasets/{dataset.public_id}", _("The answers are being frozen."))


@router.get("/datasets/{dataset}")
async def show(request: Request, dataset: UUID, access: Reader, session: Session) -> Response:
    found = await dataset_of(session, access.of_project(), dataset)
    shown = await get_project(session, access.of_project())
    return respond(request, "datasets/show.html", "dataset", project=shown, dataset=found, shapes=SHAPES)
