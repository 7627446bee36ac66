"""Generation jobs: the order out of the database, answers from the engine or an endpoint, answers into the database."""

import logging
from dataclasses import replace
from typing import Any

from app.checkpoints.queries import location_of
from app.checkpoints.rules import CheckpointRefused
from app.checkpoints.tables import Checkpoint, Place
from app.completions.actions import Answer, Order, note_failure, take_order, top_up, top_up_if_low, write_answers
from app.completions.jobs import GenerateCompletions
from app.errors import DomainError
from app.prompts.jobs import PromptsArrived
from app.tasks.actions import ask_about_prompts
from app.tasks.jobs import QueueRanLow
from workers.handlers.registry import Context, handles
from workers.sampling.answers import Completed, NotAnswerable, Sampling
from workers.sampling.remote import Endpoint, Remote

log = logging.getLogger("hone.completions")


class NoEngine(Exception):
    """A generation job came to a process that loads no checkpoints."""


@handles(GenerateCompletions)
async def generate(job: GenerateCompletions, context: Context) -> None:
    """Safe to run twice: only what is missing is asked for, and what is there is not written again."""
    async with context.session() as session:
        order = await take_order(session, job.generation_id, job.prompt_ids)
    if order is None:
        return
    try:
        answers, unanswerable = await ask_all(order, context)
        await keep(order, answers, unanswerable, context)
    except Exception as error:
        if may_pass(error) and not context.gives_up(error):
            raise
        # as ASCII: what an endpoint says may be half characters, which no log file takes
        log.warning("generation %s gets no answers: %a", order.generation.public_id, error)
        async with context.session() as session:
            await note_failure(session, job.generation_id, job.prompt_ids, reason_of(error))


async def keep(order: Order, answers: list[list[Answer]], unanswerable: dict[int, str], context: Context) -> None:
    """In one transaction. What the database does not take (a count beyond all numbers) is a failure like any other."""
    async with context.session() as session:
        await write_answers(session, order, answers)
        for prompt_id, reason in unanswerable.items():
            await note_failure(session, order.generation.id, [prompt_id], reason)


async def ask_all(order: Order, context: Context) -> tuple[list[list[Answer]], dict[int, str]]:
    """Answers in the order's own order, and by prompt (inside id) why it cannot be answered.

    One prompt that is too long spoils the batch it is in, so then each is asked alone.
    """
    try:
        return await ask(order, context), {}
    except NotAnswerable as error:
        if len(order.prompts) == 1:
            return [[]], {order.prompts[0].id: error.sentence}
    answers: list[list[Answer]] = []
    unanswerable: dict[int, str] = {}
    for prompt, seed in zip(order.prompts, order.seeds, strict=True):
        some, failed = await ask_all(replace(order, prompts=[prompt], seeds=[seed]), context)
        answers += some
        unanswerable |= failed
    return answers, unanswerable


async def ask(order: Order, context: Context) -> list[list[Answer]]:
    sampling = Sampling(**order.sampling.model_dump())
    if order.checkpoint.place is Place.endpoint:
        remote = Remote()
        try:
            found = await remote.complete(
                endpoint_of(order.checkpoint), order.conversations, sampling, order.generation.n, order.seeds
            )
        finally:
            await remote.close()
    elif context.engine is None:
        raise NoEngine
    else:
        folder = location_of(order.checkpoint)
        found = await context.engine.complete(folder, order.conversations, sampling, order.generation.n, order.seeds)
    return [[as_answer(one) for one in samples] for samples in found]


def endpoint_of(checkpoint: Checkpoint) -> Endpoint:
    return Endpoint(checkpoint.location, checkpoint.revision or checkpoint.name, checkpoint.api_key_variable)


def as_answer(completed: Completed) -> Answer:
    return Answer(completed.text, completed.token_count, completed.finish_reason, completed.logprob_sum)


def may_pass(error: Exception) -> bool:
    """Whether the same job may succeed later. What says so itself is believed; a refused folder stays refused."""
    said: Any = getattr(error, "retryable", None)
    if said is not None:
        return bool(said)
    return not isinstance(error, DomainError | CheckpointRefused)


def reason_of(error: Exception) -> str:
    """The sentence of an error that has one."""
    if isinstance(error, DomainError):
        return str(error)
    said: Any = getattr(error, "sentence", None)
    return str(said) if said else f"{type(error).__name__}: {error}"


@handles(QueueRanLow)
async def ask_for_more(job: QueueRanLow, context: Context) -> None:
    async with context.session() as session:
        await top_up(session, job.project_id)
        await ask_about_prompts(session, job.project_id)


@handles(PromptsArrived)
async def ask_for_the_first(job: PromptsArrived, context: Context) -> None:
    async with context.session() as session:
        await top_up_if_low(session, job.project_id)
        await ask_about_prompts(session, job.project_id)
