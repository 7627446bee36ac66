"""What a project holds already of what a file brings."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership, User
from app.annotations.kinds import read_kept
from app.annotations.tables import Annotation
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion
from app.datasets.readying import ReadyAnswer
from app.datasets.rules import Line
from app.projects.tables import Protocol
from app.prompts.tables import Prompt
from app.tasks.tables import Slot, Task, TaskCompletion


@dataclass
class Here:
    """A task that is in the project. completions: inside ids in its order; said: by annotator, with completions named
    by these ids; slots: how many it has."""

    id: int
    prompt_id: int
    prompt_hash: bytes
    completions: list[int] = field(default_factory=list)
    said: dict[int, Line] = field(default_factory=dict)
    slots: int = 0


@dataclass(frozen=True)
class Rater:
    """user_id: of the person behind a pseudonym. is_imported: nobody who could ever sign in."""

    user_id: int
    is_imported: bool


async def tasks_here(session: AsyncSession, project_id: int, keys: Collection[UUID]) -> dict[UUID, Here]:
    """The project's tasks with these outside ids, and all that was ever said about them."""
    asked = select(Task.public_id, Task.id, Task.prompt_id, Prompt.content_hash)
    asked = asked.join(Prompt, Prompt.id == Task.prompt_id)
    rows = await session.execute(asked.where(Task.project_id == project_id, Task.public_id.in_(keys)))
    found = {row.public_id: Here(row.id, row.prompt_id, row.content_hash) for row in rows}
    by_id = {one.id: one for one in found.values()}
    if not by_id:
        return found
    shown = select(TaskCompletion.task_id, TaskCompletion.completion_id).where(TaskCompletion.task_id.in_(by_id))
    for row in await session.execute(shown.order_by(TaskCompletion.number)):
        by_id[row.task_id].completions.append(row.completion_id)
    said = select(Annotation.task_id, Annotation.annotator_id, Annotation.body).where(Annotation.task_id.in_(by_id))
    for row in await session.execute(said):
        there = by_id[row.task_id]
        there.said[row.annotator_id] = told(row.body, there.completions)
    for task_id in await session.scalars(select(Slot.task_id).where(Slot.task_id.in_(by_id))):
        by_id[task_id].slots += 1
    return found


def told(body: Line, completions: Sequence[int | None]) -> Line:
    """A stored body that names completions by their inside ids, so that two tasks' can be compared."""
    return read_kept(body).told([str(one) for one in completions])


def as_uuid(text: str | None) -> UUID | None:
    with suppress(ValueError):
        return UUID(text) if text else None
    return None


async def checkpoints_here(session: AsyncSession, project_id: int, names: Iterable[str | None]) -> dict[str, int]:
    """Inside ids of checkpoints that this project may use, by the ids that a file names."""
    wanted = {found: name for name in names if name and (found := as_uuid(name))}
    mine = or_(Checkpoint.project_id.is_(None), Checkpoint.project_id == project_id)
    asked = select(Checkpoint.public_id, Checkpoint.id).where(Checkpoint.public_id.in_(wanted), mine)
    return {wanted[row.public_id]: row.id for row in await session.execute(asked)} if wanted else {}


Content = tuple[int, int | None, str | None, bytes]  # prompt, checkpoint, author, hash


class Completions:
    """Completions of some prompts, found by id or else by what they hold and who made it."""

    def __init__(self, checkpoints: dict[str, int]) -> None:
        self.checkpoints = checkpoints
        self.by_id: dict[tuple[int, str, bytes], int] = {}
        self.by_content: dict[Content, int] = {}

    async def look_up(self, session: AsyncSession, prompt_ids: Collection[int]) -> None:
        columns = (Completion.prompt_id, Completion.checkpoint_id, Completion.author, Completion.content_hash)
        asked = select(Completion.id, Completion.public_id, *columns).where(Completion.prompt_id.in_(prompt_ids))
        for row in await session.execute(asked.order_by(Completion.id)):
            self.by_id[row.prompt_id, str(row.public_id), row.content_hash] = row.id
            self.by_content.setdefault((row.prompt_id, row.checkpoint_id, row.author, row.content_hash), row.id)

    def content(self, prompt_id: int, answer: ReadyAnswer) -> Content:
        """A checkpoint that is here names itself; of any other the name is kept."""
        checkpoint = self.checkpoints.get(answer.checkpoint or "")
        return prompt_id, checkpoint, None if checkpoint is not None else answer.author, answer.hash

    def find(self, prompt_id: int, answer: ReadyAnswer) -> int | None:
        named = self.by_id.get((prompt_id, answer.id, answer.hash))
        return named if named is not None else self.by_content.get(self.content(prompt_id, answer))


async def raters_here(session: AsyncSession, project_id: int, names: Collection[str]) -> dict[str, Rater]:
    """The people behind these pseudonyms."""
    asked = select(Membership.pseudonym, User.id, User.is_imported).join(User, User.id == Membership.user_id)
    rows = await session.execute(asked.where(Membership.project_id == project_id, Membership.pseudonym.in_(names)))
    return {row.pseudonym: Rater(row.id, row.is_imported) for row in rows}


async def imported_protocols(session: AsyncSession, project_id: int) -> list[Protocol]:
    """Those that files were made under; their versions count down from -1, so that none is ever the newest."""
    asked = select(Protocol).where(Protocol.project_id == project_id, Protocol.version < 0)
    return list(await session.scalars(asked.order_by(Protocol.version.desc())))
