"""Makes tasks of answers that arrived, and frees what people left lying."""

import logging

from app.completions.jobs import CompletionsArrived
from app.projects.queries import default_batch
from app.tasks.actions import (
    ask_about_prompts,
    forget_lapses,
    grow_calibration,
    has_room,
    make_room_for,
    make_tasks,
    pair_what_arrived,
    prompts_of_round,
    release_slots,
    rounds_beside,
    run_out,
    settle_places,
    sweep,
    tasks_to_turn,
    turn_slots,
)
from app.tasks.jobs import PlacesChanged, RoomChanged, RoomWanted, RoundChanged, RoundTurned
from app.tasks.queries import calibrated_batches, limited_projects
from workers.handlers.registry import Context, every, handles

log = logging.getLogger("hone.workers")

AT_ONCE = 64  # prompts whose answers become tasks in one transaction
TASKS_AT_ONCE = 500  # whose slots are turned in one transaction


@handles(CompletionsArrived)
async def make_tasks_of_what_arrived(payload: CompletionsArrived, context: Context) -> None:
    """Answers made for an evaluation are left alone: it asks its own questions. What was asked for without a round is
    the default one's, and what that does not take, the others'."""
    async with context.session() as session:
        batch_id = payload.batch_id or (await default_batch(session, payload.project_id)).id
        await pair_what_arrived(session, batch_id, payload.prompt_ids, payload.generation_id)
        if payload.batch_id is None:
            for beside, prompts in await rounds_beside(session, payload.project_id, payload.prompt_ids):
                await pair_what_arrived(session, beside, prompts, payload.generation_id)


@handles(RoundChanged)
async def fill_round(payload: RoundChanged, context: Context) -> None:
    """Some prompts a transaction, until the round has what it wants. Safe to repeat."""
    async with context.session() as session:
        batch, protocol, prompts = await prompts_of_round(session, payload.batch_id)
        if not protocol.completions and protocol.completions is not None:
            await ask_about_prompts(session, batch.project_id)
            return
    for start in range(0, len(prompts), AT_ONCE):
        async with context.session() as session:
            if not await has_room(session, batch.id):
                return
            await make_tasks(session, batch.project_id, batch.id, prompts[start : start + AT_ONCE])


@handles(RoundTurned)
async def turn_round(payload: RoundTurned, context: Context) -> None:
    """Some tasks a transaction. Safe to repeat, and beside another: what the round does is asked each time."""
    async with context.session() as session:
        tasks = await tasks_to_turn(session, payload.batch_id)
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        async with context.session() as session:
            await turn_slots(session, payload.batch_id, tasks[start : start + TASKS_AT_ONCE])


@every(5)
async def end_leases_that_ran_out(context: Context) -> None:
    """One transaction a lease, in the order of persons. One that fails holds up no others."""
    async with context.session() as session:
        leases = await run_out(session)
    for lease in leases:
        try:
            async with context.session() as session:
                await sweep(session, *lease)
        except Exception:
            log.exception("the lease of slot %s could not be ended", lease[0])


@handles(PlacesChanged)
async def move_slots(payload: PlacesChanged, context: Context) -> None:
    """Some tasks a transaction, so that those who answer wait for few at a time."""
    after: int | None = 0
    while after is not None:
        async with context.session() as session:
            after = await settle_places(session, payload.project_id, after)


@handles(RoomChanged)
async def release_what_there_is_room_for(payload: RoomChanged, context: Context) -> None:
    async with context.session() as session:
        await release_slots(session, payload.project_id)


@handles(RoomWanted)
async def make_room(payload: RoomWanted, context: Context) -> None:
    async with context.session() as session:
        await make_room_for(session, payload.project_id, payload.person_id, payload.lanes)


@every(20)
async def release_what_days_and_money_leave(context: Context) -> None:
    """A new day has begun, or an answer was cheaper than the dearest. One project that fails holds up no others."""
    async with context.session() as session:
        projects = await limited_projects(session)
    for project_id in projects:
        try:
            async with context.session() as session:
                await release_slots(session, project_id)
        except Exception:
            log.exception("slots of project %s could not be released", project_id)


@every(60)
async def ask_newcomers_for_calibration(context: Context) -> None:
    async with context.session() as session:
        batches = await calibrated_batches(session)
    for batch_id in batches:
        try:
            async with context.session() as session:
                await grow_calibration(session, batch_id)
        except Exception:
            log.exception("the tasks for everybody of round %s could not grow", batch_id)


@every(3600)
async def forget_old_lapses(context: Context) -> None:
    async with context.session() as session:
        await forget_lapses(session)
