"""Cards: one holder each, the most important first, and none that is dead."""

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.jobs import actions
from app.jobs.actions import bid, give_up
from app.jobs.rules import QUIET, Bid, Card, Standing, Use, must_yield, standing_of
from app.jobs.tables import CardBid

CARD = Card("GPU-1", "Test card (cuda:0)")
BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
uses = st.sampled_from(Use)
idle_or_not = st.one_of(st.none(), uses)


@given(st.lists(uses, min_size=1), st.one_of(st.none(), st.integers(0, 20)))
def test_one_has_the_card_and_nobody_who_waits_goes_before_it(wanted: list[Use], held: int | None) -> None:
    bids = [Bid(UUID(int=place), use, place == held) for place, use in enumerate(wanted)]
    stand = [standing_of(bids, one.holder) for one in bids]
    [first] = [place for place, one in enumerate(stand) if one.has]
    if held is not None and held < len(bids):
        assert first == held, "what is held stays held"
    else:
        assert wanted[first] == min(wanted)
        assert wanted[first] not in wanted[:first], "of two alike the one that came first"
    assert all(one.ahead is wanted[first] for one in stand if not one.has)
    others = wanted[:first] + wanted[first + 1 :]
    assert stand[first] == Standing(True, waiting=min(others, default=None))


def test_nobody_has_a_card_without_bidding_for_it() -> None:
    assert standing_of([], uuid4()) == Standing(False)
    assert not standing_of([Bid(UUID(int=1), Use.training)], uuid4()).has


@given(uses, uses, st.floats(0, 1e6))
def test_no_two_hand_a_card_to_and_fro(one: Use, other: Use, quiet: float) -> None:
    assert not (must_yield(one, quiet, other) and must_yield(other, quiet, one))
    assert must_yield(one, quiet, other) == (other < one), "talk, then generation, then training"


@given(idle_or_not, st.floats(0, 3 * QUIET))
def test_a_card_that_lies_ready_is_kept_from_a_training_for_a_while(waiting: Use | None, quiet: float) -> None:
    wanted = {None: False, Use.training: quiet >= QUIET}.get(waiting, True)
    assert must_yield(None, quiet, waiting) == wanted


async def test_who_came_first_gets_it_next(session: AsyncSession) -> None:
    has, first, second, person = (uuid4() for _ in range(4))
    assert (await bid(session, CARD, has, Use.training)).has
    for holder, use, minutes in ((second, Use.generation, 1), (first, Use.generation, 2), (person, Use.talk, 0)):
        assert await bid(session, CARD, holder, use) == Standing(False, ahead=Use.training)
        aged = text("UPDATE card_bids SET made_at = now() - make_interval(mins => :minutes) WHERE holder = :holder")
        await session.execute(aged, {"holder": holder, "minutes": minutes})
    assert await bid(session, CARD, has, Use.training) == Standing(True, waiting=Use.talk)
    assert (await bid(session, Card("GPU-2", "Another"), first, Use.training)).has, "each card has a lease of its own"
    await give_up(session, CARD, has)
    assert not (await bid(session, CARD, first, Use.generation)).has, "it is kept for who waits for an answer"
    assert await bid(session, CARD, person, Use.talk) == Standing(True, waiting=Use.generation)
    await give_up(session, CARD, person)
    assert await bid(session, CARD, second, Use.generation) == Standing(False, ahead=Use.generation)
    assert (await bid(session, CARD, first, Use.generation)).has


async def test_a_dead_holders_lease_ends_by_itself(session: AsyncSession) -> None:
    dead, living = uuid4(), uuid4()
    aged = text("UPDATE card_bids SET beat_at = now() - make_interval(secs => :seconds) WHERE holder = :holder")
    assert (await bid(session, CARD, dead, Use.talk)).has
    await session.execute(aged, {"holder": dead, "seconds": 20})
    assert not (await bid(session, CARD, living, Use.training)).has
    await session.execute(aged, {"holder": dead, "seconds": 21})
    assert await bid(session, CARD, living, Use.training) == Standing(True)
    back = await bid(session, CARD, dead, Use.talk)  # it was only slow, and learns that the card is gone
    assert back == Standing(False, ahead=Use.training)


async def two_at_once() -> list[Standing]:
    """Two workers bid for a free card, the second while the first has not committed."""
    async with database.transaction() as session:
        first = await bid(session, CARD, uuid4(), Use.training)
        second = asyncio.create_task(one_more())
        while not await somebody_is_blocked() and not second.done():  # noqa: ASYNC110  (a state, not a time)
            await asyncio.sleep(0.01)
    return [first, await second]


async def somebody_is_blocked() -> bool:
    async with database.transaction() as session:  # one transaction sees one state of all others
        return bool(await session.scalar(BLOCKED))


async def one_more() -> Standing:
    async with database.transaction() as session:
        return await bid(session, CARD, uuid4(), Use.talk)


@pytest.mark.committed
async def test_of_two_who_bid_at_once_one_has_the_card(committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await two_at_once() == [Standing(True), Standing(False, ahead=Use.training)]
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).where(CardBid.is_held)) == 1
        await session.execute(text("DELETE FROM card_bids"))

    async def at_once(*_given: object) -> None:
        """The negative control: without taking turns both believe it, and the table's index refuses the second."""

    monkeypatch.setattr(actions, "take_turns", at_once)
    with pytest.raises(IntegrityError, match="uq_card_bids_one_holds"):
        await two_at_once()
