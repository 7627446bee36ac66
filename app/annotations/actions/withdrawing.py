"""Somebody takes their consent back: they are asked nothing more, and all that they said is withdrawn, by a job."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.tables import Membership
from app.annotations.jobs import ConsentWithdrawn, ReworkAsked
from app.annotations.reworking import WITHDRAWN, Does
from app.annotations.tables import Annotation, AnnotationState, Rework, ReworkState
from app.errors import Conflict, NotFound
from app.jobs.queue import enqueue
from app.projects.tables import Project
from app.tasks.actions import release
from app.tasks.tables import Slot, SlotState, Task
from app.translation import _


class TakenBackBefore(Conflict):
    code = "taken-back-before"
    sentence = _("This consent is taken back already.")


class StillWithdrawing(Conflict):
    code = "still-withdrawing"
    sentence = _(
        "Your answers are still being withdrawn, or a dataset is being frozen. You can take part again once that is "
        "done: try again in some minutes."
    )


@dataclass(frozen=True)
class Consequence:
    """What taking consent back would do. answers: that are withdrawn; of them `wanted`, which others are asked for
    instead; first: when the oldest was given."""

    answers: int
    wanted: int
    first: datetime | None


async def consequence_of(session: AsyncSession, project_id: int, person_id: int) -> Consequence:
    mine = (Annotation.project_id == project_id, Annotation.annotator_id == person_id)
    live = func.count().filter(Annotation.state == AnnotationState.live)
    asked = select(func.count(), live, func.min(Annotation.submitted_at)).where(*mine, Annotation.state.in_(WITHDRAWN))
    return Consequence(*(await session.execute(asked)).one())


async def place_of(session: AsyncSession, project_id: int, pseudonym: str) -> Membership:
    """:raises NotFound: nobody here has this pseudonym."""
    asked = select(Membership).where(Membership.project_id == project_id, Membership.pseudonym == pseudonym)
    found = await session.scalar(asked)
    if found is None:
        raise NotFound
    return found


async def own_place(session: AsyncSession, project_id: int, person_id: int) -> Membership:
    """:raises NotFound: they have no place in the project."""
    asked = select(Membership).where(Membership.project_id == project_id, Membership.user_id == person_id)
    found = await session.scalar(asked.with_for_update(key_share=True).execution_options(populate_existing=True))
    if found is None:
        raise NotFound
    return found


async def take_consent_back(session: AsyncSession, project_id: int, person_id: int, actor_id: int) -> None:
    """For somebody, by themselves or by an admin whom they asked. New datasets take nothing of theirs from this moment
    on; a worker withdraws the answers one by one, and marks the datasets that hold them.

    :raises NotFound: no place here. :raises TakenBackBefore: it is taken back.
    """
    place = await own_place(session, project_id, person_id)
    if place.withdrawn_at is not None:
        raise TakenBackBefore
    place.withdrawn_at, place.consent_version, place.consent_at = func.now(), None, None
    await session.flush()
    await _let_go(session, project_id, person_id)
    project = await session.get_one(Project, project_id)
    newest = select(func.coalesce(func.max(Annotation.id), 0)).where(Annotation.project_id == project.id)
    made = Rework(
        project_id=project.id,
        selection={"rater": place.pseudonym},
        does=Does.withdraw.value,
        reason=_("Consent was taken back"),
        through=await session.scalar(newest),
        by_id=actor_id,
    )
    session.add(made)
    await session.flush()
    told = {"subject": place.pseudonym, "by_themselves": actor_id == person_id}
    await events.record(session, "consent.taken_back", actor_id=actor_id, project_id=project_id, **told)
    await enqueue(session, ReworkAsked(rework_id=made.id))
    await enqueue(session, ConsentWithdrawn(project_id=project_id, person_id=person_id))


async def take_part_again(session: AsyncSession, project_id: int, person_id: int, *, is_freezing: bool) -> None:
    """They come back; what was withdrawn stays so, and the consent text is asked about anew.

    :raises StillWithdrawing: what they said before would count, or come into a dataset unmarked.
    """
    place = await own_place(session, project_id, person_id)
    if place.withdrawn_at is None:
        return
    runs = select(Rework.id).where(Rework.project_id == project_id, Rework.state == ReworkState.running)
    runs = runs.where(Rework.does == Does.withdraw, Rework.selection["rater"].astext == place.pseudonym)
    if is_freezing or await session.scalar(select(runs.exists())):
        raise StillWithdrawing
    place.withdrawn_at = None
    await session.flush()
    about = {"actor_id": person_id, "project_id": project_id}
    await events.record(session, "consent.returned", **about, subject=place.pseudonym)


async def _let_go(session: AsyncSession, project_id: int, person_id: int) -> None:
    """The task in their hands goes to somebody else."""
    held = select(Task.public_id, Slot.shown_key).join(Slot, Slot.task_id == Task.id)
    held = held.where(Slot.project_id == project_id, Slot.annotator_id == person_id, Slot.state == SlotState.leased)
    for task, key in (await session.execute(held)).all():
        assert key is not None, "whoever holds a task was shown it"
        await release(session, project_id, person_id, task, key)
