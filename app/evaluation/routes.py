"""Pages: blind comparisons of a project, one of them, and the form that starts one."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.queries import ready_checkpoint, writers_of
from app.checkpoints.tables import Checkpoint
from app.database import Session
from app.errors import Invalid
from app.evaluation.actions import cancel_evaluation, start_evaluation
from app.evaluation.forms import EvaluationForm
from app.evaluation.queries import counts_of_tasks, evaluation_of, evaluations_of, named_checkpoints
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import get_project
from app.quality.queries import checkpoints_by_id, figures_of
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.evaluation_read)]
Editor = Annotated[Access, may(Permission.evaluation_edit)]


class EvaluationFields(BaseModel):
    model_config = ConfigDict(extra="forbid")
    candidate: UUID
    baseline: UUID
    prompts: int = Field(default=100, ge=1, le=5000)
    k: int = Field(default=1, ge=1, le=50)
    temperature: float = Field(default=1.0, ge=0, le=2)


@router.get("/projects/{project}/evaluations")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    evaluations = await evaluations_of(session, access.of_project())
    context: dict[str, Any] = {
        "project": await get_project(session, access.of_project()),
        "evaluations": evaluations,
        "names": await named_checkpoints(session, evaluations),
        "bases": [(str(one.public_id), one.name) for one in await writers_of(session, access.of_project(), here=True)],
    }
    return respond(request, "evaluation/index.html", "evaluations", **context)


@router.post("/projects/{project}/evaluations")
async def start(
    request: Request, project: UUID, fields: Annotated[EvaluationFields, Form()], access: Editor, session: Session
) -> Response:
    told = fields.model_dump(exclude={"temperature"}) | {"sampling.temperature": fields.temperature}
    form, errors = filled(EvaluationForm, told)
    if form is None:  # each field is right by itself
        raise Invalid(field="baseline", reason=" ".join(errors.values()))
    candidate = await ready_checkpoint(session, access.of_project(), fields.candidate, "candidate")
    baseline = await ready_checkpoint(session, access.of_project(), fields.baseline, "baseline")
    made = await start_evaluation(session, access.of_project(), form, candidate, baseline, access.person.id)
    return redirect(request, f"/evaluations/{made.public_id}", _("Both checkpoints are asked for their answers."))


@router.get("/evaluations/{evaluation}")
async def show(request: Request, evaluation: UUID, access: Reader, session: Session) -> Response:
    found = await evaluation_of(session, access.of_project(), evaluation)
    tasks, still_open = await counts_of_tasks(session, found)
    context: dict[str, Any] = {
        "project": await get_project(session, access.of_project()),
        "evaluation": found,
        "candidate": await session.get_one(Checkpoint, found.candidate_id),
        "baseline": await session.get_one(Checkpoint, found.baseline_id),
        "tasks": tasks,
        "still_open": still_open,
    }
    return respond(request, "evaluation/show.html", "evaluation", **context)


@router.post("/evaluations/{evaluation}/cancel")
async def cancel(request: Request, evaluation: UUID, access: Editor, session: Session) -> Response:
    found = await evaluation_of(session, access.of_project(), evaluation)
    await cancel_evaluation(session, found, access.person.id)
    return redirect(request, f"/evaluations/{found.public_id}", _("Nobody is asked any further."), kind="info")


@router.get("/projects/{project}/leaderboard")
async def leaderboard(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    """Where checkpoints stand by people's comparisons, as it was computed last."""
    context: dict[str, Any] = {
        "project": await get_project(session, access.of_project()),
        "figures": await figures_of(session, access.of_project(), "standings"),
        "names": await checkpoints_by_id(session, access.of_project()),
    }
    return respond(request, "evaluation/leaderboard.html", "leaderboard", **context)
