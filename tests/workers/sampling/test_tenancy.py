"""The sampler and its card: on it while somebody asks, off it for a training, with no request lost."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from app import database
from app.jobs.actions import bid, give_up
from app.jobs.rules import Card, Use
from workers import cards
from workers.sampling.answers import Sampling
from workers.sampling.engine import Engine
from workers.sampling.orders import Line
from workers.tenancy import Tenancy

CARD = Card("GPU-1", "Test card (cuda:0)")
CHAT = [{"role": "user", "content": "is the tea hot?"}]
SHORT = Sampling(max_tokens=8)


@pytest.fixture
async def engine():
    running = Engine(device="cpu", token_budget=4000, threads=1)
    yield running
    await running.close()


async def bids(holder, use=Use.training):
    async with database.transaction() as session:
        return await bid(session, CARD, holder, use)


def ask(engine, tiny, **how):
    return asyncio.create_task(engine.complete(tiny, [CHAT], SHORT, 1, [1], **how))


async def looks_until(tenancy, holds):
    while not holds():
        await asyncio.sleep(0)  # what was asked is heard of
        await tenancy.look()


@pytest.mark.committed
async def test_weights_move_off_for_a_training_and_come_back_with_no_request_lost(committed, engine, tiny, monkeypatch):
    training, tenancy = uuid4(), Tenancy(engine, CARD)
    await engine.move_off()
    await tenancy.look()
    assert not tenancy.has, "who is asked nothing takes no card"
    asked = ask(engine, tiny)
    await looks_until(tenancy, lambda: tenancy.has)
    [[before]] = await asked
    assert engine.shelf.filling[0] == 1

    monkeypatch.setattr(Line, "quiet", 29.0)
    assert not (await bids(training)).has
    await tenancy.look()
    assert tenancy.has, "somebody may ask again"
    monkeypatch.setattr(Line, "quiet", 31.0)
    await looks_until(tenancy, lambda: not tenancy.has)
    assert engine.shelf.filling == (0, 0)
    assert (await bids(training)).has

    asked = ask(engine, tiny, is_awaited=True)
    await asyncio.sleep(0)
    await tenancy.look()
    assert (await bids(training)).waiting is Use.talk, "so the training steps aside"
    assert engine.shelf.filling == (0, 0)
    assert not asked.done()
    async with database.transaction() as session:
        await give_up(session, CARD, training)
    await looks_until(tenancy, lambda: tenancy.has)
    assert await asked == [[before]]


@pytest.mark.committed
async def test_a_sampler_whose_lease_ran_out_leaves_the_card(committed, engine, tiny):
    tenancy = Tenancy(engine, CARD)
    await engine.move_off()
    asked = ask(engine, tiny)
    await looks_until(tenancy, lambda: tenancy.has)
    await asked
    async with database.transaction() as session:
        await session.execute(text("UPDATE card_bids SET beat_at = now() - interval '1 minute'"))
    assert (await bids(uuid4())).has
    await looks_until(tenancy, lambda: not tenancy.has)
    assert engine.shelf.filling == (0, 0)


async def test_what_waits_is_known_by_whether_somebody_looks_at_it(engine, tiny):
    assert engine.demand is None
    await engine.move_off()
    assert engine.demand is None, "our own housekeeping is nobody's wish"
    first = ask(engine, tiny)
    await asyncio.sleep(0)
    assert (engine.demand, engine.quiet) == ("generation", 0)
    second = ask(engine, tiny, is_awaited=True)
    await asyncio.sleep(0)
    assert engine.demand == "talk"
    engine.come_back()
    await asyncio.gather(first, second)


async def test_on_a_cpu_nothing_is_leased(monkeypatch):
    async def must_not_be_asked(_device):
        raise AssertionError("torch was loaded to find that there is no card")

    monkeypatch.setattr(cards, "asked_of_torch", must_not_be_asked)
    monkeypatch.setattr(cards, "DRIVERS", ("/no/such/driver",))
    assert await cards.card_of("cpu") is None
    assert await cards.card_of("auto") is None
    with pytest.raises(AssertionError):
        await cards.card_of("cuda:1")


async def test_a_card_is_known_by_its_own_number(monkeypatch):
    """The same card under two names is one; a device that is not there is none, and the training says so."""
    told = {"cuda": '["GPU-1", "Test card (cuda)"]', "cuda:0": '["GPU-1", "Test card (cuda:0)"]', "cuda:7": "null"}
    monkeypatch.setattr(cards, "known", {})
    monkeypatch.setattr(cards, "WORDS", ("printf", "%s"))
    found = {device: await cards.asked_of_torch(json) for device, json in told.items()}
    assert found["cuda"].key == found["cuda:0"].key == "GPU-1"
    assert found["cuda:7"] is None
    monkeypatch.setattr(cards, "WORDS", ("false",))
    assert await cards.asked_of_torch("cuda") is None
