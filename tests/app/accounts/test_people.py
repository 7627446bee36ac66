"""People, members and one's own account: who sees whom, who may change what."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords, rules
from app.accounts.forms import LOCALES
from app.accounts.permissions import Role
from app.accounts.routes.account import NAMES
from app.accounts.tables import ApiToken, Membership, SignIn, User
from tests import make

PASSWORD = "correct horse battery"
NEW = "a quite new sentence"


async def be(client: httpx.AsyncClient, session: AsyncSession, person: User) -> None:
    client.cookies.clear()
    client.cookies.set("hone_session", await make.sign_in(session, person))


async def someone(session: AsyncSession, **values: Any) -> User:
    return await make.user(session, password_hash=passwords.hasher.hash(PASSWORD), **values)


@pytest.fixture
async def admin(client: httpx.AsyncClient, session: AsyncSession) -> User:
    person = await someone(session, name="Root Admin", is_admin=True)
    await be(client, session, person)
    return person


async def test_disabling_ends_sign_ins_tokens_and_links_at_once(
    client: httpx.AsyncClient, session: AsyncSession, admin: User
) -> None:
    person = await someone(session)
    cookie, token = await make.sign_in(session, person), await make.api_token(session, person)
    at = f"/people/{person.public_id}"
    assert (await client.post(f"{at}/disable")).status_code == 303
    client.cookies.clear()
    assert (await client.get("/account", headers={"Cookie": f"hone_session={cookie}"})).status_code == 401
    assert (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    await be(client, session, admin)
    assert (await client.post(f"{at}/reset")).status_code == 404
    assert (await client.post(f"{at}/enable")).status_code == 303
    client.cookies.clear()  # coming back means signing in again
    assert (await client.get("/account", headers={"Cookie": f"hone_session={cookie}"})).status_code == 401
    assert (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_the_last_admin_stays(client: httpx.AsyncClient, session: AsyncSession, admin: User) -> None:
    at = f"/people/{admin.public_id}"
    assert (await client.post(f"{at}/disable")).status_code == 409
    assert (await client.post(f"{at}/admin", data={"is_admin": "false"})).status_code == 409
    other = await someone(session)
    assert (await client.post(f"/people/{other.public_id}/admin", data={"is_admin": "true"})).status_code == 303
    assert (await client.post(f"{at}/admin", data={"is_admin": "false"})).status_code == 303
    assert (await client.get("/people")).status_code == 403


async def test_a_change_of_power_ends_the_sign_ins_before_it(
    client: httpx.AsyncClient, session: AsyncSession, admin: User
) -> None:
    other = await someone(session)
    cookie = await make.sign_in(session, other)
    await client.post(f"/people/{other.public_id}/admin", data={"is_admin": "true"})
    client.cookies.clear()
    assert (await client.get("/people", headers={"Cookie": f"hone_session={cookie}"})).status_code == 401


async def test_people_are_listed_a_page_at_a_time(
    client: httpx.AsyncClient, session: AsyncSession, admin: User
) -> None:
    for n in range(50):
        await make.user(session, name=f"Number {n:03}")
    first = await client.get("/people")
    assert "Number 048" in first.text
    assert "Number 049" not in first.text
    onward = first.text.partition("/people?cursor=")[2].partition('"')[0]
    assert "Number 049" in (await client.get(f"/people?cursor={onward}")).text
    found = (await client.get("/people?q=ber+049")).text
    assert ("Number 049" in found, "Number 048" in found) == (True, False)
    assert "Nothing found" in (await client.get("/people?q=100%25")).text  # its signs mean themselves
    assert (await client.get("/people?cursor=made-up")).status_code == 422


async def test_changing_the_password_ends_all_other_sign_ins(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    other = await make.sign_in(session, person)
    await be(client, session, person)
    wrong = await client.post("/account/password", data={"current": "wrong horse", "password": NEW})
    assert wrong.status_code == 422
    easy = await client.post("/account/password", data={"current": PASSWORD, "password": "password123"})
    assert easy.status_code == 422
    assert (await client.post("/account/password", data={"current": PASSWORD, "password": NEW})).status_code == 303
    assert (await client.get("/account")).status_code == 200
    client.cookies.clear()
    assert (await client.get("/account", headers={"Cookie": f"hone_session={other}"})).status_code == 401
    assert (await client.post("/sign-in", data={"email": person.email, "password": NEW})).status_code == 303


@pytest.mark.parametrize(
    ("password", "is_fine"),
    [
        ("correct horse battery", True),
        ("пароль из слов", True),
        ("x" * 300, False),
        ("short", False),
        ("aaaaaaaaaaaaaaaa", False),
        ("1234567890", False),
        ("Password123!", False),
        ("p4ssw0rd!!!!", False),
        ("qwertyuiop", False),
        ("ada@example.org", False),
        ("ada lovelace1", False),
    ],
)
def test_easy_passwords_are_refused(password: str, is_fine: bool) -> None:
    if is_fine:
        passwords.refuse_easy(password, "Ada Lovelace", "ada@example.org", "ada")
        return
    with pytest.raises(passwords.TooEasy):
        passwords.refuse_easy(password, "Ada Lovelace", "ada@example.org", "ada")


async def test_length_is_looked_at_before_any_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(passwords, "compare", lambda password, stored: hashed.append(len(password)) or False)
    await passwords.matches("x" * 100_000, None)
    assert hashed == [0]


async def test_signing_out_of_one_browser_or_all_others(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person, stranger = await someone(session), await someone(session)
    for _browser in range(2):
        await make.sign_in(session, person)
    foreign = await make.sign_in(session, stranger)
    await be(client, session, person)
    assert (await client.get("/account")).text.count('action="/account/sign-ins/') == 3  # two others and all others
    mine = (await session.scalars(select(SignIn).where(SignIn.user_id == person.id).order_by(SignIn.id))).all()
    theirs = (await session.scalars(select(SignIn).where(SignIn.user_id == stranger.id))).one()
    first, second, foreign_id = mine[0].public_id, mine[1].id, theirs.public_id
    assert (await client.post(f"/account/sign-ins/{first}/end")).status_code == 303
    assert (await client.post(f"/account/sign-ins/{first}/end")).status_code == 404
    assert (await client.post(f"/account/sign-ins/{foreign_id}/end")).status_code == 404
    assert (await client.post("/account/sign-ins/end-others")).status_code == 303
    assert (await session.get_one(SignIn, second)).revoked_at is not None
    assert (await client.get("/account")).status_code == 200
    client.cookies.clear()
    assert (await client.get("/account", headers={"Cookie": f"hone_session={foreign}"})).status_code == 200


def test_a_program_is_called_as_people_call_it() -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"
    assert rules.program_of(firefox) == "Firefox, Linux"
    assert rules.program_of(edge) == "Edge, Windows"
    assert rules.program_of("python-httpx/0.28.1") == "python-httpx/0.28.1"
    assert rules.program_of("") == ""


def test_every_language_has_its_name() -> None:
    assert list(NAMES) == LOCALES


async def test_a_profile_is_checked_field_by_field(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    await be(client, session, person)
    good = {"name": "  Ada   L. ", "zone": "Europe/Paris", "locale": "de"}
    assert (await client.post("/account", data=good)).status_code == 303
    changed = await session.get_one(User, person.id)
    assert (changed.name, changed.zone, changed.locale) == ("Ada L.", "Europe/Paris", "de")
    for wrong in (
        {"name": "a\r\nb"},
        {"name": "\0"},
        {"name": " "},
        {"zone": "Mars/Base"},
        {"locale": "xx"},
        {"is_admin": "1"},
    ):
        answer = await client.post("/account", data=good | wrong)
        assert answer.status_code == 422
        assert next(iter(wrong)) in answer.text


async def a_project_with(session: AsyncSession, *roles: tuple[Role, str | None]) -> tuple[Any, list[User]]:
    project, people = await make.project(session), []
    for number, (role, cohort) in enumerate(roles):
        person = await someone(session, name=f"Visible {number}")
        await make.member(session, project, person, role, cohort=cohort)
        people.append(person)
    return project, people


async def test_each_role_sees_as_much_of_people_as_it_should(client: httpx.AsyncClient, session: AsyncSession) -> None:
    roles = [(role, "north" if role is Role.lead else None) for role in Role]
    project, people = await a_project_with(session, *roles, (Role.annotator, "north"), (Role.annotator, "south"))
    north, south = people[-2:]
    members = (await session.scalars(select(Membership).where(Membership.project_id == project.id))).all()
    pseudonyms = {member.user_id: member.pseudonym for member in members}
    north_name, south_name = pseudonyms[north.id], pseudonyms[south.id]
    seen = {}
    for role, person in zip(Role, people, strict=False):
        await be(client, session, person)
        page = await client.get(f"/projects/{project.public_id}/members")
        shown = page.text.replace(person.name, "")  # the page's head greets its reader
        marks = (north.name, north.email, north_name, south.name, south_name)
        seen[role] = page.status_code if page.status_code != 200 else [mark in shown for mark in marks]
    #                 north: name, e-mail, pseudonym  south: name, pseudonym
    assert seen == {
        Role.manager: [True, True, True, True, True],
        Role.engineer: [False, False, True, False, True],
        Role.reviewer: [False, False, True, False, True],
        Role.lead: [True, False, True, False, False],
        Role.annotator: 403,
        Role.viewer: 403,
    }


async def test_a_member_is_changed_and_paused(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, people = await a_project_with(session, (Role.manager, None), (Role.annotator, None))
    await be(client, session, people[0])
    found = select(Membership).where(Membership.user_id == people[1].id)
    at = f"/projects/{project.public_id}/members/{(await session.scalars(found)).one().pseudonym}"
    form = {"role": "lead", "cohort": "north", "daily_limit": "20"}
    assert (await client.post(at, data=form)).status_code == 303
    assert (await client.post(f"{at}/pause", data={"paused": "true"})).status_code == 303
    member = (await session.scalars(found)).one()
    assert (member.role, member.cohort, member.daily_limit, member.paused_at is None) == (Role.lead, "north", 20, False)
    assert (await client.post(f"{at}/pause", data={"paused": "false"})).status_code == 303
    assert (await session.scalars(found)).one().paused_at is None
    for wrong in ({"role": "king"}, {"role": "lead", "daily_limit": "0"}, {"role": "lead", "is_admin": "1"}):
        assert (await client.post(at, data=wrong)).status_code == 422


async def test_the_last_manager_stays(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, people = await a_project_with(session, (Role.manager, None))
    await be(client, session, people[0])
    member = (await session.scalars(select(Membership).where(Membership.user_id == people[0].id))).one()
    at = f"/projects/{project.public_id}/members/{member.pseudonym}"
    assert (await client.post(at, data={"role": "viewer"})).status_code == 409
    assert (await client.post(f"{at}/pause", data={"paused": "true"})).status_code == 409
    assert (await client.post(at, data={"role": "manager", "cohort": "x"})).status_code == 303


async def test_no_page_shows_a_name_as_markup(client: httpx.AsyncClient, session: AsyncSession, admin: User) -> None:
    await make.user(session, name="<script>alert(1)</script>")
    page = await client.get("/people")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


async def test_tokens_of_others_are_out_of_reach(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person, stranger = await someone(session), await someone(session)
    await make.api_token(session, stranger)
    token = (await session.scalars(select(ApiToken))).one().public_id
    await be(client, session, person)
    assert (await client.post(f"/account/tokens/{token}/revoke")).status_code == 404
    assert (await client.delete(f"/api/v1/tokens/{token}")).status_code == 404


async def test_members_are_found_by_no_more_than_the_caller_may_read(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """Else a search would tell who is behind a pseudonym."""
    project = await make.project(session)
    sought = await make.user(session, name="Zoe Findable", email="zoe@example.org")
    await make.member(session, project, sought, Role.annotator, pseudonym="rater-quince", cohort="north")
    found: dict[Role, list[bool]] = {}
    for role in (Role.manager, Role.lead, Role.reviewer):
        reader = await make.user(session)
        await make.member(session, project, reader, role, cohort="north")
        await be(client, session, reader)
        pages = [
            (await client.get(f"/projects/{project.public_id}/members", params={"q": words})).text
            for words in ("findable", "zoe@example", "quince")
        ]
        found[role] = ["rater-quince" in page for page in pages]
    assert found == {
        Role.manager: [True, True, True],
        Role.lead: [True, False, True],
        Role.reviewer: [False, False, True],
    }
