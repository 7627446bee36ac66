"""REST: the rounds of a project."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.oversight.api.overview import CountsView, ForecastView, counts_of, forecast_view
from app.oversight.piloting import Sampled, sampled
from app.oversight.rounds import Round, form_of, kept_report, report_of, rounds_in, rounds_told
from app.projects.batching import RoundEdit, RoundForm
from app.projects.queries import get_project
from app.projects.tables import Batch, BatchState, Project
from app.tasks.actions import edit_round, make_round, move_round, remove_draft, round_of

router = APIRouter(prefix="/projects/{project}/batches", tags=["oversight"])
Reader = Annotated[Access, may(Permission.progress_read)]
Editor = Annotated[Access, may(Permission.project_edit)]


class RoundLine(CountsView):
    """One round. wanted: answers in all, also to tasks that are still to be made. due_at: the end of its last day.
    agreement: {value, low, high, n}, as it was computed last."""

    id: UUID
    name: str
    state: BatchState
    is_default: bool
    wanted: int
    due_at: datetime | None
    forecast: ForecastView
    agreement: dict[str, Any] | None


class RoundPage(BaseModel):
    rows: list[RoundLine]
    next: str | None


class Passed(BaseModel):
    """tasks: that these figures rest on: all, or a random thousand. outcomes: shares of comparisons that chose neither.
    seconds: quarters of the time at an answer. passed: showings that were passed by. fast: share of answers that came
    quicker than their texts can be read. questions: that people asked about these tasks."""

    tasks: int
    answers: int
    people: int
    seconds: list[float] | None
    fast: float | None
    compared: int
    outcomes: dict[str, float]
    passed: dict[str, int]
    reports: int
    questions: int


class Apart(BaseModel):
    """A task that people disagree about. share: how far pairs of its answers are apart, 0 … 1."""

    task: UUID
    answers: int
    share: float


class RoundView(RoundLine):
    """asks: what the round asks, as it was said, at this version. report: what its answers look like. disputed: for
    those who may read answers. steps: the states it came to, the oldest first, with the figures that stood then."""

    asks: RoundForm
    version: int
    report: Passed
    disputed: list[Apart]
    steps: list[dict[str, Any]]


class Move(BaseModel):
    """state: pilot, open, closed or accepted. report_read: that you read the report, which a pilot is opened by."""

    model_config = ConfigDict(extra="forbid")
    state: Literal[BatchState.pilot, BatchState.open, BatchState.closed, BatchState.accepted]
    report_read: bool = False


@router.get("")
async def index(project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50) -> RoundPage:
    """The newest first; every project has a default one."""
    found = await get_project(session, access.of_project())
    page = await page_of(session, rounds_in(found.id), Batch.id, cursor=cursor, limit=limit)
    rounds = await rounds_told(session, found, page.rows)
    return RoundPage(rows=[RoundLine(**_line(one, access)) for one in rounds], next=page.next)


@router.post("", status_code=201)
async def make(project: UUID, form: RoundForm, access: Editor, session: Session) -> RoundView:
    """A draft, that asks nobody anything. `recipe` and `selection` are as in the answer's `asks`."""
    found = await get_project(session, access.of_project())
    return await _view(session, found, await make_round(session, found.id, form, access.person.id), access)


@router.get("/{batch}")
async def show(project: UUID, batch: UUID, access: Reader, session: Session) -> RoundView:
    """One round with its report."""
    found = await get_project(session, access.of_project())
    return await _view(session, found, await round_of(session, found.id, batch), access)


@router.put("/{batch}")
async def put(project: UUID, batch: UUID, form: RoundEdit, access: Editor, session: Session) -> RoundView:
    """All that is said about a round; k, selection and recipe hold for tasks that are made from now on. 409: somebody
    has changed it since `version`, or it is accepted or frozen and more than name and due would change."""
    found = await get_project(session, access.of_project())
    edited = await edit_round(session, await round_of(session, found.id, batch), form, access.person.id)
    return await _view(session, found, edited, access)


@router.delete("/{batch}", status_code=204)
async def remove(project: UUID, batch: UUID, access: Editor, session: Session) -> None:
    """Delete a draft. 409: it has asked people, or completions were asked for it."""
    await remove_draft(session, await round_of(session, access.of_project(), batch), access.person.id)


@router.post("/{batch}/state")
async def move(project: UUID, batch: UUID, form: Move, access: Editor, session: Session) -> RoundView:
    """Draft → pilot → open → closed → accepted, or open without a pilot; closed → open and accepted → closed as well.
    Accepted ones are frozen with a dataset that names them. 409: that is none of its next states, or a pilot's report
    is unread."""
    found = await get_project(session, access.of_project())
    one, report = await report_of(session, found, await round_of(session, found.id, batch))
    kept = kept_report(one, report)
    moved = await move_round(session, one.batch, form.state, access.person.id, kept, is_read=form.report_read)
    return await _view(session, found, moved, access, report)


def _line(one: Round, access: Access) -> dict[str, Any]:
    plain = {name: getattr(one.batch, name) for name in ("name", "state", "is_default", "due_at")}
    told = {"id": one.batch.public_id, "wanted": one.wanted, "agreement": one.agreed}
    return counts_of(one.counts, access) | plain | told | {"forecast": forecast_view(one.forecast)}


async def _view(
    session: Session, project: Project, batch: Batch, access: Access, report: Sampled | None = None
) -> RoundView:
    """report: where it is known already."""
    [one] = await rounds_told(session, project, [batch])
    report = report or await sampled(session, batch.id)
    there = await form_of(session, batch, project.zone)
    version = there.pop("version")
    disputed = report.disputed if access.may(Permission.annotation_read) else []
    return RoundView(
        **_line(one, access),
        asks=RoundForm(**there | {"calibration": float(there["calibration"]) / 100}),
        version=version,
        report=Passed(**{name: getattr(report, name) for name in Passed.model_fields}),
        disputed=[Apart(task=each.task, answers=each.answers, share=each.share) for each in disputed],
        steps=[_step(step, access) for step in batch.steps],
    )


def _step(step: dict[str, Any], access: Access) -> dict[str, Any]:
    report = step["report"]
    if report and not access.may(Permission.pay_read):
        report = report | {"counts": {name: value for name, value in report["counts"].items() if name != "spent"}}
    return {name: step[name] for name in ("state", "at", "read")} | {"report": report}
