"""The loopback door: OpenAI's completions over the checkpoints of this machine.

It binds 127.0.0.1 only and wants the token of `sampler.token`. What a name stands for is the caller's to say
(`resolve`), so nothing here knows a database.
"""

from __future__ import annotations

import hmac
import logging
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Protocol
from uuid import uuid4

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from workers.sampling import chat, judging, plain
from workers.sampling.answers import Completed, NotAnswerable, Prompt, Sampling
from workers.sampling.asking import Asked, DoorError, event, read_request
from workers.sampling.memory import OutOfMemory
from workers.sampling.orders import EngineClosed, Piece
from workers.training.checkpoints import CheckpointRefused

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000  # of a request's body
MOST_TO_JUDGE = 32_000_000  # of one with answers to be scored, which may be a whole step's
MOST_WAITING = 64  # requests in line; the next one is told to come back

# a name to a checkpoint's folder, None for a name that nobody has; and all names there are
Resolve = Callable[[str], Awaitable[Path | None]]
Names = Callable[[], Awaitable[list[str]]]
# a name to the folders of a reward model and of the base that it stands on
Judges = Callable[[str], Awaitable[tuple[Path, Path] | None]]


class Answering(Protocol):
    """What the door needs of the engine."""

    @property
    def waiting(self) -> int: ...

    def metrics(self) -> str: ...

    async def complete(
        self,
        where: Path,
        conversations: Sequence[Prompt],
        sampling: Sampling,
        n: int,
        seeds: Sequence[int],
        *,
        with_tokens: bool = False,
    ) -> list[list[Completed]]: ...

    def stream(
        self,
        where: Path,
        conversation: Prompt,
        sampling: Sampling,
        n: int = 1,
        seed: int = 0,
        *,
        with_tokens: bool = False,
    ) -> AsyncIterator[Piece]: ...


async def nobody(_name: str) -> None:
    """Of a door without reward models."""


def make_door(engine: Answering, resolve: Resolve, names: Names, token: str, judges: Judges = nobody) -> FastAPI:
    """The application: `/health`, `/metrics`, `/v1/models`, `/v1/chat/completions`, `/v1/completions`,
    `/v1/rewards/{name}`."""
    door = FastAPI(title="Hone sampler", docs_url=None, redoc_url=None, openapi_url=None)
    door.state.engine, door.state.resolve, door.state.names, door.state.token = engine, resolve, names, token
    door.state.judges = judges
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
    if kind.lower() == "basic":  # of an address as http://hone:TOKEN@127.0.0.1, for clients that take nothing else
        given, encoded = "", given.strip()
        with suppress(ValueError):
            given = b64decode(encoded, validate=True).decode().partition(":")[2]
    # both compared as bytes: compare_digest refuses text beyond ASCII
    if kind.lower() not in ("bearer", "basic") or not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise DoorError(401, "A bearer token is needed: it stands in sampler.token.", code="invalid_api_key")


open_routes = APIRouter()
locked_routes = APIRouter(prefix="/v1", dependencies=[Depends(_check_token)])


@open_routes.get("/health")
async def health(request: Request) -> dict[str, Any]:
    return {"status": "ok", "waiting": request.app.state.engine.waiting}


@open_routes.get("/metrics")
async def metrics(request: Request) -> Response:
    return PlainTextResponse(request.app.state.engine.metrics(), media_type="text/plain; version=0.0.4")


@locked_routes.get("/models")
async def models(request: Request) -> dict[str, Any]:
    names = await request.app.state.names()
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "hone"} for name in names],
    }


async def _body(request: Request) -> bytes:
    """Never more of it than allowed."""
    most = MOST_TO_JUDGE if "judge" in request.path_params else MOST_BYTES
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise DoorError(413, f"The body is larger than {most:,} bytes.", code="body_too_large")
    return bytes(body)


Body = Annotated[bytes, Depends(_body)]


@locked_routes.post("/rewards/{judge}")
async def rewards(request: Request, judge: str, body: Body) -> Response:
    """Answers scored for a trainer elsewhere (`judging`), some at a time, so that others are answered in between."""
    wanted = judging.read_judge_request(body, dict(request.query_params))
    folders = await request.app.state.judges(judge)
    if folders is None:
        raise DoorError(404, f"There is no reward model named {judge!r} with its base here.", code="model_not_found")
    pairs, engine = wanted.pairs(), request.app.state.engine
    parts = [pairs[at : at + judging.TOGETHER] for at in range(0, len(pairs), judging.TOGETHER)]
    with _translated():
        found = [await engine.judged(*folders, part, wanted.config) for part in parts]
    return JSONResponse(judging.reply(found))


@locked_routes.post("/chat/completions")
async def chat_completions(request: Request, body: Body) -> Response:
    asked = read_request(chat.ChatRequest, body)
    folder, head = await _admit(request, asked, "chatcmpl")
    engine: Answering = request.app.state.engine
    prompt, sampling, n, seed = asked.messages, asked.sampling, asked.n, asked.any_seed
    if asked.stream:
        pieces = engine.stream(folder, prompt, sampling, n, seed, with_tokens=asked.with_tokens)
        return _stream(chat.events(asked, head, await _begun(pieces)))
    with _translated():
        [answers] = await engine.complete(folder, [prompt], sampling, n, [seed], with_tokens=asked.with_tokens)
    return JSONResponse(chat.response(asked, head, answers))


@locked_routes.post("/completions")
async def plain_completions(request: Request, body: Body) -> Response:
    asked = read_request(plain.PlainRequest, body)
    prompts, sampling = asked.prompts, asked.sampling
    folder, head = await _admit(request, asked, "cmpl")
    engine: Answering = request.app.state.engine
    n, seed = asked.n, asked.any_seed
    if asked.stream:
        pieces = engine.stream(folder, prompts[0], sampling, n, seed, with_tokens=asked.with_tokens)
        return _stream(plain.events(asked, head, await _begun(pieces)))
    seeds = [seed] * len(prompts)
    with _translated():
        groups = await engine.complete(folder, prompts, sampling, n, seeds, with_tokens=asked.with_tokens)
    return JSONResponse(plain.response(asked, head, groups))


async def _admit(request: Request, asked: Asked, kind: str) -> tuple[Path, dict[str, Any]]:
    """The folder that is asked for, and how the answer begins."""
    folder = await request.app.state.resolve(asked.model)
    if folder is None:
        raise DoorError(404, f"There is no checkpoint named {asked.model!r}.", field="model", code="model_not_found")
    if request.app.state.engine.waiting >= MOST_WAITING:
        raise DoorError(429, "Too many requests are waiting; ask again in a moment.", code="too_many_waiting")
    return folder, {"id": f"{kind}-{uuid4().hex}", "created": int(time.time()), "model": asked.model}


async def _begun(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """What fails before the first piece still gets a status of its own."""
    with _translated():
        first = await anext(pieces)
    return _put_back(first, pieces)


def _stream(lines: AsyncIterator[str]) -> Response:
    return StreamingResponse(_guarded(lines), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


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
    if isinstance(reason, OutOfMemory):
        return DoorError(503, reason.sentence, code="out_of_memory")
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
