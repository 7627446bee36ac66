"""REST: start runs, watch them, stop them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.tables import Checkpoint
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.evaluation.optimisation import Measured, optimisation_of
from app.training.actions import cancel_run, start_dataset_run, start_ppo_run
from app.training.forms import DPOForm, LearnsFromDataset, PPOForm, RewardForm, SFTForm
from app.training.queries import curves_of, default_base, metrics_of, run_of, runs_with_results, samples_of
from app.training.tables import Method, Run, RunState

router = APIRouter(tags=["runs"])
Reader = Annotated[Access, may(Permission.run_read)]
Trainer = Annotated[Access, may(Permission.run_edit)]


class RunLine(BaseModel):
    """A run as lists show it. report: the trainer's last numbers. result: the checkpoint it made.

    attempt: how often it was begun; above 1, it went on from its last saved state after a trainer had died.
    """

    id: UUID
    name: str
    method: Method
    state: RunState
    stage: str | None
    reason: str | None
    attempt: int
    step: int
    steps: int | None
    seed: int
    config: dict[str, Any]
    report: dict[str, Any]
    result: UUID | None
    code_version: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RunView(RunLine):
    """A run and the end of what its trainer said."""

    log: str


class RunPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[RunLine]
    next: str | None


class Metrics(BaseModel):
    step: int
    values: dict[str, float | None]


class Sample(BaseModel):
    """Scores are the reward model's, raw; kl is in nats of this very answer, and may be below 0."""

    prompt: str
    answer: str
    reference: str
    score: float | None
    reference_score: float | None
    kl: float | None


class Look(BaseModel):
    """The same prompts and seeds each time; they are not practised on."""

    step: int
    samples: list[Sample]


def told(run: Run, result: UUID | None) -> dict[str, Any]:
    """What a line of the list says. result: outside id of the checkpoint that it made."""
    plain = (name for name in RunLine.model_fields if name not in ("id", "result"))
    return {"id": run.public_id, "result": result} | {name: getattr(run, name) for name in plain}


async def view(session: Session, run: Run) -> RunView:
    result = await session.get(Checkpoint, run.result_id) if run.result_id else None
    return RunView(log=run.log, **told(run, result.public_id if result else None))


async def start(session: Session, access: Access, form: LearnsFromDataset) -> RunView:
    base = await default_base(session, access.of_project())
    return await view(session, await start_dataset_run(session, access.of_project(), form, base, access.person.id))


@router.get("/projects/{project}/runs")
async def list_runs(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> RunPage:
    """The project's runs, newest first; each one's log stands at its own address."""
    page = await page_of(session, runs_with_results(access.of_project()), Run.id, cursor=cursor, limit=limit)
    return RunPage(rows=[RunLine(**told(*row)) for row in page.rows], next=page.next)


@router.post("/projects/{project}/runs/reward", status_code=202)
async def start_reward(project: UUID, form: RewardForm, access: Trainer, session: Session) -> RunView:
    """Train a reward model from a frozen dataset."""
    return await start(session, access, form)


@router.post("/projects/{project}/runs/sft", status_code=202)
async def start_sft(project: UUID, form: SFTForm, access: Trainer, session: Session) -> RunView:
    """Fine-tune a checkpoint on a frozen dataset's demonstrations and rewrites."""
    return await start(session, access, form)


@router.post("/projects/{project}/runs/dpo", status_code=202)
async def start_dpo(project: UUID, form: DPOForm, access: Trainer, session: Session) -> RunView:
    """Train a policy on a frozen dataset's preferences, and on pairs that a reward model makes where one is named."""
    return await start(session, access, form)


@router.post("/projects/{project}/runs/ppo", status_code=202)
async def start_ppo(project: UUID, form: PPOForm, access: Trainer, session: Session) -> RunView:
    """Train a policy against a reward model."""
    return await view(session, await start_ppo_run(session, access.of_project(), form, access.person.id))


@router.get("/runs/{run}")
async def show_run(run: UUID, access: Reader, session: Session) -> RunView:
    return await view(session, await run_of(session, access.of_project(), run))


@router.get("/runs/{run}/metrics")
async def show_metrics(
    run: UUID, access: Reader, session: Session, after: Annotated[int, Query(ge=-1)] = -1
) -> list[Metrics]:
    """The numbers of each step later than `after`."""
    found = await run_of(session, access.of_project(), run)
    return [Metrics(step=row.step, values=row.values) for row in await metrics_of(session, found.id, after)]


@router.get("/runs/{run}/optimisation")
async def show_optimisation(run: UUID, access: Reader, session: Session) -> list[Measured]:
    """What the reward model and people say of the policy, and of others from the same reference against the same reward
    model (the newest fifty), by how far they are: the run's looks, then the ends of runs, the nearest first."""
    found = await run_of(session, access.of_project(), run)
    told = await optimisation_of(session, found, await curves_of(session, found.id))
    return [*told.run, *told.policies] if told else []


@router.get("/runs/{run}/samples")
async def show_samples(
    run: UUID, access: Reader, session: Session, after: Annotated[int, Query(ge=-1)] = -1
) -> list[Look]:
    """What policy and reference said to a few prompts at each look later than step `after`; a hundred looks at most."""
    found = await run_of(session, access.of_project(), run)
    looks = await samples_of(session, found.id, after)
    return [Look(step=look.step, samples=[Sample(**one) for one in look.samples]) for look in looks]


@router.post("/runs/{run}/cancel")
async def cancel(run: UUID, access: Trainer, session: Session) -> RunView:
    """Ask for the end. Asking twice, or after the end, changes nothing."""
    found = await run_of(session, access.of_project(), run)
    await cancel_run(session, found, access.person.id)
    return await view(session, found)
