"""Files of prompts come in: good lines are stored, all others told of, and those with media when these are here."""

import asyncio
from collections.abc import Sequence
from typing import IO, Any, BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.jobs.queue import enqueue
from app.lines import Row, Unreadable, next_chunk, read_rows, spooled
from app.markup import render_markdown
from app.media.drawing import draw_parts
from app.media.rules import CannotStand, Known, filled, has_media
from app.projects.actions import locked
from app.projects.tables import Project
from app.prompts.actions.placing import Read, ready, take_in
from app.prompts.actions.waiting import Illustrated, address_of_media, settled_lines, whose_media_are_here
from app.prompts.forms import NewPrompt, Outcome, Report, as_prompt
from app.prompts.jobs import PromptsArrived
from app.prompts.rules import text_of
from app.prompts.tables import Import, Use
from app.translation import stored_in_english

Line = Illustrated[NewPrompt]


@stored_in_english
async def import_prompts(
    session: AsyncSession,
    project_id: int,
    name: str,
    stream: BinaryIO,
    actor_id: int | None,
    *,
    dry_run: bool = False,
    tags: tuple[str, ...] = (),
) -> Report:
    """Take in a JSONL file or JSON array of prompts; good lines come in, the report speaks of all others.

    Lines whose media are still to come wait for them, and the report grows as they do. stream: seekable bytes. tags:
    given to every prompt of the file. dry_run: the same report, and nothing is kept.
    One transaction, so a file that breaks off leaves nothing half done; imports of one project wait for each other.
    The whole file is read before the first statement: long prompts take longer than a transaction may wait for us.
    """
    report = Report(name=name, dry_run=dry_run)
    with await asyncio.to_thread(_read_all, stream, tags) as lines:
        project = await locked(session, project_id)
        async with session.begin_nested() as attempt:
            record = Import(project_id=project_id, name=name, report={}, created_by_id=actor_id)
            session.add(record)
            await session.flush()
            while chunk := await asyncio.to_thread(next_chunk, lines):
                whole = await _with_media(session, project, record, chunk, report)
                await take_in(session, project, record.id, whole, report)
            if dry_run:
                await attempt.rollback()
    if dry_run:
        return report
    report.id = record.public_id
    record.report = report.model_dump(mode="json")
    await _tell(session, project, record, report, actor_id)
    return report


async def _tell(session: AsyncSession, project: Project, record: Import, report: Report, actor_id: int | None) -> None:
    await session.flush()
    counts = report.model_dump(include={outcome.value for outcome in Outcome})
    await events.record(
        session,
        "prompts.imported",
        actor_id=actor_id,
        project_id=project.id,
        subject=record.public_id,
        name=report.name,
        **counts,
    )
    if report.uses.get(Use.label):
        await enqueue(session, PromptsArrived(project_id=project.id))


def _read_all(stream: BinaryIO, tags: tuple[str, ...]) -> IO[bytes]:
    """The lines of a file, parsed, rendered and hashed; runs in a thread, beside the people who answer."""
    read = (row if isinstance(row, Unreadable) else _read(row, tags) for row in read_rows(stream))
    return spooled(read, lambda line: sum(map(len, line.html)) if isinstance(line, Read) else 0)


async def take_in_settled(session: AsyncSession, project_id: int, medium_id: int) -> None:
    """Bring in the lines that waited for this medium last; what became of them goes into their import's report."""
    project = await locked(session, project_id)
    for record, lines in await settled_lines(session, project_id, medium_id, "prompts"):
        report = Report.model_validate(record.report)
        report.settle({line.number for line in lines})
        read = [Line(line.number, prompt := NewPrompt.model_validate(line.value), _parts(prompt)) for line in lines]
        before = report.uses.get(Use.label, 0)
        whole = await _with_media(session, project, record, read, report)
        await take_in(session, project, record.id, whole, report)
        record.report = report.model_dump(mode="json")
        await session.flush()
        if report.uses.get(Use.label, 0) > before:
            await enqueue(session, PromptsArrived(project_id=project.id))


async def take_in_one(session: AsyncSession, project: Project, value: dict[str, Any]) -> Report:
    """One prompt of text alone, which no file brought. project: locked."""
    report = Report()
    read = _read(Row(1, value), ())
    await take_in(session, project, None, [read] if not isinstance(read, Illustrated) else [], report)
    return report


def _read(row: Row, tags: tuple[str, ...]) -> Read | Unreadable | Line:
    try:
        prompt = as_prompt(row.value)
    except ValueError as error:
        return Unreadable(row.number, str(error))
    if tags:
        prompt = prompt.model_copy(update={"tags": tuple(dict.fromkeys((*prompt.tags, *tags)))})
    if any(map(has_media, _parts(prompt))):
        return Line(row.number, prompt, _parts(prompt))
    return ready(row.number, prompt, [render_markdown(text_of(parts)) for parts in _parts(prompt)])


def _parts(prompt: NewPrompt) -> list[list[dict[str, Any]]]:
    return [message["parts"] for message in prompt.messages]


async def _with_media(
    session: AsyncSession, project: Project, record: Import, chunk: Sequence[Read | Unreadable | Line], report: Report
) -> list[Read | Unreadable]:
    """The chunk with its media filled in, without the lines that have to wait."""
    held = [line for line in chunk if isinstance(line, Illustrated)]
    known, ready = await whose_media_are_here(session, record, held, report)
    address = address_of_media(project)
    drawn = await asyncio.to_thread(lambda: [_draw(line, known, address) for line in ready])
    return [line for line in chunk if not isinstance(line, Illustrated)] + drawn


def _draw(line: Line, known: dict[str, Known], address: str) -> Read | Unreadable:
    try:
        whole = [message | {"parts": filled(message["parts"], known)} for message in line.value.messages]
    except CannotStand as error:
        return Unreadable(line.number, str(error))
    html = [draw_parts(message["parts"], known, address) for message in whole]
    return ready(line.number, line.value.model_copy(update={"messages": whole}), html)
