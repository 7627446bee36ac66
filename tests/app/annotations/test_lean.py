"""Few answers are under way at once; the others wait in the order they came, and nobody waits for a slow sender."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.annotations.routes import lean
from app.annotations.routes.lean import AT_ONCE, LeanRoute


class Desk:
    """An app with one lean route, that tells who stands at it."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.most = 0
        self.served: list[str] = []
        self.go_on = asyncio.Event()
        self.app = FastAPI()

        async def session() -> AsyncIterator[str]:
            self.most = max(self.most, len(self.inside) + 1)
            yield "session"

        async def access(request: Request, session: Annotated[str, Depends(session)]) -> str:
            name = request.headers["name"]
            self.inside.append(name)
            await self.go_on.wait()
            return name

        async def form(request: Request) -> bytes:
            return await request.body()

        async def answer(
            request: Request,
            task: UUID,
            access: Annotated[str, Depends(access)],
            form: Annotated[bytes, Depends(form)],
            session: Annotated[str, Depends(session)],
        ) -> Response:
            self.inside.remove(access)
            self.served.append(access)
            return Response(form)

        router = APIRouter()
        router.add_api_route("/{task}", answer, methods=["POST"], route_class_override=LeanRoute)
        self.app.include_router(router)

    async def come(self, name: str, sent: asyncio.Event | None = None) -> bytes:
        """One request. sent: when its body arrives; None: with its headers."""
        out: list[Any] = []

        async def receive() -> dict[str, Any]:
            if sent is not None:
                await sent.wait()
            return {"type": "http.request", "body": name.encode(), "more_body": False}

        async def send(message: Any) -> None:
            out.append(message)

        path = f"/{uuid4()}"
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": [(b"name", name.encode())], "root_path": "", "scheme": "http", "http_version": "1.1",
                 "server": ("h", 80), "client": ("c", 1), "state": {}}  # fmt: skip
        await self.app(scope, receive, send)
        assert out[0]["status"] == 200
        return b"".join(one.get("body", b"") for one in out[1:])


async def until_nothing_moves() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_few_are_under_way_at_once_and_all_are_served_in_their_order(desk: Desk) -> None:
    names = [str(number) for number in range(5 * AT_ONCE)]
    coming = [asyncio.create_task(desk.come(name)) for name in names]
    await until_nothing_moves()
    assert desk.inside == names[:AT_ONCE]
    desk.go_on.set()
    assert await asyncio.gather(*coming) == [name.encode() for name in names]
    assert desk.most == AT_ONCE
    assert desk.served == names


async def test_who_sends_slowly_holds_up_nobody(desk: Desk) -> None:
    desk.go_on.set()
    sent = asyncio.Event()
    slow = [asyncio.create_task(desk.come(f"slow {number}", sent)) for number in range(2 * AT_ONCE)]
    await until_nothing_moves()
    assert desk.inside == []
    async with asyncio.timeout(5):
        assert await desk.come("quick") == b"quick"
    sent.set()
    assert len(await asyncio.gather(*slow)) == 2 * AT_ONCE


async def test_who_waits_too_long_is_told_to_come_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "PATIENCE", 0.01)
    stuck = [asyncio.create_task(desk.come(f"stuck {number}")) for number in range(AT_ONCE)]
    await until_nothing_moves()
    with pytest.raises(PoolTimeout):
        await desk.come("late")
    desk.go_on.set()
    await asyncio.gather(*stuck)
    assert await desk.come("again") == b"again"


async def test_one_who_goes_away_leaves_the_place_to_others(desk: Desk) -> None:
    first = [asyncio.create_task(desk.come(f"first {number}")) for number in range(AT_ONCE)]
    await until_nothing_moves()
    for one in first:
        one.cancel()
    await until_nothing_moves()
    desk.go_on.set()
    async with asyncio.timeout(5):
        assert await desk.come("next") == b"next"
