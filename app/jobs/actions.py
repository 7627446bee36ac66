"""Bids for a card: made, kept alive, and given up. All of one card's bids queue at one lock, for milliseconds."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.rules import Bid, Card, Standing, Use, standing_of
from app.jobs.tables import CardBid

LIVES = timedelta(seconds=20)  # without a sign of life, by the database's clock


async def bid(session: AsyncSession, card: Card, holder: UUID, use: Use) -> Standing:
    """Say that this holder lives and wants the card, or has it still. Where nobody has it and it is the first to get
    it, it has it from now on."""
    await take_turns(session, card)
    await session.execute(delete(CardBid).where(CardBid.card == card.key, CardBid.beat_at < func.now() - LIVES))
    made = upsert(CardBid).values(card=card.key, holder=holder, use=use)
    renewed = {"use": made.excluded.use, "beat_at": func.now()}
    await session.execute(made.on_conflict_do_update(index_elements=["card", "holder"], set_=renewed))
    standing = standing_of(await bids_for(session, card), holder)
    if standing.has:
        mine = (CardBid.card == card.key) & (CardBid.holder == holder)
        await session.execute(update(CardBid).where(mine, ~CardBid.is_held).values(is_held=True))
    return standing


async def take_turns(session: AsyncSession, card: Card) -> None:
    """One after the other until the transaction ends: each sees what the one before did."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("hone.card " + card.key, 0))))


async def bids_for(session: AsyncSession, card: Card) -> list[Bid]:
    """In the order in which they came."""
    asked = select(CardBid.holder, CardBid.use, CardBid.is_held).where(CardBid.card == card.key)
    rows = await session.execute(asked.order_by(CardBid.made_at, CardBid.holder))
    return [Bid(row.holder, Use(row.use), row.is_held) for row in rows]


async def give_up(session: AsyncSession, card: Card, holder: UUID) -> None:
    """Neither have the card nor want it."""
    await session.execute(delete(CardBid).where(CardBid.card == card.key, CardBid.holder == holder))
