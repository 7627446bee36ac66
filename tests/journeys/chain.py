"""The second half of every journey, the same for all kinds and presets: a frozen dataset goes into a reward model's
batch, and through export and import into a project of its own, where it is frozen again."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import orjson
import pytest
import torch
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
from workers.training.batches import Pair, read_pairs, votes_of
from workers.training.checkpoints import Opened
from workers.training.groups import Group, Item, raters_in, read_groups, scales_in, ties_in
from workers.training.hearing import Nuisance, Said

READER: TypeAdapter[Any] = TypeAdapter(DatasetRecord)
OUTSIDE_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


Tiers = tuple[tuple[int, ...], ...]
UNTAUGHT = ("questions", "demonstration")  # kinds of lines that say nothing of which answer is better


@dataclass(frozen=True)
class Batched:
    """What a reward model is taught.

    sides: votes for the first answer of a pair, for the second, for neither; weight: of all of them. groups: records of
    several answers; orders: how often an order of each shape and tiers was said; grades: how often each (answer,
    criterion, level or share of its scale, weight) was given; left_out: lines that teach nothing though their kind
    does, by reason.
    """

    pairs: int = 0
    sides: tuple[int, int, int] = (0, 0, 0)
    weight: float = 0.0
    groups: int = 0
    orders: dict[tuple[str, Tiers], int] = field(default_factory=dict)
    grades: dict[tuple[int, str, float, float], int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def exported(home: Path, dataset: Dataset, form: Form = Form.native) -> bytes:
    file = home / "datasets" / str(dataset.sha256) / "records.jsonl"
    return b"".join(rewritten(file, str(dataset.sha256), form))


def check_records(lines: Lines) -> None:
    """Every line is a record, and comes out of its class as it went in."""
    for line in lines:
        record = READER.validate_python(line)
        assert orjson.loads(record.model_dump_json(exclude_unset=True)) == line


def check_batch(home: Path, dataset: Dataset, opened: Opened, expected: Batched) -> None:
    """The reward model's reader finds every vote on pairs, every order and every grade; other lines are counted."""
    file = home / "datasets" / str(dataset.sha256) / "records.jsonl"
    config = RewardConfig()
    pairs, left_out = read_pairs(file, opened, config)
    groups = read_groups(file, opened, config, left_out)
    kinds: dict[str, int] = dataset.manifest["counts"]["kinds"]
    untaught = {f"lines_{kind}": kinds[kind] for kind in UNTAUGHT if kind in kinds}
    assert +left_out == untaught | expected.left_out
    taught = sum(kinds.values()) - sum(untaught.values()) - sum(expected.left_out.values())
    assert (len(pairs), len(groups), len(pairs) + len(groups)) == (expected.pairs, expected.groups, taught)
    check_votes(pairs, expected)
    orders = Counter((order.kind, order.tiers) for group in groups for order in group.orders)
    assert orders == expected.orders
    said = (grade for group in groups for grade in group.grades)
    grades = Counter((grade.answer, grade.scale, round(grade.value, 6), round(grade.weight, 6)) for grade in said)
    assert grades == expected.grades
    check_heard([*pairs, *groups], expected)


def check_votes(pairs: list[Pair], expected: Batched) -> None:
    votes = votes_of(pairs, numbers_of(raters_in(pairs)), RewardConfig())
    assert tuple((votes.outcome == side).sum().item() for side in range(3)) == expected.sides
    assert votes.weight.sum().item() == pytest.approx(expected.weight)
    assert votes.pair.tolist() == [row for row, pair in enumerate(pairs) for _vote in pair.votes]
    assert (votes.rater >= 0).all()


def check_heard(items: list[Item], expected: Batched) -> None:
    """All of it together is one likelihood, in which everything that was said has its weight."""
    if not items:
        return
    config, raters, tied = RewardConfig(), numbers_of(raters_in(items)), ties_in(items)
    said = Said(Nuisance(len(raters), tied.share, config, scales_in(items)), raters, tied.most, config)
    widest = max(len(item.answers) for item in items)
    heard = list(said.losses(torch.zeros(len(items), widest), items, torch.zeros(len(items), dtype=torch.long)))
    assert all(torch.isfinite(one.losses).all() for one in heard)
    graded = sum(weight * times for (_answer, _scale, _value, weight), times in expected.grades.items())
    whole = expected.weight + sum(expected.orders.values()) + graded
    assert sum(one.weight.sum().item() for one in heard) == pytest.approx(whole, rel=1e-4)
    tokens = {tuple(answer) for item in items if isinstance(item, Group) for answer in item.answers}
    assert all(tokens), "no answer is empty"


def numbers_of(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


async def check_return(
    session: AsyncSession, dataset: Dataset, lines: Lines, home: Path, *, turns: bool = False, **question: Any
) -> Project:
    """The export comes into a fresh project and is frozen there: equal. Twice, it adds nothing. Returns that project,
    which goes on asking what it asked. turns: they are tasks of their own there, and their lines are named after them.
    """
    fresh = await make.project(session)
    asks = (await newest_protocol(session, fresh.id)).body
    content = exported(home, dataset)
    report = await import_dataset(session, fresh.id, "moved.jsonl", BytesIO(content), None)
    assert (report.new, report.total, report.lines) == (len(lines), len(lines), [])
    _dataset, again = await frozen(session, fresh, home, **question)
    assert len({line["id"] for line in again}) == len(again)
    assert told(again) == told([named_by_task(line) for line in lines] if turns else lines)
    repeated = await import_dataset(session, fresh.id, "moved.jsonl", BytesIO(content), None)
    assert (repeated.identical, repeated.total) == (len(lines), len(lines))
    assert (await newest_protocol(session, fresh.id)).body == asks
    rounds = await session.scalars(select(Batch).where(Batch.project_id == fresh.id, Batch.name == "moved.jsonl"))
    assert [one.state for one in rounds] == [BatchState.closed]
    wrong = await broken(session)
    wrong.pop("I12 answers without an event", None)  # the import itself is the event
    assert wrong == {}
    return fresh


def named_by_task(line: dict[str, Any]) -> dict[str, Any]:
    """A line of a conversation, or of the questions that closed it, under the id that it has once it came in."""
    of_turn = re.fullmatch(r"(.+[.][0-9]+)([.]scores)?", line["id"])
    if of_turn is None:
        return line | {"id": line["id"].partition(".")[0]}
    return line | {"id": f"{uuid5(NAMESPACE_OID, of_turn[1])}{of_turn[2] or ''}"}


def told(lines: Sequence[dict[str, Any]]) -> list[bytes]:
    """Lines with their outside ids in the order in which they are named: what is left of them is what they say."""
    names: dict[bytes, bytes] = {}
    raw = [orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in lines]
    return [OUTSIDE_ID.sub(lambda found: names.setdefault(found[0], b"#%d" % len(names)), line) for line in raw]
