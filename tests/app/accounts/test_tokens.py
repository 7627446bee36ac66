"""API tokens: what they are, what they open, and where they never stand."""

import logging
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords, rules
from app.accounts.permissions import Permission, Role
from app.accounts.tables import ApiToken
from app.events import Event
from tests import make

PASSWORD = "correct horse battery"
FORM = re.compile(r"hone_[0-9A-Za-z]{46}")


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def signed_in(client: httpx.AsyncClient, session: AsyncSession, **values: Any) -> Any:
    person = await make.user(session, password_hash=passwords.hasher.hash(PASSWORD), **values)
    come = await client.post("/api/v1/sign-in", json={"email": person.email, "password": PASSWORD})
    assert come.status_code == 200
    assert come.json() == {"id": str(person.public_id), "name": person.name}
    return person


async def test_a_program_signs_in_like_anybody_else(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await signed_in(client, session)
    me = (await client.get("/api/v1/me")).json()
    assert (me["id"], me["email"], me["is_admin"]) == (str(person.public_id), person.email, False)
    form = {"email": person.email, "password": "wrong horse"}
    tries = [await client.post("/api/v1/sign-in", json=form) for _try in range(11)]
    assert [answer.status_code for answer in tries] == [401] * 10 + [429]
    assert tries[0].json()["type"] == "urn:hone:wrong-credentials"
    assert tries[0].headers["content-type"] == "application/problem+json"
    assert tries[-1].headers["retry-after"]


@pytest.mark.parametrize(
    "body",
    ['{"email": "a@b.c"}', '{"email": 3, "password": "x"}', "not json", '{"email":"a","password":"b","is_admin":true}'],
)
async def test_a_wrong_body_is_named(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("/api/v1/sign-in", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"]


async def test_a_token_is_shown_once_and_stored_as_a_hash(
    client: httpx.AsyncClient, session: AsyncSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await signed_in(client, session)
    form = {"name": "notebook", "days": 30}
    key = {"Idempotency-Key": "once"}
    made = await client.post("/api/v1/tokens", json=form, headers=key)
    token = made.json()["token"]
    assert made.status_code == 201
    assert FORM.fullmatch(token)
    told = await session.scalar(select(Event.body).where(Event.kind == "token.made"))
    assert told == {"role": None, "scopes": [], "days": 30, "skips_reading": False}
    assert token not in (await client.get("/api/v1/tokens")).text
    assert token not in (await client.get("/account/tokens")).text
    again = await client.post("/api/v1/tokens", json=form, headers=key)  # the key is honoured, the secret is not kept
    assert (again.status_code, again.text) == (201, "")
    client.cookies.clear()
    assert (await client.get("/api/v1/me", headers=bearing(token))).status_code == 200
    tables = await session.scalars(text("SELECT table_name FROM information_schema.tables WHERE table_schema='public'"))
    for table in tables.all():
        dump = await session.scalar(text(f'SELECT string_agg(t::text, chr(10)) FROM "{table}" t'))
        assert token not in (dump or ""), table
    assert token not in caplog.text


async def test_the_browsers_page_makes_and_revokes_tokens(client: httpx.AsyncClient, session: AsyncSession) -> None:
    await signed_in(client, session)
    page = await client.post("/account/tokens", data={"name": "notebook", "role": "", "project": "", "days": "90"})
    token = page.text.partition("hone_")[2].partition('"')[0]
    assert FORM.fullmatch("hone_" + token)
    row = (await session.scalars(select(ApiToken))).one()
    assert row.expires_at is not None
    assert (await client.post(f"/account/tokens/{row.public_id}/revoke")).status_code == 303
    answer = await client.get("/api/v1/me", headers=bearing("hone_" + token))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    for_ever = await client.post("/api/v1/tokens", json={"name": "x", "days": None})
    assert for_ever.status_code == 201
    assert set(await session.scalars(select(ApiToken.expires_at).where(ApiToken.name == "x"))) == {None}


@pytest.mark.parametrize("spoil", ["revoke", "expire", "forge", "nothing"])
async def test_an_ended_token_opens_nothing(client: httpx.AsyncClient, session: AsyncSession, spoil: str) -> None:
    token = await make.api_token(session, await make.user(session))
    if spoil == "revoke":
        await session.execute(update(ApiToken).values(revoked_at=func.now()))
    if spoil == "expire":
        await session.execute(update(ApiToken).values(expires_at=func.now()))
    if spoil == "forge":
        token = token[:-1] + ("A" if token[-1] != "A" else "B")
    answer = await client.get("/api/v1/me", headers=bearing(token))
    assert answer.status_code == (200 if spoil == "nothing" else 401)


async def test_a_token_carries_one_role_at_most(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, admin = await make.project(session), await make.user(session, is_admin=True)
    whole = await make.api_token(session, admin)
    small = await make.api_token(session, admin, Role.annotator)
    members = f"/projects/{project.public_id}/members"
    assert (await client.get(members, headers=bearing(whole))).status_code == 200
    assert (await client.get(members, headers=bearing(small))).status_code == 403
    assert (await client.get("/people", headers=bearing(small))).status_code == 403
    annotator = await make.user(session)
    await make.member(session, project, annotator, Role.annotator)
    large = await make.api_token(session, annotator, Role.manager)  # a role above its owner's gives nothing more
    assert (await client.get(members, headers=bearing(large))).status_code == 403


async def test_a_token_of_one_project_opens_no_other(client: httpx.AsyncClient, session: AsyncSession) -> None:
    own, other, admin = (
        await make.project(session),
        await make.project(session),
        await make.user(session, is_admin=True),
    )
    await make.member(session, own, admin, Role.manager)
    await make.member(session, other, admin, Role.manager)
    token = await make.api_token(session, admin, project_id=own.id)
    assert (await client.get(f"/projects/{own.public_id}/members", headers=bearing(token))).status_code == 200
    assert (await client.get(f"/projects/{other.public_id}/members", headers=bearing(token))).status_code == 404
    assert (await client.get("/people", headers=bearing(token))).status_code == 403
    me = (await client.get("/api/v1/me", headers=bearing(token))).json()
    assert [place["project"] for place in me["projects"]] == [str(own.public_id)]


@pytest.mark.parametrize(
    ("is_admin", "values", "listed"),
    [
        (True, {}, ["joined", "left", "apart"]),
        (True, {"role": Role.annotator}, ["joined", "left", "apart"]),
        (True, {"scopes": ["annotation.make"]}, ["joined", "left"]),
        (True, {"project": "joined"}, ["joined"]),
        (True, {"project": "apart"}, ["apart"]),
        (True, {"project": "apart", "scopes": ["annotation.make"]}, []),
        (False, {}, ["joined", "left"]),
        (False, {"project": "joined"}, ["joined"]),
        (False, {"project": "apart"}, []),
    ],
)
async def test_a_token_lists_the_projects_that_it_opens(
    client: httpx.AsyncClient, session: AsyncSession, is_admin: bool, values: dict[str, Any], listed: list[str]
) -> None:
    projects = {name: await make.project(session, name=name) for name in ("joined", "left", "apart")}
    person = await make.user(session, is_admin=is_admin)
    for name in ("joined", "left"):
        await make.member(session, projects[name], person, Role.manager)
    told = {name: value for name, value in values.items() if name != "project"}
    if "project" in values:
        told["project_id"] = projects[values["project"]].id
    head = bearing(await make.api_token(session, person, **told))
    ids = {str(project.public_id): name for name, project in projects.items()}
    rest = (await client.get("/api/v1/projects", headers=head)).json()
    assert {ids[one["id"]] for one in rest} == set(listed)
    for page in ("/", "/projects"):
        html = (await client.get(page, headers=head)).text
        assert {name for public_id, name in ids.items() if public_id in html} == set(listed), page


async def test_scopes_cut_down_further(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, manager = await make.project(session), await make.user(session)
    await make.member(session, project, manager, Role.manager)
    token = await make.api_token(session, manager, scopes=[Permission.member_list.value, "gone.permission"])
    at = f"/projects/{project.public_id}/members"
    assert (await client.get(at, headers=bearing(token))).status_code == 200
    refused = await client.post(f"{at}/invitations", data={"emails": "a@b.c"}, headers=bearing(token))
    assert refused.status_code == 403


async def test_a_token_cannot_make_tokens_or_change_passwords(client: httpx.AsyncClient, session: AsyncSession) -> None:
    token = await make.api_token(session, await make.user(session, is_admin=True))
    made = await client.post("/api/v1/tokens", json={"name": "more"}, headers=bearing(token))
    assert made.status_code == 403
    assert made.json()["type"] == "urn:hone:in-person-only"
    form = {"current": PASSWORD, "password": "a quite new sentence"}
    assert (await client.post("/account/password", data=form, headers=bearing(token))).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "king"},
        {"scopes": ["made.up"]},
        {"role": "viewer", "scopes": ["run.edit"]},
        {"days": 0},
        {"name": ""},
        {"project": "00000000-0000-4000-8000-000000000000"},
        {"user_id": 1},
    ],
)
async def test_an_impossible_token_is_refused_by_field(
    client: httpx.AsyncClient, session: AsyncSession, wrong: dict[str, Any]
) -> None:
    await signed_in(client, session)
    answer = await client.post("/api/v1/tokens", json={"name": "x"} | wrong)
    assert answer.status_code == 422
    assert list(wrong)[-1] in answer.text


async def test_using_a_token_is_noted(client: httpx.AsyncClient, session: AsyncSession) -> None:
    token = await make.api_token(session, await make.user(session))
    assert await session.scalar(select(ApiToken.seen_at)) is None
    await client.get("/api/v1/me", headers=bearing(token))
    assert await session.scalar(select(ApiToken.seen_at)) is not None


def test_a_token_ends_in_the_checksum_of_its_middle() -> None:
    token = rules.make_token()
    assert FORM.fullmatch(token)
    assert token.endswith(rules.checksum(token.removeprefix("hone_")[:40]))
    # CRC-32 of "123456789" is 0xCBF43926 = 3421780262 (the check value of the standard), in base 62: 3JzvCu
    number = 0
    for digit in rules.checksum("123456789"):
        number = number * 62 + rules.DIGITS.index(digit)
    assert number == 0xCBF43926


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.uuids())
def test_pseudonyms_are_stable_in_a_project_and_do_not_join_across(one: bytes, two: bytes, person: Any) -> None:
    assert rules.pseudonym(one, person) == rules.pseudonym(one, person)
    assert len(rules.pseudonym(one, person)) == 12
    if one != two:
        assert rules.pseudonym(one, person) != rules.pseudonym(two, person)
