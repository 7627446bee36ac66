"""The second half of every journey, the same for all kinds and presets: a frozen dataset goes into a reward model's
batch, and through export and import into a project of its own, where it is frozen again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.datasets.importing import import_dataset
from app.datasets.records import DatasetRecord
from app.datasets.rules import Form, rewritten
from app.datasets.tables import Dataset
from app.projects.queries import newest_protocol
from app.projects.tables import Batch, BatchState, Project
from app.training.configs import RewardConfig
from tests import make
from tests.app.datasets.scene import Lines, frozen
from tests.app.scene import broken
from workers.training.batches import read_pairs, votes_of
from workers.training.checkpoints import Opened

READER: TypeAdapter[Any] = TypeAdapter(DatasetRecord)
OUTSIDE_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Batched:
    """What a reward model is taught. sides: votes for the first answer, for the second, for neither; weight: of all."""

    pairs: int
    sides: tuple[int, int, int] = (0, 0, 0)
    weight: float = 0.0


def exported(home: Path, dataset: Dataset, form: Form = Form.native) -> bytes:
    file = home / "datasets" / str(dataset.sha256) / "records.jsonl"
    return b"".join(rewritten(file, str(dataset.sha256), form))


def check_records(lines: Lines) -> None:
    """Every line is a record, and comes out of its class as it went in."""
    for line in lines:
        record = READER.validate_python(line)
        assert orjson.loads(record.model_dump_json(exclude_unset=True)) == line


def check_batch(home: Path, dataset: Dataset, opened: Opened, expected: Batched) -> None:
    """The reward model's reader finds the pairs with every vote; all other lines are counted by kind."""
    file = home / "datasets" / str(dataset.sha256) / "records.jsonl"
    config = RewardConfig()
    pairs, left_out = read_pairs(file, opened, config)
    kinds = dict(dataset.manifest["counts"]["kinds"])
    assert (len(pairs), kinds.pop("comparison", 0)) == (expected.pairs, expected.pairs)
    assert {name: n for name, n in left_out.items() if n} == {f"lines_{kind}": n for kind, n in kinds.items()}
    if not pairs:
        return
    raters = {vote.rater: number for number, vote in enumerate(vote for pair in pairs for vote in pair.votes)}
    votes = votes_of(pairs, raters, config)
    assert tuple((votes.outcome == side).sum().item() for side in range(3)) == expected.sides
    assert votes.weight.sum().item() == pytest.approx(expected.weight)
    assert votes.pair.tolist() == [row for row, pair in enumerate(pairs) for _vote in pair.votes]
    assert (votes.rater >= 0).all()


async def check_return(session: AsyncSession, dataset: Dataset, lines: Lines, home: Path, **question: Any) -> Project:
    """The export comes into a fresh project and is frozen there: equal. Twice, it adds nothing. Returns that project,
    which goes on asking what it asked."""
    fresh = await make.project(session)
    asks = (await newest_protocol(session, fresh.id)).body
    content = exported(home, dataset)
    report = await import_dataset(session, fresh.id, "moved.jsonl", BytesIO(content), None)
    assert (report.new, report.total, report.lines) == (len(lines), len(lines), [])
    _dataset, again = await frozen(session, fresh, home, **question)
    assert told(again) == told(lines)
    repeated = await import_dataset(session, fresh.id, "moved.jsonl", BytesIO(content), None)
    assert (repeated.identical, repeated.total) == (len(lines), len(lines))
    assert (await newest_protocol(session, fresh.id)).body == asks
    rounds = await session.scalars(select(Batch).where(Batch.project_id == fresh.id, Batch.name == "moved.jsonl"))
    assert [one.state for one in rounds] == [BatchState.closed]
    wrong = await broken(session)
    wrong.pop("I12 answers without an event", None)  # the import itself is the event
    assert wrong == {}
    return fresh


def told(lines: Sequence[dict[str, Any]]) -> list[bytes]:
    """Lines with their outside ids in the order in which they are named: what is left of them is what they say."""
    names: dict[bytes, bytes] = {}
    raw = [orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in lines]
    return [OUTSIDE_ID.sub(lambda found: names.setdefault(found[0], b"#%d" % len(names)), line) for line in raw]
