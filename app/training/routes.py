"""Pages: runs of a project, one run with its curves, and the form that starts one."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.queries import scorers_of, writers_of
from app.checkpoints.rules import heads_in
from app.checkpoints.tables import Checkpoint
from app.database import Session
from app.datasets.queries import datasets_of
from app.datasets.tables import Dataset, DatasetState
from app.errors import Invalid
from app.evaluation.optimisation import optimisation_of
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.training.actions import cancel_run, start_dataset_run, start_ppo_run
from app.training.configs import METHODS, first_complaint
from app.training.drawing import FIRST, evolutions, fields_of, nested, shown_curves, weighed_by
from app.training.forms import DPOForm, PPOForm, RewardForm, SFTForm
from app.training.queries import (
    curves_of,
    default_base,
    run_of,
    runs_of,
    some_samples,
    sources_of,
)
from app.training.reporting import report_of
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.run_read)]
Trainer = Annotated[Access, may(Permission.run_edit)]
MethodName = Literal["sft", "reward", "dpo", "ppo"]
FORMS: dict[str, type[SFTForm] | type[RewardForm] | type[DPOForm]] = {
    "sft": SFTForm,
    "reward": RewardForm,
    "dpo": DPOForm,
}


@router.get("/projects/{project}/runs")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    shown = await get_project(session, access.of_project())
    found = await runs_of(session, access.of_project())
    return respond(request, "training/index.html", "runs", project=shown, runs=found)


def options(rows: Sequence[Dataset | Checkpoint]) -> list[tuple[str, str]]:
    """(value, words) for a select."""
    return [(str(row.public_id), row.name) for row in rows]


async def choices(session: Session, project_id: int, sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a new run may start from, and what the chosen reward model has heads for."""
    scorers = await scorers_of(session, project_id)
    chosen = [one for one in scorers if str(one.public_id) == str(sent.get("reward"))] or scorers[:1]
    heads = heads_in(chosen[0].record) if chosen else []
    frozen = [one for one in await datasets_of(session, project_id) if one.state is DatasetState.frozen]
    return {
        "project": await get_project(session, project_id),
        "datasets": options(frozen),
        "rewards": options(scorers),
        "heads": heads,
        "weighed": weighed_by(heads, sent),
        "bases": options(await writers_of(session, project_id, here=True)),
        "default_base": str(await default_base(session, project_id)),
    }


def config_of(method: str) -> type[BaseModel]:
    config: type[BaseModel] = METHODS[method].model_fields["config"].annotation  # type: ignore[assignment]
    return config


@router.get("/projects/{project}/runs/new")
async def new(
    request: Request,
    project: UUID,
    access: Trainer,
    session: Session,
    method: Annotated[MethodName, Query()] = "reward",
    dataset: UUID | None = None,
    reward: UUID | None = None,
    heads: bool = False,
) -> Response:
    """heads: another reward model was chosen in the form, whose heads are to be shown."""
    begin: dict[str, Any] = {
        "method": method,
        "chosen": {"dataset": dataset, "reward": reward},
        "fields": fields_of(config_of(method)),
    }
    found = await choices(session, access.of_project(), begin["chosen"])
    return respond(request, "training/new.html", "heads" if heads else "start", error=None, **begin, **found)


@router.post("/projects/{project}/runs")
async def start(request: Request, project: UUID, access: Trainer, session: Session) -> Response:
    """Field names of the config start with `config.`; what is wrong is said above the form, which keeps its values."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    method = sent.pop("method", "reward")
    method = method if method in get_args(MethodName) else "reward"
    try:
        if method in FORMS:
            form = FORMS[method].model_validate(nested(sent))
            base = await default_base(session, access.of_project())
            run = await start_dataset_run(session, access.of_project(), form, base, access.person.id)
        else:
            run = await start_ppo_run(
                session, access.of_project(), PPOForm.model_validate(nested(sent)), access.person.id
            )
    except (ValidationError, Invalid) as refusal:
        error = first_complaint(refusal) if isinstance(refusal, ValidationError) else str(refusal)
        again: dict[str, Any] = {"method": method, "chosen": sent, "fields": fields_of(config_of(method), sent)}
        found = await choices(session, access.of_project(), sent)
        return respond(request, "training/new.html", "start", status=422, error=error, **again, **found)
    return redirect(request, f"/runs/{run.public_id}", _("The run is queued."))


@router.get("/runs/{run}")
async def show(request: Request, run: UUID, access: Reader, session: Session) -> Response:
    found = await run_of(session, access.of_project(), run)
    curves = await curves_of(session, found.id)
    return respond(
        request,
        "training/show.html",
        "run",
        project=await get_project(session, access.of_project()),
        run=found,
        charts=shown_curves(found.method, curves),
        first=FIRST[found.method],
        optimisation=await optimisation_of(session, found, curves),
        report=report_of(found.report),
        samples=evolutions([(look.step, look.samples) for look in await some_samples(session, found.id)]),
        sources=await sources_of(session, found),
        result=await session.get(Checkpoint, found.result_id) if found.result_id else None,
    )


@router.post("/runs/{run}/cancel")
async def cancel(request: Request, run: UUID, access: Trainer, session: Session) -> Response:
    found = await run_of(session, access.of_project(), run)
    await cancel_run(session, found, access.person.id)
    return redirect(request, f"/runs/{found.public_id}", _("The run will stop at its next step."), kind="info")
