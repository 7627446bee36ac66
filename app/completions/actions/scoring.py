"""Scores of a reward model come in: Hone's own trainings keep theirs in files, so whoever wants them beside what people
say sends them."""

from collections.abc import Sequence
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
        }
        for one in scores
    }
    kept = insert(Score).values(list(rows.values()))
    fresh = {"value": kept.excluded.value, "uncertainty": kept.excluded.uncertainty, "created_at": func.now()}
    await session.execute(kept.on_conflict_do_update(index_elements=["completion_id", "checkpoint_id"], set_=fresh))
    told: dict[str, Any] = {
        "actor_id": actor_id,
        "project_id": project_id,
        "subject": found.public_id,
        "scores": len(rows),
    }
    await events.record(session, "scores.kept", **told)
    return len(rows)
