"""Those who run a project say of whom, how often and how much is asked; what is not handed out yet follows at once."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, SmallInteger, bindparam, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.audiences import audience_of
from app.jobs.queue import enqueue
from app.projects.actions import EditedMeanwhile, locked
from app.projects.batching import HandOut, LimitsEdit
from app.projects.care import CLASSES, GOLD
from app.projects.tables import Batch, Project, TagRule
from app.tasks.actions.changing import UNTAKEN, change_k, lock_tasks
from app.tasks.actions.releasing import release_slots
from app.tasks.actions.wishing import MOST_K, Wish, everybody, numbers_of_audiences, wishes_of
from app.tasks.jobs import PlacesChanged
from app.tasks.rules import rank_in
from app.tasks.tables import Purpose, Slot, Task, TaskState

AT_ONCE = 500  # tasks

PUT = text("UPDATE slots SET lane = :lane, rank = :rank WHERE id = :slot AND state IN (-1, 0)").bindparams(
    bindparam("lane", type_=SmallInteger), bindparam("rank", type_=BigInteger), bindparam("slot", type_=BigInteger)
)


async def edit_hand_out(session: AsyncSession, batch: Batch, form: HandOut, actor_id: int | None) -> Batch:
    """How a round's tasks are handed out. k holds for tasks that are made from now on, the rest also for those that are
    there, as far as nobody has them in hand.

    :raises NotFound: there is no such audience.
    """
    await session.refresh(batch, with_for_update={"key_share": True})
    batch.audience_id = await _audience(session, batch.project_id, form.audience)
    batch.k, batch.most_k, batch.calibration, batch.ordering = form.k, form.most_k, form.calibration, form.ordering
    await session.flush()
    await _changed(session, batch.project_id, "batch.hand_out_changed", batch.public_id, form, actor_id)
    return batch


async def edit_limits(session: AsyncSession, project_id: int, form: LimitsEdit, actor_id: int | None) -> Project:
    """How much is handed out, and what tags ask for. Slots are released, or taken back, before this returns.

    :raises EditedMeanwhile: the project has moved on from the version that the editor saw.
    :raises NotFound: there is no such audience.
    """
    project = await locked(session, project_id)
    if form.version != project.version:
        raise EditedMeanwhile([("version", project.version, form.version)])
    project.answers_a_day, project.answers_in_all = form.answers_a_day, form.answers_in_all
    project.budget, project.currency = form.budget, form.currency
    bounds = [project.answers_a_day, project.answers_in_all, project.budget]
    bounds += [bound for one in form.tags for bound in (one.a_day, one.in_all)]
    project.is_limited = any(bound is not None for bound in bounds)
    project.version += 1
    await session.execute(delete(TagRule).where(TagRule.project_id == project_id))
    for place, one in enumerate(form.tags):
        values = one.model_dump(exclude={"audience"}) | {"place": place, "project_id": project_id}
        session.add(TagRule(**values, audience_id=await _audience(session, project_id, one.audience)))
    await session.flush()
    await release_slots(session, project_id)
    await _changed(session, project_id, "limits.changed", project.public_id, form, actor_id)
    return project


async def _audience(session: AsyncSession, project_id: int, audience: UUID | None) -> int | None:
    return None if audience is None else (await audience_of(session, project_id, audience)).id


async def _changed(
    session: AsyncSession, project_id: int, kind: str, subject: UUID, form: HandOut | LimitsEdit, actor_id: int | None
) -> None:
    told = form.model_dump(mode="json")
    await events.record(session, kind, actor_id=actor_id, project_id=project_id, subject=subject, wanted=told)
    await enqueue(session, PlacesChanged(project_id=project_id))


async def settle_places(session: AsyncSession, project_id: int, after: int = 0) -> int | None:
    """Put slots that nobody has where rounds and tags want them now: some tasks of a project, by their ids.

    Returns where to go on; None: that was the last. Tasks that somebody gave a place of their own are left there.
    """
    asked = select(Task.id).where(
        Task.project_id == project_id,
        Task.id > after,
        Task.state == TaskState.open,
        Task.purpose.in_((Purpose.collect, Purpose.calibration)),
        ~Task.has_own_place,
    )
    ids = list(await session.scalars(asked.order_by(Task.id).limit(AT_ONCE)))
    if not ids:
        return None
    tasks = [task for task in await lock_tasks(session, project_id, ids) if task.state is TaskState.open]
    wishes = await _wishes(session, tasks)
    slots = select(Slot).where(Slot.task_id.in_(wishes), Slot.state.in_(UNTAKEN)).order_by(Slot.id)
    by_id = {task.id: task for task in tasks}
    moved = [
        {"slot": slot.id} | place_in(wishes[slot.task_id], by_id[slot.task_id], slot)
        for slot in await session.scalars(slots)
    ]
    if moved:
        await session.execute(PUT, moved)
    for task in tasks:
        task.most_k = wishes[task.id].most_k if task.purpose is Purpose.collect else None
    await session.flush()
    return ids[-1]


async def _wishes(session: AsyncSession, tasks: Sequence[Task]) -> dict[int, Wish]:
    """What is wanted of these tasks now, by inside id."""
    wishes: dict[int, Wish] = {}
    for batch in await session.scalars(select(Batch).where(Batch.id.in_({task.batch_id for task in tasks}))):
        here = [task for task in tasks if task.batch_id == batch.id]
        by_prompt = await wishes_of(session, batch, {task.prompt_id for task in here})
        wishes |= {task.id: by_prompt[task.prompt_id] for task in here}
    return wishes


def place_in(wish: Wish, task: Task, slot: Slot) -> dict[str, int]:
    """Lane and rank of a slot under a wish; what its prompt is sensitive for stays above, and held back stays so."""
    before = ~slot.lane if slot.lane < 0 else slot.lane
    lane = before // CLASSES * CLASSES + (before & GOLD) + wish.people
    rank = rank_in(wish.ordering, str(task.public_id), wish.band, task_id=task.id, number=slot.number)
    return {"lane": ~lane if slot.lane < 0 else lane, "rank": rank}


async def grow_calibration(session: AsyncSession, batch_id: int) -> int:
    """Tasks that everybody answers want an answer of those who have joined since. Returns how many tasks grew."""
    batch = await session.get_one(Batch, batch_id)
    people = (await numbers_of_audiences(session, batch.project_id)).get(batch.audience_id or 0, 0)
    size = min(await everybody(session, batch.project_id, people), MOST_K)
    short = select(Task.id).where(
        Task.batch_id == batch_id,
        Task.purpose == Purpose.calibration,
        Task.state != TaskState.cancelled,
        Task.k < size,
    )
    ids = list(await session.scalars(short.order_by(Task.id).limit(AT_ONCE)))
    for task_id in ids:
        await change_k(session, batch.project_id, task_id, size, is_adaptive=False)
    return len(ids)


async def assign(
    session: AsyncSession, project_id: int, task_id: int, people: int, band: int, actor_id: int | None
) -> None:
    """Keep a task for an audience (its number; 0: everybody) in a band of priority, whatever its round wants."""
    for task in await lock_tasks(session, project_id, [task_id]):
        task.has_own_place = True
        wish = Wish(people=people, band=band)
        for slot in await session.scalars(select(Slot).where(Slot.task_id == task_id, Slot.state.in_(UNTAKEN))):
            where = update(Slot).where(Slot.id == slot.id, Slot.state.in_(UNTAKEN))
            await session.execute(where.values(**place_in(wish, task, slot)))
        place = {"people": people, "band": band}
        await events.record(
            session, "task.assigned", actor_id=actor_id, project_id=project_id, subject=task.public_id, place=place
        )
