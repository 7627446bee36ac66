"""Builds the application: middleware, errors, and every chapter's routes in story order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from app import database, errors, middleware
from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.accounts.access import anybody
from app.accounts.idempotency import keeping
from app.accounts.routes import sign_in
from app.assets import StaticAssets

# Leaves, in story order: each chapter's pages (`routes.router`) and REST (`api.router`, below /api/v1).
PAGES: list[APIRouter] = [
    sign_in.router,
]
API: list[APIRouter] = []


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
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
        version="0.1.0",
        lifespan=lifespan,
        docs_url="/api/docs",
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
