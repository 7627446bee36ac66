"""People with pseudonyms to go by, and a dataset frozen from what they said."""

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.datasets.actions import ask_to_freeze, conclude_freezing, write_dataset
from app.datasets.forms import FreezeForm
from app.datasets.tables import Dataset
from app.projects.tables import Project
from tests import make

Lines = list[dict[str, Any]]


async def people(session: AsyncSession, project: Project, n: int = 3) -> list[Any]:
    """n annotators; their pseudonyms are r0, r1 …"""
    found = [await make.user(session) for _ in range(n)]
    for number, person in enumerate(found):
        await make.member(session, project, person, pseudonym=f"r{number}")
    return found


async def frozen(session: AsyncSession, project: Project, home: Path, **question: Any) -> tuple[Dataset, Lines]:
    form = FreezeForm.model_validate({"name": "slice", "heldout_share": 0} | question)
    dataset = await ask_to_freeze(session, project.id, form, None)
    manifest = await write_dataset(await session.connection(), dataset, home)
    await conclude_freezing(session, dataset.id, manifest)
    await session.refresh(dataset)
    raw = (home / "datasets" / manifest["sha256"] / "records.jsonl").read_bytes()
    return dataset, [orjson.loads(line) for line in raw.splitlines()]
