"""Ready-made completions from a file, with the same kind of report as prompts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.completions.blinding import blinded
from app.completions.forms import NewCompletion, as_completion
from app.completions.jobs import CompletionsArrived
from app.completions.queries import known_answers, prompts_by_any_id
from app.completions.rules import flaw_of, in_jobs
from app.completions.tables import Completion
from app.jobs.queue import enqueue
from app.lines import Row, Unreadable, next_chunk, read_rows, spooled
from app.markup import render_markdown
from app.media.drawing import draw_parts
from app.media.rules import CannotStand, Known, filled, has_media, is_medium
from app.projects.actions import locked
from app.projects.tables import Project
from app.prompts.actions.waiting import Illustrated, address_of_media, settled_lines, whose_media_are_here
from app.prompts.forms import Outcome, Report
from app.prompts.rules import content_hash, text_of
from app.prompts.tables import Import, Prompt
from app.translation import _, stored_in_english

Line = Illustrated[NewCompletion]


@dataclass(frozen=True)
class Read:
    number: int
    completion: NewCompletion
    hash: bytes
    html: str


@stored_in_english
async def import_completions(
    session: AsyncSession,
    project_id: int,
    name: str,
    stream: BinaryIO,
    actor_id: int | None,
    *,
    dry_run: bool = False,
) -> Report:
    """Take in a JSONL file or JSON array of {prompt_id, text, model}; what the report says is as for prompts.

    The same answer of the same author to the same prompt is stored once. One transaction, before whose first statement
    the whole file is read.
    """
    report, arrived = Report(name=name, dry_run=dry_run), set[int]()
    with await asyncio.to_thread(_read_all, stream) as lines:
        project = await locked(session, project_id)
        async with session.begin_nested() as attempt:
            record = Import(project_id=project_id, name=name, subject="completions", report={}, created_by_id=actor_id)
            session.add(record)
            await session.flush()
            while chunk := await asyncio.to_thread(next_chunk, lines):
                whole = await _with_media(session, project, record, chunk, report)
                arrived |= await _take_in(session, project_id, whole, report)
            if dry_run:
                await attempt.rollback()
    if dry_run:
        return report
    report.id = record.public_id
    record.report = report.model_dump(mode="json")
    await session.flush()
    await _tell_arrived(session, project_id, arrived)
    counts = report.model_dump(include={outcome.value for outcome in Outcome})
    await events.record(
        session,
        "completions.imported",
        actor_id=actor_id,
        project_id=project_id,
        subject=record.public_id,
        name=name,
        **counts,
    )
    return report


async def take_in_settled(session: AsyncSession, project_id: int, medium_id: int) -> None:
    """Bring in the lines that waited for this medium last; what became of them goes into their import's report."""
    project = await locked(session, project_id)
    for record, lines in await settled_lines(session, project_id, medium_id, "completions"):
        report = Report.model_validate(record.report)
        report.settle({line.number for line in lines})
        read = [Line(line.number, one := NewCompletion.model_validate(line.value), [one.parts]) for line in lines]
        whole = await _with_media(session, project, record, read, report)
        arrived = await _take_in(session, project_id, whole, report)
        record.report = report.model_dump(mode="json")
        await session.flush()
        await _tell_arrived(session, project_id, arrived)


async def _tell_arrived(session: AsyncSession, project_id: int, prompt_ids: set[int]) -> None:
    for some in in_jobs(sorted(prompt_ids), 64):
        await enqueue(session, CompletionsArrived(project_id=project_id, prompt_ids=some))


def _read_all(stream: BinaryIO) -> IO[bytes]:
    """The lines of a file, parsed, rendered and hashed; runs in a thread, beside the people who answer."""
    read = (row if isinstance(row, Unreadable) else _read(row) for row in read_rows(stream))
    return spooled(read, lambda line: len(line.html) if isinstance(line, Read) else 0)


def _read(row: Row) -> Read | Unreadable | Line:
    try:
        completion = as_completion(row.value)
    except ValueError as error:
        return Unreadable(row.number, str(error))
    if has_media(completion.parts):
        return Line(row.number, completion, [completion.parts])
    shown = blinded(text_of(completion.parts), [completion.author])
    return Read(row.number, completion, content_hash(completion.parts), render_markdown(shown))


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
        parts = filled(line.value.parts, known)
    except CannotStand as error:
        return Unreadable(line.number, str(error))
    whole = line.value.model_copy(update={"parts": parts})
    shown = [part | {"text": blinded(part["text"], [whole.author])} if "text" in part else part for part in parts]
    return Read(line.number, whole, content_hash(parts), draw_parts(shown, known, address))


async def _take_in(session: AsyncSession, project_id: int, chunk: list[Read | Unreadable], report: Report) -> set[int]:
    """Store what is new, note what became of each line; returns the prompts (inside ids) that got answers."""
    good = [line for line in chunk if isinstance(line, Read)]
    prompts = await prompts_by_any_id(session, project_id, {line.completion.prompt for line in good})
    known = await known_answers(session, {prompt.id for prompt in prompts.values()})
    values: list[dict[str, Any]] = []
    for line in chunk:
        if isinstance(line, Unreadable):
            report.note(line.number, Outcome.refused, line.reason)
            continue
        prompt = prompts.get(line.completion.prompt)
        if prompt is None:
            reason = _("prompt_id: no prompt here is called “{name}”").format(name=line.completion.prompt)
            report.note(line.number, Outcome.refused, reason)
        elif (same := (prompt.id, line.completion.author, line.hash)) in known:
            report.note(line.number, Outcome.identical, None, line.completion.prompt)
        else:
            known.add(same)
            report.note(line.number, Outcome.new)
            values.append(_values(line, prompt))
    if values:
        await session.execute(insert(Completion), values)
    return {value["prompt_id"] for value in values}


def _values(line: Read, prompt: Prompt) -> dict[str, Any]:
    flaw = flaw_of(text_of(line.completion.parts), text_of(prompt.messages[-1]["parts"]))
    return {
        "project_id": prompt.project_id,
        "prompt_id": prompt.id,
        "author": line.completion.author,
        "parts": line.completion.parts,
        "html": line.html,
        "content_hash": line.hash,
        "flaw": None if any(map(is_medium, line.completion.parts)) else flaw,
    }
