"""A task's answer is argued: what is accepted, and why. Figures that were computed are kept."""

from typing import Any

from sqlalchemy import delete, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.lanes import share_hand_out
from app.errors import Conflict
from app.markup import render_markdown
from app.quality.adjudicating import not_their_own
from app.quality.entering import judge_authors_again
from app.quality.forms import Argument
from app.quality.gathering import OURS
from app.quality.mixing import asked_first, follow, part
from app.quality.rules import hits, is_arguable
from app.quality.tables import ArguedAnswer, Figures, Use
from app.tasks.actions import cancel_tasks
from app.tasks.tables import Task
from app.translation import _

MOST = 9  # accepted bodies


class NotArguable(Conflict):
    code = "not-arguable"
    sentence = _("Two people never write the same text, so a task that asks for one has no argued answer.")


class AskedForItself(Conflict):
    code = "asked-for-itself"
    sentence = _("Only tasks that gather preferences get a known answer: it would end this one, which others count on.")


class EnoughAccepted(Conflict):
    code = "enough-accepted"
    sentence = _("A task whose every answer is right teaches nobody: {most} accepted ones are the most.")


async def argue(
    session: AsyncSession,
    task: Task,
    protocol_id: int,
    body: dict[str, Any],
    form: Argument,
    actor_id: int,
    *,
    is_templated: bool = False,
) -> ArguedAnswer:
    """Accept a kept body as the answer to a task, beside those that are accepted already, for this reason.
    is_templated: the reason is the project's words for many tasks.

    Bodies are read under one protocol: where that has moved on, the earlier ones go.

    :raises NotArguable: it is a text. :raises AskedForItself: the task is of an evaluation or the like.
    :raises EnoughAccepted: there are as many as may be. :raises AnsweredYourself: who argues has answered it as well.
    """
    if not is_arguable(body):
        raise NotArguable
    await not_their_own(session, task, actor_id)
    await share_hand_out(session, task.project_id)  # its lock comes before those of rows
    task = await asked_first(session, task)
    if task.purpose not in OURS:
        raise AskedForItself
    argued = await _locked(session, task, protocol_id, actor_id)
    before = argued.bodies if argued.protocol_id == protocol_id else []
    is_new = not hits(body, before)
    if is_new:
        if len(before) >= MOST:
            raise EnoughAccepted(most=MOST)
        before = [*before, body]
    argued.protocol_id, argued.bodies, argued.use, argued.by_id = protocol_id, before, form.use, actor_id
    argued.markdown, argued.html, argued.doubted_at = form.argument, render_markdown(form.argument), None
    argued.is_templated = is_templated
    await session.flush()
    await follow(session, argued)
    if is_new:
        await judge_authors_again(session, task.id)
    await _note(session, "task.argued", task, actor_id, use=form.use.value, accepted=len(before))
    return argued


async def _locked(session: AsyncSession, task: Task, protocol_id: int, actor_id: int) -> ArguedAnswer:
    """What is argued about a task, begun where nothing is: two who argue it at once do so one after the other."""
    begun = {"task_id": task.id, "project_id": task.project_id, "protocol_id": protocol_id, "by_id": actor_id}
    nothing = {"use": Use.training, "bodies": [], "markdown": "", "html": ""}
    await session.execute(insert(ArguedAnswer).values(begun | nothing).on_conflict_do_nothing())
    return await session.get_one(ArguedAnswer, task.id, with_for_update=True, populate_existing=True)


async def drop_argument(session: AsyncSession, task: Task, actor_id: int) -> None:
    """Nothing is accepted about a task any more, and nobody is told anything.

    :raises AnsweredYourself: who takes it away has answered the task.
    """
    await not_their_own(session, task, actor_id)
    task = await asked_first(session, task)
    await session.get(ArguedAnswer, task.id, with_for_update=True)  # a twin that is made now is there then
    await part(session, task.id)
    both = or_(ArguedAnswer.task_id == task.id, ArguedAnswer.twin_of == task.id)
    gone = list(await session.scalars(delete(ArguedAnswer).where(both).returning(ArguedAnswer.task_id)))
    if gone:
        await cancel_tasks(session, task.project_id, [one for one in gone if one != task.id], actor_id=actor_id)
        await _note(session, "task.argument_dropped", task, actor_id)


async def _note(session: AsyncSession, kind: str, task: Task, actor_id: int, **body: object) -> None:
    await events.record(session, kind, actor_id=actor_id, project_id=task.project_id, subject=task.public_id, **body)


async def keep_figures(
    session: AsyncSession, project_id: int, bodies: dict[str, dict[str, Any]], through: int, seconds: float
) -> None:
    """In place of those that were kept before. bodies: by name."""
    rows = [
        {"project_id": project_id, "name": name, "body": body, "through": through, "seconds": seconds}
        for name, body in bodies.items()
    ]
    kept = insert(Figures).values(rows)
    fresh = {name: kept.excluded[name] for name in ("body", "through", "seconds")}
    await session.execute(
        kept.on_conflict_do_update(index_elements=["project_id", "name"], set_=fresh | {"at": func.now()})
    )
