"""REST: compare two checkpoints blindly."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.queries import ready_checkpoint
from app.checkpoints.tables import Checkpoint
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.evaluation.actions import baseline_of, cancel_evaluation, start_evaluation
from app.evaluation.forms import EvaluationForm
from app.evaluation.queries import evaluation_of, evaluations_with_checkpoints
from app.evaluation.tables import Evaluation, EvaluationState
from app.quality.queries import checkpoints_by_id, figures_of

router = APIRouter(tags=["evaluations"])
Reader = Annotated[Access, may(Permission.evaluation_read)]
Editor = Annotated[Access, may(Permission.evaluation_edit)]
INSIDE = {"by_rule", "told", "recount"}  # of a result: what housekeeping remembers


class EvaluationView(BaseModel):
    """A blind comparison. result.people: answers by people; result.all: those and what a rule decided. In each, low and
    high are a 95 % interval over prompts; interval says how it was found: `bootstrap`, or `wilson` where every prompt
    has the same rate, or there is only one.

    Answers that change after the end are counted anew; where one was taken out, a finished comparison is open again.
    """

    id: UUID
    candidate: UUID
    baseline: UUID
    state: EvaluationState
    reason: str | None
    prompts: int
    k: int
    sampling: dict[str, Any]
    result: dict[str, Any]
    created_at: datetime
    finished_at: datetime | None


class EvaluationPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[EvaluationView]
    next: str | None


def line(evaluation: Evaluation, candidate: UUID, baseline: UUID) -> EvaluationView:
    """candidate, baseline: outside ids."""
    apart = ("id", "candidate", "baseline", "result")
    shown = {name: getattr(evaluation, name) for name in EvaluationView.model_fields if name not in apart}
    result = {name: value for name, value in evaluation.result.items() if name not in INSIDE}
    ids = {"id": evaluation.public_id, "candidate": candidate, "baseline": baseline}
    return EvaluationView(**ids, result=result, **shown)


async def view(session: Session, evaluation: Evaluation) -> EvaluationView:
    candidate = await session.get_one(Checkpoint, evaluation.candidate_id)
    baseline = await session.get_one(Checkpoint, evaluation.baseline_id)
    return line(evaluation, candidate.public_id, baseline.public_id)


@router.get("/projects/{project}/evaluations")
async def list_evaluations(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> EvaluationPage:
    """The project's blind comparisons, newest first."""
    asked = evaluations_with_checkpoints(access.of_project())
    page = await page_of(session, asked, Evaluation.id, cursor=cursor, limit=limit)
    return EvaluationPage(rows=[line(*row) for row in page.rows], next=page.next)


@router.post("/projects/{project}/evaluations", status_code=202)
async def start(project: UUID, form: EvaluationForm, access: Editor, session: Session) -> EvaluationView:
    """Ask both checkpoints for answers; the pairs become ordinary tasks of purpose `evaluation`."""
    candidate = await ready_checkpoint(session, access.of_project(), form.candidate, "candidate")
    baseline = (
        await ready_checkpoint(session, access.of_project(), form.baseline, "baseline")
        if form.baseline
        else await baseline_of(session, candidate)
    )
    made = await start_evaluation(session, access.of_project(), form, candidate, baseline, access.person.id)
    return await view(session, made)


@router.get("/evaluations/{evaluation}")
async def show(evaluation: UUID, access: Reader, session: Session) -> EvaluationView:
    return await view(session, await evaluation_of(session, access.of_project(), evaluation))


@router.post("/evaluations/{evaluation}/cancel")
async def cancel(evaluation: UUID, access: Editor, session: Session) -> EvaluationView:
    """Ask nobody any further; what was answered stays counted. Asking twice, or after the end, changes nothing."""
    found = await evaluation_of(session, access.of_project(), evaluation)
    await cancel_evaluation(session, found, access.person.id)
    return await view(session, found)


class Place(BaseModel):
    """strength: log-odds around the group's mean, {value, low, high, n}: a 95 % interval over n tasks. controlled: of
    answers alike in length and Markdown."""

    checkpoint: UUID
    name: str
    answers: int
    strength: dict[str, Any]
    controlled: dict[str, Any]


class Group(BaseModel):
    """Checkpoints that comparisons connect, the strongest first. matrix: [row][column] share of points of one against
    another and the answers behind it; null where they never met."""

    answers: int
    places: list[Place]
    style: list[dict[str, Any]]
    matrix: list[list[dict[str, Any] | None]]


class Leaderboard(BaseModel):
    """at: when it was computed; null: not yet. Between two groups nothing can be said."""

    at: datetime | None
    groups: list[Group]


@router.get("/projects/{project}/leaderboard")
async def leaderboard(project: UUID, access: Reader, session: Session) -> Leaderboard:
    """Bradley-Terry strengths with ties, from people's comparisons of checkpoints."""
    figures = await figures_of(session, access.of_project(), "standings")
    if figures is None:
        return Leaderboard(at=None, groups=[])
    names = await checkpoints_by_id(session, access.of_project())
    groups = []
    for group in figures.body["groups"]:
        places = [
            Place(
                checkpoint=names[one["checkpoint"]][1],
                name=names[one["checkpoint"]][0],
                answers=one["answers"],
                strength=one["plain"],
                controlled=one["controlled"],
            )
            for one in group["checkpoints"]
        ]
        groups.append(Group(answers=group["answers"], places=places, style=group["style"], matrix=group["matrix"]))
    return Leaderboard(at=figures.at, groups=groups)
