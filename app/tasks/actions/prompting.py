"""Tasks of prompts alone: where people write themselves, no answer has to be there first."""

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.projects.batching import Selection
from app.projects.protocols import CombinedProtocol, ConversationProtocol, PromptProtocol, ProtocolBody
from app.projects.queries import protocol_of_batch
from app.projects.tables import Batch, BatchState
from app.prompts.actions import prompts_of_cards
from app.prompts.tables import Prompt, Use
from app.tasks.actions.making import NewTask, calibrating, is_taken, open_tasks, room_in, tasks_in
from app.tasks.actions.wishing import wishes_of
from app.tasks.tables import Task

AT_A_TIME = 200  # tasks; more follow when the queue runs low again


async def ask_about_prompts(session: AsyncSession, project_id: int) -> int:
    """Open a task for each prompt for labelling that has none yet, in every round that asks for texts from nothing.

    Returns how many were made: some at a time, and no more than a round's target, or than its pilot. Safe to
    repeat, and makers wait for each other at the round's row.
    """
    asking = select(Batch).where(Batch.project_id == project_id, Batch.state.in_([s for s in BatchState if s.asks]))
    made = 0
    for batch in (await session.scalars(asking.order_by(Batch.id))).all():
        protocol = await protocol_of_batch(session, batch)
        if protocol.completions != 0:
            continue
        await session.refresh(batch, with_for_update={"key_share": True})
        drawing = part_with_cards(protocol)
        prompts = await _drawn(session, batch, drawing) if drawing else await _unasked(session, batch)
        wishes = await wishes_of(session, batch, prompts)
        wanted = [NewTask(prompt_id, (), wishes[prompt_id]) for prompt_id in prompts][: await room_in(session, batch)]
        wanted = await calibrating(session, batch, wanted)
        await open_tasks(session, project_id, batch.id, wanted, kind=protocol.kind)
        if wanted:
            await events.record(
                session, "tasks.opened", project_id=project_id, subject=batch.public_id, tasks=len(wanted)
            )
        made += len(wanted)
    return made


def part_with_cards(protocol: ProtocolBody) -> PromptProtocol | ConversationProtocol | None:
    """The part of a protocol that people begin from a card, if one is so: prompts that are written, conversations."""
    parts = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    return next((part for part in parts if isinstance(part, PromptProtocol | ConversationProtocol)), None)


async def _drawn(session: AsyncSession, batch: Batch, asked: PromptProtocol | ConversationProtocol) -> list[int]:
    """Prompts of the next cards in turn, as many as the round still wants."""
    before = await tasks_in(session, batch.id)
    most = min(AT_A_TIME, max(0, (batch.target or asked.wanted) - before))
    prompts = await prompts_of_cards(session, batch.project_id, asked.cards)
    return [prompts[place % len(prompts)] for place in range(before, before + most)]


async def _unasked(session: AsyncSession, batch: Batch) -> list[int]:
    """Prompts for labelling that no task asks about yet: of a pilot those that were drawn, else the oldest first."""
    is_asked = exists().where(Task.prompt_id == Prompt.id, is_taken(batch))
    first = drawn_for(batch) if batch.state is BatchState.pilot else Prompt.id
    asked = prompts_for(batch).where(~is_asked).order_by(first).limit(AT_A_TIME)
    return list(await session.scalars(asked))


def prompts_for(batch: Batch) -> Select[int]:
    """Inside ids of the prompts that a round asks about."""
    tags = Selection.model_validate(batch.selection).tags
    here = select(Prompt.id).where(
        Prompt.project_id == batch.project_id, Prompt.use == Use.label, Prompt.retired_at.is_(None)
    )
    return here.where(Prompt.tags.overlap(list(tags))) if tags else here


def drawn_for(batch: Batch) -> ColumnElement[str]:
    """An order of prompts that is drawn for the round: the first of it are a random sample of them."""
    return func.md5(func.concat(Prompt.public_id, str(batch.public_id)))
