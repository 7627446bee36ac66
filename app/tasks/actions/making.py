"""Tasks are made: from completions that arrived, by the batch's recipe; or one by one for a purpose of their own."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ColumnElement, Row, bindparam, exists, func, insert, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion, Generation
from app.projects.batching import Selection
from app.projects.care import CLASSES, GOLD
from app.projects.queries import protocol_of_batch
from app.projects.rules import Entry, Origin, Recipe
from app.projects.tables import Batch, Ordering
from app.prompts.tables import Prompt, Use
from app.tasks.actions.releasing import room_changed, state_of_new
from app.tasks.actions.wishing import Wish, everybody, for_everybody, is_calibration, wishes_of
from app.tasks.rules import Candidate, Group, Joins, chance_of, group_up, rank_in, sides_of
from app.tasks.tables import Purpose, Slot, SlotState, Task, TaskCompletion

GATHERS = (Purpose.collect, Purpose.calibration)  # purposes of the tasks that a round makes of its own

# Nobody judges answers to a prompt of their own. Whoever wrote it has passed such tasks by before anybody is asked: the
# claim looks at what a person passed by anyway, so it costs nothing there, and one row for each such task here. Every
# task is opened here, whatever for; where a prompt comes back as another person's, `settle_prompt` does the same.
SKIP_OWN = text("""
    INSERT INTO skips (task_id, annotator_id, project_id, kind, reason)
    SELECT t.id, p.author_id, t.project_id, 'by_us', 'own prompt' FROM tasks t JOIN prompts p ON p.id = t.prompt_id
    WHERE t.id = ANY(:tasks) AND p.author_id IS NOT NULL
""").bindparams(bindparam("tasks", type_=ARRAY(BigInteger)))


@dataclass(frozen=True)
class NewTask:
    """completions: inside ids in the task's own order. key: what its place in the queue is hashed from.

    chance: the probability with which it was drawn; None: it was chosen by what is known of it (see `Task.chance`).
    wish: of whom, how often and when it is asked.
    """

    prompt_id: int
    completions: Sequence[int]
    wish: Wish
    recipe_entry: dict[str, Any] = field(default_factory=dict)
    key: UUID = field(default_factory=uuid4)
    chance: float | None = 1.0


async def open_tasks(
    session: AsyncSession,
    project_id: int,
    batch_id: int,
    wanted: Sequence[NewTask],
    *,
    kind: str = "comparison",
    evaluation_id: int | None = None,
) -> list[int]:
    """Put questions to people: a task each with k free slots. Returns the tasks' inside ids, in the order given.

    kind: of the protocol that they are answered under; a claim shows a task under the newest protocol of its kind.
    What the prompts are sensitive for stands in the slots' lanes, and stays so until the tasks are stored. In a project
    with limits, as many slots are free as these have room for.
    """
    if not wanted:
        return []
    care = await _care_of(session, {new.prompt_id for new in wanted})
    rows = [
        {
            "public_id": new.key,
            "project_id": project_id,
            "batch_id": batch_id,
            "prompt_id": new.prompt_id,
            "kind": kind,
            "k": new.wish.k,
            "most_k": new.wish.most_k,
            "purpose": new.wish.purpose,
            "evaluation_id": evaluation_id,
            "recipe_entry": new.recipe_entry,
            "chance": new.chance,
        }
        for new in wanted
    ]
    stored = insert(Task).returning(Task.public_id, Task.id).execution_options(render_nulls=True)  # a chance of None
    made = (await session.execute(stored, rows)).all()
    ids = {row.public_id: row.id for row in made}
    shown = [
        {"project_id": project_id, "task_id": ids[new.key], "number": number, "completion_id": completion}
        for new in wanted
        for number, completion in enumerate(new.completions)
    ]
    if shown:
        await session.execute(insert(TaskCompletion), shown)
    state = await state_of_new(session, project_id, batch_id)
    slots = [
        slot
        for new in wanted
        for slot in slots_of(
            project_id,
            ids[new.key],
            new.key,
            range(new.wish.k),
            len(new.completions),
            lane=new.wish.people + CLASSES * care[new.prompt_id],
            ranks=_ranks_of(new, ids[new.key]),
            state=SlotState.free if new.wish.people & GOLD else state,
        )
    ]
    await session.execute(SKIP_OWN, {"tasks": list(ids.values())})
    await add_slots(session, project_id, slots)
    return [ids[new.key] for new in wanted]


def _ranks_of(new: NewTask, task_id: int) -> list[int]:
    wish = new.wish
    return [rank_in(wish.ordering, str(new.key), wish.band, task_id=task_id, number=number) for number in range(wish.k)]


def slots_of(
    project_id: int,
    task_id: int,
    key: UUID,
    numbers: range,
    completions: int,
    *,
    lane: int,
    ranks: Sequence[int],
    state: SlotState,
) -> list[dict[str, Any]]:
    """Rows of slots that nobody has; `key` (the task's outside id) decides the order on their screens."""
    return [
        {
            "project_id": project_id,
            "task_id": task_id,
            "number": number,
            "lane": lane,
            "rank": rank,
            "state": state,
            "sides": sides_of(str(key), number, completions),
        }
        for number, rank in zip(numbers, ranks, strict=True)
    ]


async def add_slots(session: AsyncSession, project_id: int, slots: Sequence[dict[str, Any]]) -> None:
    """Store new slots, and have released what there is room for."""
    await session.execute(insert(Slot), slots)
    if any(slot["state"] == SlotState.planned for slot in slots):
        await room_changed(session, project_id)


async def make_tasks(session: AsyncSession, project_id: int, batch_id: int, prompt_ids: Sequence[int]) -> int:
    """Group the answers to these prompts by the batch's recipe and open a task a group. Returns how many were made.

    The protocol says how many answers a group has; one that shows none gets no tasks here. Safe to repeat: the prompts
    are locked, and an answer that already stands in a task (of this batch, where it asks once more) is not shown in
    another one. Prompts that are not for labelling, and answers made for an evaluation, are left alone. A batch that
    asks nobody gets no tasks, and none gets more than its target, or its pilot: those of the first prompts.
    """
    batch = (await session.scalars(select(Batch).where(Batch.project_id == project_id, Batch.id == batch_id))).one()
    prompts = await _lock_prompts(session, project_id, prompt_ids)
    protocol = await protocol_of_batch(session, batch)
    size = 1 if protocol.completions is None else protocol.completions
    if not size:
        return 0
    waiting = await _ungrouped(session, batch, list(prompts))
    recipe = Recipe.model_validate(batch.recipe or {})
    wishes = await wishes_of(session, batch, prompts)
    wanted = [
        NewTask(prompt_id, [one.id for one in group.members], wishes[prompt_id], _entry(recipe, group))
        for prompt_id in dict.fromkeys(prompt_ids)
        if prompt_id in prompts
        for group in _groups(recipe, waiting[prompt_id], size=size, seed=f"{batch.public_id}:{prompts[prompt_id]}")
    ]
    wanted = chosen(await calibrating(session, batch, wanted[: await room_in(session, batch)]))
    await open_tasks(session, project_id, batch_id, wanted, kind=protocol.kind)
    if wanted:
        await events.record(session, "tasks.opened", project_id=project_id, subject=batch.public_id, tasks=len(wanted))
    return len(wanted)


async def calibrating(session: AsyncSession, batch: Batch, wanted: Sequence[NewTask]) -> list[NewTask]:
    """New tasks of a round, of which its share goes to everybody."""
    drawn = {new.key for new in wanted if is_calibration(str(new.key), batch.calibration)}
    sizes = {
        people: await everybody(session, batch.project_id, people)
        for people in {new.wish.people for new in wanted if new.key in drawn}
    }
    return [
        replace(new, wish=for_everybody(new.wish, sizes[new.wish.people])) if new.key in drawn else new
        for new in wanted
    ]


def chosen(wanted: Sequence[NewTask]) -> list[NewTask]:
    """New tasks of a round, of which those are not drawn that will be asked for what they tell."""
    return [
        replace(new, chance=chance_of(str(new.key)))
        if new.wish.ordering is Ordering.informative and new.wish.purpose is Purpose.collect
        else new
        for new in wanted
    ]


async def _care_of(session: AsyncSession, prompt_ids: Collection[int]) -> dict[int, int]:
    """What prompts are sensitive for, held so until the end of the transaction."""
    asked = select(Prompt.id, Prompt.care).where(Prompt.id.in_(prompt_ids)).order_by(Prompt.id)
    return {row.id: row.care for row in await session.execute(asked.with_for_update(read=True))}


async def room_in(session: AsyncSession, batch: Batch) -> int | None:
    """How many more tasks the batch takes; None: as many as there are.

    Where it has a target its makers count one after the other. The lock comes after the grouping, so that they wait for
    one another only while tasks are stored.
    """
    if batch.most_tasks is not None:
        await session.refresh(batch, with_for_update={"key_share": True})
    if not batch.state.asks:
        return 0
    return None if batch.most_tasks is None else max(0, batch.most_tasks - await tasks_in(session, batch.id))


async def tasks_in(session: AsyncSession, batch_id: int) -> int:
    counted = select(func.count()).where(Task.batch_id == batch_id, Task.purpose.in_(GATHERS))
    return (await session.scalar(counted)) or 0


async def _lock_prompts(session: AsyncSession, project_id: int, prompt_ids: Sequence[int]) -> dict[int, UUID]:
    """Outside ids of those that people label, by inside id."""
    asked = (
        select(Prompt.id, Prompt.public_id)
        .where(Prompt.project_id == project_id, Prompt.id.in_(prompt_ids), Prompt.use == Use.label)
        .where(Prompt.retired_at.is_(None))
        .order_by(Prompt.id)
        .with_for_update(key_share=True)
    )
    return {row.id: row.public_id for row in await session.execute(asked)}


def is_taken(batch: Batch) -> ColumnElement[bool]:
    """A condition on tasks: what they ask about is not asked by the batch, unless that asks what others asked."""
    again = Selection.model_validate(batch.selection).again
    return Task.purpose.in_(GATHERS) & (Task.batch_id == batch.id if again else true())


async def _ungrouped(session: AsyncSession, batch: Batch, prompt_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Completions by prompt that stand in no task yet."""
    stands = exists().where(
        TaskCompletion.completion_id == Completion.id, TaskCompletion.task_id == Task.id, is_taken(batch)
    )
    asked = (
        select(Completion, Checkpoint.public_id.label("checkpoint"))
        .outerjoin(Checkpoint, Checkpoint.id == Completion.checkpoint_id)
        .outerjoin(Generation, Generation.id == Completion.generation_id)
        .where(Completion.prompt_id.in_(prompt_ids), Generation.evaluation_id.is_(None), ~stands)
        .order_by(Completion.id)
    )
    by_prompt: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in (await session.execute(asked)).all():
        by_prompt[row.Completion.prompt_id].append(cast(Row[Any], row))
    return by_prompt


def _groups(recipe: Recipe, rows: Sequence[Row[Any]], *, size: int, seed: str) -> list[Group]:
    origins = {
        row.Completion.id: Origin(
            checkpoint=row.checkpoint, author=row.Completion.author, sampling=row.Completion.sampling
        )
        for row in rows
    }
    candidates = [
        Candidate(
            id=row.Completion.id,
            text="\n\n".join(part.get("text", "") for part in row.Completion.parts),
            digest=row.Completion.content_hash,
            flawed=row.Completion.flaw is not None,
        )
        for row in rows
    ]
    joins = [_joins(entry, origins) for entry in recipe.entries]
    weights = [entry.weight for entry in recipe.entries]
    return group_up(candidates, joins, weights, size=size, max_similarity=recipe.max_similarity, seed=seed)


def _joins(entry: Entry, origins: dict[int, Origin]) -> Joins:
    def may(group: Sequence[Candidate], whole: bool) -> bool:
        return (entry.joins if whole else entry.may_join)(*(origins[one.id] for one in group))

    return may


def _entry(recipe: Recipe, group: Group) -> dict[str, Any]:
    return {"line": group.entry} | recipe.entries[group.entry].as_json()
