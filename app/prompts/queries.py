"""Questions about prompts."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, Text, case, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.prompts.rooting import newcomer
from app.prompts.rules import NEAR, Turn, first_user_turn, nearness, of_user, turn_of, words_of
from app.prompts.tables import Import, Prompt, Root, Use

HASHED_AT_ONCE = 50  # prompts
MOST_NEAR = 500  # prompts of near roots that are looked at
MOST_READ = 300_000  # characters of them: hashing takes some 0.1 s


async def same_prompts(
    session: AsyncSession, project_id: int, external_ids: Iterable[str], hashes: Iterable[bytes]
) -> list[Prompt]:
    """Prompts that are here already under one of these ids or with one of these contents."""
    same = or_(Prompt.external_id.in_(list(external_ids)), Prompt.content_hash.in_(list(hashes)))
    return list(await session.scalars(select(Prompt).where(Prompt.project_id == project_id, same)))


async def roots_near(session: AsyncSession, project_id: int, keys: list[str], bands: list[int]) -> list[Root]:
    """Roots that have one of these keys or share a band, the oldest first."""
    near = or_(Root.key.in_(keys), Root.bands.overlap(bands)) if bands else Root.key.in_(keys)
    return list(await session.scalars(select(Root).where(Root.project_id == project_id, near).order_by(Root.id)))


async def turns_of_roots(session: AsyncSession, roots: list[Root]) -> dict[int, list[Turn]]:
    """The different first user turns below each root, and the words that it was made for. Long ones take a while to
    hash: a few at a time, in a thread, so that neither the people who answer nor the transaction wait for it."""
    openings = [(root.id, of_user(root.opening)) for root in roots if root.opening is not None]
    hashed = await asyncio.to_thread(_turns_in, [messages for _root_id, messages in openings])
    turns = {root_id: {turn} for (root_id, _messages), turn in zip(openings, hashed, strict=True)}
    asked = select(Prompt.root_id, Prompt.messages).where(Prompt.root_id.in_([root.id for root in roots]))
    rows = await session.stream(asked.execution_options(yield_per=HASHED_AT_ONCE))
    async for some in rows.partitions():
        hashed = await asyncio.to_thread(_turns_in, [messages for _root_id, messages in some])
        for (root_id, _messages), turn in zip(some, hashed, strict=True):
            turns.setdefault(root_id, set()).add(turn)
    return {root_id: list(found) for root_id, found in turns.items()}


def _turns_in(prompts: Iterable[list[dict[str, Any]]]) -> list[Turn]:
    return [turn_of(words_of(first_user_turn(messages))) for messages in prompts]


async def near_prompts(session: AsyncSession, project_id: int, text: str, most: int = 5) -> list[Prompt]:
    """Prompts that an import would put under one root with a prompt of this text, the nearest first. None that are held
    out: also that one is near says what it says. Of many candidates those of the likeliest roots, as much as is read
    in a moment."""
    one = await asyncio.to_thread(newcomer, text, None, None)
    roots = await roots_near(session, project_id, [one.key], list(one.bands))
    likely = sorted(roots, key=lambda root: (root.key != one.key, -len(set(root.bands) & set(one.bands))))
    place = func.array_position([root.id for root in likely], Prompt.root_id, type_=Integer)
    of_roots = (Prompt.root_id.in_([root.id for root in roots]), Prompt.retired_at.is_(None))
    asked = select(Prompt.id, Prompt.messages, place.label("place")).where(*of_roots, Prompt.use != Use.heldout)
    some = asked.order_by(place, Prompt.id).limit(MOST_NEAR).subquery()
    before = func.sum(func.length(cast(some.c.messages, Text))).over(
        order_by=(some.c.place, some.c.id), rows=(None, -1)
    )
    few = select(some.c.id, before.label("before")).subquery()
    is_read = func.coalesce(few.c.before, 0) <= MOST_READ
    found = list(await session.scalars(select(Prompt).where(Prompt.id.in_(select(few.c.id).where(is_read)))))
    turns = await asyncio.to_thread(_turns_in, [prompt.messages for prompt in found])
    by_nearness = sorted(
        ((nearness(one.turn, turn), -prompt.id, prompt) for turn, prompt in zip(turns, found, strict=True)),
        reverse=True,
    )
    return [prompt for near, _age, prompt in by_nearness[:most] if near >= NEAR]


async def written_under(session: AsyncSession, project_id: int, start: str) -> list[Prompt]:
    """Prompts whose id begins so, the oldest first, locked: a peer may be letting one through."""
    named = Prompt.external_id.startswith(start, autoescape=True)
    asked = select(Prompt).where(Prompt.project_id == project_id, named).order_by(Prompt.id)
    locked = asked.with_for_update(key_share=True).execution_options(populate_existing=True)
    return list(await session.scalars(locked))


async def card_of(session: AsyncSession, prompt_id: int) -> dict[str, Any] | None:
    """The card that a prompt (inside id) stands for, if it is one."""
    return (await session.get_one(Prompt, prompt_id)).extra.get("card")


async def prompt_of(session: AsyncSession, project_id: int, public_id: UUID) -> Prompt:
    """:raises NotFound: no such prompt in this project."""
    asked = select(Prompt).where(Prompt.project_id == project_id, Prompt.public_id == public_id)
    prompt = (await session.scalars(asked)).one_or_none()
    if prompt is None:
        raise NotFound
    return prompt


async def import_of(session: AsyncSession, project_id: int, public_id: UUID) -> Import:
    """:raises NotFound: no such import in this project."""
    asked = select(Import).where(Import.project_id == project_id, Import.public_id == public_id)
    found = (await session.scalars(asked)).one_or_none()
    if found is None:
        raise NotFound
    return found


async def imports_of(session: AsyncSession, project_id: int, most: int = 20) -> list[Import]:
    """The latest imports, newest first."""
    asked = select(Import).where(Import.project_id == project_id).order_by(Import.id.desc()).limit(most)
    return list(await session.scalars(asked))


@dataclass(frozen=True)
class Filter:
    """Which prompts: by words in their text, use, tag or root. Retired ones only when asked for, and cards that prompts
    are written from only instead of all others."""

    words: str = ""
    use: Use | None = None
    tag: str = ""
    retired: bool = False
    root: UUID | None = None
    cards: bool = False


def prompts_like(project_id: int, wanted: Filter) -> Select[Prompt]:
    """The prompts of a project that the filter lets through, unordered."""
    asked = select(Prompt).where(Prompt.project_id == project_id)
    if wanted.cards:
        asked = asked.where(Prompt.is_card)
    else:
        is_out = Prompt.retired_at.is_not(None) if wanted.retired else Prompt.retired_at.is_(None)
        asked = asked.where(~Prompt.is_card, is_out)
    if wanted.use is not None:
        asked = asked.where(Prompt.use == wanted.use)
    if wanted.tag:
        asked = asked.where(Prompt.tags.contains([wanted.tag]))
    if wanted.root is not None:
        asked = asked.where(Prompt.root_id.in_(select(Root.id).where(Root.public_id == wanted.root)))
    for word in wanted.words.split()[:10]:
        asked = asked.where(or_(_texts().icontains(word, autoescape=True), Prompt.external_id == word))
    return asked


def worded(words: str) -> ColumnElement[bool]:
    """A condition on `Prompt`, by index: all these words stand in it, as whole words; or they are its id elsewhere.
    Those of very long prompts are not in the index (migration 0028)."""
    short = func.octet_length(cast(Prompt.messages, Text)) < 200_000
    indexed = case((short, func.jsonb_to_tsvector(text("'simple'"), Prompt.messages, text("'[\"string\"]'"))))
    return or_(indexed.op("@@")(func.plainto_tsquery(text("'simple'"), words)), Prompt.external_id == words)


def ids_like(project_id: int, wanted: Filter) -> Select[int]:
    """Inside ids of the prompts that the filter lets through."""
    return prompts_like(project_id, wanted).with_only_columns(Prompt.id)


def _texts() -> Any:
    """The texts of all messages, without the names of JSON's fields."""
    return cast(func.jsonb_path_query_array(Prompt.messages, cast("$[*].parts[*].text", JSONPATH)), Text)


async def counts_by_use(session: AsyncSession, project_id: int) -> dict[Use, int]:
    """How many prompts are in use for what; uses without any are 0."""
    asked = select(Prompt.use, func.count()).where(Prompt.project_id == project_id, Prompt.retired_at.is_(None))
    found = {row[0]: row[1] for row in await session.execute(asked.group_by(Prompt.use))}
    return {use: found.get(use, 0) for use in Use}


async def tags_of(session: AsyncSession, project_id: int, most: int = 200) -> list[str]:
    """Every tag in use, in order."""
    tag = func.unnest(Prompt.tags).label("tag")
    asked = select(tag).where(Prompt.project_id == project_id).distinct().order_by(tag).limit(most)
    return list(await session.scalars(asked))


async def written_from(session: AsyncSession, project_id: int) -> dict[UUID, int]:
    """How many prompts people have written from each card of the project, by the card's outside id."""
    card = cast(Prompt.extra["card"], Text)
    is_written = (Prompt.author_id.is_not(None), Prompt.extra.has_key("card"))
    asked = select(card, func.count()).where(Prompt.project_id == project_id, *is_written).group_by(card)
    found = {row[0]: row[1] for row in await session.execute(asked)}
    cards = select(Prompt.public_id, card).where(Prompt.project_id == project_id, Prompt.is_card)
    return {public_id: found.get(said, 0) for public_id, said in await session.execute(cards)}


async def root_of(session: AsyncSession, prompt: Prompt) -> Root:
    return await session.get_one(Root, prompt.root_id)
