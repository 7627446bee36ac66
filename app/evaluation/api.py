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
