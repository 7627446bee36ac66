"""Comparisons from several points of view in a dataset: each a typed judgement by its key, and a column in rows."""

from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.datasets.recalling import comparison
from app.datasets.records import ChoiceRecord, ComparisonRecord
from app.datasets.rules import Form
from app.projects.protocols import protocol_of
from tests import make
from tests.app.datasets.test_own_questions import frozen, lines, rated

CRITERIA = [{"key": "helpful", "label": "Helpful"}, {"key": "honest", "label": "Honest", "required": False}]
VIEWS = [{"key": "helpful", "label": "Helpful"}, {"key": "honest", "label": "Honest"}]


async def test_sides_by_criterion_are_frozen_by_completion_and_become_columns(
    session: AsyncSession, tmp_path: Path
) -> None:
    protocol: dict[str, Any] = {"kind": "comparison", "criteria": CRITERIA}
    project = await make.project(session, protocol=protocol_of(protocol).as_json())
    first = {"choice": ["y.2"], "side.helpful": ["y"], "side.honest": ["equal"]}
    second = {"choice": ["tie"], "side.helpful": ["x"]}
    await rated(session, project, ("r1", first), ("r2", second), protocol=protocol)
    _manifest, path = await frozen(session, project, tmp_path)
    (line,) = lines(path)
    assert line["criteria"] == VIEWS
    assert [vote["criteria"] for vote in line["votes"]] == [{"helpful": "b", "honest": "equal"}, {"helpful": "a"}]
    record = ComparisonRecord.model_validate(line)
    back = [one.body.get("criteria") for one in comparison(record, [record.a.id, record.b.id])]
    assert back == [{"helpful": "1", "honest": "equal"}, {"helpful": "0"}]  # as it was sent
    rows = [(row["vote.outcome"], row["helpful"], row["honest"]) for row in lines(path, Form.flat)]
    assert rows == [("b", "b", "equal"), ("tie", "a", None)]


async def test_of_more_than_two_they_name_an_answer(session: AsyncSession, tmp_path: Path) -> None:
    protocol: dict[str, Any] = {"kind": "comparison", "completions": 3, "criteria": CRITERIA}
    project = await make.project(session, protocol=protocol_of(protocol).as_json())
    fields = {"choice": ["y"], "side.helpful": ["x"], "side.honest": ["equal"]}
    await rated(session, project, ("r1", fields), protocol=protocol, shows=3)
    _manifest, path = await frozen(session, project, tmp_path)
    (line,) = lines(path)
    assert ChoiceRecord.model_validate(line).votes[0].criteria == {"helpful": 0, "honest": "equal"}
    (row,) = lines(path, Form.flat)
    ids = [answer["id"] for answer in line["answers"]]
    assert (row["best.id"], row["helpful"], row["honest"]) == (ids[1], ids[0], "equal")


async def test_a_line_without_criteria_is_what_it_was(session: AsyncSession, tmp_path: Path) -> None:
    protocol: dict[str, Any] = {"kind": "comparison"}
    project = await make.project(session, protocol=protocol_of(protocol).as_json())
    await rated(session, project, ("r1", {"choice": ["x.1"]}), protocol=protocol)
    _manifest, path = await frozen(session, project, tmp_path)
    (line,) = lines(path)
    assert "criteria" not in line
    assert "criteria" not in line["votes"][0]
