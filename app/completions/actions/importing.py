"""Ready-made completions from a file, with the same kind of report as prompts."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.completions.forms import NewCompletion, as_completion
from app.completions.jobs import CompletionsArrived
from app.completions.queries import known_answers, prompts_by_any_id
from app.completions.rules import flaw_of, in_jobs
from app.completions.tables import Completion
from app.jobs.queue import enqueue
from app.lines import Row, Unreadable, read_rows
from app.markup import render_markdown
from app.projects.actions import locked
from app.prompts.forms import Outcome, Report
from app.prompts.rules import content_hash, text_of
from app.prompts.tables import Import, Prompt
from app.translation import _

CHUNK = 500  # lines read and written at once


@dataclass(frozen=True)
class Read:
    number: int
    completion: NewCompletion
    hash: bytes
    html: str


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

    The same answer of the same author to the same prompt is stored once. One transaction.
    """
    await locked(session, project_id)
    report = Report(name=name, dry_run=dry_run)
    rows, arrived = read_rows(stream), set[int]()
    async with session.begin_nested() as attempt:
        while chunk := await asyncio.to_thread(_read_chunk, rows):
            arrived |= await _take_in(session, project_id, chunk, report)
        if dry_run:
            await attempt.rollback()
    if dry_run:
        return report
    record = Import(project_id=project_id, name=name, subject="completions", report={}, created_by_id=actor_id)
    session.add(record)
    await session.flush()
    report.id = record.public_id
    record.report = report.model_dump(mode="json")
    await session.flush()
    for some in in_jobs(sorted(arrived), 64):
        await enqueue(session, CompletionsArrived(project_id=project_id, prompt_ids=some))
    counts = report.model_dump(include={"new", "identical", "conflicting", "refused"})
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


def _read_chunk(rows: Iterator[Row | Unreadable]) -> list[Read | Unreadable]:
    return [row if isinstance(row, Unreadable) else _read(row) for row in islice(rows, CHUNK)]


def _read(row: Row) -> Read | Unreadable:
    try:
        completion = as_completion(row.value)
    except ValueError as error:
        return Unreadable(row.number, str(error))
    return Read(row.number, completion, content_hash(completion.parts), render_markdown(text_of(completion.parts)))


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
    return {
        "project_id": prompt.project_id,
        "prompt_id": prompt.id,
        "author": line.completion.author,
        "parts": line.completion.parts,
        "html": line.html,
        "content_hash": line.hash,
        "flaw": flaw_of(text_of(line.completion.parts), text_of(prompt.messages[-1]["parts"])),
    }
