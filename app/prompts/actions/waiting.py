"""Lines that hold media: they come in when all of these have been looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import any_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.media.actions import look_for
from app.media.rules import Known, mentions, references
from app.media.tables import Medium, MediumState
from app.projects.tables import Project
from app.prompts.forms import Outcome, Report
from app.prompts.tables import Import, WaitingLine
from app.translation import _

V = TypeVar("V", bound=BaseModel)


@dataclass(frozen=True)
class Illustrated(Generic[V]):
    """A good line with media. parts: of each of its messages, or of its one answer, as the line gave them."""

    number: int
    value: V
    parts: list[list[dict[str, Any]]]

    @property
    def names(self) -> set[str]:
        """Of all the media, as the line gives them."""
        parts = list(chain.from_iterable(self.parts))
        return {*references(parts), *mentions(parts)}


def address_of_media(project: Project) -> str:
    return f"/projects/{project.public_id}/media/"


async def whose_media_are_here(
    session: AsyncSession, record: Import, lines: Sequence[Illustrated[V]], report: Report
) -> tuple[dict[str, Known], list[Illustrated[V]]]:
    """What is known of the lines' media, and the lines that need not wait; the others are put aside and told of.

    Addresses that are new begin to be fetched.
    """
    names = set[str]().union(*(line.names for line in lines))
    known = await look_for(session, record.project_id, names, record.created_by_id)
    known |= {found.sha256: found for found in known.values() if found.sha256}
    ready = []
    for line in lines:
        media = [known[name] for name in sorted(line.names) if name in known]
        if not any(medium.waits for medium in media):
            ready.append(line)
            continue
        session.add(
            WaitingLine(
                project_id=record.project_id,
                import_id=record.id,
                subject=record.subject,
                number=line.number,
                value=line.value.model_dump(mode="json"),
                media_ids=[medium.id for medium in media],
            )
        )
        report.note(line.number, Outcome.waiting, _("its media are being looked at"))
    await session.flush()
    return known, ready


async def settled_lines(
    session: AsyncSession, project_id: int, medium_id: int, subject: str
) -> list[tuple[Import, list[WaitingLine]]]:
    """Lines that waited for this medium and for nothing else any more, by import; they are taken out of the wait."""
    waits = select(Medium.id).where(Medium.id == any_(WaitingLine.media_ids), Medium.state == MediumState.waiting)
    asked = select(WaitingLine).where(
        WaitingLine.project_id == project_id,
        WaitingLine.subject == subject,
        WaitingLine.media_ids.contains([medium_id]),
        ~waits.exists(),
    )
    lines = list(await session.scalars(asked.order_by(WaitingLine.import_id, WaitingLine.number)))
    await session.execute(delete(WaitingLine).where(WaitingLine.id.in_([line.id for line in lines])))
    by_import = groupby(lines, attrgetter("import_id"))
    return [(await session.get_one(Import, import_id), list(some)) for import_id, some in by_import]
