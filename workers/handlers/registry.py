"""Which function answers to which payload: one each, held by a test. Handlers are safe to run twice."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.errors import is_away
from app.jobs.queue import Job
from app.settings import Settings

if TYPE_CHECKING:
    from workers.sampling.engine import Engine

P = TypeVar("P", bound=Job)
MAX_ATTEMPTS = 6
WITHOUT_DATABASE = 100  # tries of a job that never finds the database there: it may be what takes it away


def is_last(attempt: int, error: BaseException) -> bool:
    """Whether a job is given up that failed so in this try, 0 being the first. Restarts of Postgres use up none of the
    few that it has."""
    return attempt + 1 >= (WITHOUT_DATABASE if is_away(error) else MAX_ATTEMPTS)


@dataclass(frozen=True)
class Context:
    """What a handler may use besides its payload.

    engine: the loaded checkpoints, in the sampler only. attempt: 0 for the first try.
    """

    settings: Settings
    engine: "Engine | None" = None
    attempt: int = 0

    def gives_up(self, error: BaseException) -> bool:
        """Whether nobody tries again after this error."""
        return is_last(self.attempt, error)

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One transaction, committed when the block ends well."""
        return database.transaction()


Handler = Callable[[Any, Context], Awaitable[None]]
Tick = Callable[[Context], Awaitable[None]]

HANDLERS: dict[type[Job], Handler] = {}
TICKS: dict[Tick, float] = {}


def handles(
    payload: type[P],
) -> Callable[[Callable[[P, Context], Awaitable[None]]], Callable[[P, Context], Awaitable[None]]]:
    """Register the one function that does jobs of this payload class."""

    def register(function: Callable[[P, Context], Awaitable[None]]) -> Callable[[P, Context], Awaitable[None]]:
        if payload in HANDLERS:
            raise ValueError(f"{payload.__name__} already has a handler")
        HANDLERS[payload] = function
        return function

    return register


def every(seconds: float) -> Callable[[Tick], Tick]:
    """Register housekeeping that `workers tidy` repeats; two tidies at once must be harmless."""

    def register(function: Tick) -> Tick:
        TICKS[function] = seconds
        return function

    return register
