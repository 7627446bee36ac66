"""What readers see when something goes wrong: a sentence, the right status, nothing of our insides."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI, Form
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from app import database, errors, journal, middleware
from app.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, SignInNeeded, TooLarge, TooMany, Unavailable
from tests import make

SECRET_IN_ERROR = "password=hunter2 SELECT secret FROM users"


class Wanted(BaseModel, extra="forbid"):
    strength: int
    kind: str


def build() -> FastAPI:
    """A small application with our handlers and routes that go wrong on purpose."""
    app = FastAPI()
    errors.install(app)
    middleware.install(app)

    @app.post("/api/v1/form")
    async def form(wanted: Wanted) -> Wanted:
        return wanted

    @app.get("/page/{what}")
    @app.get("/api/v1/fail/{what}")
    async def fail(what: str) -> None:
        raise FAULTS[what]

    @app.post("/commit")
    async def commit(session: database.Session, name: str = Form()) -> dict[str, str]:
        # the constraint is checked at the commit only
        await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        await session.execute(text("INSERT INTO late (name) VALUES (:name)"), {"name": name})
        return {"said": "saved"}

    return app


def database_error(state: str | None, kind: type[psycopg.Error] = psycopg.OperationalError) -> DBAPIError:
    cause = type("Cause", (kind,), {"sqlstate": state})(SECRET_IN_ERROR)
    return OperationalError("SELECT secret", {}, cause)


FAULTS: dict[str, Exception] = {
    "bug": ValueError(SECRET_IN_ERROR),
    "lost": database_error(None),
    "starting": database_error("57P03"),
    "full": database_error("53300"),
    "read-only": database_error("25006"),
    "deadlock": database_error("40P01"),
    "slow": database_error("57014"),
    "locked": database_error("55P03"),
    "pool": PoolTimeout(SECRET_IN_ERROR),
    "raw": psycopg.OperationalError(SECRET_IN_ERROR),
    "raw-read-only": psycopg.errors.ReadOnlySqlTransaction(SECRET_IN_ERROR),  # no OperationalError of the driver's
    "wrong-sql": database_error("42601", psycopg.ProgrammingError),
    "conflict": Conflict(),
    "late": TooMany(),
    "gone": ClientDisconnect(),
}


@pytest.fixture
async def broken() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(), raise_app_exceptions=False)
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        yield client


@pytest.mark.parametrize("kind", [Invalid, SignInNeeded, Forbidden, NotFound, Conflict, TooLarge, TooMany, Unavailable])
def test_every_error_is_a_sentence_with_a_status_and_a_stable_code(kind: type[DomainError]) -> None:
    told = kind(field="name", reason="is missing", limit="2 MB")
    assert 400 <= told.status < 600
    assert str(told)[-1] in ".!" or kind is Invalid
    assert "{" not in str(told)
    assert kind.code == kind.code.lower()


def test_codes_and_statuses_tell_the_kinds_apart() -> None:
    kinds = DomainError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    "what", ["lost", "starting", "full", "read-only", "deadlock", "slow", "locked", "pool", "raw", "raw-read-only"]
)
async def test_a_database_that_is_away_for_a_moment_is_503_and_try_again(broken: httpx.AsyncClient, what: str) -> None:
    for path in (f"/page/{what}", f"/api/v1/fail/{what}"):
        answer = await broken.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert "for a moment" in answer.text
        assert "hunter2" not in answer.text


@pytest.mark.parametrize("what", ["bug", "wrong-sql"])
async def test_a_mistake_of_ours_shows_a_number_and_nothing_of_our_insides(
    broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    for path in (f"/page/{what}", f"/api/v1/fail/{what}"):
        caplog.clear()
        answer = await broken.get(path)
        number = answer.headers["x-request-id"]
        assert answer.status_code == 500
        assert number in answer.text
        assert not any(inside in answer.text for inside in ("hunter2", "SELECT", "Traceback", "ValueError", ".py"))
        noted = [record for record in caplog.records if getattr(record, "request", None) == number]
        assert len(noted) == 1  # the number leads to the whole story, in the log
        assert noted[0].exc_info


async def test_a_line_that_was_cut_is_no_mistake_of_ours(
    broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await broken.get("/page/gone")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_programs_get_problem_json(broken: httpx.AsyncClient) -> None:
    answer = await broken.get("/api/v1/fail/conflict")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:hone:conflict",
        "title": "This was changed by somebody else in the meantime.",
        "status": 409,
        "instance": answer.headers["x-request-id"],
    }
    assert (await broken.get("/api/v1/fail/late")).headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"strength": "much", "kind": "x"}', "strength"),
        ('{"strength": NaN, "kind": "x"}', "strength"),
        ('{"strength": Infinity, "kind": "x"}', "strength"),
        ('{"strength": 1}', "kind"),
        ('{"strength": 1, "kind": "x", "role": "admin"}', "role"),
        ('{"strength": 1, "kind": "x"', ""),
        ("[]", ""),
        ("[" * 10_000, ""),
        ("", ""),
    ],
)
async def test_bad_json_is_422_and_names_the_field(broken: httpx.AsyncClient, body: str, field: str) -> None:
    answer = await broken.post("/api/v1/form", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {422, 400}
    told = answer.json()
    assert told["title"]
    if field:
        assert answer.status_code == 422
        assert field in {found["field"] for found in told["errors"]}
        assert "much" not in answer.text  # what was sent is not repeated


async def test_wrong_verb_and_wrong_address_are_problem_json_too(broken: httpx.AsyncClient) -> None:
    for answer, status in (
        (await broken.delete("/api/v1/form"), 405),
        (await broken.get("/api/v1/nothing"), 404),
        (await broken.get("/api/v1/..%2f..%2fetc"), 404),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == answer.headers["x-request-id"]


@pytest.mark.committed
@pytest.mark.usefixtures("committed")
async def test_a_commit_that_fails_is_never_answered_as_saved() -> None:
    make_table = "CREATE TABLE late (name text, UNIQUE (name) DEFERRABLE INITIALLY DEFERRED)"
    async with database.transaction() as session:
        await session.execute(text(make_table))
    transport = httpx.ASGITransport(build(), raise_app_exceptions=False)
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        first = await client.post("/commit", data={"name": "a"})
        second = await client.post("/commit", data={"name": "a"})
    assert (first.status_code, second.status_code) == (200, 500)
    assert "saved" not in second.text


async def test_what_one_may_not_see_and_what_is_not_there_look_alike(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, person = await make.project(session), await make.user(session)
    client.cookies.set("hone_session", await make.sign_in(session, person))
    hidden = await client.get(f"/projects/{project.public_id}/members")
    absent = await client.get("/projects/00000000-0000-4000-8000-000000000000/members")
    garbage = await client.get("/projects/x/members")
    assert {hidden.status_code, absent.status_code, garbage.status_code} == {404}
    pages = [answer.text.replace(answer.headers["x-request-id"], "") for answer in (hidden, absent)]
    assert pages[0] == pages[1]


# ---- the log --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal], ids=["file", "terminal"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream, root = request.param(), logging.getLogger()
    before = root.handlers[:], root.level
    journal.set_up("info", stream)
    yield stream
    root.handlers, root.level = before


ATTACK = "Ada\r\n2026-01-01 error hone: all is lost\x1b[2J\u2028next"


def test_a_name_with_line_breaks_stays_on_its_line(log: io.StringIO) -> None:
    logging.getLogger("hone.test").info("%s signed in", ATTACK)
    assert len(log.getvalue().splitlines()) == 1
    assert "\x1b" not in log.getvalue()
    assert "Ada" in log.getvalue()


def test_an_error_message_with_line_breaks_begins_no_line_of_its_own(log: io.StringIO) -> None:
    try:
        raise ValueError(ATTACK)
    except ValueError:
        logging.getLogger("hone.test").exception("it went wrong")
    first, *rest = log.getvalue().splitlines()
    assert "it went wrong" in first
    assert all(line.startswith("    ") for line in rest)


def test_a_log_for_programs_is_one_object_a_line() -> None:
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    journal.set_up("info", stream)
    logging.getLogger("hone.test").error("wrong", extra={"request": "abc"})
    root.handlers, root.level = before
    told: dict[str, Any] = json.loads(stream.getvalue())
    assert told.pop("at").endswith("+00:00")
    assert told == {"level": "error", "logger": "hone.test", "message": "wrong", "request": "abc"}


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("hone_" + "a1" * 23, "token {} refused"),
        ("Zx9" * 14, "GET /sign-in/{} 200"),
        ("Zx9" * 14, "GET /reset/{} 200"),
        ("abc.def", "Authorization: Bearer {}"),
        ("Zx9-_" * 8, "Cookie: hone_session={}"),
        ("hunter2", "cannot reach postgresql://hone:{}@db/hone"),
        ("hunter2", "cannot reach smtps://me:{}@mail:465"),
    ],
)
def test_secrets_are_blotted_out(log: io.StringIO, secret: str, line: str) -> None:
    logging.getLogger("hone.test").warning(line.format(secret))
    assert secret not in log.getvalue()
    assert line.partition("{}")[0] in log.getvalue()
