"""One person's page: the answers that a figure rests on, as their reviewers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import in_words
from app.annotations.queries import everybodys
from app.annotations.tables import Annotation
from app.projects.care import categories_of, members_of
from app.projects.tables import Project
from app.tasks.queries import protocol_body

DAYS = 30


@dataclass(frozen=True)
class Evidence:
    """One answer that a sign or a missed known answer is seen by. said: in words. care: names of the categories that
    its prompt is sensitive for, where it must not be shown unasked. seconds: at it."""

    id: UUID
    said: str
    reason: str
    prompt: str
    care: list[str]
    seconds: float | None
    at: datetime
    state: str


async def evidence_of(session: AsyncSession, project: Project, ids: Sequence[int]) -> list[Evidence]:
    """These answers (inside ids), the newest first."""
    if not ids:
        return []
    asked = everybodys(project.id).where(Annotation.id.in_(ids)).order_by(Annotation.id.desc())
    categories = categories_of(project.care)
    return [
        Evidence(
            id=row.public_id,
            said=in_words(row.body, row.sides, await protocol_body(session, row.protocol_id)),
            reason=row.body.get("justification", ""),
            prompt=row.rendered[-1] if row.rendered else "",
            care=[one.name for one in members_of(row.care, categories)],
            seconds=row.active_seconds,
            at=row.submitted_at,
            state=row.state.value,
        )
        for row in (await session.execute(asked)).all()
    ]
