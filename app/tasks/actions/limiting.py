"""Those who run a project say of whom, how often and how much is asked; what is not handed out yet follows at once."""

from collections.abc import Mapping, Sequence
from math import isclose
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, case, delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.audiences import audience_of
from app.accounts.actions.lanes import hold_hand_out, share_hand_out
from app.errors import Conflict, Invalid
from app.jobs.queue import enqueue
from app.projects.actions import EditedMeanwhile, locked
from app.projects.batching import SETTLED, HandOutEdit, LimitsEdit
from app.projects.care import GOLD
from app.projects.queries import limits_of
from app.projects.tables import Batch, Ordering, Project, TagRule
from app.tasks.actions.arranging import not_drawn
from app.tasks.actions.changing import change_k, lock_tasks
from app.tasks.actions.placing import PLACED, put, put_in_place, wishes_now
from app.tasks.actions.releasing import release_slots
from app.tasks.actions.wishing import MOST_K, Wish, everybody, for_everybody, numbers_of_audiences, wanted_by_all
from app.tasks.jobs import PlacesChanged
from app.tasks.tables import Purpose, Slot, Task, TaskState
from app.translation import _

AT_ONCE = 500  # tasks

# Of a later chapter, by name.
HAS_PAID = text("SELECT EXISTS (SELECT FROM ledger WHERE project_id = :project)").bindparams(
    bindparam("project", type_=BigInteger)
)


class RoundSettled(Conflict):
    code = "round-settled"
    sentence = _("This round is {state}: only its name and the day it is due can be changed.")


async def edit_hand_out(session: AsyncSession, batch: Batch, form: HandOutEdit, actor_id: int | None) -> Batch:
    """How a round's tasks are handed out. k holds for tasks that are made from now on, the rest also for those that are
    there, as far as nobody has them in hand.

    :raises EditedMeanwhile: the round has moved on from the version that the editor saw.
    :raises NotFound: there is no such audience. :raises RoundSettled: its answers are accepted, and this is another.
    """
    await share_hand_out(session, batch.project_id)
    await session.refresh(batch, with_for_update={"key_share": True})
    if form.version not in (None, batch.version):
        raise EditedMeanwhile([("version", batch.version, form.version)])
    audience_id = await _audience(session, batch.project_id, form.audience)
    is_same = isclose(batch.calibration, form.calibration, abs_tol=1e-6) and (
        (batch.k, batch.most_k, batch.ordering, batch.audience_id) == (form.k, form.most_k, form.ordering, audience_id)
    )
    if batch.state in SETTLED and not is_same:
        raise RoundSettled(state=_(batch.state.value))
    batch.audience_id, batch.version = audience_id, batch.version + 1
    batch.k, batch.most_k, batch.calibration, batch.ordering = form.k, form.most_k, form.calibration, form.ordering
    await session.flush()
    await _changed(session, batch.project_id, "batch.hand_out_changed", batch.public_id, form, actor_id)
    return batch


async def edit_limits(session: AsyncSession, project_id: int, form: LimitsEdit, actor_id: int | None) -> Project:
    """How much is handed out, and what tags ask for. Slots are released, or taken back, before this returns.

    :raises EditedMeanwhile: the project has moved on from the version that the editor saw.
    :raises NotFound: there is no such audience. :raises Invalid: another currency, after somebody was paid.
    """
    await hold_hand_out(session, project_id)
    project = await locked(session, project_id)
    if form.version != project.version:
        raise EditedMeanwhile([("version", project.version, form.version)])
    if form.currency not in (None, project.currency) and await session.scalar(HAS_PAID, {"project": project_id}):
        reason = _("there are lines in the ledger already, in {currency}")
        raise Invalid(field="currency", reason=reason.format(currency=project.currency))
    was = await limits_of(session, project)
    audiences = [await _audience(session, project_id, one.audience) for one in form.tags]
    project.answers_a_day, project.answers_in_all = form.answers_a_day, form.answers_in_all
    project.budget, project.currency = form.budget, form.currency or project.currency
    bounds = [project.answers_a_day, project.answers_in_all, project.budget]
    bounds += [bound for one in form.tags for bound in (one.a_day, one.in_all)]
    project.is_limited = any(bound is not None for bound in bounds)
    project.version += 1
    await session.execute(delete(TagRule).where(TagRule.project_id == project_id))
    for place, (one, audience_id) in enumerate(zip(form.tags, audiences, strict=True)):
        values = one.model_dump(exclude={"audience"}) | {"place": place, "project_id": project_id}
        session.add(TagRule(**values, audience_id=audience_id))
    await session.flush()
    await release_slots(session, project_id)
    told = {name: was[name] for name in ("answers_a_day", "answers_in_all", "budget")}
    told |= {"tags": [{name: one[name] for name in ("tag", "a_day", "in_all")} for one in was["tags"]]}
    await _changed(session, project_id, "limits.changed", project.public_id, form, actor_id, was=told)
    return project


async def _audience(session: AsyncSession, project_id: int, audience: UUID | None) -> int | None:
    return None if audience is None else (await audience_of(session, project_id, audience)).id


async def _changed(
    session: AsyncSession,
    project_id: int,
    kind: str,
    subject: UUID,
    form: HandOutEdit | LimitsEdit,
    actor_id: int | None,
    **told: object,
) -> None:
    told["wanted"] = form.model_dump(mode="json")
    await events.record(session, kind, actor_id=actor_id, project_id=project_id, subject=subject, **told)
    await enqueue(session, PlacesChanged(project_id=project_id))


async def settle_places(session: AsyncSession, project_id: int, after: int = 0) -> int | None:
    """Put slots that nobody has where rounds and tags want them now: some tasks of a project, by their ids.

    Returns where to go on; None: that was the last. Tasks that somebody gave a place of their own are left there.
    """
    asked = select(Task.id).where(
        Task.project_id == project_id,
        Task.id > after,
        Task.state == TaskState.open,
        Task.purpose.in_(PLACED),
        ~Task.has_own_place,
    )
    ids = list(await session.scalars(asked.order_by(Task.id).limit(AT_ONCE)))
    if not ids:
        return None
    tasks = [task for task in await lock_tasks(session, project_id, ids) if task.state is TaskState.open]
    wishes = await wishes_now(session, tasks)
    await put(session, tasks, wishes)
    collected = [task for task in tasks if task.purpose is Purpose.collect]
    await not_drawn(session, [task for task in collected if wishes[task.id].ordering is Ordering.informative])
    for task in tasks:
        task.most_k = wishes[task.id].most_k if task.purpose is Purpose.collect else None
    await session.flush()
    await _shrink_calibration(session, project_id, tasks, wishes)
    return ids[-1]


async def grow_calibration(session: AsyncSession, batch_id: int) -> int:
    """Tasks that everybody answers want an answer of those who have joined since. Returns how many tasks grew.

    Everybody is whoever is in the lane of the task; what somebody gave a place or a number of its own stays so.
    """
    batch = await session.get_one(Batch, batch_id)
    grown = 0
    for people in (0, *(await numbers_of_audiences(session, batch.project_id)).values()):
        size = min(await everybody(session, batch.project_id, people), MOST_K)
        lane = select(Slot.lane).where(Slot.task_id == Task.id).order_by(Slot.number).limit(1).scalar_subquery()
        short = select(Task.id).where(
            Task.batch_id == batch_id,
            Task.purpose == Purpose.calibration,
            Task.state != TaskState.cancelled,
            Task.k < size,
            ~Task.has_own_place,
            case((lane < 0, lane.bitwise_not()), else_=lane).bitwise_and(GOLD - 1) == people,
        )
        ids = list(await session.scalars(short.order_by(Task.id).limit(AT_ONCE)))
        for task_id in ids:
            await change_k(session, batch.project_id, task_id, size, is_adaptive=False)
        grown += len(ids)
    return grown


async def _shrink_calibration(
    session: AsyncSession, project_id: int, tasks: Sequence[Task], wishes: Mapping[int, Wish]
) -> None:
    """Tasks that everybody answers wait for nobody who took their consent back; whoever returns is one who joins."""
    of_all = [task for task in tasks if task.purpose is Purpose.calibration]
    for people in {wishes[task.id].people for task in of_all}:
        here = [task for task in of_all if wishes[task.id].people == people]
        sizes = await wanted_by_all(session, project_id, people, [task.id for task in here])
        for task in here:
            k = for_everybody(wishes[task.id], sizes[task.id]).k
            if k < task.k:
                await change_k(session, project_id, task.id, k, is_adaptive=False)


async def assign(
    session: AsyncSession, project_id: int, task_id: int, people: int, band: int, actor_id: int | None
) -> None:
    """Keep a task for an audience (its number; 0: everybody) in a band of priority, whatever its round wants."""
    await share_hand_out(session, project_id)
    for task in await lock_tasks(session, project_id, [task_id]):
        task.has_own_place = True
        await put(session, [task], {task_id: Wish(people=people, band=band)})
        place = {"people": people, "band": band}
        await _note(session, "task.assigned", task, actor_id, place=place)


async def unassign(session: AsyncSession, project_id: int, task_id: int, actor_id: int | None) -> None:
    """A task goes back to where its round and its tags want it."""
    for task in await lock_tasks(session, project_id, [task_id]):
        task.has_own_place = False
        await put_in_place(session, task)
        await _note(session, "task.unassigned", task, actor_id)


async def _note(session: AsyncSession, kind: str, task: Task, actor_id: int | None, **told: object) -> None:
    await events.record(session, kind, actor_id=actor_id, project_id=task.project_id, subject=task.public_id, **told)
