"""Answers of a conversation's turns as the sampler brings them: each written once, however often its job runs."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from random import SystemRandom
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.conversations import Asked, conversation_in, turns_of
from app.annotations.rules import messages_of, seats
from app.annotations.tables import Trouble, Turn, TurnAnswer
from app.checkpoints.queries import serving, writers_of
from app.checkpoints.tables import Checkpoint, CheckpointState
from app.completions.actions import Answer
from app.completions.blinding import blinded
from app.lines import storable
from app.markup import render_markdown
from app.projects.protocols import ConversationProtocol
from app.projects.rules import Sampling
from app.tasks.queries import protocol_body

MOST_REASON = 2000  # characters


@dataclass(frozen=True)
class Seat:
    """What one checkpoint is still asked for: answers `missing` of the turn, by their number, out of `n` samples.

    samples: the place of each missing answer among the n.
    """

    checkpoint: Checkpoint
    sampling: Sampling
    seed: int
    n: int
    missing: tuple[int, ...]
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Wanted:
    """A turn that waits for answers. messages: the conversation up to its words."""

    turn_id: int
    messages: list[dict[str, Any]]
    seats: list[Seat]


async def take_turn(session: AsyncSession, turn_id: int) -> Wanted | None:
    """What is still to be asked for a turn; None when all answers are there, or nobody can be asked (the turn says so).

    Who answers is drawn when this is asked for the first time, and stays.
    """
    turn = await session.scalar(select(Turn).where(Turn.id == turn_id).with_for_update())
    if turn is None:
        return None
    protocol = conversation_in(await protocol_body(session, turn.protocol_id))
    assert protocol is not None, "turns are led under a conversation"
    turns = await turns_of(session, turn.task_id, turn.annotator_id, until=turn.number)
    if not turns[-1].replies:
        if not await draw_seats(session, turns, protocol):
            return None
        turns = await turns_of(session, turn.task_id, turn.annotator_id, until=turn.number)
    if turns[-1].is_answered:
        return None
    messages = messages_of(protocol.system, [(one.turn.words, one.went_on) for one in turns])
    return Wanted(turn.id, messages, await open_seats(session, turns[-1]))


async def draw_seats(session: AsyncSession, turns: Sequence[Asked], protocol: ConversationProtocol) -> bool:
    """Decide who answers the last turn. False: nobody can, and the turn says so."""
    turn = turns[-1].turn
    pool = await pool_of(session, turns, protocol)
    if not pool:
        turn.trouble, turn.is_stuck, turn.reason = Trouble.nobody, True, "no checkpoint of the protocol is ready"
        await session.flush()
        return False
    seeds = {one: secrets.randbelow(1 << 31) for one in pool}
    before: dict[int, int] = dict.fromkeys(pool, 0)
    for number, checkpoint in enumerate(seats(pool, turn.wanted, SystemRandom())):
        session.add(
            TurnAnswer(
                turn_id=turn.id,
                number=number,
                project_id=turn.project_id,
                checkpoint_id=checkpoint,
                sampling=protocol.sampling.as_json(),
                seed=seeds[checkpoint],
                sample=before[checkpoint],
            )
        )
        before[checkpoint] += 1
    await session.flush()
    return True


async def pool_of(session: AsyncSession, turns: Sequence[Asked], protocol: ConversationProtocol) -> list[int]:
    """Checkpoints (inside ids) that may answer the last of these turns."""
    *past, now = turns
    won = [one.replies[one.turn.chosen].row.checkpoint_id for one in past if one.turn.chosen is not None]
    ready = {one.id: str(one.public_id) for one in await writers_of(session, now.turn.project_id)}
    if protocol.later == "winner" and won and won[-1] in ready:
        return [won[-1]]
    if protocol.checkpoints:
        return [one for one, name in ready.items() if name in protocol.checkpoints]
    if protocol.mixed:
        return list(ready)
    served = await serving(session, now.turn.project_id)
    return [served.id] if served is not None and served.state is CheckpointState.ready else []


async def open_seats(session: AsyncSession, asked: Asked) -> list[Seat]:
    """What each checkpoint is still to be asked for."""
    found = []
    rows = sorted((reply.row for reply in asked.replies), key=lambda row: (row.checkpoint_id, row.sample))
    for checkpoint_id, group in groupby(rows, key=lambda row: row.checkpoint_id):
        mine = list(group)
        missing = [row for row in mine if row.parts is None]
        if missing:
            checkpoint = await session.get_one(Checkpoint, checkpoint_id)
            sampling = Sampling.model_validate(mine[0].sampling)
            numbers, samples = tuple(row.number for row in missing), tuple(row.sample for row in missing)
            found.append(Seat(checkpoint, sampling, mine[0].seed, len(mine), numbers, samples))
    return found


async def write_replies(session: AsyncSession, turn_id: int, numbers: Sequence[int], answers: Sequence[Answer]) -> None:
    """Store answers of a turn, one for each number; those that are there stay as they are."""
    texts = [storable(answer.text) for answer in answers]
    of_seat = select(TurnAnswer.checkpoint_id).where(TurnAnswer.turn_id == turn_id, TurnAnswer.number.in_(numbers))
    writer = await session.scalar(select(Checkpoint).where(Checkpoint.id.in_(of_seat)).limit(1))
    names = writer.names if writer else []
    htmls = await asyncio.to_thread(lambda: [render_markdown(blinded(words, names)) for words in texts])
    for number, answer, words, html in zip(numbers, answers, texts, htmls, strict=True):
        mine = (TurnAnswer.turn_id == turn_id, TurnAnswer.number == number, TurnAnswer.parts.is_(None))
        told = {
            "parts": [{"type": "text", "text": words}],
            "html": html,
            "token_count": answer.token_count,
            "finish_reason": answer.finish_reason,
            "logprob_sum": answer.logprob_sum,
            "answered_at": func.now(),
        }
        await session.execute(update(TurnAnswer).where(*mine).values(told))
    waits = select(TurnAnswer.number).where(TurnAnswer.turn_id == turn_id, TurnAnswer.parts.is_(None))
    whole = update(Turn).where(Turn.id == turn_id, ~waits.exists())
    await session.execute(whole.values(trouble=None, reason=None, is_stuck=False))


async def note_trouble(session: AsyncSession, turn_id: int, trouble: Trouble, reason: str, *, is_stuck: bool) -> None:
    """Why answers of a turn have not come; is_stuck: nobody tries again by themselves."""
    waits = select(TurnAnswer.number).where(TurnAnswer.turn_id == turn_id, TurnAnswer.parts.is_(None))
    told = {"trouble": trouble, "reason": storable(reason)[:MOST_REASON], "is_stuck": is_stuck}
    await session.execute(update(Turn).where(Turn.id == turn_id, waits.exists()).values(told))
