"""Prompts that people of a project write, and the cards that they write them from."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.jobs.queue import enqueue
from app.markup import render_markdown
from app.projects.actions import locked
from app.projects.protocols import Card, Opening
from app.prompts.actions.editing import retire_prompt
from app.prompts.actions.importing import take_in_one
from app.prompts.jobs import PromptsArrived
from app.prompts.queries import same_prompts
from app.prompts.rules import content_hash, of_user
from app.prompts.tables import Prompt, Root, Use


async def keep_written(
    session: AsyncSession,
    project_id: int,
    text: str,
    *,
    author_id: int,
    external_id: str,
    metadata: dict[str, Any],
    awaits_check: bool = False,
    use: Use | None = None,
) -> Prompt | None:
    """Store a prompt that a person of the project wrote, under the root that an import would find for it. One that its
    author replaced comes back, as this person's. awaits_check: it is not used before somebody lets it through. use:
    where its root has none; empty: drawn. None: it is here already, or is nearly the same as prompts on another side of
    the split."""
    project = await locked(session, project_id)
    for replaced in await same_prompts(session, project_id, (), [content_hash(of_user(text))]):
        if replaced.is_replaced:
            replaced.external_id, replaced.extra = external_id, metadata
            if awaits_check:
                replaced.is_replaced = False
            else:
                await retire_prompt(session, replaced, author_id, retired=False)
    told = {"prompt": text, "id": external_id, "metadata": metadata} | ({"use": use.value} if use else {})
    await take_in_one(session, project, told)
    here = await same_prompts(session, project_id, [external_id], [])
    if not here:
        return None
    prompt = here[0]
    prompt.author_id = author_id
    if awaits_check:
        prompt.awaits_check, prompt.retired_at = True, func.now()
    await session.flush()
    await events.record(session, "prompt.written", actor_id=author_id, project_id=project_id, subject=prompt.public_id)
    if prompt.use is Use.label and not awaits_check:
        await enqueue(session, PromptsArrived(project_id=project_id))
    return prompt


async def let_through(session: AsyncSession, prompt: Prompt, person_id: int) -> None:
    """Take a prompt that awaits a check into use: somebody who did not write it has looked at it. The caller has locked
    it."""
    prompt.awaits_check, prompt.retired_at = False, None
    await session.flush()
    await events.record(
        session, "prompt.checked", actor_id=person_id, project_id=prompt.project_id, subject=prompt.public_id
    )
    if prompt.use is Use.label:
        await enqueue(session, PromptsArrived(project_id=prompt.project_id))


async def prompts_of_cards(session: AsyncSession, project_id: int, cards: Sequence[Card | Opening]) -> list[int]:
    """Inside ids of the prompts that stand for these cards, in their order; stored when they are first drawn.

    A card is shown as a prompt is, so it is one: of no use and retired from the beginning, so that no checkpoint ever
    answers it, and under a root of its own without bands, so that nothing is near to it.
    """
    contents = {content_hash(of_user(card.markdown)): card for card in cards}
    ids = {one.content_hash: one.id for one in await same_prompts(session, project_id, (), contents)}
    for digest, card in contents.items():
        if digest not in ids:
            ids[digest] = await _store_card(session, project_id, card, digest)
    return [ids[content_hash(of_user(card.markdown))] for card in cards]


async def _store_card(session: AsyncSession, project_id: int, card: Card | Opening, digest: bytes) -> int:
    root = Root(project_id=project_id, key=f"card:{digest.hex()}", use=Use.train)
    session.add(root)
    await session.flush()
    shown = Prompt(
        project_id=project_id,
        root_id=root.id,
        use=Use.train,
        messages=of_user(card.markdown),
        rendered=[render_markdown(card.markdown)],
        content_hash=digest,
        extra={"card": card.as_json()},
        is_card=True,
        retired_at=func.now(),
    )
    session.add(shown)
    await session.flush()
    return shown.id
