"""The loopback door: OpenAI's chat completions over the checkpoints of this machine.

It binds 127.0.0.1 only and wants the token of `sampler.token`. What a name stands for is the caller's to say
(`resolve`), so nothing here knows a database.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol
from uuid import uuid4

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from workers.sampling.answers import Completer, Conversation, NotAnswerable, Sampling
from workers.sampling.chat import ChatRequest, DoorError, event, events, read_request, response
from workers.sampling.orders import EngineClosed, Piece
from workers.training.checkpoints import CheckpointRefused

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000  # of a request's body
MOST_WAITING = 64  # requests in line; the next one is told to come back

# a name to a checkpoint's folder, None for a name that nobody has; and all names there are
Resolve = Callable[[str], Awaitable[Path | None]]
Names = Callable[[], Awaitable[list[str]]]


class Answering(Completer[Path], Protocol):
    """What the door needs of the engine."""

    @property
    def waiting(self) -> int: ...

    def stream(
        self, where: Path, conversation: Conversation, sampling: Sampling, n: int = 1, seed: int = 0
    ) -> AsyncIterator[Piece]: ...


def make_door(engine: Answering, resolve: Resolve, names: Names, token: str) -> FastAPI:
    """The application: `/health`, `/v1/models`, `/v1/chat/completions`."""
    door = FastAPI(title="Hone sampler", docs_url=None, redoc_url=None, openapi_url=None)
    door.state.engine, door.state.resolve, door.state.names, door.state.token = engine, resolve, names, token
    door.include_router(open_routes)
    door.include_router(locked_routes)
    door.add_exception_handler(DoorError, _show)
    door.add_exception_handler(HTTPException, _show_http)
    door.add_exception_handler(Exception, _show_unknown)
    return door


def door_server(door: FastAPI, port: int) -> uvicorn.Server:
    """`await server.serve()` runs it, `server.should_exit = True` ends it; signals stay the caller's."""
    return _Server(uvicorn.Config(door, host="127.0.0.1", port=port, log_level="warning", access_log=False))


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _check_token(request: Request) -> None:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    expected: str = request.app.state.token
    # both compared as bytes: compare_digest refuses text beyond ASCII
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise DoorError(401, "A bearer token is needed: it stands in sampler.token.", code="invalid_api_key")


open_routes = APIRouter()
locked_routes = APIRouter(prefix="/v1", dependencies=[Depends(_check_token)])


@open_routes.get("/health")
async def health(request: Request) -> dict[str, Any]:
    return {"status": "ok", "waiting": request.app.state.engine.waiting}


@locked_routes.get("/models")
async def models(request: Request) -> dict[str, Any]:
    names = await request.app.state.names()
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "hone"} for name in names],
    }


async def _read_chat(request: Request) -> ChatRequest:
    """The body, never more of it than allowed."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise DoorError(413, f"The body is larger than {MOST_BYTES:,} bytes.", code="body_too_large")
    return read_request(bytes(body))


@locked_routes.post("/chat/completions")
async def chat_completions(request: Request, chat: Annotated[ChatRequest, Depends(_read_chat)]) -> Response:
    engine: Answering = request.app.state.engine
    sampling = chat.sampling
    folder = await request.app.state.resolve(chat.model)
    if folder is None:
        raise DoorError(404, f"There is no checkpoint named {chat.model!r}.", field="model", code="model_not_found")
    if engine.waiting >= MOST_WAITING:
        raise DoorError(429, "Too many requests are waiting; ask again in a moment.", code="too_many_waiting")
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": chat.model}
    if chat.stream:
        return await _stream(chat, head, engine.stream(folder, chat.messages, sampling, chat.n, chat.any_seed))
    with _translated():
        answers = await engine.complete(folder, [chat.messages], sampling, chat.n, [chat.any_seed])
    return JSONResponse(response(head, answers[0]))


async def _stream(chat: ChatRequest, head: dict[str, Any], pieces: AsyncIterator[Piece]) -> Response:
    with _translated():  # what fails before the first piece still gets a status of its own
        first = await anext(pieces)
    with_usage = chat.stream_options is not None and chat.stream_options.include_usage
    body = _guarded(events(head, _put_back(first, pieces), n=chat.n, with_usage=with_usage))
    return StreamingResponse(body, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _put_back(first: Piece, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    yield first
    async for piece in pieces:
        yield piece


async def _guarded(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The status is sent already: an error becomes the last event, without [DONE]."""
    try:
        async for line in lines:
            yield line
    except Exception as reason:
        yield event(_door_error(reason).body)


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what the engine raises into what the door shows."""
    try:
        yield
    except Exception as reason:
        raise _door_error(reason) from reason


def _door_error(reason: Exception) -> DoorError:
    if isinstance(reason, DoorError):
        return reason
    if isinstance(reason, NotAnswerable):
        return DoorError(400, reason.sentence, field=reason.field)
    if isinstance(reason, CheckpointRefused):
        return DoorError(422, reason.sentence, field="model", code="checkpoint_refused")
    if isinstance(reason, EngineClosed):
        return DoorError(503, reason.sentence, code="stopping")
    log.error("generation failed", exc_info=reason)
    return DoorError(500, f"Generation failed: {type(reason).__name__}. The sampler's log says more.")


async def _show(request: Request, error: Exception) -> Response:
    assert isinstance(error, DoorError)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(error.status)
    return JSONResponse(error.body, error.status, headers)


async def _show_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {404: "There is nothing at this address.", 405: "This address takes another method."}
    shown = DoorError(error.status_code, sentence.get(error.status_code, str(error.detail)))
    return JSONResponse(shown.body, error.status_code, error.headers)


async def _show_unknown(request: Request, error: Exception) -> Response:
    return JSONResponse(DoorError(500, "The sampler failed; its log says more.").body, 500)
