"""Guessing is slowed, and no rival, however many addresses they have, keeps those out who are known."""

from itertools import count

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import passwords
from app.accounts.actions import attempts
from app.accounts.actions.attempts import Browser, TooMany, count_attempt, how_known, network_of
from app.accounts.actions.invite import forgot
from app.accounts.actions.sign_in import WrongCredentials, sign_in, sign_out
from app.accounts.tables import SignIn, User
from tests import make

PASSWORD = "correct horse battery"
HOME, ELSEWHERE = "203.0.113.9", "192.0.2.77"
addresses = (f"198.51.{n // 250}.{n % 250}" for n in count())


async def someone(session: AsyncSession) -> User:
    return await make.user(session, password_hash=passwords.hasher.hash(PASSWORD))


async def owner(session: AsyncSession) -> tuple[User, str]:
    """Somebody who has signed in at home, and the cookie of that browser."""
    person = await someone(session)
    _user, cookie = await sign_in(session, person.email, PASSWORD, Browser(HOME))
    return person, cookie


async def flood(session: AsyncSession, account: str, monkeypatch: pytest.MonkeyPatch, kind: str = "account") -> None:
    """Tries from ever new addresses until strangers are refused."""
    monkeypatch.setitem(attempts.MOST, kind, 12)
    for _try in range(12):
        await count_attempt(session, account, Browser(next(addresses)))
    with pytest.raises(TooMany):
        await count_attempt(session, account, Browser(next(addresses)))


@pytest.mark.parametrize("kind", ["account", "all"])
@pytest.mark.parametrize("by", ["network", "cookie"])
async def test_who_is_known_comes_in_whatever_strangers_try(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, by: str, kind: str
) -> None:
    person, cookie = await owner(session)
    await flood(session, person.email, monkeypatch, kind)
    mine = Browser(HOME) if by == "network" else Browser(ELSEWHERE, cookie=cookie)
    with pytest.raises(WrongCredentials):
        await sign_in(session, person.email, "wrong horse battery", mine)
    found, _cookie = await sign_in(session, person.email.upper(), PASSWORD, mine)
    assert found.id == person.id
    with pytest.raises(TooMany):
        await sign_in(session, person.email, PASSWORD, Browser(next(addresses)))


async def test_a_known_browser_is_not_kept_out_by_a_rival_behind_the_same_address(session: AsyncSession) -> None:
    person, cookie = await owner(session)
    for _try in range(10):
        await count_attempt(session, person.email, Browser(HOME))
    with pytest.raises(TooMany):
        await count_attempt(session, person.email, Browser(HOME))
    await sign_out(session, cookie)  # also when its sign-in is over
    found, _cookie = await sign_in(session, person.email, PASSWORD, Browser(HOME, cookie=cookie))
    assert found.id == person.id


@pytest.mark.parametrize("by", ["network", "cookie"])
async def test_who_is_known_has_ten_tries_and_no_more(session: AsyncSession, by: str) -> None:
    person, cookie = await owner(session)
    for number in range(12):
        mine = Browser(HOME) if by == "network" else Browser(next(addresses), cookie=cookie)
        if number < 10:
            await count_attempt(session, person.email, mine)
        else:
            with pytest.raises(TooMany):
                await count_attempt(session, person.email, mine)


async def test_a_cookie_makes_nobody_known_at_another_account(session: AsyncSession) -> None:
    _rival, cookie = await owner(session)
    person = await someone(session)
    assert await how_known(session, person.email, Browser(HOME, cookie=cookie)) is None
    assert await how_known(session, "nobody@example.org", Browser(HOME, cookie=cookie)) is None
    assert await how_known(session, person.email, Browser(HOME, cookie="made up")) is None


async def test_a_network_is_forgotten_after_ninety_days(session: AsyncSession) -> None:
    person, cookie = await owner(session)
    assert await how_known(session, person.email, Browser(HOME)) == "network"
    await session.execute(update(SignIn).values(created_at=func.now() - text("interval '91 days'")))
    assert await how_known(session, person.email, Browser(HOME, cookie=cookie)) is None


async def test_the_networks_of_sign_ins_stand_nowhere_in_the_open(session: AsyncSession) -> None:
    await owner(session)
    stored = await session.scalar(select(SignIn.place))
    assert stored is not None
    assert HOME.encode() not in stored
    dump = await session.scalar(text("SELECT string_agg(t::text, ' ') FROM sign_ins t"))
    assert HOME not in (dump or "")


async def test_a_rival_elsewhere_fills_their_own_pair_first(session: AsyncSession) -> None:
    for n in range(20):  # ten from each of two addresses
        await count_attempt(session, "ada@example.org", Browser(f"198.51.100.{n % 2}"))
    with pytest.raises(TooMany):
        await count_attempt(session, "ada@example.org", Browser("198.51.100.0"))
    await count_attempt(session, "Ada@example.org ", Browser(HOME))


@pytest.mark.parametrize("kind", ["address", "account", "all"])
async def test_each_limit_on_strangers_holds(session: AsyncSession, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setitem(attempts.MOST, kind, 3)
    for n in range(4):
        account = "ada" if kind == "account" else f"person {n}"
        address = "198.51.100.1" if kind == "address" else f"198.51.100.{n}"
        if n < 3:
            await count_attempt(session, account, Browser(address))
            continue
        with pytest.raises(TooMany):
            await count_attempt(session, account, Browser(address))


async def test_asking_for_links_uses_up_no_tries_at_the_password(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(attempts.MOST, "account", 3)
    person = await someone(session)
    for _time in range(3):
        await forgot(session, person.email, Browser(next(addresses)))
    with pytest.raises(TooMany):
        await forgot(session, person.email, Browser(next(addresses)))
    found, _cookie = await sign_in(session, person.email, PASSWORD, Browser(ELSEWHERE))
    assert found.id == person.id


def test_an_ipv6_subscriber_is_one_address_and_ipv4_in_disguise_is_itself() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") == "2001:db8::/64"
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == network_of("fe80::1")
    assert network_of("") == ""
