"""Answers as the sampler brings them: written once however often a job runs, counted, and told of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint
from app.completions.blinding import blinded
from app.completions.jobs import CompletionsArrived
from app.completions.queries import GOING_ON, count_of_generation, prompts_lacking
from app.completions.rules import Sampling, flaw_of, seed_for
from app.completions.tables import Completion, Generation, GenerationState
from app.jobs.queue import enqueue
from app.lines import storable
from app.markup import render_markdown
from app.prompts.rules import content_hash, text_of
from app.prompts.tables import Prompt


@dataclass(frozen=True)
class Order:
    """What one job still has to ask: `seeds` has one number for each of `prompts`."""

    generation: Generation
    checkpoint: Checkpoint
    prompts: list[Prompt]
    seeds: list[int]
    sampling: Sampling

    @property
    def conversations(self) -> list[list[dict[str, Any]]]:
        return [prompt.messages for prompt in self.prompts]


@dataclass(frozen=True)
class Answer:
    """One completion as its maker gave it; numbers that it does not tell are None."""

    text: str
    token_count: int | None
    finish_reason: str | None
    logprob_sum: float | None


async def take_order(session: AsyncSession, generation_id: int, prompt_ids: Sequence[int]) -> Order | None:
    """What is left to ask of these prompts; None when it is all there, or nobody wants it any more."""
    generation = await _hold(session, generation_id)
    if generation is None or generation.state is GenerationState.cancelled:
        return None
    prompts = await prompts_lacking(session, generation, prompt_ids)
    if not prompts:
        return None
    if generation.state is GenerationState.waiting:
        generation.state = GenerationState.running
    checkpoint = await session.get_one(Checkpoint, generation.checkpoint_id)
    seeds = [seed_for(generation.seed, prompt.content_hash) for prompt in prompts]
    return Order(generation, checkpoint, prompts, seeds, Sampling.model_validate(generation.sampling))


async def write_answers(session: AsyncSession, order: Order, answers: Sequence[Sequence[Answer]]) -> None:
    """Store answers (one list for each of the order's prompts), count them, and say that they arrived.

    A second run of the same job stores nothing twice: (generation, prompt, number) is unique.
    """
    generation = await _hold(session, order.generation.id)
    if generation is None:
        return
    rows = await asyncio.to_thread(_rows, order, answers)
    if rows:
        once = upsert(Completion).on_conflict_do_nothing(index_elements=["generation_id", "prompt_id", "number"])
        await session.execute(once, rows)
    await _count(session, generation)
    arrived = sorted({row["prompt_id"] for row in rows})
    if arrived:
        await _tell_arrived(session, generation, arrived)


async def note_failure(session: AsyncSession, generation_id: int, prompt_ids: Sequence[int], reason: str) -> None:
    """These prompts get no answer, and why. A request that has nothing left to wait for has failed, and whoever waits
    for the last of its answers is told."""
    generation = await _hold(session, generation_id)
    if generation is None:
        return
    lacking = await prompts_lacking(session, generation, prompt_ids)
    if lacking:
        generation.failed, generation.reason = generation.failed + len(lacking), reason[:2000]
    await _count(session, generation)
    if generation.state not in GOING_ON:
        await _tell_arrived(session, generation, prompt_ids)


async def _tell_arrived(session: AsyncSession, generation: Generation, prompt_ids: Sequence[int]) -> None:
    told = CompletionsArrived(
        project_id=generation.project_id,
        generation_id=generation.id,
        batch_id=generation.batch_id,
        prompt_ids=tuple(prompt_ids),
    )
    await enqueue(session, told)


async def _hold(session: AsyncSession, generation_id: int) -> Generation | None:
    """The request, locked, so that jobs of it count one after the other."""
    asked = select(Generation).where(Generation.id == generation_id).with_for_update()
    return (await session.scalars(asked.execution_options(populate_existing=True))).one_or_none()


async def _count(session: AsyncSession, generation: Generation) -> None:
    """Count anew, never up: a repeated job must not be counted twice. Ends the request when all is said."""
    await session.flush()
    generation.done, answered = await count_of_generation(session, generation)
    prompts = generation.wanted // generation.n
    generation.failed = min(generation.failed, prompts - answered)
    if answered + generation.failed < prompts or generation.state not in (*GOING_ON, GenerationState.failed):
        await session.flush()
        return
    ended = GenerationState.failed if generation.failed else GenerationState.finished
    if ended is not generation.state:
        generation.state, generation.finished_at = ended, func.now()
        await events.record(
            session,
            f"generation.{ended.value}",
            project_id=generation.project_id,
            subject=generation.public_id,
            done=generation.done,
            reason=generation.reason,
        )
    await session.flush()


def _rows(order: Order, answers: Sequence[Sequence[Answer]]) -> list[dict[str, Any]]:
    """Rendered, hashed and looked over; runs in a thread."""
    return [
        _row(order, place, number, answer)
        for place, samples in enumerate(answers)
        for number, answer in enumerate(samples)
    ]


def _row(order: Order, place: int, number: int, answer: Answer) -> dict[str, Any]:
    prompt, generation = order.prompts[place], order.generation
    text = storable(answer.text)
    parts = [{"type": "text", "text": text}]
    return {
        "project_id": generation.project_id,
        "prompt_id": prompt.id,
        "checkpoint_id": generation.checkpoint_id,
        "generation_id": generation.id,
        "number": number,
        "parts": parts,
        "html": render_markdown(blinded(text, order.checkpoint.names)),
        "content_hash": content_hash(parts),
        "sampling": generation.sampling,
        "seed": order.seeds[place],
        "token_count": answer.token_count,
        "finish_reason": answer.finish_reason,
        "logprob_sum": answer.logprob_sum,
        "flaw": flaw_of(text, text_of(prompt.messages[-1]["parts"])),
    }
