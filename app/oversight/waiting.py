"""What people contest, as reviewers are shown it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import in_words
from app.oversight.listing import Row, rows_of
from app.quality.adjudicating import answered_by
from app.quality.tables import Contest
from app.tasks.queries import protocol_body
from app.tasks.tables import Task


@dataclass(frozen=True)
class ContestShown:
    """said, accepted: in words, with the letters of the task's own order; html: the argument; task: what was asked.
    is_mine: the reader gave this answer. answered_it: the reader answered its task; accepting is for somebody else."""

    contest: Contest
    annotation: UUID
    task: Row
    rater: str | None
    said: str
    accepted: list[str]
    html: str
    is_mine: bool
    answered_it: bool


async def contests_shown(
    session: AsyncSession, rows: Sequence[Any], me: int, care: Iterable[dict[str, Any]]
) -> list[ContestShown]:
    """Rows of `quality.contesting.contests`. care: the project's categories as stored."""
    tasks = {row.task.id: row for row in await rows_of(session, [said.task_id for _held, said, *_rest in rows], care)}
    answered = set(await session.scalars(select(Task.id).where(Task.id.in_(tasks), answered_by(me))))
    shown = []
    for held, said, body, argued, _task, rater in rows:
        own, order = await protocol_body(session, said.protocol_id), sorted(said.sides)
        accepted = []
        if argued is not None:
            theirs = await protocol_body(session, argued.protocol_id)
            accepted = [in_words(body, order, theirs) for body in argued.bodies]
        words, html = in_words(body, order, own), argued.html if argued else ""
        whose = {"is_mine": said.annotator_id == me, "answered_it": said.task_id in answered}
        shown.append(ContestShown(held, said.public_id, tasks[said.task_id], rater, words, accepted, html, **whose))
    return shown


async def open_contests(session: AsyncSession, project_id: int) -> int:
    is_open = (Contest.project_id == project_id, Contest.closed_at.is_(None))
    return await session.scalar(select(func.count()).select_from(Contest).where(*is_open)) or 0
