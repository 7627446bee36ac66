"""Tasks of a file find their prompts, completions, raters and protocols, and what is new of them is stored.

What is here already stays as it is. A task that a file brought is known by its outside id, which is made from the
project's and the one in the file; one that was made here, by its own.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid5

import orjson
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.joining import add_imported
from app.annotations.tables import Annotation
from app.completions.tables import Completion
from app.datasets.finding import (
    Completions,
    Here,
    Rater,
    as_uuid,
    checkpoints_here,
    imported_protocols,
    raters_here,
    tasks_here,
    told,
)
from app.datasets.reading import Judged
from app.datasets.readying import Ready
from app.datasets.rules import Line
from app.projects.tables import Batch, BatchState, Project, Protocol
from app.prompts.actions.placing import take_in
from app.prompts.forms import Outcome, Report
from app.prompts.queries import same_prompts
from app.prompts.tables import Import
from app.tasks.tables import Slot, SlotState, Task, TaskCompletion, TaskState
from app.translation import _

BEST_FIRST = (Outcome.new, Outcome.conflicting, Outcome.refused, Outcome.identical)  # what a line is told as


@dataclass(frozen=True)
class Fate:
    """What becomes of one rater's judgement. reason: where it does not come in."""

    judged: Judged
    outcome: Outcome
    reason: str | None = None


@dataclass
class Placed:
    """A task of a file in this project. key: the outside id it has here; completions: inside ids in its order, None
    for those that are not here; fates: one for each rater."""

    ready: Ready
    key: UUID
    prompt_id: int
    here: Here | None
    completions: list[int | None] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)

    @property
    def new(self) -> list[Judged]:
        return [fate.judged for fate in self.fates if fate.outcome is Outcome.new]


def fate_of(judged: Judged, placed: Placed, rater: Rater | None) -> Fate:
    """Whether a judgement comes in. rater: who has its rater's name here."""
    here = placed.here
    said = here.said.get(rater.user_id) if here and rater else None
    if said is not None:
        if said == told(judged.body, placed.completions):
            return Fate(judged, Outcome.identical)
        return Fate(judged, Outcome.conflicting, _("this rater's answer is here already and says something else"))
    if here is not None and placed.completions != here.completions:
        return Fate(judged, Outcome.conflicting, _("this task is here already and shows other answers"))
    if len(set(placed.completions)) < len(placed.completions):
        return Fate(judged, Outcome.refused, _("two of its answers are the same"))
    if rater is not None and not rater.is_imported:
        reason = _("“{name}” is somebody of this project, for whom nobody else speaks").format(name=judged.rater)
        return Fate(judged, Outcome.refused, reason)
    return Fate(judged, Outcome.new)


class Arriving:
    """One import under way: what it has found and made so far."""

    def __init__(self, session: AsyncSession, project: Project, record: Import, report: Report, now: datetime) -> None:
        self.session, self.project, self.record, self.report, self.now = session, project, record, report, now
        self.batch: Batch | None = None
        self.protocols: dict[bytes, int] = {}

    @classmethod
    async def of(cls, session: AsyncSession, project: Project, record: Import, report: Report) -> Self:
        """record: stored, in the transaction that everything comes in by."""
        made = cls(session, project, record, report, (await session.execute(select(func.now()))).scalar_one())
        known = await imported_protocols(session, project.id)
        made.protocols = {canonical(protocol.body): protocol.id for protocol in known}
        return made

    async def take_in(self, chunk: Sequence[Ready]) -> None:
        """Store what is new in these tasks, and tell what became of each of their lines."""
        for one in chunk:
            for noted in one.task.noted:
                self.report.note(noted.line, noted.outcome, noted.reason, one.task.key)
        placed = await self._placed([one for one in chunk if one.task.judged])
        await self._find_completions(placed)
        names = {judged.rater for one in placed for judged in one.ready.task.judged}
        raters = await raters_here(self.session, self.project.id, names)
        for task in placed:
            task.fates = [fate_of(judged, task, raters.get(judged.rater)) for judged in task.ready.task.judged]
            self._tell(task.ready, task.fates)
        await self._store([one for one in placed if one.new], raters)

    def _tell(self, ready: Ready, fates: Sequence[Fate]) -> None:
        """Each line as the best that became of what it said."""
        for number in ready.task.lines:
            mine = [fate for fate in fates if number in fate.judged.lines]
            fate = min(mine, key=lambda one: BEST_FIRST.index(one.outcome))
            self.report.note(number, fate.outcome, fate.reason, ready.task.key)

    async def _placed(self, chunk: Sequence[Ready]) -> list[Placed]:
        """The tasks that have a prompt here, found or stored; the lines of the others are told of."""
        keys = [uuid5(self.project.public_id, one.task.key) for one in chunk]
        own = [as_uuid(one.task.key) for one in chunk]
        here = await tasks_here(self.session, self.project.id, {*keys, *filter(None, own)})
        found = [here.get(key) or (here.get(mine) if mine else None) for key, mine in zip(keys, own, strict=True)]
        strangers = [one for one, there in zip(chunk, found, strict=True) if there is None]
        prompts = await self._prompts(strangers)
        placed = []
        for one, key, there in zip(chunk, keys, found, strict=True):
            prompt = prompts[one.task.key] if there is None else there.prompt_id
            reason = _("this task is here already and has another prompt")
            if there is not None and one.prompt and there.prompt_hash != one.prompt.hash:
                self._tell(one, [Fate(judged, Outcome.conflicting, reason) for judged in one.task.judged])
            elif isinstance(prompt, int):
                placed.append(Placed(one, key, prompt, there))
            else:
                outcome, reason = prompt
                self._tell(one, [Fate(judged, outcome, reason) for judged in one.task.judged])
        return placed

    async def _prompts(self, chunk: Sequence[Ready]) -> dict[str, int | tuple[Outcome, str]]:
        """The prompt of each task (its inside id), stored if it is new; or why it cannot stand here."""
        wanted = {number: replace(one.prompt, number=number) for number, one in enumerate(chunk) if one.prompt}
        scratch = Report()
        await take_in(self.session, self.project, self.record.id, list(wanted.values()), scratch)
        outside = {line.line: line for line in scratch.lines if line.outcome is not Outcome.identical}
        hashes = {prompt.hash for prompt in wanted.values()}
        here = {one.content_hash: one.id for one in await same_prompts(self.session, self.project.id, (), hashes)}
        return {
            chunk[number].task.key: (outside[number].outcome, outside[number].reason or "")
            if number in outside
            else here[prompt.hash]
            for number, prompt in wanted.items()
        }

    async def _find_completions(self, placed: Sequence[Placed]) -> None:
        """Every task's completions; those of tasks that are not here are stored if need be."""
        answers = [answer for one in placed for answer in one.ready.answers]
        checkpoints = await checkpoints_here(self.session, self.project.id, (one.checkpoint for one in answers))
        found = Completions(checkpoints)
        await found.look_up(self.session, {one.prompt_id for one in placed})
        new = {
            found.content(one.prompt_id, answer): answer
            for one in placed
            if one.here is None
            for answer in one.ready.answers
            if found.find(one.prompt_id, answer) is None
        }
        if new:
            rows = [
                {
                    "project_id": self.project.id,
                    "prompt_id": prompt_id,
                    "checkpoint_id": checkpoint_id,
                    "author": author,
                    "parts": answer.parts,
                    "html": answer.html,
                    "content_hash": answer.hash,
                    "flaw": answer.flaw,
                }
                for (prompt_id, checkpoint_id, author, _hash), answer in new.items()
            ]
            stored = insert(Completion).returning(Completion.id, sort_by_parameter_order=True)
            found.by_content |= dict(zip(new, await self.session.scalars(stored, rows), strict=True))
        for one in placed:
            one.completions = [found.find(one.prompt_id, answer) for answer in one.ready.answers]

    async def _store(self, placed: Sequence[Placed], raters: dict[str, Rater]) -> None:
        """The new judgements of these tasks, with the tasks that are not here yet."""
        if not placed:
            return
        strangers = {judged.rater for one in placed for judged in one.new} - raters.keys()
        people = await add_imported(self.session, self.project.id, sorted(strangers))
        raters = raters | {name: Rater(user, True) for name, user in people.items()}
        protocols = [judged.protocol for one in placed for judged in one.new]
        await self._keep_protocols(protocols)
        ids = await self._store_tasks(placed)
        slots, said = [], []
        for one in placed:
            first = one.here.slots if one.here else 0
            for number, judged in enumerate(one.new, first):
                about = {
                    "project_id": self.project.id,
                    "task_id": ids[one.key],
                    "annotator_id": raters[judged.rater].user_id,
                    "protocol_id": self.protocols[canonical(judged.protocol)],
                    "sides": judged.sides,
                }
                slots.append(about | {"number": number, "rank": 0, "state": SlotState.done})
                said.append(about | self._answer(one, judged))
        stored = insert(Slot).returning(Slot.id, sort_by_parameter_order=True)
        slot_ids = (await self.session.scalars(stored, slots)).all()
        answers = [one | {"slot_id": slot} for one, slot in zip(said, slot_ids, strict=True)]
        await self.session.execute(insert(Annotation), answers)

    def _answer(self, one: Placed, judged: Judged) -> dict[str, Any]:
        return {
            "idempotency_key": uuid5(one.key, judged.rater),
            "body_hash": hashlib.sha256(canonical(judged.body)).digest(),
            "kind": judged.body["kind"],
            "body": judged.body,
            "submitted_at": judged.at or self.now,
        }

    async def _store_tasks(self, placed: Sequence[Placed]) -> dict[UUID, int]:
        """Inside ids of these tasks; those that are here already want as many more answers as come."""
        ids = {one.key: one.here.id for one in placed if one.here}
        for one in placed:
            if one.here:
                more = update(Task).where(Task.id == one.here.id).values(k=Task.k + len(one.new))
                await self.session.execute(more)
        new = [one for one in placed if not one.here]
        if not new:
            return ids
        batch = await self._round()
        rows = [
            {
                "public_id": one.key,
                "project_id": self.project.id,
                "batch_id": batch.id,
                "prompt_id": one.prompt_id,
                "kind": one.ready.task.kind,
                "state": TaskState.done,
                "k": len(one.new),
                "recipe_entry": self._entry(one.ready),
            }
            for one in new
        ]
        stored = insert(Task).returning(Task.id, sort_by_parameter_order=True)
        made = await self.session.scalars(stored, rows)
        ids |= dict(zip((one.key for one in new), made, strict=True))
        shown = [
            {"project_id": self.project.id, "task_id": ids[one.key], "number": number, "completion_id": completion}
            for one in new
            for number, completion in enumerate(one.completions)
        ]
        if shown:
            await self.session.execute(insert(TaskCompletion), shown)
        return ids

    def _entry(self, one: Ready) -> dict[str, Any]:
        """Where a task comes from. turn: of a turn, whose scores say an order that is a line as well."""
        entry = {"import": str(self.record.public_id), "task": one.task.key}
        return entry | ({"turn": True} if one.task.is_turn else {})

    async def _round(self) -> Batch:
        """The closed round that the file's tasks belong to, named after it."""
        if self.batch is None:
            name = self.record.name or _("Import")
            self.batch = Batch(project_id=self.project.id, name=name, state=BatchState.closed)
            self.session.add(self.batch)
            await self.session.flush()
        return self.batch

    async def _keep_protocols(self, bodies: Collection[Line]) -> None:
        """A version for each that no file was made under before."""
        new = {key: body for body in bodies if (key := canonical(body)) not in self.protocols}
        for number, (key, body) in enumerate(new.items(), len(self.protocols) + 1):
            made = Protocol(project_id=self.project.id, version=-number, body=body)
            self.session.add(made)
            await self.session.flush()
            self.protocols[key] = made.id


def canonical(body: Line) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
