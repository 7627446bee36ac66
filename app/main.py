"""Builds the application: middleware, errors, and every chapter's routes in story order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from app import database, errors, journal, middleware
from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.accounts import api as accounts_api
from app.accounts import audiences_api
from app.accounts.access import anybody
from app.accounts.idempotency import keeping
from app.accounts.routes import account, audiences, invitations, log, members, people, sign_in
from app.annotations import api as annotations_api
from app.annotations import checks_api, pay_api, rework_api
from app.annotations.routes import (
    about_me,
    answers,
    checking,
    conversing,
    inbox,
    pay,
    reviewing,
    rework,
    trying,
    workspace,
    writing,
)
from app.assets import StaticAssets
from app.checkpoints import api as checkpoints_api
from app.checkpoints import routes as checkpoints
from app.completions import api as completions_api
from app.completions import routes as completions
from app.datasets import api as datasets_api
from app.datasets import routes as datasets
from app.evaluation import api as evaluation_api
from app.evaluation import routes as evaluation
from app.loop import api as loop_api
from app.loop import routes as loop
from app.media import api as media_api
from app.media import routes as media
from app.oversight.api import overview as overview_api
from app.oversight.api import people as people_figures_api
from app.oversight.api import questions as questions_api
from app.oversight.api import quotas as quotas_api
from app.oversight.api import rounds as rounds_api
from app.oversight.api import tasks as task_history_api
from app.oversight.api import today as today_api
from app.oversight.routes import gold as oversight_gold
from app.oversight.routes import guidelines, overview, questions, quotas, rounds, signs, today, withdrawal
from app.oversight.routes import people as annotators
from app.oversight.routes import review as oversight_review
from app.oversight.routes import tasks as oversight_tasks
from app.playground import api as playground_api
from app.playground import routes as playground
from app.projects import api as projects_api
from app.projects import guidelines_api
from app.projects.routes import care, consent, hand_out, projects, protocols, starting, versions
from app.prompts import api as prompts_api
from app.prompts import routes as prompts
from app.quality import api as quality_api
from app.quality import review_api
from app.quality import routes as quality
from app.settings import get_settings
from app.tasks import api as tasks_api
from app.tasks import hand_out_api
from app.tasks import routes as tasks
from app.training import api as training_api
from app.training import routes as training
from app.translation import LANGUAGES, catalogue_of
from app.version import RELEASE

# Leaves, in story order: each chapter's pages (`routes.router`) and REST (`api.router`, below /api/v1).
# Routes are tried one after the other, so the page that is asked for most comes before its turn.
PAGES: list[APIRouter] = [
    workspace.router,
    writing.router,
    conversing.router,
    sign_in.router,
    invitations.router,
    account.router,
    people.router,
    members.router,
    audiences.router,
    log.router,
    starting.router,
    trying.router,
    projects.router,
    versions.router,
    consent.router,
    protocols.router,
    care.router,
    hand_out.router,
    media.router,
    prompts.router,
    checkpoints.router,
    completions.router,
    tasks.router,
    answers.router,
    pay.router,
    rework.router,
    about_me.router,
    inbox.router,
    checking.router,
    reviewing.router,
    quality.router,
    datasets.router,
    training.router,
    evaluation.router,
    playground.router,
    loop.router,
    questions.router,
    today.router,
    withdrawal.router,
    guidelines.router,
    overview.router,
    rounds.router,
    oversight_tasks.router,
    oversight_review.router,
    oversight_gold.router,
    signs.router,
    quotas.router,
    annotators.router,
]
API: list[APIRouter] = [
    accounts_api.router,
    audiences_api.router,
    projects_api.router,
    guidelines_api.router,
    media_api.router,
    prompts_api.router,
    checkpoints_api.router,
    completions_api.router,
    tasks_api.router,
    hand_out_api.router,
    annotations_api.router,
    checks_api.router,
    pay_api.router,
    rework_api.router,
    quality_api.router,
    review_api.router,
    datasets_api.router,
    training_api.router,
    evaluation_api.router,
    playground_api.router,
    loop_api.router,
    questions_api.router,
    today_api.router,
    overview_api.router,
    rounds_api.router,
    people_figures_api.router,
    task_history_api.router,
    quotas_api.router,
]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    journal.set_up(get_settings().log_level)
    for language in LANGUAGES:  # now, and not while the first reader of a language waits
        catalogue_of(language)
    yield
    await database.dispose()


async def health(session: database.Session, _anybody: Annotated[object, anybody()]) -> dict[str, str]:
    """Whether this process answers and reaches its database."""
    await session.execute(text("SELECT 1"))
    return {"status": "ok"}


def build() -> FastAPI:
    """The application, ready for uvicorn as `app.main:app`."""
    built = FastAPI(
        title="Hone",
        version=RELEASE,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    errors.install(built)
    middleware.install(built)
    built.mount("/static", StaticAssets(), name="static")
    built.add_api_route("/health", health, include_in_schema=False)
    for router in PAGES:
        built.include_router(router, include_in_schema=False)
    for router in API:
        built.include_router(keeping(router), prefix="/api/v1")
    return built


app = build()
