"""Answers to the turns of conversations: from the engine or an endpoint, while a person waits for them."""

import asyncio
import logging

from app.annotations.actions.replying import Seat, Wanted, note_trouble, take_turn, write_replies
from app.annotations.jobs import TurnAsked
from app.annotations.tables import Trouble
from app.checkpoints.queries import location_of
from app.checkpoints.tables import Place
from workers.handlers.completions import NoEngine, as_answer, endpoint_of, may_pass, reason_of
from workers.handlers.registry import Context, handles
from workers.sampling.answers import Completed, NotAnswerable, Sampling
from workers.sampling.remote import Remote

log = logging.getLogger("hone.conversations")
PATIENCE = 60.0  # seconds that an endpoint has for one answer; somebody looks at the page meanwhile
MOST_TRIES = 30  # about 25 minutes; then the person asks again by hand


@handles(TurnAsked)
async def answer_turn(job: TurnAsked, context: Context) -> None:
    """Safe to run twice, and at once: only what is missing is asked for, and what is there is not written again.

    Each checkpoint's answers are kept when they come, so that a slow one costs the others nothing. What fails is told
    on the page; what may pass is tried again by the queue.
    """
    async with context.session() as session:
        wanted = await take_turn(session, job.turn_id)
    if wanted is None:
        return
    ended = await asyncio.gather(*(answer_seat(wanted, seat, context) for seat in wanted.seats), return_exceptions=True)
    failures = [one for one in ended if isinstance(one, BaseException)]
    if not failures:
        return
    worst = next((one for one in failures if not isinstance(one, Exception) or not can_pass(one)), failures[0])
    if not isinstance(worst, Exception):
        raise worst
    is_stuck = not can_pass(worst) or context.attempt + 1 >= MOST_TRIES
    log.warning("turn %s gets no answer: %a", job.turn_id, worst)
    async with context.session() as session:
        await note_trouble(session, job.turn_id, trouble_of(worst), reason_of(worst), is_stuck=is_stuck)
    if not is_stuck:
        raise worst


async def answer_seat(wanted: Wanted, seat: Seat, context: Context) -> None:
    samples = await ask(wanted, seat, context)
    answers = [as_answer(samples[sample]) for sample in seat.samples]
    async with context.session() as session:
        await write_replies(session, wanted.turn_id, seat.missing, answers)


async def ask(wanted: Wanted, seat: Seat, context: Context) -> list[Completed]:
    """All samples of a seat, the first ones again where some are there already: the same seed writes the same."""
    sampling = Sampling(**seat.sampling.model_dump())
    if seat.checkpoint.place is Place.endpoint:
        remote = Remote(timeout=PATIENCE, tries=1)
        try:
            where = endpoint_of(seat.checkpoint)
            found = await remote.complete(where, [wanted.messages], sampling, seat.n, [seat.seed])
        finally:
            await remote.close()
    elif context.engine is None:
        raise NoEngine
    else:
        folder = location_of(seat.checkpoint)
        engine = context.engine
        found = await engine.complete(folder, [wanted.messages], sampling, seat.n, [seat.seed], is_awaited=True)
    return found[0]


def can_pass(error: Exception) -> bool:
    return may_pass(error) and not isinstance(error, NotAnswerable)


def trouble_of(error: Exception) -> Trouble:
    """What the person who waits is told; what exactly went wrong stands beside the turn and in the log."""
    if isinstance(error, NotAnswerable):
        return Trouble.unanswerable
    cause = getattr(error, "cause", None)
    return Trouble(cause) if cause in {one.value for one in Trouble} else Trouble.failing
