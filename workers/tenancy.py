"""The sampler and its card: the card is its own while somebody asks, and a training's when nobody does.

Generation and live chats share one process, so they need no card of each other: only what the sampler wants the card
for is told, and what else wants it.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from app import database
from app.jobs.actions import LIVES, bid, give_up
from app.jobs.rules import Card, Use, must_yield
from workers.sampling.engine import Engine

log = logging.getLogger("hone.sampling")

BEAT = 1.0  # seconds between two looks: so long a chat waits at most before it is told that it wants the card


@dataclass
class Tenancy:
    """has: the card is ours and weights may lie on it. use: what for, the last time it was wanted."""

    engine: Engine
    card: Card
    holder: UUID = field(default_factory=uuid4)
    has: bool = False
    use: Use = Use.generation
    heard_at: float = 0.0
    moving: asyncio.Task[None] | None = None

    async def stay(self) -> None:
        """Until cancelled. What is asked before the card is ours waits."""
        await self.engine.move_off()
        while True:
            try:
                await self.look()
                self.heard_at = time.monotonic()
            except Exception:
                log.exception("the card %s was not asked for", self.card.name)
                if self.has and time.monotonic() - self.heard_at > LIVES.total_seconds():
                    await self.leave()  # the card counts as nobody's by now
            await asyncio.sleep(BEAT)

    async def look(self) -> None:
        """One sign of life; whatever has to change hands does."""
        wanted = self.engine.demand
        if wanted is None and not self.has:
            return
        now = None if wanted is None else Use.talk if wanted == "talk" else Use.generation
        self.use = now or self.use
        async with database.transaction() as session:
            standing = await bid(session, self.card, self.holder, self.use)
        if self.moving or not standing.has or must_yield(now, self.engine.quiet, standing.waiting):
            if await self.leave() and standing.has:
                async with database.transaction() as session:
                    await give_up(session, self.card, self.holder)
        elif not self.has:
            self.has = True
            self.engine.come_back()
            log.info("on %s", self.card.name)

    async def leave(self) -> bool:
        """Whether the weights are off: the running batch ends first, which may take several looks."""
        self.moving = self.moving or asyncio.create_task(self.engine.move_off())
        done, _going_on = await asyncio.wait([self.moving], timeout=BEAT)
        if not done:
            return False
        self.moving = None
        if self.has:
            log.info("off %s", self.card.name)
        self.has = False
        return True

    async def end(self) -> None:
        """The process stops and its weights are gone: nobody has to wait until we count as dead."""
        with suppress(Exception):
            async with database.transaction() as session:
                await give_up(session, self.card, self.holder)
