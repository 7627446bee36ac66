"""What a run waits for where its card is shared: completions that annotators run out of come first, and so does whoever
has the card. On a CPU nothing of this is asked."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.completions.queries import is_collecting
from app.jobs.actions import bid
from app.jobs.queue import enqueue
from app.jobs.rules import QUIET, Card, Use
from app.projects.queries import get_project
from app.projects.tables import Batch, BatchState, ProjectState
from app.tasks.actions.hot import FREE_TASKS
from app.training.actions import TERMINAL, held_run, is_alive
from app.training.jobs import Train
from app.training.tables import Run, RunState
from app.translation import _, stored_in_english

AGAIN = timedelta(seconds=5)  # until a waiting run is looked at again


@stored_in_english
async def must_wait(session: AsyncSession, run_id: int, card: Card) -> bool:
    """Whether a run cannot begin now. Then it says why, and a job asks again; else the card is the run's."""
    run = await session.scalar(select(Run).where(Run.id == run_id).with_for_update())
    if run is None or run.state in TERMINAL or run.cancel_requested_at:
        return False  # whoever takes it sees to that
    if run.state is RunState.running and await is_alive(session, run):
        return False
    run.reason = await tasks_come_first(session, run.project_id)
    if run.reason is None:
        standing = await bid(session, card, run.public_id, Use.training)
        if standing.has:
            await session.flush()
            return False
        run.reason = card_is_taken(card, standing.ahead)
    await wait(session, run)
    return True


@stored_in_english
async def step_aside(session: AsyncSession, run_id: int, fence: UUID, card: Card) -> None:
    """An attempt that left its card to something more important: the run goes on from its saved state, and this does
    not count among the times that it was begun."""
    run = await held_run(session, run_id, fence)
    run.attempt, run.reason = run.attempt - 1, card_is_taken(card, Use.talk)
    await wait(session, run)


async def wait(session: AsyncSession, run: Run) -> None:
    run.state, run.fence = RunState.queued, None
    await session.flush()
    # by our clock: whether it is looked at a little sooner or later changes nothing
    await enqueue(session, Train(run_id=run.id), once=f"train-{run.id}", at=datetime.now(UTC) + AGAIN)


async def must_leave(session: AsyncSession, run_id: UUID, card: Card) -> bool:
    """One sign of life for the card. True when something more important waits for it, or somebody else has it.

    run_id: the run's outside id, which is what holds the card.
    """
    standing = await bid(session, card, run_id, Use.training)
    return not standing.has or (standing.waiting is not None and standing.waiting < Use.training)


async def tasks_come_first(session: AsyncSession, project_id: int) -> str | None:
    """Why no training begins while annotators run out of tasks: completions for new ones are wanted, and on the way.

    Where none are on the way (the project is paused, has no prompts left or has reached its limit), waiting would have
    no end, so none is asked for.
    """
    project = await get_project(session, project_id)
    if project.state is not ProjectState.open or not await is_collecting(session, project_id):
        return None
    asking = Batch.state.in_([state for state in BatchState if state.asks])
    rounds = list(await session.scalars(select(Batch.id).where(Batch.project_id == project_id, asking)))
    values = {"project": project_id, "rounds": rounds, "low_water": project.low_water}
    ready = int(await session.scalar(FREE_TASKS, values) or 0)
    if ready >= project.low_water:
        return None
    sentence = _("Ready tasks: {ready}, and the project wants at least {least}. Completions for new ones come first.")
    return sentence.format(ready=ready, least=project.low_water)


def card_is_taken(card: Card, use: Use | None) -> str:
    if use is Use.training:
        return _("Another training has the card {card}; this one is next when that has ended.").format(card=card.name)
    sentence = _(
        "The sampler has the card {card}. It moves its weights off when nobody has asked for {seconds} seconds."
    )
    return sentence.format(card=card.name, seconds=int(QUIET))
