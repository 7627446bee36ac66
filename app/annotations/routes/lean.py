"""The way of an answer through FastAPI, without the search for what its route depends on, and few at a time.

FastAPI works that out anew for each request, which is about a tenth of the work of keeping an answer. The route of the
answers says what it depends on like any other, and here exactly that is called, in FastAPI's order.

A web process has one thread: more answers under way than keep Postgres busy while it computes end no sooner. They only
spread over more of Postgres's processes, each with plans and a catalogue of its own to bring into the processor's cache
(with 12 at once a cycle cost Postgres a quarter more than with 3). The others wait here, in the order they came.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import TimeoutError as PoolTimeout

AT_ONCE = 3  # two compute, one waits for the disk or for a lock
PATIENCE = 5.0  # seconds for a turn, as for a connection of the pool; then the browser sends again a little later


@asynccontextmanager
async def turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    """:raises PoolTimeout: those before are stuck."""
    if turns.locked():
        try:
            async with asyncio.timeout(PATIENCE):
                await turns.acquire()
        except TimeoutError:
            raise PoolTimeout(f"no turn within {PATIENCE:g} s") from None
    else:
        await turns.acquire()
    try:
        yield
    finally:
        turns.release()


class LeanRoute(APIRoute):
    """A route of `request`, `task` in its address, and the dependencies `session`, `access` (of request and session)
    and `form` (of the request). An address without a UUID goes FastAPI's way, which says what is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        general = super().get_route_handler()
        needs: dict[str | None, Any] = {one.name: one.call for one in self.dependant.dependencies}
        endpoint: Any = self.endpoint
        turns = asyncio.Semaphore(AT_ONCE)

        async def handle(request: Request) -> Response:
            try:
                task = UUID(request.path_params["task"])
            except ValueError:
                return await general(request)
            await request.body()  # who sends slowly holds up nobody, and no connection
            session_of = request.app.dependency_overrides.get(needs["session"], needs["session"])
            async with turn(turns), asynccontextmanager(session_of)() as session:
                access = await needs["access"](request, session)
                form = await needs["form"](request)
                answered: Response = await endpoint(request, task, access, form, session)
            return answered

        return handle
