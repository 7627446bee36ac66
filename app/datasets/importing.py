"""Labelled data comes in: lines of a dataset, frozen here or elsewhere, as tasks with their answers and every vote.

The whole file is read, and what it holds is rendered, before the first statement; see `prompts.actions.importing`.
"""

import asyncio
import pickle
from collections.abc import Iterator
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.datasets.arriving import Arriving
from app.datasets.reading import Read, TaskRead, read_line, task_of
from app.datasets.readying import Ready, made_ready, media_of
from app.lines import Unreadable, read_rows
from app.media.queries import known_media
from app.media.rules import CannotStand
from app.projects.actions import locked
from app.projects.tables import Project
from app.prompts.actions.waiting import address_of_media
from app.prompts.forms import Outcome, Report
from app.prompts.tables import Import

CHUNK = 200  # tasks written at once
IN_MEMORY = 16_000_000  # bytes of a file that has been read; more lie on disk until they are written

Chunk = list[Unreadable | TaskRead | Ready]


async def import_dataset(
    session: AsyncSession,
    project_id: int,
    name: str,
    stream: BinaryIO,
    actor_id: int | None,
    *,
    dry_run: bool = False,
) -> Report:
    """Take in a JSONL file or JSON array of records (`datasets.records`) or lines by hand (`reading.simple`).

    Prompts, completions, closed tasks in a round of their own, and answers by people who cannot sign in. What is here
    already stays as it is, so a file that comes twice adds nothing. Nobody is asked anything because of it. The report
    is as for prompts. stream: seekable bytes. One transaction; imports of one project wait for each other.
    """
    report = Report(name=name, dry_run=dry_run)
    with await asyncio.to_thread(_read_all, stream) as chunks:
        project = await locked(session, project_id)
        async with session.begin_nested() as attempt:
            record = Import(project_id=project_id, name=name, subject="datasets", report={}, created_by_id=actor_id)
            session.add(record)
            await session.flush()
            arriving = await Arriving.of(session, project, record, report)
            while chunk := await asyncio.to_thread(_next_chunk, chunks):
                await arriving.take_in(await _illustrated(session, project, chunk, report))
            if dry_run:
                await attempt.rollback()
    report.lines.sort(key=lambda said: said.line)
    if dry_run:
        return report
    report.id = record.public_id
    record.report = report.model_dump(mode="json")
    await session.flush()
    counts = {outcome.value: getattr(report, outcome.value) for outcome in Outcome}
    await events.record(
        session,
        "dataset.imported",
        actor_id=actor_id,
        project_id=project_id,
        subject=record.public_id,
        name=name,
        **counts,
    )
    return report


def _read_all(stream: BinaryIO) -> IO[bytes]:
    """The tasks of a file, read, put together and rendered, as a file of chunks; runs in a thread."""
    chunks = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  (the caller closes it)
    with SpooledTemporaryFile(IN_MEMORY) as lines:
        found = _tasks(stream, lines)
        while chunk := list(islice(found, CHUNK)):
            pickle.dump(chunk, chunks)
    chunks.seek(0)
    return chunks


def _tasks(stream: BinaryIO, lines: IO[bytes]) -> Iterator[Unreadable | TaskRead | Ready]:
    """What cannot be read; then every task from all its lines, wherever in the file they stand. lines: for those that
    wait for the end of the file."""
    places: dict[str, list[int]] = {}
    for row in read_rows(stream):
        try:
            if isinstance(row, Unreadable):
                yield row
                continue
            line = read_line(row.number, row.value)
        except ValueError as error:
            yield Unreadable(row.number, str(error))
            continue
        places.setdefault(line.task, []).append(lines.tell())
        pickle.dump(line, lines)
    for there in places.values():
        task = task_of([_line_at(lines, place) for place in there])
        yield task if media_of(task) else made_ready(task, {}, "")


def _line_at(lines: IO[bytes], place: int) -> Read:
    lines.seek(place)
    return pickle.load(lines)  # type: ignore[no-any-return]  # noqa: S301  (our own file, and it has no name)


def _next_chunk(chunks: IO[bytes]) -> Chunk:
    """The next chunk of what `_read_all` wrote; empty at the end."""
    try:
        return pickle.load(chunks)  # type: ignore[no-any-return]  # noqa: S301  (our own file, and it has no name)
    except EOFError:
        return []


async def _illustrated(session: AsyncSession, project: Project, chunk: Chunk, report: Report) -> list[Ready]:
    """The tasks of a chunk with their media; lines that cannot be read, or whose media are not here, are told of."""
    for one in chunk:
        if isinstance(one, Unreadable):
            report.note(one.number, Outcome.refused, one.reason)
    held = [one for one in chunk if isinstance(one, TaskRead)]
    known = await known_media(session, project.id, set[str]().union(*(media_of(task) for task in held)))
    known |= {found.sha256: found for found in known.values() if found.sha256}
    ready = [one for one in chunk if isinstance(one, Ready)]
    for task in held:
        try:
            ready.append(await asyncio.to_thread(made_ready, task, known, address_of_media(project)))
        except CannotStand as reason:
            task.refuse(str(reason))
            ready.append(Ready(task))
    return ready
