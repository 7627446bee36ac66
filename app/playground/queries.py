"""Questions about the playground."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.checkpoints.tables import Checkpoint
from app.errors import NotFound
from app.playground.rules import Result
from app.playground.tables import Play, PlayAnswer
from app.prompts.tables import Prompt, Use


@dataclass(frozen=True)
class Given:
    """What a checkpoint said, or has not said yet. reference: what its tokens are compared with."""

    row: PlayAnswer
    checkpoint: Checkpoint
    reference: Checkpoint | None

    @property
    def result(self) -> Result | None:
        return None if self.row.result is None else Result.model_validate(self.row.result)

    @property
    def is_awaited(self) -> bool:
        return self.row.answered_at is None


def plays_of(project_id: int, owner_id: int) -> Select[Play]:
    """A person's own, unordered."""
    return select(Play).where(Play.project_id == project_id, Play.owner_id == owner_id)


async def play_of(session: AsyncSession, project_id: int, owner_id: int, public_id: UUID) -> Play:
    """:raises NotFound: no such play, or another person's."""
    found = (await session.scalars(plays_of(project_id, owner_id).where(Play.public_id == public_id))).one_or_none()
    if found is None:
        raise NotFound
    return found


async def given_in(session: AsyncSession, play_id: int) -> list[Given]:
    """The answers of a play, in their order."""
    reference: Any = aliased(Checkpoint)
    asked = (
        select(PlayAnswer, Checkpoint, reference)
        .join(Checkpoint, Checkpoint.id == PlayAnswer.checkpoint_id)
        .outerjoin(reference, reference.id == PlayAnswer.reference_id)
        .where(PlayAnswer.play_id == play_id)
        .order_by(PlayAnswer.number)
    )
    return [Given(*row) for row in await session.execute(asked)]


async def lines_of(session: AsyncSession, plays: Sequence[Play]) -> dict[int, dict[str, Any]]:
    """Of plays (by inside id) what a list shows beside them: the outside id of their reward model, and their answers
    in order without what they say, which may be megabytes."""
    wanted = [one.id for one in plays]
    judged = select(Play.id, Checkpoint.public_id).join(Checkpoint, Checkpoint.id == Play.reward_id)
    rewards = {row.id: row.public_id for row in await session.execute(judged.where(Play.id.in_(wanted)))}
    found: dict[int, dict[str, Any]] = {one: {"reward": rewards.get(one), "answers": []} for one in wanted}
    asked = (
        select(PlayAnswer.play_id, Checkpoint.public_id, PlayAnswer.answered_at, PlayAnswer.reason)
        .join(Checkpoint, Checkpoint.id == PlayAnswer.checkpoint_id)
        .where(PlayAnswer.play_id.in_(wanted))
        .order_by(PlayAnswer.play_id, PlayAnswer.number)
    )
    for play, checkpoint, answered_at, reason in await session.execute(asked):
        line = {"checkpoint": checkpoint, "answered_at": answered_at, "reason": reason}
        found[play]["answers"].append(line)
    return found


async def awaited_by(session: AsyncSession, owner_id: int) -> int:
    """How many answers a person still waits for, in all projects."""
    asked = select(func.count()).select_from(PlayAnswer).join(Play, Play.id == PlayAnswer.play_id)
    return (await session.scalar(asked.where(Play.owner_id == owner_id, PlayAnswer.answered_at.is_(None)))) or 0


async def age_of(session: AsyncSession, play: Play) -> float:
    """Seconds since it was asked, by the database's clock."""
    asked = select(func.extract("epoch", func.now() - Play.created_at)).where(Play.id == play.id)
    return float(await session.scalar(asked) or 0)


async def draw_prompt(session: AsyncSession, project_id: int) -> Prompt | None:
    """Any prompt that people judge answers to, else one for training; none that is sensitive for something.

    One look at a random place in the index, however many there are.
    """
    for use in (Use.label, Use.train):
        mine = (Prompt.project_id == project_id, Prompt.use == use)
        low, high = (await session.execute(select(func.min(Prompt.id), func.max(Prompt.id)).where(*mine))).one()
        if low is None:
            continue
        start = secrets.randbelow(high - low + 1) + low
        fit = select(Prompt).where(*mine, Prompt.retired_at.is_(None), Prompt.care == 0).order_by(Prompt.id).limit(1)
        for there in (Prompt.id >= start, Prompt.id < start):
            found = await session.scalar(fit.where(there))
            if found is not None:
                return found
    return None
