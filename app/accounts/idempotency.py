"""Writes that are answered once: the same `Idempotency-Key` gives the same answer again for 48 hours.

The key's row is written in the transaction of the effect, before it: of two simultaneous requests the second waits at
the unique constraint until the first has committed (then it gets that answer) or failed (then it does the work itself).
`May` claims the key once it knows the caller, `KeptRoute` keeps the answer; `main` gives that class to all of REST.
"""

import hashlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import IdempotencyKey
from app.errors import Conflict, DomainError
from app.translation import _

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=48)
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


class KeyReused(Conflict):
    code = "idempotency-key-reused"
    sentence = _("This Idempotency-Key was already used for another request. The first one stands; use a new key.")


class KeyTooLong(DomainError):
    status = 422
    code = "idempotency-key"
    sentence = _("Idempotency-Key: use 1 to 200 printable characters.")


class AnsweredBefore(Exception):
    """Carries the answer of the first request out of the dependency to `KeptRoute`."""

    def __init__(self, response: Response) -> None:
        self.response = response


class KeptRoute(APIRoute):
    """A route that keeps the answer to a write with a key, in the transaction of the write."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer_once(request: Request) -> Response:
            request.state.keeps_answers = request.method in UNSAFE
            try:
                response = await handle(request)
            except AnsweredBefore as before:
                return before.response
            if hasattr(request.state, "idempotency"):
                session, row_id = request.state.idempotency
                await keep(session, row_id, response)
            return response

        return answer_once


def keeping(router: APIRouter) -> APIRouter:
    """The router, with every route of it keeping answers."""
    for route in router.routes:
        if type(route) is APIRoute:
            route.__class__ = KeptRoute
    return router


async def digest(request: Request) -> bytes:
    """SHA-256 over what was asked: address, query and body (of an upload: its fields and files)."""
    whole = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\0".encode())
    if not request.headers.get("Content-Type", "").startswith("multipart/"):
        whole.update(await request.body())
        return whole.digest()
    for name, value in (await request.form()).multi_items():
        whole.update(f"{name}\0".encode())
        if isinstance(value, str):
            whole.update(value.encode())
            continue
        while part := await value.read(1 << 20):
            whole.update(part)
        await value.seek(0)
    return whole.digest()


async def claim(request: Request, session: AsyncSession, actor_id: int) -> None:
    """Take the request's key for this caller, if it is a write with one.

    :raises AnsweredBefore: the same request was answered. :raises KeyReused: another one was.
    """
    key = request.headers.get(HEADER)
    if key is None or not getattr(request.state, "keeps_answers", False):
        return
    if not 1 <= len(key) <= 200 or not key.isprintable():
        raise KeyTooLong
    asked = await digest(request)
    route = f"{request.method} {request.url.path}"
    mine = insert(IdempotencyKey).values(actor_id=actor_id, key=key, route=route, body_hash=asked)
    mine = mine.on_conflict_do_nothing(index_elements=["actor_id", "key"])
    row_id = await session.scalar(mine.returning(IdempotencyKey.id))
    if row_id is None:
        row_id = await look_again(session, actor_id, key, asked)
    request.state.idempotency = (session, row_id)


async def look_again(session: AsyncSession, actor_id: int, key: str, asked: bytes) -> int:
    """The row of a key that is taken: its answer, or its id when the first request stopped before it had one.

    The latter happens only to routes that commit in between; they recognise their own repetitions.
    """
    found = select(IdempotencyKey).where(IdempotencyKey.actor_id == actor_id, IdempotencyKey.key == key)
    kept = (await session.execute(found)).scalar_one()
    if kept.body_hash != asked:
        raise KeyReused
    if kept.status is not None:
        raise AnsweredBefore(replay(kept.status, kept.response))
    return kept.id


def replay(status: int, kept: dict[str, Any] | None) -> Response:
    """The first answer once more, marked as a repetition."""
    headers = {"Idempotency-Replayed": "true"}
    if kept is None:
        return Response(None, status, headers)
    headers |= kept["headers"]
    return Response(kept["text"], status, headers, media_type=kept["media_type"])


async def keep(session: AsyncSession, row_id: int, response: Response) -> None:
    """Store an answer beside its key; of a stream and of what must not be stored (secrets) only the status."""
    body = getattr(response, "body", None) if "no-store" not in response.headers.get("cache-control", "") else None
    kept = None
    if body:
        told = {name: value for name, value in response.headers.items() if name in {"location", "etag"}}
        media_type = response.headers.get("content-type", "application/json")
        kept = {"text": bytes(body).decode(), "media_type": media_type, "headers": told}
    stored = update(IdempotencyKey).where(IdempotencyKey.id == row_id)
    await session.execute(stored.values(status=response.status_code, response=kept))


async def sweep_keys(session: AsyncSession) -> int:
    """Forget keys older than 48 hours; returns how many."""
    old = delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT)
    return len((await session.scalars(old.returning(IdempotencyKey.id))).all())
