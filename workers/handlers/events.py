"""Seals the log of events, far from the paths that write it."""

from app.sealing import MOST, Settling, place_of, seal
from workers.handlers.registry import Context, every

ROUND = 60
SEGMENTS = 20  # a round
settling = Settling()  # of this process: another one, or the next, begins anew and seals the same a little later


@every(ROUND)
async def seal_what_is_settled(context: Context) -> None:
    """A segment a transaction."""
    async with context.session() as session:
        upto = settling.settled(await place_of(session))
    for _segment in range(SEGMENTS if upto else 0):
        async with context.session() as session:
            if await seal(session, upto) < MOST:
                break
