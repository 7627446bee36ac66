"""Freezing: the answers a question names become lines in a file that nobody edits."""

import asyncio
import hashlib
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app import events
from app.annotations.conversations import roots_of_conversations
from app.datasets.forms import FreezeForm
from app.datasets.formulas import scorer_of, settled
from app.datasets.jobs import FreezeDataset, FreezingEnded
from app.datasets.lines import Around, Told, lines_of_row
from app.datasets.queries import chosen_answers, folder_of, names_of_checkpoints, protocols_of
from app.datasets.rules import sha256_of
from app.datasets.scoring import Scorer
from app.datasets.tables import Dataset, DatasetState
from app.datasets.tally import Tally
from app.datasets.withdrawing import look_for_withdrawn
from app.errors import Invalid
from app.jobs.queue import enqueue
from app.projects.protocols import ProtocolBody
from app.tasks.actions import freeze_rounds
from app.tasks.tables import Purpose
from app.translation import _
from app.version import code_version

log = logging.getLogger("hone.datasets")
Votes = Sequence[Mapping[str, Any]]

LEFT_BEHIND = 24 * 3600  # seconds
FETCHED = 500  # rows at a time while a dataset is written


class NothingToFreeze(Invalid):
    code = "nothing-to-freeze"
    sentence = _(
        "No answer fits the question, so there is nothing to freeze "
        "(tasks left out for agreement: {left_out}, because their prompt is retired: {retired}, "
        "because their answer is argued: {argued}, as unreadable: {broken}; "
        "votes given without a place in the project: {nameless})."
    )


async def ask_to_freeze(session: AsyncSession, project_id: int, question: FreezeForm, actor_id: int | None) -> Dataset:
    """Note the question; a worker writes the lines. :raises Invalid: the project has no such formula."""
    question = await settled(session, project_id, question)
    dataset = Dataset(
        project_id=project_id, name=question.name, question=question.model_dump(mode="json"), created_by_id=actor_id
    )
    session.add(dataset)
    await session.flush()
    await session.refresh(dataset)
    await enqueue(session, FreezeDataset(dataset_id=dataset.id))
    await events.record(
        session, "dataset.asked_for", actor_id=actor_id, project_id=project_id, subject=dataset.public_id
    )
    return dataset


class Written:
    """What `write_lines` found on its way."""

    def __init__(self, scorer: Scorer | None) -> None:
        self.scorer = scorer
        self.tally = Tally()
        self.hash = hashlib.sha256()
        self.lines = 0
        self.left_out = 0
        self.retired = 0
        self.argued = 0
        self.broken = 0
        self.nameless = 0
        self.versions: dict[str, set[int]] = {"protocol": set(), "guidelines": set()}
        self.checkpoints: set[str] = set()

    def note(self, row: Row[Any], votes: Votes, line: dict[str, Any], agreed: float) -> None:
        self.tally.add(line, agreed)
        self.lines += 1
        for name, versions in self.versions.items():
            versions.update(vote[name] for vote in votes if vote[name] is not None)
        told = row.answers or line.get("answers") or [line[name] for name in ("a", "b") if name in line]
        self.checkpoints.update(one["checkpoint"] for one in told if one["checkpoint"])


async def rows_of(connection: AsyncConnection, project_id: int, question: FreezeForm) -> AsyncIterator[Row[Any]]:
    """A server-side cursor: memory stays flat however many answers there are."""
    result = await connection.stream(chosen_answers(project_id, question).execution_options(yield_per=FETCHED))
    async for row in result:
        yield row


async def write_lines(connection: AsyncConnection, project_id: int, question: FreezeForm, path: Path) -> Written:
    """Write every line the question names to `path`, hashing as it goes. Who retires a prompt wants it out of use, so
    what was said about it stays where it is and comes into no new dataset. A vote needs a pseudonym to stand in a file;
    those of admins who answered before that gave them a place have none, and are counted. A task whose answer is argued
    is there to teach and to look at people, so it comes along only where the question names the purpose gold."""
    written = Written(await scorer_of(connection, project_id, question))
    protocols = await protocols_of(connection, project_id)
    roots = await roots_of_conversations(connection, project_id)
    around = Around(roots, await names_of_checkpoints(connection, project_id))
    with path.open("wb") as file:
        async for row in rows_of(connection, project_id, question):
            if row.retired:
                written.retired += 1
                continue
            if row.argued and Purpose.gold not in question.purposes:
                written.argued += 1
                continue
            named = [vote for vote in row.votes if vote["rater"] is not None]
            written.nameless += len(row.votes) - len(named)
            if len(named) < question.minimum_votes:
                continue
            settled = [row.settled] if row.settled and row.settled["rater"] is not None else []
            for line, agreed in lines_or_none(row, [*named, *settled], protocols, question, written, around):
                if agreed < question.minimum_agreement:
                    written.left_out += 1
                    continue
                raw = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
                file.write(raw)
                written.hash.update(raw)
                written.note(row, named, line, agreed)
        file.flush()
        os.fsync(file.fileno())
    return written


def lines_or_none(
    row: Row[Any],
    votes: Votes,
    protocols: Mapping[int, ProtocolBody],
    question: FreezeForm,
    written: Written,
    around: Around,
) -> list[Told]:
    """The lines of a task. One whose answers do not fit what it shows is counted and has none: it must not end the
    freeze of all others."""
    try:
        return list(lines_of_row(row, votes, protocols, question, written.scorer, around))
    except (ValueError, TypeError, LookupError) as error:
        written.broken += 1
        log.warning("task %s has no lines: %s", row.task, error)
        return []


def manifest_of(written: Written, question: FreezeForm, name: str) -> dict[str, Any]:
    """How the dataset was made; with the question and the code version anybody can make it again."""
    return {
        "schema": {"name": "hone.dataset", "version": 1},
        "name": name,
        "question": question.model_dump(mode="json"),
        "aggregation": {
            "votes": "every live vote of a member is kept; where a reviewer settled the task, theirs alone has weight",
            "prompts": "what was said about prompts that were retired by then is left out",
            "conclusion": "more weight of votes, then strength",
            "weights": "1 a line",
            "split": "sha256 of the component's key (of all roots that are near to each other) against heldout_share; "
            "prompts of use heldout are held out",
        },
        "counts": written.tally.as_json()
        | {
            "left_out_for_agreement": written.left_out,
            "left_out_for_retired_prompts": written.retired,
            "left_out_as_argued": written.argued,
            "left_out_as_unreadable": written.broken,
            "votes_left_out_without_membership": written.nameless,
        },
        "versions": {name: sorted(versions) for name, versions in written.versions.items()},
        "checkpoints": sorted(written.checkpoints),
        "scores": written.scorer.as_json() if written.scorer else None,
        "lines": written.lines,
        "sha256": written.hash.hexdigest(),
        "code_version": code_version(),
    }


def card_of(manifest: dict[str, Any]) -> str:
    """The dataset card that goes along: what it is, in words."""
    counts = manifest["counts"]
    sizes = "\n".join(f"- {split}: {lines} lines" for split, lines in sorted(counts["lines"].items()))
    return (
        f"# {manifest['name']}\n\nWhat people said about completions, with every vote.\n\n{sizes}\n"
        f"- kinds of lines: {orjson.dumps(counts['kinds']).decode()}\n"
        f"- raters: {len(counts['raters'])} (pseudonyms)\n- outcomes: {orjson.dumps(counts['outcomes']).decode()}\n\n"
        f"Frozen by Hone {manifest['code_version']}; SHA-256 of records.jsonl: `{manifest['sha256']}`.\n"
        "The file manifest.json says how it was made.\n"
        "Exports as pairs hold comparisons, rankings and choices, the export for supervised fine-tuning holds "
        "demonstrations; other lines are in the native form alone.\n"
    )


def keep_folder(temporary: Path, home: Path, manifest: dict[str, Any]) -> None:
    """Give the finished folder its final name. The same content frozen twice is one folder; one whose lines somebody
    has changed since holds them again."""
    (temporary / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    (temporary / "README.md").write_text(card_of(manifest), encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):
        flush_to_disk(path)
    final = folder_of(home, manifest["sha256"])
    try:
        temporary.rename(final)
    except OSError:
        if not (final / "records.jsonl").exists():
            raise
        if sha256_of(final / "records.jsonl") != manifest["sha256"]:
            (temporary / "records.jsonl").rename(final / "records.jsonl")
    flush_to_disk(final.parent)


def flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_folder(home: Path) -> Path:
    """A place to write to; what a killed worker left in such places more than a day ago goes away."""
    above = home / "datasets"
    above.mkdir(parents=True, exist_ok=True)
    for left in above.glob(".*.tmp"):
        if left.stat().st_mtime < time.time() - LEFT_BEHIND:
            shutil.rmtree(left, ignore_errors=True)
    folder = above / f".{uuid4()}.tmp"
    folder.mkdir()
    return folder


async def write_dataset(connection: AsyncConnection, dataset: Dataset, home: Path) -> dict[str, Any]:
    """Write the lines that the dataset's question names, from the one moment that `connection` sees; the manifest.

    :raises NothingToFreeze: no answer fits the question. :raises OSError: no room, or no permission.
    """
    question = FreezeForm.model_validate(dataset.question)
    temporary = temporary_folder(home)
    try:
        written = await write_lines(connection, dataset.project_id, question, temporary / "records.jsonl")
        if not written.lines:
            counts = {name: getattr(written, name) for name in ("left_out", "retired", "argued", "broken", "nameless")}
            raise NothingToFreeze(**counts)
        manifest = manifest_of(written, question, dataset.name)
        await asyncio.to_thread(keep_folder, temporary, home, manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


async def conclude_freezing(session: AsyncSession, dataset_id: int, manifest: dict[str, Any]) -> None:
    """The folder has its final name: the dataset is frozen. Told twice, the first holds."""
    dataset = await _still_freezing(session, dataset_id)
    if dataset is None:
        return
    dataset.state, dataset.manifest = DatasetState.frozen, manifest
    dataset.sha256, dataset.lines, dataset.frozen_at = manifest["sha256"], manifest["lines"], func.now()
    await session.flush()
    await look_for_withdrawn(session, dataset.id)
    await freeze_rounds(session, dataset.project_id, dataset.question.get("batches", ()), dataset.created_by_id)
    await enqueue(session, FreezingEnded(dataset_id=dataset.id))
    await events.record(
        session, "dataset.frozen", project_id=dataset.project_id, subject=dataset.public_id, sha256=dataset.sha256
    )


async def give_up_freezing(session: AsyncSession, dataset_id: int, reason: str) -> None:
    """Nothing was frozen, and a sentence says why."""
    dataset = await _still_freezing(session, dataset_id)
    if dataset is None:
        return
    dataset.state, dataset.reason = DatasetState.failed, reason
    await session.flush()
    await enqueue(session, FreezingEnded(dataset_id=dataset.id))
    await events.record(
        session, "dataset.failed", project_id=dataset.project_id, subject=dataset.public_id, reason=reason
    )


async def _still_freezing(session: AsyncSession, dataset_id: int) -> Dataset | None:
    wanted = select(Dataset).where(Dataset.id == dataset_id, Dataset.state == DatasetState.freezing)
    return await session.scalar(wanted.with_for_update())
