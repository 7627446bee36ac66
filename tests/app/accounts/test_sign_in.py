"""Coming in: by one-time link, by password; and what strangers and guessers get."""

import re

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords
from app.accounts.actions import attempts
from app.accounts.actions.links import make_sign_in_link
from app.accounts.tables import Attempt, Link, SignIn, User
from tests import make

PASSWORD = "correct horse battery"
FIRST = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}


async def someone(session: AsyncSession, **values: object) -> User:
    return await make.user(session, password_hash=passwords.hasher.hash(PASSWORD), **values)


async def sign_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await client.post("/sign-in", data={"email": email, "password": password} | more)


async def test_the_first_start_gives_an_admin_a_link_and_no_password_works(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await make_sign_in_link(session)
    admin = (await session.scalars(select(User))).one()
    assert admin.is_admin
    assert admin.password_hash is None
    for password in ("", "admin", "password", "hone"):
        assert (await sign_in(client, admin.email, password)).status_code in {401, 422}


async def test_the_first_visit_sets_name_address_and_password(client: httpx.AsyncClient, session: AsyncSession) -> None:
    path = await make_sign_in_link(session)
    page = await client.get(path)
    assert page.status_code == 200
    assert 'name="password"' in page.text
    come = await client.post(path, data=FIRST)
    assert (come.status_code, come.headers["location"]) == (303, "/")
    admin = (await session.scalars(select(User))).one()
    assert (admin.name, admin.email) == ("Ada", "ada@example.org")
    client.cookies.clear()
    assert (await sign_in(client, "ADA@example.org")).status_code == 303


async def test_the_first_visit_needs_all_three(client: httpx.AsyncClient, session: AsyncSession) -> None:
    path = await make_sign_in_link(session)
    for missing in FIRST:
        part = {name: value for name, value in FIRST.items() if name != missing}
        assert (await client.post(path, data=part)).status_code == 422
    assert (await client.post(path, data=FIRST | {"password": "short"})).status_code == 422
    assert (await client.get(path)).status_code == 200  # nothing of this used it up


async def test_looking_at_a_link_does_not_use_it_up_but_using_it_does(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    path = await make_sign_in_link(session)
    for _look in range(3):
        assert (await client.get(path)).status_code == 200
    assert (await client.post(path, data=FIRST)).status_code == 303
    assert (await client.get(path)).status_code == 404
    assert (await client.post(path, data=FIRST)).status_code == 404


async def test_a_later_link_signs_the_admin_in_without_asking_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    admin = await someone(session, is_admin=True)
    first, second = await make_sign_in_link(session), await make_sign_in_link(session)
    assert (await client.get(first)).status_code == 404  # a new link ends the one before
    assert 'name="password"' not in (await client.get(second)).text
    assert (await client.post(second)).status_code == 303
    signed_in = (await session.scalars(select(SignIn))).one()
    assert signed_in.user_id == admin.id


@pytest.mark.parametrize("spoil", ["forge", "expire", "disable"])
async def test_forged_expired_and_disabled_links_look_the_same(
    client: httpx.AsyncClient, session: AsyncSession, spoil: str
) -> None:
    await someone(session, is_admin=True)
    path = await make_sign_in_link(session)
    if spoil == "forge":
        path = path[:-1] + ("A" if path[-1] != "A" else "B")
    if spoil == "expire":
        await session.execute(update(Link).values(expires_at=func.now()))
    if spoil == "disable":
        await session.execute(update(User).values(disabled_at=func.now()))
    for answer in (await client.get(path), await client.post(path)):
        assert answer.status_code == 404
        assert "This link does not work any more" in answer.text


async def test_links_and_cookies_are_stored_as_hashes_only(client: httpx.AsyncClient, session: AsyncSession) -> None:
    path = await make_sign_in_link(session)
    await client.post(path, data=FIRST)
    stored = await session.scalar(text("SELECT string_agg(t::text, ' ') FROM (SELECT * FROM links) t"))
    stored += await session.scalar(text("SELECT string_agg(t::text, ' ') FROM (SELECT * FROM sign_ins) t"))
    assert path.rpartition("/")[2] not in stored
    assert client.cookies["hone_session"] not in stored


async def test_unknown_wrong_disabled_and_passwordless_get_one_sentence(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    known, disabled = await someone(session), await someone(session)
    disabled.disabled_at = func.now()
    invited = await make.user(session)
    await session.flush()
    answers = [
        await sign_in(client, known.email, "wrong horse battery"),
        await sign_in(client, "nobody@example.org"),
        await sign_in(client, "no address\0"),
        await sign_in(client, disabled.email),
        await sign_in(client, invited.email),
        await sign_in(client, known.email, "x" * 900),
    ]
    assert {answer.status_code for answer in answers} == {401}
    pages = {re.sub(r'value="[^"]*"', "", re.sub(r"/static/\w+", "", answer.text)) for answer in answers}
    assert len(pages) == 1
    assert "Wrong e-mail or password" in pages.pop()


async def test_an_unknown_person_costs_the_same_work(
    client: httpx.AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # timing itself is noise here; that one argon2 comparison is done either way is not
    compared = []
    real = passwords.compare
    monkeypatch.setattr(passwords, "compare", lambda *asked: compared.append(asked) or real(*asked))
    known = await someone(session)
    await sign_in(client, known.email, "wrong horse battery")
    await sign_in(client, "nobody@example.org", "wrong horse battery")
    await sign_in(client, (await make.user(session)).email, "wrong horse battery")
    assert len(compared) == 3
    assert len({stored.split("$")[3] for _password, stored in compared}) == 1  # the same cost


async def test_the_eleventh_try_is_429_and_ten_minutes_later_all_is_well(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person = await someone(session)
    tries = [(await sign_in(client, person.email, f"wrong {n}")).status_code for n in range(12)]
    assert tries == [401] * 10 + [429] * 2
    refused = await sign_in(client, person.email)
    assert refused.status_code == 429
    await session.execute(update(Attempt).values(at=Attempt.at - text("interval '11 minutes'")))
    assert (await sign_in(client, person.email)).status_code == 303


async def test_a_right_password_forgives_earlier_slips(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    for _round in range(3):
        for n in range(9):
            assert (await sign_in(client, person.email, f"wrong {n}")).status_code == 401
        assert (await sign_in(client, person.email)).status_code == 303
    left = (await session.scalars(select(Attempt.subject))).all()
    stranger = attempts.subjects(person.email, attempts.Browser("127.0.0.1"))
    assert stranger["pair"] not in left
    assert len(left) == 9 * 3, "of the first round, before the browser was known: by address, by account, of all"


async def status_with(client: httpx.AsyncClient, cookie: str) -> int:
    client.cookies.clear()
    return (await client.get("/account", headers={"Cookie": f"hone_session={cookie}"})).status_code


async def test_signing_in_gives_a_new_id_and_ends_the_old_one(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person, rival = await someone(session), await someone(session)
    fixed = await make.sign_in(session, rival)
    client.cookies.set("hone_session", fixed)
    ours = (await sign_in(client, person.email)).cookies["hone_session"]
    assert ours != fixed
    assert await status_with(client, fixed) == 401
    assert await status_with(client, ours) == 200


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person = await someone(session)
    plain = (await sign_in(client, person.email)).headers["set-cookie"]
    assert plain.startswith("hone_session=")
    assert all(part in plain for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Secure" not in plain
    form = {"email": person.email, "password": PASSWORD}
    safe = (await client.post("https://testserver/sign-in", data=form)).headers["set-cookie"]
    assert safe.startswith("__Host-hone_session=")
    assert all(part in safe for part in ("HttpOnly", "SameSite=lax", "Path=/", "Secure"))
    assert "Domain" not in safe


async def test_over_https_only_the_cookie_counts_that_nobody_else_can_have_set(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """A page of another host under our domain, or somebody on the line of a plain http request, can plant the plain
    name; not the other."""
    planted, own = await someone(session), await someone(session)
    plain, safe = await make.sign_in(session, planted), await make.sign_in(session, own)

    async def who(scheme: str, cookie: str) -> str | None:
        found = await client.get(f"{scheme}://testserver/api/v1/me", headers={"Cookie": cookie})
        return found.json().get("email")

    assert await who("https", f"hone_session={plain}") is None
    assert await who("https", f"hone_session={plain}; __Host-hone_session={safe}") == own.email
    assert await who("http", f"hone_session={plain}; __Host-hone_session={safe}") == planted.email


@pytest.mark.parametrize(
    ("wanted", "onward"),
    [
        ("/projects?x=1", "/projects?x=1"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
    ],
)
async def test_after_signing_in_one_stays_on_this_site(
    client: httpx.AsyncClient, session: AsyncSession, wanted: str, onward: str
) -> None:
    person = await someone(session)
    come = await sign_in(client, person.email, next=wanted)
    assert come.headers["location"] == onward
    assert (await client.get("/sign-in", params={"next": wanted})).headers["location"] == onward


async def test_a_page_that_needs_a_sign_in_shows_the_form_and_leads_back(client: httpx.AsyncClient) -> None:
    page = await client.get("/account?tab=tokens")
    assert page.status_code == 401
    assert 'name="next" value="/account?tab=tokens"' in page.text


async def test_a_field_too_many_is_refused(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    assert (await sign_in(client, person.email, is_admin="true")).status_code == 422


async def test_signing_out_ends_the_sign_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    await sign_in(client, person.email)
    cookie = client.cookies["hone_session"]
    assert (await client.post("/sign-out")).status_code == 303
    assert "hone_session" not in client.cookies
    client.cookies.set("hone_session", cookie)
    assert (await client.get("/account")).status_code == 401
    client.cookies.clear()
    assert (await client.post("/sign-out")).status_code == 303  # twice is no error


async def test_an_idle_and_an_old_sign_in_are_over(client: httpx.AsyncClient, session: AsyncSession) -> None:
    client.cookies.set("hone_session", await make.sign_in(session, await someone(session)))
    assert (await client.get("/account")).status_code == 200
    await session.execute(update(SignIn).values(expires_at=func.now()))
    assert (await client.get("/account")).status_code == 401


async def test_being_here_is_noted_every_five_minutes_and_prolongs_up_to_seven_days(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    client.cookies.set("hone_session", await make.sign_in(session, await someone(session)))
    ago = "SELECT extract(epoch FROM now() - {})::float / 60 FROM sign_ins"

    async def aged(seen: str, made: str) -> tuple[float, float]:
        moved = f"UPDATE sign_ins SET seen_at = now() - interval '{seen}', created_at = now() - interval '{made}'"
        await session.execute(text(moved))
        await client.get("/account")
        minutes = (await session.execute(text(ago.format("seen_at")))).scalar_one()
        left = (await session.execute(text(ago.format("expires_at")))).scalar_one()
        return round(minutes), round(-left / 60, 1)

    assert (await aged("4 minutes", "1 hour"))[0] == 4  # fresh enough: nothing written
    assert await aged("6 minutes", "1 hour") == (0, 12)
    assert await aged("6 minutes", "167 hours") == (0, 1)  # 168 hours are seven days


async def test_an_outdated_hash_is_renewed_at_sign_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    old = passwords.PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    person = await make.user(session, password_hash=old)
    assert (await sign_in(client, person.email)).status_code == 303
    renewed = await session.scalar(select(User.password_hash).where(User.id == person.id))
    assert renewed is not None
    assert "m=19456,t=2,p=1" in renewed


async def test_disabling_somebody_ends_their_next_request(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await someone(session)
    client.cookies.set("hone_session", await make.sign_in(session, person))
    assert (await client.get("/account")).status_code == 200
    await session.execute(update(User).where(User.id == person.id).values(disabled_at=func.now()))
    assert (await client.get("/account")).status_code == 401


@pytest.mark.parametrize("link", ["x", "%00", "a" * 500, "f1544bab-ca74-4e69-a497-20cb31dadffd"])
async def test_made_up_links_are_404(client: httpx.AsyncClient, link: str) -> None:
    for path in (f"/sign-in/{link}", f"/reset/{link}", f"/invitations/{link}"):
        assert (await client.get(path)).status_code == 404
