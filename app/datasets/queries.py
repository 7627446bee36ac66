"""Questions about datasets, and the one that a dataset is frozen from."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, cast, func, or_, select, true, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.annotations.tables import Annotation, AnnotationState
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion
from app.datasets.forms import FreezeForm
from app.datasets.rules import sha256_of
from app.datasets.tables import Dataset, DatasetState
from app.errors import Conflict, NotFound
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.tables import Batch, Guidelines, Protocol
from app.prompts.tables import Prompt, Root
from app.quality.queries import is_argued
from app.quality.tables import Adjudication
from app.tasks.tables import Task, TaskCompletion
from app.translation import _

MOST_SINCE = 50  # datasets that are named


class NotFrozenYet(Conflict):
    code = "not-frozen-yet"
    sentence = _("This dataset has no lines to give: it is {state}.")


class LinesAreGone(Conflict):
    code = "lines-are-gone"
    sentence = _("The file with the lines of “{name}” is not on this machine.")


class LinesAreOthers(Conflict):
    code = "lines-are-others"
    sentence = _(
        "The file with the lines of “{name}” is not as it was frozen: its SHA-256 is {found}, not {frozen}. "
        "Freeze the answers again."
    )


async def is_freezing(session: AsyncSession, project_id: int) -> bool:
    """Whether a dataset of the project is being frozen now."""
    freezes = select(Dataset.id).where(Dataset.project_id == project_id, Dataset.state == DatasetState.freezing)
    return bool(await session.scalar(select(freezes.exists())))


async def dataset_of(session: AsyncSession, project_id: int, public_id: UUID) -> Dataset:
    found = await session.scalar(
        select(Dataset).where(Dataset.project_id == project_id, Dataset.public_id == public_id)
    )
    if found is None:
        raise NotFound
    return found


def datasets_in(project_id: int) -> Select[Dataset]:
    return select(Dataset).where(Dataset.project_id == project_id)


async def datasets_of(session: AsyncSession, project_id: int) -> Sequence[Dataset]:
    """Newest first."""
    return (await session.scalars(datasets_in(project_id).order_by(Dataset.id.desc()))).all()


def folder_of(home: Path, sha256: str) -> Path:
    return home / "datasets" / sha256


def lines_of(home: Path, dataset: Dataset) -> Path:
    """The file of a frozen dataset's lines.

    :raises NotFrozenYet: it is still being frozen, or that failed. :raises LinesAreGone: not on this machine.
    """
    if dataset.state is not DatasetState.frozen or dataset.sha256 is None:
        raise NotFrozenYet(state=dataset.state.value)
    file = folder_of(home, dataset.sha256) / "records.jsonl"
    if not file.is_file():
        raise LinesAreGone(name=dataset.name)
    return file


def check_lines(home: Path, dataset: Dataset) -> None:
    """Read the whole file of a frozen dataset's lines and compare.

    :raises LinesAreOthers: it holds something else. :raises NotFrozenYet: :raises LinesAreGone: as `lines_of`.
    """
    found = sha256_of(lines_of(home, dataset))
    if found != dataset.sha256:
        raise LinesAreOthers(name=dataset.name, found=found, frozen=dataset.sha256)


def chosen_answers(project_id: int, question: FreezeForm) -> Select[Any]:
    """One row a task, in the order the tasks were made: its prompt, its completions and all its live votes. A vote of
    somebody without a place in the project comes without `rater`. component, group: of all that is near to the prompt,
    by its key and by the outside id of the root that names it. argued: the task's answer is (`quality`). settled: the
    vote that a reviewer settled the task by, whatever votes the question asks for. is_turn: it is a turn of a
    conversation that came in from a file."""
    named = aliased(Root)
    answer = func.jsonb_build_object(
        "id", Completion.public_id,
        "checkpoint", Checkpoint.public_id,
        "author", func.coalesce(Checkpoint.name, Completion.author),
        "parts", Completion.parts,
    )  # fmt: skip
    what = (
        select(
            type_coerce(func.jsonb_agg(aggregate_order_by(answer, TaskCompletion.number)), JSONB).label("answers"),
            func.array_agg(Checkpoint.public_id).label("checkpoints"),
        )
        .select_from(TaskCompletion)
        .join(Completion, Completion.id == TaskCompletion.completion_id)
        .outerjoin(Checkpoint, Checkpoint.id == Completion.checkpoint_id)
        .where(TaskCompletion.task_id == Task.id)
        .lateral("what")
    )
    vote = func.jsonb_build_object(
        "body", Annotation.body,
        "sides", func.to_jsonb(Annotation.sides),
        "rater", Membership.pseudonym,
        "at", Annotation.submitted_at,
        "protocol", Protocol.version,
        "tags", func.to_jsonb(func.coalesce(Annotation.tags, Prompt.tags)),
        "guidelines", Guidelines.version,
    )  # fmt: skip
    votes = (
        select(type_coerce(func.jsonb_agg(vote), JSONB).label("votes"), func.count().label("given"))
        .select_from(Annotation)
        .join(Protocol, Protocol.id == Annotation.protocol_id)
        .outerjoin(Guidelines, Guidelines.id == Annotation.guidelines_id)
        .outerjoin(Membership, and_(Membership.user_id == Annotation.annotator_id, Membership.project_id == project_id))
        .where(Annotation.task_id == Task.id, Annotation.state == AnnotationState.live, *narrowed_votes(question))
        .lateral("said")
    )
    return (
        select(
            Task.public_id.label("task"),
            Root.component,
            named.public_id.label("group"),
            Prompt.messages,
            Prompt.tags,
            Prompt.use,
            (Prompt.retired_at.is_not(None) & ~Prompt.is_card).label("retired"),
            is_argued().label("argued"),
            settled_vote(project_id).label("settled"),
            Task.recipe_entry.has_key("turn").label("is_turn"),
            what.c.answers,
            votes.c.votes,
        )
        .select_from(Task)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(Root, Root.id == Prompt.root_id)
        .join(named, and_(named.project_id == Root.project_id, named.key == Root.component))
        .join(votes, votes.c.given >= question.minimum_votes)
        .join(what, true())
        .where(Task.project_id == project_id, *narrowed(question, what.c.checkpoints))
        .order_by(Task.id)
    )


def settled_vote(project_id: int) -> Any:
    """Of a task; in the task's own order, which is what a reviewer sees. It has no rater, and so comes into no dataset,
    where the reviewer took their consent back."""
    count = select(func.count()).where(TaskCompletion.task_id == Task.id).correlate(Task).scalar_subquery()
    vote = func.jsonb_build_object(
        "body", Adjudication.body,
        "sides", func.to_jsonb(func.array(select(func.generate_series(0, count - 1)).scalar_subquery())),
        "rater", Membership.pseudonym,
        "at", Adjudication.at,
        "protocol", Protocol.version,
        "tags", func.to_jsonb(Prompt.tags),
        "guidelines", None,
        "adjudicated", True,
    )  # fmt: skip
    by = and_(Membership.user_id == Adjudication.by_id, Membership.project_id == project_id)
    by = and_(by, Membership.withdrawn_at.is_(None))
    asked = select(type_coerce(vote, JSONB)).select_from(Adjudication).outerjoin(Membership, by)
    asked = asked.join(Protocol, Protocol.id == Adjudication.protocol_id)
    return asked.where(Adjudication.task_id == Task.id).correlate(Task, Prompt).scalar_subquery()


async def protocols_of(connection: AsyncConnection, project_id: int) -> dict[int, ProtocolBody]:
    """Every protocol of a project by its version."""
    asked = select(Protocol.version, Protocol.body).where(Protocol.project_id == project_id)
    return {row.version: protocol_of(row.body) for row in await connection.execute(asked)}


async def names_of_checkpoints(connection: AsyncConnection, project_id: int) -> dict[str, str]:
    """Of every checkpoint that the project may use, by its outside id."""
    mine = or_(Checkpoint.project_id.is_(None), Checkpoint.project_id == project_id)
    found = await connection.execute(select(Checkpoint.public_id, Checkpoint.name).where(mine))
    return {str(row.public_id): row.name for row in found}


def narrowed(question: FreezeForm, checkpoints: Any) -> list[Any]:
    """The question's conditions on tasks, one each. checkpoints: of a task's completions.

    A card is a prompt in name only, of no use and retired; what was said in conversations from it is narrowed turn by
    turn (`datasets.lines`).
    """
    conditions: list[Any] = [Task.purpose.in_(question.purposes), or_(Prompt.use.in_(question.uses), Prompt.is_card)]
    if question.batches:
        conditions.append(Task.batch_id.in_(select(Batch.id).where(Batch.public_id.in_(question.batches))))
    if question.checkpoints:
        wanted = cast(list(question.checkpoints), ARRAY(Uuid))
        conditions.append(or_(checkpoints.contained_by(wanted), Prompt.is_card))
    return conditions


def narrowed_votes(question: FreezeForm) -> list[Any]:
    """The question's conditions on answers, one each."""
    conditions: list[Any] = [Membership.withdrawn_at.is_(None)]  # whose labels are not all marked yet
    if question.protocol_versions:
        conditions.append(Protocol.version.in_(question.protocol_versions))
    if question.since:
        conditions.append(Annotation.submitted_at >= question.since)
    if question.until:
        conditions.append(Annotation.submitted_at < question.until)
    return conditions


async def rounds_of(session: AsyncSession, project_id: int) -> Sequence[Batch]:
    """Batches that hold answers a dataset takes unless told otherwise, oldest first."""
    taken = select(Task.batch_id).where(
        Task.project_id == project_id, Task.purpose.in_(FreezeForm(name="any").purposes)
    )
    query = select(Batch).where(Batch.project_id == project_id, Batch.id.in_(taken)).order_by(Batch.id)
    return (await session.scalars(query)).all()


async def frozen_since(session: AsyncSession, project_id: int, since: datetime) -> Sequence[Dataset]:
    """Datasets that were frozen after a moment, MOST_SINCE of them at most, the newest first."""
    asked = select(Dataset).where(Dataset.project_id == project_id, Dataset.frozen_at > since)
    return (await session.scalars(asked.order_by(Dataset.id.desc()).limit(MOST_SINCE))).all()
