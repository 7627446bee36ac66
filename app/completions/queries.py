"""Questions about completions and the requests that make them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, Select, String, and_, case, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion, Generation, GenerationState
from app.errors import NotFound
from app.prompts.tables import Prompt, Use

GOING_ON = (GenerationState.waiting, GenerationState.running)


async def generation_of(session: AsyncSession, project_id: int, public_id: UUID) -> Generation:
    """:raises NotFound: no such request in this project."""
    asked = select(Generation).where(Generation.project_id == project_id, Generation.public_id == public_id)
    found = (await session.scalars(asked)).one_or_none()
    if found is None:
        raise NotFound
    return found


async def completion_of(session: AsyncSession, project_id: int, public_id: UUID) -> Completion:
    """:raises NotFound: no such completion in this project."""
    asked = select(Completion).where(Completion.project_id == project_id, Completion.public_id == public_id)
    found = (await session.scalars(asked)).one_or_none()
    if found is None:
        raise NotFound
    return found


def generations_with_checkpoints(project_id: int) -> Select[Generation, Checkpoint]:
    """The requests of a project beside the checkpoints that answer them, unordered."""
    asked = select(Generation, Checkpoint).join(Checkpoint, Checkpoint.id == Generation.checkpoint_id)
    return asked.where(Generation.project_id == project_id)


def completions_of_project(
    project_id: int, prompt: UUID | None, checkpoint: UUID | None
) -> Select[Completion, Prompt, Checkpoint]:
    """Completions beside their prompts and checkpoints (None: imported), unordered."""
    asked = (
        select(Completion, Prompt, Checkpoint)
        .join(Prompt, Prompt.id == Completion.prompt_id)
        .outerjoin(Checkpoint, Checkpoint.id == Completion.checkpoint_id)
        .where(Completion.project_id == project_id)
    )
    if prompt is not None:
        asked = asked.where(Prompt.public_id == prompt)
    if checkpoint is not None:
        asked = asked.where(Checkpoint.public_id == checkpoint)
    return asked


async def answered_prompt(
    session: AsyncSession, project_id: int, completions: int
) -> tuple[Prompt, Sequence[Completion]] | None:
    """The newest prompt to be judged that has so many completions (or more), with the first of them."""
    enough = select(Completion.prompt_id).where(Completion.project_id == project_id, Completion.flaw.is_(None))
    enough = enough.group_by(Completion.prompt_id).having(func.count() >= completions)
    asked = select(Prompt).where(Prompt.project_id == project_id, Prompt.use == Use.label, Prompt.retired_at.is_(None))
    if completions:
        asked = asked.where(Prompt.id.in_(enough))
    prompt = (await session.scalars(asked.order_by(Prompt.id.desc()).limit(1))).first()
    if prompt is None:
        return None
    of_it = select(Completion).where(Completion.prompt_id == prompt.id, Completion.flaw.is_(None))
    return prompt, (await session.scalars(of_it.order_by(Completion.id).limit(completions))).all()


async def answers_to(session: AsyncSession, prompt_id: int, most: int = 200) -> Sequence[Row[Completion, Checkpoint]]:
    """(Completion, Checkpoint or None) of one prompt, the newest first."""
    asked = (
        select(Completion, Checkpoint)
        .outerjoin(Checkpoint, Checkpoint.id == Completion.checkpoint_id)
        .where(Completion.prompt_id == prompt_id)
        .order_by(Completion.id.desc())
        .limit(most)
    )
    return (await session.execute(asked)).all()


@dataclass(frozen=True)
class Counts:
    """Completions of a project; flawed ones are kept and never shown to people."""

    completions: int
    flawed: int
    prompts: int


async def count_completions(session: AsyncSession, project_id: int) -> Counts:
    asked = select(func.count(), func.count(Completion.flaw), func.count(Completion.prompt_id.distinct())).where(
        Completion.project_id == project_id
    )
    return Counts(*(await session.execute(asked)).one())


async def made_lately(session: AsyncSession, project_id: int, minutes: float, *, most: int = 1000) -> int:
    """How many completions were made for a project in the last minutes; counted among its `most` newest."""
    newest = select(Completion.created_at).where(
        Completion.project_id == project_id, Completion.generation_id.is_not(None)
    )
    newest_of = newest.order_by(Completion.id.desc()).limit(most).subquery()
    recent = newest_of.c.created_at > func.now() - func.make_interval(0, 0, 0, 0, 0, minutes)
    return await session.scalar(select(func.count()).where(recent)) or 0


async def count_by_checkpoint(session: AsyncSession, project_id: int) -> dict[int, int]:
    """How many of the project's completions each checkpoint (inside id) made."""
    asked = select(Completion.checkpoint_id, func.count()).where(
        Completion.project_id == project_id, Completion.checkpoint_id.is_not(None)
    )
    rows = await session.execute(asked.group_by(Completion.checkpoint_id))
    return {row[0]: row[1] for row in rows if row[0] is not None}


async def prompts_by_need(
    session: AsyncSession, project_id: int, use: Use, tags: Sequence[str], most: int
) -> list[int]:
    """Inside ids of prompts in use, those with the fewest sound answers first; chance decides between equals."""
    counted = (
        select(Completion.prompt_id, func.count().label("answers"))
        .where(Completion.project_id == project_id, Completion.flaw.is_(None))
        .group_by(Completion.prompt_id)
        .subquery()
    )
    asked = (
        select(Prompt.id)
        .outerjoin(counted, counted.c.prompt_id == Prompt.id)
        .where(Prompt.project_id == project_id, Prompt.use == use, Prompt.retired_at.is_(None))
        .order_by(func.coalesce(counted.c.answers, 0), Prompt.content_hash)
        .limit(most)
    )
    if tags:
        asked = asked.where(Prompt.tags.overlap(list(tags)))
    return list(await session.scalars(asked))


async def prompts_named(session: AsyncSession, project_id: int, public_ids: Sequence[UUID]) -> list[int]:
    """Inside ids in the order asked for.

    :raises NotFound: one of them is not in this project.
    """
    asked = select(Prompt.public_id, Prompt.id).where(Prompt.project_id == project_id, Prompt.public_id.in_(public_ids))
    found = {row[0]: row[1] for row in await session.execute(asked)}
    if any(public_id not in found for public_id in public_ids):
        raise NotFound
    return list(dict.fromkeys(found[public_id] for public_id in public_ids))


async def is_collecting(session: AsyncSession, project_id: int) -> bool:
    """Whether a request of this project, other than for an evaluation, is still under way."""
    asked = select(Generation.id).where(
        Generation.project_id == project_id, Generation.evaluation_id.is_(None), Generation.state.in_(GOING_ON)
    )
    return (await session.scalar(asked.limit(1))) is not None


async def asked_automatically(session: AsyncSession, project_id: int) -> int:
    """Completions that automatic requests have brought or still may bring; what a failed one never brought is free."""
    counted = case((Generation.state.in_(GOING_ON), Generation.wanted), else_=Generation.done)
    asked = select(func.coalesce(func.sum(counted), 0)).where(Generation.project_id == project_id, Generation.automatic)
    return int((await session.scalar(asked)) or 0)


async def prompts_by_any_id(session: AsyncSession, project_id: int, names: Iterable[str]) -> dict[str, Prompt]:
    """Prompts by their external id, else by ours; names that nothing answers to are left out."""
    wanted = list(set(names))
    by_ours = cast(Prompt.public_id, String)
    asked = select(Prompt).where(
        Prompt.project_id == project_id, or_(Prompt.external_id.in_(wanted), by_ours.in_(wanted))
    )
    prompts = list(await session.scalars(asked))
    ours = {str(prompt.public_id): prompt for prompt in prompts}
    return ours | {prompt.external_id: prompt for prompt in prompts if prompt.external_id}


async def known_answers(session: AsyncSession, prompt_ids: Iterable[int]) -> set[tuple[int, str | None, bytes]]:
    """(prompt, author, content hash) of imported answers to these prompts."""
    asked = select(Completion.prompt_id, Completion.author, Completion.content_hash).where(
        Completion.prompt_id.in_(list(prompt_ids)), Completion.generation_id.is_(None)
    )
    return {(row[0], row[1], row[2]) for row in await session.execute(asked)}


async def prompts_lacking(session: AsyncSession, generation: Generation, prompt_ids: Sequence[int]) -> list[Prompt]:
    """Those of these prompts that have fewer than n answers of this request, by inside id."""
    done = and_(Completion.generation_id == generation.id, Completion.prompt_id == Prompt.id)
    counted = select(func.count()).where(done).scalar_subquery()
    asked = select(Prompt).where(Prompt.id.in_(prompt_ids), Prompt.project_id == generation.project_id)
    return list(await session.scalars(asked.where(counted < generation.n).order_by(Prompt.id)))


async def count_of_generation(session: AsyncSession, generation: Generation) -> tuple[int, int]:
    """(completions stored, prompts that have all n of theirs) of a request."""
    by_prompt = (
        select(func.count().label("answers"))
        .where(Completion.generation_id == generation.id)
        .group_by(Completion.prompt_id)
        .subquery()
    )
    answers = by_prompt.c.answers
    asked = select(func.coalesce(func.sum(answers), 0), func.count().filter(answers >= generation.n))
    done, prompts = (await session.execute(asked)).one()
    return int(done), int(prompts)


async def count_by_prompt(session: AsyncSession, prompt_ids: Sequence[int]) -> dict[int, int]:
    """How many answers each of these prompts (inside ids) has; those without any are left out."""
    asked = select(Completion.prompt_id, func.count()).where(Completion.prompt_id.in_(prompt_ids))
    return {row[0]: row[1] for row in await session.execute(asked.group_by(Completion.prompt_id))}


def completions_of_generation(generation_id: int) -> Select[Completion, Prompt]:
    """Answers of one request beside their prompts, unordered."""
    asked = select(Completion, Prompt).join(Prompt, Prompt.id == Completion.prompt_id)
    return asked.where(Completion.generation_id == generation_id)
