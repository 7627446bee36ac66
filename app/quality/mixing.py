"""Argued tasks among the usual ones: each gets a twin that everybody may meet once, and that goes when it is doubted.

The twin is a task like any other, in lanes that a claim looks at by chance (`tasks.actions.claiming.mixed_in`), so the
page tells nothing. Whoever has met the task that was argued never meets the twin, nor the other way round: the first is
asked no more, and its people have passed the second by. So have those who argued it: they know what is accepted.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import events
from app.accounts.actions.lanes import share_hand_out
from app.annotations.tables import Annotation, AnnotationState
from app.projects.care import CLASSES, GOLD
from app.projects.tables import Project
from app.prompts.tables import Prompt
from app.quality.queries import said_first
from app.quality.rules import doubtful, hits
from app.quality.tables import ArguedAnswer
from app.tasks.actions import NewTask, Wish, cancel_tasks, open_tasks
from app.tasks.actions.changing import lock_tasks
from app.tasks.queries import completions_of
from app.tasks.tables import Purpose, Report, Slot, Task, TaskState

SHOWINGS = 50  # a twin is answered by so many people; then it has told what it can
AT_ONCE = 50  # twins made in one transaction
MOST_READ = 50_000  # the newest answers to argued tasks
SHARED = ("protocol_id", "use", "bodies", "markdown", "html", "by_id", "is_templated")

MET = text("""
    INSERT INTO skips (task_id, annotator_id, project_id, kind, reason)
    SELECT :twin, met.annotator_id, t.project_id, 'by_us', 'met before'
    FROM tasks t, (SELECT s.annotator_id FROM slots s WHERE s.task_id = :task AND s.annotator_id IS NOT NULL
                   UNION SELECT k.annotator_id FROM skips k WHERE k.task_id = :task
                   UNION SELECT a.annotator_id FROM annotations a WHERE a.task_id = :task
                   UNION SELECT l.annotator_id FROM lapses l JOIN slots s ON s.id = l.slot_id
                   WHERE s.task_id = :task
                   UNION SELECT g.by_id FROM argued_answers g WHERE g.task_id = :task) met
    WHERE t.id = :twin
    ON CONFLICT DO NOTHING
""").bindparams(bindparam("task", type_=BigInteger), bindparam("twin", type_=BigInteger))

# A twin that was doubted is mixed in again, for those who have not met it.
ASK_AGAIN = text("""
    WITH task AS (UPDATE tasks SET state = 'open' WHERE id = :task AND state = 'cancelled' RETURNING id)
    UPDATE slots s SET state = 0 FROM task WHERE s.task_id = task.id AND s.state = 3
""").bindparams(bindparam("task", type_=BigInteger))


async def asked_first(session: AsyncSession, task: Task) -> Task:
    """The task that was argued, for its twin as well."""
    of = await session.scalar(select(ArguedAnswer.twin_of).where(ArguedAnswer.task_id == task.id))
    return task if of is None else await session.get_one(Task, of)


async def follow(session: AsyncSession, argued: ArguedAnswer) -> None:
    """The twin of an argued task accepts what its first does, for the same reason, and is not for who argued it."""
    twin = await session.scalar(select(ArguedAnswer).where(ArguedAnswer.twin_of == argued.task_id))
    if twin is not None:
        for name in SHARED:
            setattr(twin, name, getattr(argued, name))
        if twin.doubted_at is not None:
            twin.doubted_at = None
            await session.execute(ASK_AGAIN, {"task": twin.task_id})
        await session.flush()
        await session.execute(MET, {"task": argued.task_id, "twin": twin.task_id})


async def part(session: AsyncSession, task_id: int) -> None:
    """Whoever has met the twin of a task has met the task: should it get another one, that is not for them."""
    twin = await session.scalar(select(ArguedAnswer.task_id).where(ArguedAnswer.twin_of == task_id))
    if twin is not None:
        await session.execute(MET, {"task": twin, "twin": task_id})


async def without_twins(session: AsyncSession, after: int = 0) -> Sequence[int]:
    """Argued tasks (inside ids) of projects that mix them in, which have no twin yet, by id, the first behind one; none
    whose prompt is retired, or that somebody reported."""
    twin = aliased(ArguedAnswer)
    open_report = select(Report.id).where(Report.task_id == ArguedAnswer.task_id, Report.closed_at.is_(None))
    asked = (
        select(ArguedAnswer.task_id)
        .join(Project, Project.id == ArguedAnswer.project_id)
        .join(Task, Task.id == ArguedAnswer.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .where(mixes_in(), ArguedAnswer.twin_of.is_(None), ArguedAnswer.task_id > after)
        .where(~select(twin.task_id).where(twin.twin_of == ArguedAnswer.task_id).exists())
        .where(Prompt.retired_at.is_(None), ~open_report.exists())
    )
    return (await session.scalars(asked.order_by(ArguedAnswer.task_id).limit(AT_ONCE))).all()


async def mix_in(session: AsyncSession, task_id: int) -> int | None:
    """Make the twin of an argued task, and ask nobody else the first. The twin's inside id; None: it is there."""
    project_id = await session.scalar(select(Task.project_id).where(Task.id == task_id))
    if project_id is None:
        return None
    await share_hand_out(session, project_id)  # its lock comes before those of rows
    argued = await session.get(ArguedAnswer, task_id, with_for_update=True)
    there = select(ArguedAnswer.task_id).where(ArguedAnswer.twin_of == task_id)
    if argued is None or argued.twin_of is not None or await session.scalar(there) is not None:
        return None
    task = await session.get_one(Task, task_id)
    await cancel_tasks(session, task.project_id, [task_id])
    (task,) = await lock_tasks(session, task.project_id, [task_id])
    task.state = TaskState.cancelled  # also one that was done: nothing opens it anew
    lane = (await session.scalars(select(Slot.lane).where(Slot.task_id == task_id).limit(1))).one()
    people = (~lane if lane < 0 else lane) % CLASSES % GOLD
    wish = Wish(SHOWINGS, people=GOLD + people, purpose=Purpose.gold)
    new = NewTask(task.prompt_id, await completions_of(session, task_id), wish, chance=None)
    (twin,) = await open_tasks(session, task.project_id, task.batch_id, [new], kind=task.kind)
    await session.execute(MET, {"task": task_id, "twin": twin})
    shared = {name: getattr(argued, name) for name in SHARED}
    session.add(ArguedAnswer(task_id=twin, project_id=task.project_id, twin_of=task_id, **shared))
    await session.flush()
    return twin


async def doubt(session: AsyncSession, project_id: int) -> list[int]:
    """Mix in no more what people who are usually right say otherwise. Returns the twins (inside ids) that went."""
    asked = (
        select(
            Annotation.task_id,
            Annotation.annotator_id,
            said_first(),
            ArguedAnswer.bodies,
        )
        .join(ArguedAnswer, ArguedAnswer.task_id == Annotation.task_id)
        .where(Annotation.project_id == project_id, Annotation.state == AnnotationState.live)
        .order_by(Annotation.id.desc())
        .limit(MOST_READ)
    )
    said: dict[int, dict[int, bool]] = defaultdict(dict)
    for task_id, person, body, accepted in await session.execute(asked):
        said[task_id][person] = hits(body, accepted)
    open_twins = select(ArguedAnswer).where(ArguedAnswer.project_id == project_id, ArguedAnswer.twin_of.is_not(None))
    gone, doubted = [], doubtful(said)
    for twin in await session.scalars(open_twins.where(ArguedAnswer.doubted_at.is_(None))):
        if twin.task_id in doubted:
            twin.doubted_at = func.now()
            gone.append(twin.task_id)
            first = await session.get_one(Task, twin.twin_of)
            await events.record(session, "task.doubted", project_id=project_id, subject=first.public_id)
    await cancel_tasks(session, project_id, gone)
    return gone


async def mixing_projects(session: AsyncSession) -> Sequence[int]:
    """Inside ids of projects that mix argued tasks in."""
    return (await session.scalars(select(Project.id).where(mixes_in()).order_by(Project.id))).all()


def mixes_in() -> ColumnElement[bool]:
    """A condition on `Project`: argued tasks are put to people, among the usual ones or before them."""
    return (Project.gold_share > 0) | Project.entrance.is_not(None)
