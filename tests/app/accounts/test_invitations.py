"""Inviting, joining, resetting: each link once, nobody's account taken, nobody's existence told."""

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords
from app.accounts.actions import letters
from app.accounts.permissions import Role
from app.accounts.tables import Link, LinkKind, Membership, SignIn, User
from app.events import Event
from app.settings import get_settings
from tests import make

PASSWORD = "correct horse battery"
JOIN = {"name": "Ada", "password": PASSWORD, "consent": "true"}


def be(client: httpx.AsyncClient, cookie: str | None) -> None:
    client.cookies.clear()
    if cookie:
        client.cookies.set("hone_session", cookie)


async def someone(session: AsyncSession, **values: Any) -> User:
    return await make.user(session, password_hash=passwords.hasher.hash(PASSWORD), **values)


async def a_manager(session: AsyncSession) -> tuple[Any, str]:
    project, manager = await make.project(session), await someone(session)
    await make.member(session, project, manager, Role.manager)
    return project, await make.sign_in(session, manager)


def links_in(page: httpx.Response, kind: str = "invitations") -> list[str]:
    return [
        found.removeprefix("http://testserver") for found in re.findall(rf"http://testserver/{kind}/[\w-]+", page.text)
    ]


async def invited(client: httpx.AsyncClient, session: AsyncSession, email: str, **form: str) -> tuple[Any, str]:
    project, cookie = await a_manager(session)
    be(client, cookie)
    page = await client.post(f"/projects/{project.public_id}/members/invitations", data={"emails": email} | form)
    assert page.status_code == 200, page.text
    be(client, None)
    return project, links_in(page)[0]


async def test_many_are_invited_at_once_and_each_gets_a_link(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, cookie = await a_manager(session)
    be(client, cookie)
    emails = "a@example.org, b@example.org;\nc@example.org\r\n A@Example.org"
    form = {"emails": emails, "role": "reviewer", "cohort": "north"}
    page = await client.post(f"/projects/{project.public_id}/members/invitations", data=form)
    assert len(set(links_in(page))) == 3  # the last is the first again
    kept = (await session.scalars(select(Link).where(Link.kind == LinkKind.invitation))).all()
    assert {(link.role, link.cohort, link.project_id) for link in kept} == {(Role.reviewer, "north", project.id)}
    stored = await session.scalar(text("SELECT string_agg(t::text, ' ') FROM links t"))
    assert not any(link.rpartition("/")[2] in stored for link in links_in(page))


@pytest.mark.parametrize("emails", ["", "no address", "a@b.c\nno address", "a@b.c,<x@y.z>", "x" * 300 + "@y.z"])
async def test_a_wrong_address_stops_all_and_is_named(
    client: httpx.AsyncClient, session: AsyncSession, emails: str
) -> None:
    project, cookie = await a_manager(session)
    be(client, cookie)
    page = await client.post(f"/projects/{project.public_id}/members/invitations", data={"emails": emails})
    assert page.status_code == 422
    assert "emails" in page.text
    assert await session.scalar(select(func.count(Link.id))) == 0


async def test_a_newcomer_sets_name_and_password_and_is_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, link = await invited(client, session, "new@example.org", role="annotator", cohort="north")
    assert "new@example.org" in (await client.get(link)).text
    come = await client.post(link, data=JOIN)
    assert come.headers["location"] == f"/projects/{project.public_id}"
    person = (await session.scalars(select(User).where(User.email == "new@example.org"))).one()
    member = (await session.scalars(select(Membership).where(Membership.user_id == person.id))).one()
    assert (member.role, member.cohort) == (Role.annotator, "north")
    assert member.consent_at is not None
    assert person.name == "Ada"
    assert (await client.get("/account")).status_code == 200
    for answer in (await client.get(link), await client.post(link, data=JOIN)):
        assert answer.status_code == 404  # it was for once


async def test_joining_a_project_needs_consent(client: httpx.AsyncClient, session: AsyncSession) -> None:
    _project, link = await invited(client, session, "new@example.org")
    answer = await client.post(link, data={"name": "Ada", "password": PASSWORD})
    assert answer.status_code == 422
    assert "consent" in answer.text
    assert (await client.post(link, data=JOIN)).status_code == 303


async def test_who_is_signed_in_just_joins(client: httpx.AsyncClient, session: AsyncSession) -> None:
    _project, link = await invited(client, session, "somebody@example.org")
    person = await someone(session)
    be(client, await make.sign_in(session, person))
    assert 'name="password"' not in (await client.get(link)).text
    assert (await client.post(link, data={"consent": "true"})).status_code == 303
    assert await session.scalar(select(Membership.role).where(Membership.user_id == person.id)) == Role.annotator
    assert await session.scalar(select(User).where(User.email == "somebody@example.org")) is None


async def test_an_invitation_never_opens_somebodys_account(client: httpx.AsyncClient, session: AsyncSession) -> None:
    owner = await someone(session)
    _project, link = await invited(client, session, owner.email.upper())
    taken = await client.post(link, data=JOIN | {"password": "my own new password"})
    assert taken.status_code == 422
    assert "hone_session" not in client.cookies
    assert (await client.post(link, data=JOIN)).status_code == 303  # the owner's own password does
    assert await session.scalar(select(func.count(User.id)).where(func.lower(User.email) == owner.email)) == 1


async def test_the_page_does_not_tell_whether_there_is_an_account(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    owner = await someone(session)
    pages = []
    for email in (owner.email, "nobody@example.org"):
        _project, link = await invited(client, session, email)
        page = (await client.get(link)).text
        pages.append(re.sub(r"/invitations/[\w-]+|Project \d+", "", page.replace(email, "")))
    assert pages[0] == pages[1]


async def test_a_token_accepts_no_invitation(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """It carries one role at most; joining as its person would give it whatever the invitation gives."""
    project, link = await invited(client, session, "known@example.org", role="manager")
    known = await someone(session, email="known@example.org")
    head = {"Authorization": f"Bearer {await make.api_token(session, known, Role.viewer)}"}
    refused = await client.post(link, data={"consent": "true"}, headers=head)
    assert (refused.status_code, "API token" in refused.text) == (403, True)
    joined = select(func.count()).where(Membership.project_id == project.id, Membership.user_id == known.id)
    assert await session.scalar(joined) == 0


async def test_expired_withdrawn_and_replaced_invitations_are_over(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, cookie = await a_manager(session)
    at = f"/projects/{project.public_id}/members/invitations"
    be(client, cookie)
    first = links_in(await client.post(at, data={"emails": "a@example.org"}))[0]
    second = links_in(await client.post(at, data={"emails": "A@example.org"}))[0]
    assert (await client.get(first)).status_code == 404
    assert (await client.get(second)).status_code == 200
    kept = (await session.scalars(select(Link).where(Link.used_at.is_(None)))).one()
    assert (await client.post(f"{at}/{kept.public_id}/withdraw")).status_code == 303
    assert (await client.get(second)).status_code == 404
    third = links_in(await client.post(at, data={"emails": "a@example.org"}))[0]
    await session.execute(update(Link).values(expires_at=func.now()))
    assert (await client.post(third, data=JOIN)).status_code == 404


async def test_an_admins_invitation_makes_an_admin(client: httpx.AsyncClient, session: AsyncSession) -> None:
    be(client, await make.sign_in(session, await someone(session, is_admin=True)))
    page = await client.post("/people/invitations", data={"emails": "new@example.org", "makes_admin": "true"})
    be(client, None)
    assert (await client.post(links_in(page)[0], data=JOIN)).status_code == 303
    assert await session.scalar(select(User.is_admin).where(User.email == "new@example.org"))


async def test_a_reset_link_ends_every_sign_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person, admin = await someone(session), await someone(session, is_admin=True)
    await make.sign_in(session, person)
    be(client, await make.sign_in(session, admin))
    link = links_in(await client.post(f"/people/{person.public_id}/reset"), "reset")[0]
    be(client, None)
    assert (await client.post(link, data={"password": "short"})).status_code == 422
    assert (await client.post(link, data={"password": "a quite new sentence"})).status_code == 303
    living = select(SignIn).where(SignIn.user_id == person.id, SignIn.revoked_at.is_(None))
    assert len((await session.scalars(living)).all()) == 1  # the one just begun
    assert (await client.get(link)).status_code == 404
    be(client, None)
    for password, status in ((PASSWORD, 401), ("a quite new sentence", 303)):
        form = {"email": person.email, "password": password}
        assert (await client.post("/sign-in", data=form)).status_code == status


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with HONE_SMTP_URL set."""
    where = {"host": "0.0.0.0", "port": 8765, "public_url": None}  # listens everywhere: no address to write into a mail
    settings = get_settings().model_copy(update={"smtp_url": "smtp://mail.example.org"} | where)
    for module in ("invite", "letters"):
        monkeypatch.setattr(f"app.accounts.actions.{module}.get_settings", lambda: settings)


async def queued(session: AsyncSession) -> list[int]:
    found = await session.execute(text("SELECT args FROM jobs.procrastinate_jobs WHERE task_name = 'SendMail'"))
    return [args["link_id"] for (args,) in found]


@pytest.mark.usefixtures("mail")
async def test_with_mail_links_are_sent_and_never_shown_or_queued(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, cookie = await a_manager(session)
    be(client, cookie)
    page = await client.post(f"/projects/{project.public_id}/members/invitations", data={"emails": "a@example.org"})
    assert links_in(page) == []
    assert "a@example.org" in page.text
    (link_id,) = await queued(session)
    letter = await letters.write_letter(session, link_id)
    assert letter is not None
    assert letter.to == "a@example.org"
    assert project.name in letter.subject
    path = re.search(r"http://127\.0\.0\.1:8765(/invitations/[\w-]+)", letter.text)
    assert path is not None
    be(client, None)
    assert (await client.post(path[1], data=JOIN)).status_code == 303
    assert await letters.write_letter(session, link_id) is None  # used: a late retry sends nothing


@pytest.mark.usefixtures("mail")
async def test_forgetting_tells_nobody_who_has_an_account(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    answers = [await client.post("/forgot", data={"email": email}) for email in (person.email, "nobody@example.org")]
    assert len({(answer.status_code, answer.headers["set-cookie"]) for answer in answers}) == 1
    known, unknown = await queued(session)
    assert await letters.write_letter(session, unknown) is None
    letter = await letters.write_letter(session, known)
    assert letter is not None
    path = re.search(r"/reset/[\w-]+", letter.text)
    assert path is not None
    assert (await client.post(path[0], data={"password": "a quite new sentence"})).status_code == 303


@pytest.mark.usefixtures("mail")
async def test_mails_lead_to_the_configured_address_whatever_the_request_says(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person = await someone(session)
    await client.post("/forgot", data={"email": person.email}, headers={"Host": "evil.example"})
    letter = await letters.write_letter(session, (await queued(session))[0])
    assert letter is not None
    assert "evil" not in letter.text


@pytest.mark.usefixtures("mail")
async def test_forgetting_over_and_over_is_slowed(client: httpx.AsyncClient, session: AsyncSession) -> None:
    tries = [(await client.post("/forgot", data={"email": "a@example.org"})).status_code for _try in range(11)]
    assert tries == [303] * 10 + [429]


async def test_what_happened_is_noted_without_addresses(client: httpx.AsyncClient, session: AsyncSession) -> None:
    _project, link = await invited(client, session, "new@example.org")
    await client.post(link, data=JOIN)
    kinds = (await session.scalars(select(Event.kind).order_by(Event.id))).all()
    assert [kind for kind in kinds if kind.startswith(("inv", "mem"))] == [
        "invitation.given",
        "member.joined",
        "invitation.accepted",
    ]
    noted = await session.scalar(text("SELECT string_agg(e::text, ' ') FROM events e"))
    assert "new@example.org" not in noted
    assert "Ada" not in noted
