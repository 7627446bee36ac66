"""What a round and the tags of prompts want of new tasks: of whom, how many answers, and when."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, any_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Audience, Membership, User
from app.projects.tables import Batch, Ordering, TagRule
from app.prompts.tables import Prompt
from app.tasks.rules import DEFAULT_BAND
from app.tasks.tables import Purpose, Slot, SlotState

MOST_K = 50
ANSWERS = (Role.annotator, Role.lead)  # those whose work it is; others may answer, and are not waited for


@dataclass(frozen=True)
class Wish:
    """people: number of an audience, 0 for everybody; with `care.GOLD` above it for what is mixed in. band: of
    priority, the smallest first. most_k: see `Task`."""

    k: int = 1
    most_k: int | None = None
    people: int = 0
    band: int = DEFAULT_BAND
    ordering: Ordering = Ordering.random
    purpose: Purpose = Purpose.collect


async def wishes_of(session: AsyncSession, batch: Batch, prompt_ids: Collection[int]) -> dict[int, Wish]:
    """What the batch wants of a task about each of these prompts, calibration left aside."""
    numbers = await numbers_of_audiences(session, batch.project_id)
    of_round = Wish(batch.k, batch.most_k, numbers.get(batch.audience_id or 0, 0), DEFAULT_BAND, batch.ordering)
    rules = await tag_rules(session, batch.project_id)
    if not rules:
        return dict.fromkeys(prompt_ids, of_round)
    tags = await session.execute(select(Prompt.id, Prompt.tags).where(Prompt.id.in_(prompt_ids)))
    return {prompt_id: as_tagged(of_round, rules, carried, numbers) for prompt_id, carried in tags}


async def numbers_of_audiences(session: AsyncSession, project_id: int) -> dict[int, int]:
    """Their numbers in lanes, by inside id."""
    rows = await session.execute(select(Audience.id, Audience.number).where(Audience.project_id == project_id))
    return {row.id: row.number for row in rows}


async def tag_rules(session: AsyncSession, project_id: int) -> Sequence[TagRule]:
    """In their order."""
    asked = select(TagRule).where(TagRule.project_id == project_id).order_by(TagRule.place, TagRule.id)
    return (await session.scalars(asked)).all()


def as_tagged(wish: Wish, rules: Sequence[TagRule], tags: Collection[str], numbers: dict[int, int]) -> Wish:
    """The wish where the prompt carries these tags: the first audience, the largest k, the most urgent band."""
    apply = [rule for rule in rules if rule.tag in tags]
    people = next((numbers[rule.audience_id] for rule in apply if rule.audience_id is not None), wish.people)
    bands = [rule.band for rule in apply if rule.band is not None]
    k = max([wish.k, *(rule.k for rule in apply if rule.k is not None)])
    most_k = None if wish.most_k is None else max(wish.most_k, k)
    return replace(wish, k=k, most_k=most_k, people=people, band=min(bands, default=wish.band))


def is_calibration(key: str, share: float) -> bool:
    """Whether the task with this key is one of those that everybody answers: drawn, whatever it is about."""
    return random.Random(f"calibration:{key}").random() < share  # noqa: S311  (a reproducible draw, not a secret)


async def everybody(session: AsyncSession, project_id: int, people: int) -> int:
    """How many annotators an audience (number; 0: everybody) has now."""
    asked = (
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(*_of_audience(project_id, people), Membership.paused_at.is_(None), User.disabled_at.is_(None))
    )
    return (await session.scalar(asked)) or 0


async def wanted_by_all(
    session: AsyncSession, project_id: int, people: int, task_ids: Collection[int]
) -> dict[int, int]:
    """How many answers these tasks have or may still get if everybody of an audience answers, who is paused too."""
    audience = select(Membership.user_id).where(*_of_audience(project_id, people))
    size = await session.scalar(select(func.count()).select_from(audience.subquery())) or 0
    by_others = select(Slot.task_id, func.count()).where(Slot.task_id.in_(task_ids), Slot.state == SlotState.done)
    by_others = by_others.where(Slot.annotator_id.not_in(audience)).group_by(Slot.task_id)
    found = {row[0]: row[1] for row in await session.execute(by_others)}
    return {task_id: size + found.get(task_id, 0) for task_id in task_ids}


def _of_audience(project_id: int, people: int) -> tuple[ColumnElement[bool], ...]:
    """Whose work it is, and who have not taken their consent back."""
    here = (Membership.project_id == project_id, Membership.withdrawn_at.is_(None))
    return (*here, Membership.role.in_(ANSWERS), literal(people) == any_(Membership.lanes))


def for_everybody(wish: Wish, people: int) -> Wish:
    """The wish as one for calibration: an answer of each, and none that is asked for because of others."""
    return replace(wish, k=max(wish.k, min(people, MOST_K)), most_k=None, purpose=Purpose.calibration)
