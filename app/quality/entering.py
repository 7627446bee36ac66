"""Newcomers answer tasks with a known answer first, and who gives enough right ones is let in.

Nothing of this is asked when somebody takes a task: until they are let in, a newcomer's lanes are those of the tasks
that are mixed in among everybody's (`projects.care.GOLD`), and nothing else; `accounts.actions.lanes` works that out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Select, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.inbox import tell
from app.accounts.actions.lanes import hold_hand_out, settle_lanes, share_hand_out
from app.accounts.permissions import Role
from app.accounts.tables import Letter, Membership
from app.annotations.tables import Annotation
from app.errors import NotFound
from app.projects.care import GOLD
from app.projects.forms import Form
from app.projects.tables import Project
from app.quality.queries import STANDS, said_first
from app.quality.rules import hits
from app.quality.tables import ArguedAnswer, Entrance, Entry
from app.tasks.tables import Slot, Task
from app.translation import _

IN = (Entry.passed, Entry.exempt)

EXEMPT = text("""
    INSERT INTO entrances (project_id, user_id, state)
    SELECT project_id, user_id, 'exempt' FROM memberships WHERE project_id = :project
    ON CONFLICT DO NOTHING
""")

# Who was paused because they were not let in is so no more where nobody is asked anything first.
RESUME = text("""
    UPDATE memberships m SET paused_at = NULL FROM (
        SELECT o.id FROM memberships o JOIN entrances e ON e.project_id = o.project_id AND e.user_id = o.user_id
        WHERE o.project_id = :project AND e.state = 'failed' AND o.deactivated_at IS NULL
        ORDER BY o.id FOR NO KEY UPDATE OF o
    ) failed WHERE m.id = failed.id
""")


class EntranceForm(Form):
    """tasks: with a known answer, that a newcomer answers first. right: of these, to be let in. tries: how often, each
    with tasks that they have not met."""

    tasks: Annotated[int, Field(ge=1, le=50)] = 10
    right: Annotated[int, Field(ge=1, le=50)] = 8
    tries: Annotated[int, Field(ge=1, le=5)] = 2

    @model_validator(mode="after")
    def can_be_passed(self) -> Self:
        if self.right > self.tasks:
            raise ValueError(_("nobody gives more right answers than answers"))
        return self


async def set_entrance(session: AsyncSession, project: Project, form: EntranceForm | None, actor_id: int) -> None:
    """Who joins from now on answers these first; None: nobody does. Who is there already stays in."""
    await hold_hand_out(session, project.id)
    if form is not None and project.entrance is None:
        await session.execute(EXEMPT, {"project": project.id})
    if form is None:
        await session.execute(RESUME, {"project": project.id})
        await session.execute(delete(Entrance).where(Entrance.project_id == project.id))
    project.entrance = None if form is None else form.model_dump()
    await session.flush()
    await settle_lanes(session, project.id)
    told = form.model_dump() if form else {}
    await events.record(
        session, "entrance.set", actor_id=actor_id, project_id=project.id, subject=project.public_id, **told
    )


def newcomers(project_id: int) -> Select[Membership, Entrance]:
    """(membership, entrance or None) of annotators who are not let in; paused ones among them."""
    here = (Entrance.project_id == Membership.project_id) & (Entrance.user_id == Membership.user_id)
    outside = Entrance.state.is_(None) | Entrance.state.not_in(IN)
    asked = select(Membership, Entrance).outerjoin(Entrance, here)
    return asked.where(Membership.project_id == project_id, Membership.role == Role.annotator, outside)


async def entrance_projects(session: AsyncSession) -> Sequence[int]:
    """Inside ids of projects that ask something of newcomers."""
    return (await session.scalars(select(Project.id).where(Project.entrance.is_not(None)).order_by(Project.id))).all()


async def judge_newcomers(session: AsyncSession, project_id: int) -> int:
    """Let in who has passed, and tell who has not. Returns of how many a try was over."""
    project = await session.get_one(Project, project_id)
    if project.entrance is None:
        return 0
    await share_hand_out(session, project_id)
    form = EntranceForm.model_validate(project.entrance)
    waiting = newcomers(project_id).where(Membership.paused_at.is_(None)).order_by(Membership.id)
    people = [
        (member, entrance or await _begin(session, member)) for member, entrance in await session.execute(waiting)
    ]
    said = await _answered(session, project_id, {one.user_id: one.after for _m, one in people})
    over = 0
    for member, entrance in people:
        answers = said[member.user_id][: form.tasks]
        if len(answers) == form.tasks and await _still_waits(session, member, entrance):
            over += 1
            await _end_try(session, member, entrance, form, answers)
    return over


async def judge_authors_again(session: AsyncSession, task_id: int) -> None:
    """More counts as right about an argued task and its twin: look again at everybody outside who answered them."""
    of = select(ArguedAnswer.task_id).where((ArguedAnswer.task_id == task_id) | (ArguedAnswer.twin_of == task_id))
    said = select(Annotation.id).where(Annotation.annotator_id == Membership.user_id, Annotation.task_id.in_(of))
    project_id = (await session.scalars(select(Task.project_id).where(Task.id == task_id))).one()
    asked = newcomers(project_id).where(Entrance.given.is_not(None), said.exists()).order_by(Membership.id)
    for person_id in (await session.scalars(asked.with_only_columns(Membership.user_id))).all():
        await judge_again(session, project_id, person_id)


async def judge_again(session: AsyncSession, project_id: int, person_id: int) -> None:
    """An answer of somebody has turned out right: if that lets them in after all, they are let in. Looks at their last
    try that is over."""
    project = await session.get_one(Project, project_id)
    asked = newcomers(project_id).where(Membership.user_id == person_id, Entrance.given.is_not(None))
    row = (await session.execute(asked)).one_or_none()
    if project.entrance is None or row is None:
        return
    form, (member, entrance) = EntranceForm.model_validate(project.entrance), row
    if not await _still_waits(session, member, entrance):
        return
    answers = (await _answered(session, project_id, {person_id: entrance.before}))[person_id]
    last = [one for one in answers if one[0] <= entrance.after][-(entrance.given or 0) :]
    entrance.hits = sum(right for _id, right in last)
    if entrance.hits >= form.right:
        await _let_in(session, member, entrance, Entry.passed)


async def let_in(session: AsyncSession, project_id: int, pseudonym: str, actor_id: int) -> None:
    """Whatever they answered.

    :raises NotFound: nobody of that name waits here.
    """
    await share_hand_out(session, project_id)
    row = (await session.execute(newcomers(project_id).where(Membership.pseudonym == pseudonym))).one_or_none()
    if row is None:
        raise NotFound
    member, entrance = row[0], row[1] or await _begin(session, row[0])
    if not await _still_waits(session, member, entrance):
        raise NotFound
    await _let_in(session, member, entrance, Entry.exempt)
    await events.record(session, "member.let_in", actor_id=actor_id, project_id=project_id, subject=pseudonym)


async def _begin(session: AsyncSession, member: Membership) -> Entrance:
    values = {"project_id": member.project_id, "user_id": member.user_id}
    await session.execute(insert(Entrance).values(values).on_conflict_do_nothing())
    return await session.get_one(Entrance, (member.project_id, member.user_id))


async def _still_waits(session: AsyncSession, member: Membership, entrance: Entrance) -> bool:
    """Locks them; False: somebody has let them in meanwhile. Several are locked in the order of their memberships."""
    await session.refresh(member, with_for_update={"key_share": True})
    await session.refresh(entrance)  # a statement that begins after the lock was given
    return entrance.state not in IN


async def _answered(session: AsyncSession, project_id: int, after: dict[int, int]) -> dict[int, list[tuple[int, bool]]]:
    """(inside id, whether it is right) of people's answers to argued tasks after one of theirs, the oldest first."""
    asked = (
        select(
            Annotation.id,
            Annotation.annotator_id,
            said_first(),
            ArguedAnswer.bodies,
        )
        .join(ArguedAnswer, ArguedAnswer.task_id == Annotation.task_id)
        .where(Annotation.project_id == project_id, Annotation.annotator_id.in_(after), Annotation.state.in_(STANDS))
        .where(ArguedAnswer.doubted_at.is_(None))
        .order_by(Annotation.id)
    )
    said: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for key, person, body, accepted in await session.execute(asked):
        if key > after[person]:
            said[person].append((key, hits(body, accepted)))
    return said


async def _end_try(
    session: AsyncSession, member: Membership, entrance: Entrance, form: EntranceForm, answers: list[tuple[int, bool]]
) -> None:
    entrance.hits, entrance.given = sum(right for _id, right in answers), len(answers)
    entrance.before, entrance.after, entrance.tries = entrance.after, answers[-1][0], entrance.tries + 1
    if entrance.hits >= form.right:
        await _let_in(session, member, entrance, Entry.passed)
        return
    is_last = entrance.tries >= form.tries
    if is_last:
        entrance.state, member.paused_at = Entry.failed, func.now()
    kind = Letter.not_entered if is_last else Letter.try_again
    await _note(session, member, entrance, kind)


async def _let_in(session: AsyncSession, member: Membership, entrance: Entrance, state: Entry) -> None:
    if entrance.state is Entry.failed and member.deactivated_at is None:  # the pause that failing brought
        member.paused_at = None
    entrance.state = state
    await session.flush()
    await settle_lanes(session, member.project_id, member.id)
    await _note(session, member, entrance, Letter.entered)


async def _note(session: AsyncSession, member: Membership, entrance: Entrance, kind: Letter) -> None:
    entrance.at = func.now()
    await session.flush()
    await tell(session, [member.user_id], member.project_id, kind, entrance.tries)
    told: dict[str, Any] = {
        "state": entrance.state.value,
        "tries": entrance.tries,
        "hits": entrance.hits,
        "given": entrance.given,
    }
    await events.record(session, "member.judged", project_id=member.project_id, subject=member.pseudonym, **told)


@dataclass(frozen=True)
class Standing:
    """How somebody stands at the entrance. given: answers of the try that is under way; hits, of: of the last one that
    is over. tries_left: that may still be begun, the one under way among them."""

    form: EntranceForm
    state: Entry
    given: int
    tries_left: int
    hits: int | None
    of: int | None


async def standing_of(session: AsyncSession, project: Project, person_id: int) -> Standing | None:
    """None: nothing is, or was, asked of this person first."""
    if project.entrance is None:
        return None
    row = (await session.execute(newcomers(project.id).where(Membership.user_id == person_id))).one_or_none()
    if row is None:
        return None
    form, entrance = EntranceForm.model_validate(project.entrance), row[1]
    after = entrance.after if entrance else 0
    given = len((await _answered(session, project.id, {person_id: after}))[person_id])
    left = max(0, form.tries - (entrance.tries if entrance else 0))
    state = entrance.state if entrance else Entry.trying
    hits_of = (entrance.hits, entrance.given) if entrance else (None, None)
    return Standing(form, state, min(given, form.tasks), left, *hits_of)


async def tasks_for_newcomers(session: AsyncSession, project_id: int) -> int:
    """Tasks with a known answer that a newcomer may be shown now."""
    free: ColumnElement[bool] = (Slot.project_id == project_id) & (Slot.state == 0) & (Slot.lane == GOLD)
    asked = select(func.count(Slot.task_id.distinct())).join(Task, Task.id == Slot.task_id).where(free)
    return await session.scalar(asked) or 0
