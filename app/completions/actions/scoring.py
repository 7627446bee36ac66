"""Scores of a reward model are kept: those that somebody sends, and what our own say of answers that are asked about
(`quality.jobs.ScoreAnswers`)."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint, CheckpointKind
from app.completions.forms import SentScore
from app.completions.tables import Completion, Score
from app.errors import Invalid, NotFound
from app.translation import _


async def keep_scores(
    session: AsyncSession, project_id: int, checkpoint: UUID, scores: Sequence[SentScore], actor_id: int
) -> int:
    """In place of those that are there. How many were kept.

    :raises NotFound: no such checkpoint here. :raises Invalid: it scores nothing, or a completion is none of the
    project.
    """
    asked = select(Checkpoint).where(Checkpoint.public_id == checkpoint)
    asked = asked.where((Checkpoint.project_id == project_id) | Checkpoint.project_id.is_(None))
    found = await session.scalar(asked)
    if found is None:
        raise NotFound
    if found.kind is not CheckpointKind.reward:
        raise Invalid(field="checkpoint", reason=_("it is no reward model"))
    wanted = {one.completion for one in scores}
    here = select(Completion.public_id, Completion.id)
    here = here.where(Completion.project_id == project_id, Completion.public_id.in_(wanted))
    ids = {row.public_id: row.id for row in await session.execute(here)}
    if strange := next((one for one in wanted if one not in ids), None):
        raise Invalid(field="scores", reason=_("{id} is no completion of this project").format(id=strange))
    rows = {
        ids[one.completion]: {
            "completion_id": ids[one.completion],
            "checkpoint_id": found.id,
            "project_id": project_id,
            "value": one.value,
            "uncertainty": one.uncertainty,
            "members": one.members,
        }
        for one in scores
    }
    await _keep(session, list(rows.values()))
    await note_scores(session, project_id, found, len(rows), actor_id)
    return len(rows)


async def keep_members(
    session: AsyncSession, project_id: int, checkpoint_id: int, said: Mapping[int, Sequence[float]]
) -> None:
    """What each member of an ensemble says of some completions (inside ids), in log-odds; two members or more."""
    about = {"project_id": project_id, "checkpoint_id": checkpoint_id}
    told = [
        {"completion_id": one, "value": fmean(members), "uncertainty": stdev(members), "members": list(members)}
        for one, members in said.items()
    ]
    if told:
        await _keep(session, [about | one for one in told])


async def note_scores(
    session: AsyncSession, project_id: int, checkpoint: Checkpoint, count: int, actor_id: int | None = None
) -> None:
    told: dict[str, Any] = {"project_id": project_id, "subject": checkpoint.public_id, "scores": count}
    await events.record(session, "scores.kept", actor_id=actor_id, **told)


async def _keep(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    """In place of those that are there."""
    kept = insert(Score).values(rows)
    fresh: dict[str, Any] = {name: kept.excluded[name] for name in ("value", "uncertainty", "members")}
    fresh["created_at"] = func.now()
    await session.execute(kept.on_conflict_do_update(index_elements=["completion_id", "checkpoint_id"], set_=fresh))
