"""Marks of datasets that hold labels of people who took their consent back. The datasets themselves never change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.tables import Membership
from app.annotations.jobs import ConsentWithdrawn
from app.datasets.queries import folder_of
from app.datasets.tables import Dataset, DatasetState, DatasetWithdrawal
from app.jobs.queue import enqueue

NAMES = (b'"rater":', b'"writer":')  # before the pseudonym in a line, as orjson writes it


@dataclass(frozen=True)
class Marked:
    """people: who took their consent back and have labels in a dataset. labels: of theirs, as far as it is known.
    since: the first of these withdrawals was found."""

    people: int
    labels: int
    since: datetime


async def datasets_to_mark(session: AsyncSession, project_id: int, person_id: int) -> tuple[str, Sequence[Dataset]]:
    """The person's pseudonym, and the frozen datasets that have no mark for them yet."""
    place = select(Membership.pseudonym).where(Membership.project_id == project_id, Membership.user_id == person_id)
    marked = select(DatasetWithdrawal.dataset_id).where(
        DatasetWithdrawal.dataset_id == Dataset.id, DatasetWithdrawal.user_id == person_id
    )
    asked = select(Dataset).where(Dataset.project_id == project_id, Dataset.state == DatasetState.frozen)
    found = (await session.scalars(asked.where(~marked.exists()).order_by(Dataset.id))).all()
    return (await session.scalar(place)) or "", found


def labels_in(home: Path, dataset: Dataset, pseudonym: str) -> int | None:
    """How many labels a person has in a dataset's lines; None: these are not on this machine."""
    file = folder_of(home, dataset.sha256 or "") / "records.jsonl"
    if not dataset.sha256 or not file.is_file():
        return None
    needles = [name + orjson.dumps(pseudonym) for name in NAMES]
    with file.open("rb") as lines:
        return sum(line.count(needle) for line in lines for needle in needles)


async def mark(session: AsyncSession, dataset: Dataset, person_id: int, labels: int | None) -> None:
    """Once for each person; a dataset that holds nothing of theirs gets no mark, unless nobody can tell."""
    if labels == 0:
        return
    values = {"dataset_id": dataset.id, "user_id": person_id, "project_id": dataset.project_id, "labels": labels}
    made = insert(DatasetWithdrawal).values(values).on_conflict_do_nothing().returning(DatasetWithdrawal.dataset_id)
    if await session.scalar(made) is not None:
        about = {"project_id": dataset.project_id}
        await events.record(session, "dataset.marked", **about, subject=dataset.public_id, labels=labels)


async def look_for_withdrawn(session: AsyncSession, dataset_id: int) -> None:
    """Of those who took their consent back while this was frozen, something may have come in. Asked when it is frozen,
    and again once all can see that: whoever withdraws from then on finds it."""
    dataset = await session.get_one(Dataset, dataset_id)
    asked = select(Membership.user_id).where(Membership.project_id == dataset.project_id)
    for person_id in await session.scalars(asked.where(Membership.withdrawn_at >= dataset.created_at)):
        await enqueue(session, ConsentWithdrawn(project_id=dataset.project_id, person_id=person_id))


async def marks_of(session: AsyncSession, datasets: Sequence[Any]) -> dict[int, Marked]:
    """By inside id; datasets without a mark are not in it."""
    columns = (func.count(), func.coalesce(func.sum(DatasetWithdrawal.labels), 0), func.min(DatasetWithdrawal.at))
    asked = select(DatasetWithdrawal.dataset_id, *columns).group_by(DatasetWithdrawal.dataset_id)
    rows = await session.execute(asked.where(DatasetWithdrawal.dataset_id.in_([one.id for one in datasets])))
    return {dataset: Marked(people, int(labels or 0), since) for dataset, people, labels, since in rows}


async def datasets_of_person(session: AsyncSession, project_id: int, person_id: int) -> list[tuple[str, UUID]]:
    """(name, outside id) of datasets that are marked for somebody, the newest first."""
    asked = select(Dataset.name, Dataset.public_id).join(DatasetWithdrawal, DatasetWithdrawal.dataset_id == Dataset.id)
    asked = asked.where(DatasetWithdrawal.project_id == project_id, DatasetWithdrawal.user_id == person_id)
    return [(name, public_id) for name, public_id in await session.execute(asked.order_by(Dataset.id.desc()))]
