"""Makes tasks of answers that arrived, and frees what people left lying."""

from app.completions.jobs import CompletionsArrived
from app.projects.queries import default_batch
from app.tasks.actions import forget_lapses, make_tasks, run_out, sweep
from workers.handlers.registry import Context, every, handles


@handles(CompletionsArrived)
async def pair_what_arrived(payload: CompletionsArrived, context: Context) -> None:
    """Answers made for an evaluation are left alone: it asks its own questions."""
    async with context.session() as session:
        batch_id = payload.batch_id or (await default_batch(session, payload.project_id)).id
        await make_tasks(session, payload.project_id, batch_id, payload.prompt_ids)


@every(5)
async def end_leases_that_ran_out(context: Context) -> None:
    """One transaction a lease, in the order of persons."""
    async with context.session() as session:
        leases = await run_out(session)
    for lease in leases:
        async with context.session() as session:
            await sweep(session, *lease)


@every(3600)
async def forget_old_lapses(context: Context) -> None:
    async with context.session() as session:
        await forget_lapses(session)
