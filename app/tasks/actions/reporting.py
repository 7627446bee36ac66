"""Reports of harmful content: the reporter moves on, the task is held back, somebody looks at it and decides."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.errors import Conflict, Invalid, NotFound
from app.projects.actions import locked
from app.prompts.actions import retire_prompt
from app.prompts.tables import Prompt
from app.tasks.actions.caring import categorise, chosen_of
from app.tasks.actions.changing import cancel_tasks, lock_tasks
from app.tasks.actions.ending import skip
from app.tasks.tables import PassedBy, Report, Task, Verdict
from app.translation import _

HOLD_BACK = text("UPDATE slots SET lane = ~lane WHERE task_id = ANY(:tasks) AND lane >= 0").bindparams(
    bindparam("tasks", type_=ARRAY(BigInteger))
)
LET_GO = text("UPDATE slots SET lane = ~lane WHERE task_id = ANY(:tasks) AND lane < 0").bindparams(
    bindparam("tasks", type_=ARRAY(BigInteger))
)


class ReportClosed(Conflict):
    code = "report-closed"
    sentence = _("Somebody has closed this report in the meantime.")


async def report(
    session: AsyncSession,
    project_id: int,
    person_id: int,
    task: UUID,
    key: UUID,
    *,
    category: str | None = None,
    words: str = "",
) -> None:
    """A person finds a task harmful. They are not shown it again, and nobody else is until somebody has looked at it.

    Safe to repeat. Whoever holds the task already may finish it.
    """
    task_id = await skip(session, project_id, person_id, task, key, words[:500] or None, PassedBy.reported)
    if task_id is None:
        return
    await lock_tasks(session, project_id, [task_id])
    values = {"project_id": project_id, "task_id": task_id, "annotator_id": person_id}
    made = upsert(Report).values(**values, category=category, words=words).on_conflict_do_nothing()
    report_id = await session.scalar(made.returning(Report.public_id))
    if report_id is None:
        return
    await session.execute(HOLD_BACK, {"tasks": [task_id]})
    told = {"report": str(report_id), "category": category}
    await events.record(session, "task.reported", actor_id=person_id, project_id=project_id, subject=task, **told)


async def close_report(
    session: AsyncSession,
    project_id: int,
    report: UUID,
    verdict: Verdict,
    actor_id: int,
    *,
    categories: Sequence[str] = (),
) -> None:
    """Decide about a report; the task's other open ones are closed with it.

    harmless: the task is handed out again. categorised: from now on to those who opted into the prompt's categories.
    retired: the prompt is asked about no more, nor are its tasks.

    :raises NotFound: no such report here.
    :raises ReportClosed: somebody was quicker.
    :raises Invalid: a key that is none of the project's categories, or none for `categorised`.
    """
    project = await locked(session, project_id)
    here = select(Report).where(Report.project_id == project_id, Report.public_id == report)
    found = (await session.scalars(here.with_for_update())).one_or_none()
    if found is None:
        raise NotFound
    if found.closed_at is not None:
        raise ReportClosed
    prompt = (await session.scalars(select(Prompt).join(Task).where(Task.id == found.task_id))).one()
    if verdict is Verdict.categorised:
        mask = chosen_of(project, categories)
        if not mask:
            raise Invalid(field=_("categories"), reason=_("choose at least one"))
        await categorise(session, project_id, [prompt.id], add=mask, actor_id=actor_id)
    elif verdict is Verdict.retired:
        await retire_prompt(session, prompt, actor_id, retired=True)
        tasks = list(await session.scalars(select(Task.id).where(Task.prompt_id == prompt.id).order_by(Task.id)))
        await cancel_tasks(session, project_id, tasks, actor_id=actor_id)
    await lock_tasks(session, project_id, [found.task_id])
    others = select(Report).where(Report.task_id == found.task_id, Report.closed_at.is_(None)).with_for_update()
    for one in await session.scalars(others):
        one.verdict, one.closed_by_id, one.closed_at = verdict, actor_id, func.now()
    await session.flush()
    await session.execute(LET_GO, {"tasks": [found.task_id]})
    await events.record(
        session, "report.closed", actor_id=actor_id, project_id=project_id, subject=report, verdict=verdict
    )
