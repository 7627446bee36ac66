"""Many answers at once are set aside, given back, or brought back: some a transaction, while people go on answering.

Each transaction holds the rework's row, so two workers take turns, and then what an answer locks, in the same order:
tasks, slots, annotations. Set-based statements do ten thousand answers in seconds; one by one they would take minutes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, func, or_, select, text
from sqlalchemy import Text as Words
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.tables import Membership
from app.annotations.actions.editing import NotToBeChanged
from app.annotations.actions.prompting import tell_of_prompt
from app.annotations.actions.returning import LongTalk, OwnAnswer, return_answer
from app.annotations.jobs import ReworkAsked
from app.annotations.reworking import TAKEN, WITHDRAWN, Does, ReworkForm, Selection, chosen, rework_of
from app.annotations.tables import Annotation, AnnotationState, Rework, ReworkState
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.projects.tables import Project
from app.tasks.actions.changing import lock_tasks
from app.tasks.actions.releasing import room_changed, state_of_new
from app.tasks.actions.turning import rounds_at_rest
from app.tasks.jobs import AnswersChanged, PlacesChanged, RoundTurned
from app.tasks.tables import SlotState
from app.translation import _

AT_ONCE = 500
ON_ITS_WAY = timedelta(minutes=1)  # what was sent before a withdrawal is kept, or refused, by then
IDS = bindparam("ids", type_=ARRAY(BigInteger))
TASKS = bindparam("tasks", type_=ARRAY(BigInteger))

LOCK_SLOTS = text("""
    SELECT s.id FROM slots s JOIN annotations a ON a.slot_id = s.id WHERE a.id = ANY(:ids)
    ORDER BY s.id FOR NO KEY UPDATE OF s
""").bindparams(IDS)

# Returns those that are taken out now, and whether each counted.
TAKE_OUT = text("""
    WITH before AS (
        SELECT id, state, returned_at FROM annotations WHERE id = ANY(:ids)
          AND (state IN ('live', 'surplus') OR state = 'set_aside' AND :as = 'withdrawn')
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE annotations a SET state = :as, rework_id = :rework, returned_at = NULL,
        was_live = before.state = 'live', was_returned_at = before.returned_at
    FROM before WHERE a.id = before.id
    RETURNING a.id, a.public_id, a.task_id, a.slot_id, a.body, before.state = 'live' AS was_live
""").bindparams(IDS, bindparam("as", type_=Words))

PASS_BY = text("""
    INSERT INTO skips (task_id, annotator_id, project_id, kind, reason)
    SELECT a.task_id, a.annotator_id, a.project_id, 'by_us', 'set_aside' FROM annotations a WHERE a.id = ANY(:ids)
    ON CONFLICT DO NOTHING
""").bindparams(IDS)

# A slot is opened anew where its task still wants that many answers; :state is what such a slot begins as.
EMPTY = text("""
    WITH gone AS (
        SELECT s.id, t.state <> 'cancelled' AND :reopens AND row_number() OVER (PARTITION BY t.id ORDER BY s.number)
               > (SELECT count(*) FROM slots o WHERE o.task_id = t.id AND o.state <> 3) - t.k AS is_wanted
        FROM slots s JOIN tasks t ON t.id = s.task_id WHERE s.id = ANY(:ids) AND s.state = 2
    )
    UPDATE slots s
    SET state = CASE WHEN NOT gone.is_wanted THEN 3 WHEN s.lane >= 0 AND s.lane & 32 = 32 THEN 0
                     ELSE CAST(:state AS smallint) END, annotator_id = NULL,
        shown_key = NULL, shown_at = NULL, protocol_id = NULL, guidelines_id = NULL, tags = NULL
    FROM gone WHERE s.id = gone.id
""").bindparams(IDS)

# Done is a task that asks nobody, also one that has no answer left.
SETTLE = text("""
    UPDATE tasks t SET state = CASE
        WHEN EXISTS (SELECT FROM slots s WHERE s.task_id = t.id AND s.state IN (-2, -1, 0, 1)) THEN 'open'
        ELSE 'done' END
    WHERE t.id = ANY(:tasks) AND t.state <> 'cancelled'
""").bindparams(TASKS)

# What was set aside comes back to its own slot where it counted there, nobody has taken it and the task still wants as
# many; else outside of k. Of those set aside before that was kept (was_live is null) the first of a slot has it.
BRING_BACK = text("""
    WITH mine AS (
        SELECT a.*, s.state AS slot_state, t.k, a.was_live IS NOT FALSE
                   AND row_number() OVER (PARTITION BY a.slot_id ORDER BY a.was_live IS FALSE, a.id) = 1 AS is_first,
               (SELECT count(*) FROM slots o WHERE o.task_id = a.task_id AND o.state <> 3) AS wanted
        FROM annotations a JOIN tasks t ON t.id = a.task_id LEFT JOIN slots s ON s.id = a.slot_id
        WHERE a.id = ANY(:ids) AND a.state = 'set_aside' AND a.rework_id = :rework
    ), back AS (
        SELECT *, is_first AND (coalesce(slot_state, 2) IN (-2, -1, 0) OR slot_state = 3 AND wanted
                  + row_number() OVER (PARTITION BY task_id, slot_state, is_first ORDER BY id) <= k) AS is_free
        FROM mine
    ), refilled AS (
        UPDATE slots s
        SET state = 2, annotator_id = back.annotator_id, shown_key = back.idempotency_key, shown_at = back.shown_at,
            sides = back.sides, protocol_id = back.protocol_id, guidelines_id = back.guidelines_id, tags = back.tags
        FROM back WHERE s.id = back.slot_id AND back.is_free
    )
    UPDATE annotations a SET state = CASE WHEN back.is_free THEN 'live' ELSE 'surplus' END, rework_id = NULL,
        returned_at = back.was_returned_at, was_live = NULL, was_returned_at = NULL
    FROM back WHERE a.id = back.id
    RETURNING a.id, a.public_id, a.task_id, a.body
""").bindparams(IDS)

NOTE = text("""
    INSERT INTO events (actor_id, project_id, kind, subject, body)
    SELECT :by, :project, :kind, said.subject,
           jsonb_build_object('reason', CAST(:reason AS text), 'rework', CAST(:rework AS text))
    FROM unnest(CAST(:subjects AS text[])) said (subject)
""")

EVALUATIONS = text("""
    SELECT DISTINCT evaluation_id FROM tasks WHERE id = ANY(:tasks) AND evaluation_id IS NOT NULL
""").bindparams(TASKS)


class NotToBeUndone(Conflict):
    code = "not-to-be-undone"
    sentence = _("Only a rework that has ended and set answers aside can be undone, and only once.")


async def start_rework(session: AsyncSession, project: Project, form: ReworkForm, actor_id: int) -> Rework:
    """Ask for it; a worker does it. Answers that come from now on are left alone."""
    newest = select(func.coalesce(func.max(Annotation.id), 0)).where(Annotation.project_id == project.id)
    made = Rework(
        project_id=project.id,
        selection=form.selection.model_dump(mode="json", exclude_none=True),
        does=form.does.value,
        reason=form.reason,
        through=await session.scalar(newest),
        by_id=actor_id,
    )
    session.add(made)
    await session.flush()
    await session.refresh(made)
    await _tell(session, made, "rework.started", actor_id)
    await enqueue(session, ReworkAsked(rework_id=made.id))
    return made


async def undo_rework(session: AsyncSession, project_id: int, rework: UUID, actor_id: int) -> Rework:
    """Bring back what a rework set aside; a worker does it.

    :raises NotFound: :raises NotToBeUndone: it has not ended, was undone, or set nothing aside.
    """
    found = await rework_of(session, project_id, rework)
    await session.refresh(found, with_for_update=True)
    if found.state is not ReworkState.done or found.does in (Does.give_back, Does.withdraw):
        raise NotToBeUndone
    found.state, found.after, found.answers, found.ended_at = ReworkState.undoing, 0, 0, None
    await session.flush()
    await _tell(session, found, "rework.undoing", actor_id)
    await enqueue(session, ReworkAsked(rework_id=found.id))
    return found


async def go_on(session: AsyncSession, rework_id: int) -> bool:
    """Do the next some answers. Returns whether there may be more."""
    rework = await session.get(Rework, rework_id, with_for_update=True, populate_existing=True)
    if rework is None or rework.state not in (ReworkState.running, ReworkState.undoing):
        return False
    project = await session.get_one(Project, rework.project_id)
    undoes = rework.state is ReworkState.undoing
    ids = await _next_to_bring_back(session, rework) if undoes else await _next_chosen(session, rework, project)
    if not ids and rework.does == Does.withdraw and await _looks_again(session, rework):
        return False
    if not ids:
        rework.state = ReworkState.undone if undoes else ReworkState.done
        rework.ended_at = func.now()
        await session.flush()
        await _tell(session, rework, f"rework.{rework.state.value}", rework.by_id, answers=rework.answers)
        if rework.does in (Does.reopen, Does.withdraw):  # slots stand where, and as, they were wanted long ago
            await enqueue(session, PlacesChanged(project_id=project.id))
            for batch_id in await rounds_at_rest(session, project.id):
                await enqueue(session, RoundTurned(batch_id=batch_id))
        return False
    if undoes:
        count = await _bring_back(session, rework, ids)
    elif rework.does == Does.give_back:
        count = await _give_back(session, rework, ids)
    else:
        count = await _take_out(session, rework, project, ids)
    rework.after, rework.answers = ids[-1], rework.answers + count
    await session.flush()
    return True


async def _next_chosen(session: AsyncSession, rework: Rework, project: Project) -> list[int]:
    states = WITHDRAWN if rework.does == Does.withdraw else TAKEN
    asked = chosen(project, Selection.model_validate(rework.selection), Annotation.id, states=states)
    came_before = Annotation.id <= rework.through
    if rework.does == Does.withdraw:  # also what was on its way when they took their consent back
        came_before = or_(came_before, Membership.withdrawn_at.is_not(None))
    asked = asked.where(Annotation.id > rework.after, came_before)
    return list(await session.scalars(asked.order_by(Annotation.id).limit(AT_ONCE)))


async def _looks_again(session: AsyncSession, rework: Rework) -> bool:
    """Whether a withdrawal goes once more through everything, later: an answer may come whose sender was let in just
    before it."""
    now = await session.scalar(select(func.clock_timestamp()))
    if now is None or now >= rework.at + ON_ITS_WAY:
        return False
    rework.after = 0
    await session.flush()
    await enqueue(session, ReworkAsked(rework_id=rework.id), at=rework.at + ON_ITS_WAY)
    return True


async def _next_to_bring_back(session: AsyncSession, rework: Rework) -> list[int]:
    asked = select(Annotation.id).where(Annotation.rework_id == rework.id, Annotation.id > rework.after)
    asked = asked.where(Annotation.state == AnnotationState.set_aside)
    return list(await session.scalars(asked.order_by(Annotation.id).limit(AT_ONCE)))


async def _hold(session: AsyncSession, project_id: int, ids: Sequence[int]) -> None:
    tasks = await session.scalars(select(Annotation.task_id).where(Annotation.id.in_(ids)).distinct())
    await lock_tasks(session, project_id, list(tasks))
    await session.execute(LOCK_SLOTS, {"ids": ids})


async def _take_out(session: AsyncSession, rework: Rework, project: Project, ids: Sequence[int]) -> int:
    state = await state_of_new(session, project.id)  # its lock comes before those of rows
    await _hold(session, project.id, ids)
    withdraws = rework.does == Does.withdraw
    into = AnnotationState.withdrawn if withdraws else AnnotationState.set_aside
    gone = (await session.execute(TAKE_OUT, {"ids": ids, "rework": rework.id, "as": into.value})).all()
    await session.execute(PASS_BY, {"ids": [row.id for row in gone]})
    emptied = {"ids": [row.slot_id for row in gone if row.was_live], "state": int(state)}
    await session.execute(EMPTY, emptied | {"reopens": withdraws or rework.does == Does.reopen})
    await _settled(session, rework, gone, "annotation.withdrawn" if withdraws else "annotation.set_aside")
    if state is SlotState.planned:
        await room_changed(session, project.id)
    return len(gone)


async def _bring_back(session: AsyncSession, rework: Rework, ids: Sequence[int]) -> int:
    await _hold(session, rework.project_id, ids)
    back = (await session.execute(BRING_BACK, {"ids": ids, "rework": rework.id})).all()
    await _settled(session, rework, back, "annotation.brought_back")
    return len(back)


async def _settled(session: AsyncSession, rework: Rework, changed: Sequence[Any], kind: str) -> None:
    """What follows when answers stop counting, or count again."""
    tasks = list({row.task_id for row in changed})
    await session.execute(SETTLE, {"tasks": tasks})
    told = {"by": rework.by_id, "project": rework.project_id, "kind": kind, "reason": rework.reason}
    subjects = [str(row.public_id) for row in changed]
    await session.execute(NOTE, told | {"rework": str(rework.public_id), "subjects": subjects})
    for row in changed:
        await tell_of_prompt(session, row.body, row.id)
    for evaluation_id in await session.scalars(EVALUATIONS, {"tasks": tasks}):
        await enqueue(session, AnswersChanged(evaluation_id=evaluation_id))


async def _give_back(session: AsyncSession, rework: Rework, ids: Sequence[int]) -> int:
    """One by one: each author gets a letter. One's own answers, and talks without an end, are left out."""
    asked = select(Annotation.public_id).where(Annotation.id.in_(ids)).order_by(Annotation.id)
    count = 0
    for public_id in list(await session.scalars(asked)):
        try:
            async with session.begin_nested():
                await return_answer(session, rework.project_id, public_id, reviewer_id=rework.by_id, text=rework.reason)
        except (OwnAnswer, LongTalk, NotToBeChanged):
            continue
        count += 1
    return count


async def _tell(session: AsyncSession, rework: Rework, kind: str, actor_id: int, **told: object) -> None:
    told = {"does": rework.does, "selection": rework.selection, "reason": rework.reason} | told
    await events.record(
        session, kind, actor_id=actor_id, project_id=rework.project_id, subject=rework.public_id, rework=told
    )
