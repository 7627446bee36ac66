"""A write with a key happens once: repeated, at the same time, with another body, after a failure."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, File, Form
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database, errors
from app.accounts.access import Access, signed_in
from app.accounts.idempotency import keeping, sweep_keys
from app.accounts.tables import IdempotencyKey
from app.errors import Conflict
from app.events import Event, record
from tests import make

Me = Annotated[Access, signed_in()]
router = APIRouter()
KEY = {"Idempotency-Key": "k-1"}


@router.post("/notes", status_code=201)
async def write_note(body: dict[str, str], session: database.Session, me: Me) -> dict[str, str]:
    await record(session, "note.written", actor_id=me.person.id, **body)
    if "wait" in body:
        await session.execute(text("SELECT pg_sleep(0.3)"))
    if "fail" in body:
        raise Conflict
    return {"written": body["text"]}


@router.post("/uploads")
async def upload(
    file: Annotated[bytes, File()], name: Annotated[str, Form()], session: database.Session, me: Me
) -> Response:
    await record(session, "note.written", size=len(file), name=name)
    return PlainTextResponse(f"{len(file)} bytes", headers={"Location": "/somewhere"})


@router.post("/streams")
async def stream(session: database.Session, me: Me) -> StreamingResponse:
    await record(session, "note.written")
    return StreamingResponse(iter(["one\n", "two\n"]), media_type="application/x-ndjson")


def build() -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.include_router(keeping(router), prefix="/api/v1")
    return app


@pytest.fixture
async def rest(session: AsyncSession) -> AsyncIterator[httpx.AsyncClient]:
    """Our routes on the test's session, asked by somebody with a token."""
    app, token = build(), await make.api_token(session, await make.user(session))

    async def test_session() -> AsyncIterator[AsyncSession]:
        await session.commit()
        session.expunge_all()
        try:
            yield session
            await session.commit()
        except BaseException:
            await session.rollback()
            raise

    app.dependency_overrides[database.get_session] = test_session
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        yield client


async def notes(session: AsyncSession) -> int:
    return await session.scalar(select(func.count(Event.id)).where(Event.kind == "note.written")) or 0


async def test_a_repeated_write_happens_once_and_is_answered_alike(
    rest: httpx.AsyncClient, session: AsyncSession
) -> None:
    answers = [await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY) for _time in range(3)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, '{"written":"a"}')}
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert await notes(session) == 1


async def test_without_a_key_each_write_counts(rest: httpx.AsyncClient, session: AsyncSession) -> None:
    for _time in range(2):
        await rest.post("/api/v1/notes", json={"text": "a"})
    assert await notes(session) == 2


@pytest.mark.parametrize("changed", ["body", "query", "path"])
async def test_a_key_with_another_request_is_409_and_the_first_is_kept(
    rest: httpx.AsyncClient, session: AsyncSession, changed: str
) -> None:
    await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY)
    path = {"body": "/api/v1/notes", "query": "/api/v1/notes?x=1", "path": "/api/v1/streams"}[changed]
    answer = await rest.post(path, json={"text": "b" if changed == "body" else "a"}, headers=KEY)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:hone:idempotency-key-reused"
    assert await notes(session) == 1
    again = await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY)
    assert again.json() == {"written": "a"}


async def test_keys_of_two_people_do_not_meet(rest: httpx.AsyncClient, session: AsyncSession) -> None:
    await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY)
    other = await make.api_token(session, await make.user(session))
    headers = KEY | {"Authorization": f"Bearer {other}"}
    assert (await rest.post("/api/v1/notes", json={"text": "b"}, headers=headers)).status_code == 201
    assert await notes(session) == 2


async def test_a_write_that_failed_may_be_tried_again_with_its_key(
    rest: httpx.AsyncClient, session: AsyncSession
) -> None:
    assert (await rest.post("/api/v1/notes", json={"text": "a", "fail": "x"}, headers=KEY)).status_code == 409
    assert (await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY)).status_code == 201
    assert await notes(session) == 1


async def test_an_upload_is_recognised_by_its_fields_and_files(rest: httpx.AsyncClient, session: AsyncSession) -> None:
    async def send(content: bytes) -> httpx.Response:
        return await rest.post("/api/v1/uploads", files={"file": content}, data={"name": "n"}, headers=KEY)

    first, again, other = await send(b"abc"), await send(b"abc"), await send(b"abd")
    assert (first.text, again.text, other.status_code) == ("3 bytes", "3 bytes", 409)
    assert again.headers["location"] == "/somewhere"
    assert await notes(session) == 1


async def test_a_stream_is_not_written_twice_either(rest: httpx.AsyncClient, session: AsyncSession) -> None:
    first = await rest.post("/api/v1/streams", headers=KEY)
    again = await rest.post("/api/v1/streams", headers=KEY)
    assert (first.text, again.text, again.status_code) == ("one\ntwo\n", "", 200)
    assert await notes(session) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
async def test_a_strange_key_is_refused(rest: httpx.AsyncClient, key: str) -> None:
    answer = await rest.post("/api/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["title"]


async def test_keys_are_forgotten_after_48_hours(rest: httpx.AsyncClient, session: AsyncSession) -> None:
    await rest.post("/api/v1/notes", json={"text": "a"}, headers=KEY)
    aged = "UPDATE idempotency_keys SET created_at = now() - interval '{} hours'"
    await session.execute(text(aged.format(47)))
    assert await sweep_keys(session) == 0
    await session.execute(text(aged.format(49)))
    assert await sweep_keys(session) == 1


@pytest.fixture
def real(committed: str) -> FastAPI:
    return build()


@pytest.mark.committed
async def test_simultaneous_requests_have_one_effect(real: FastAPI) -> None:
    async with database.transaction() as session:
        token = await make.api_token(session, await make.user(session))
    headers = KEY | {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(real, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        body = {"text": "a", "wait": "x"}
        answers = await asyncio.gather(*(client.post("/api/v1/notes", json=body) for _time in range(5)))
        failing = {"text": "a", "wait": "x", "fail": "x"}
        late = {"Idempotency-Key": "k-2"}
        failed = await asyncio.gather(*(client.post("/api/v1/notes", json=failing, headers=late) for _time in range(2)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, '{"written":"a"}')}
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count(None) == 1
    assert [answer.status_code for answer in failed] == [409, 409]
    async with database.transaction() as session:
        assert await notes(session) == 1
        assert await session.scalar(select(func.count(IdempotencyKey.id))) == 1
