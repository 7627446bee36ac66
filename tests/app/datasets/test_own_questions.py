"""Answers to a project's own questions in a dataset: typed, and as flat rows."""

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import from_fields, to_keep
from app.datasets.actions import ask_to_freeze, write_dataset
from app.datasets.forms import FreezeForm
from app.datasets.records import QuestionsRecord
from app.datasets.rules import Form, rewritten, sha256_of
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch
from app.projects.tables import Project
from tests import make


async def rated(
    session: AsyncSession, project: Project, *said: tuple[str, dict[str, list[str]]], protocol: Any, shows: int = 2
) -> None:
    """A task of two completions that one person each rates. said: pseudonym, and fields with handles x, y and z."""
    asked, batch = protocol_of(protocol), await default_batch(session, project.id)
    task = await make.task(session, project, batch, k=len(said), kind=asked.kind, shows=shows)
    for pseudonym, fields in said:
        person = await make.user(session)
        await make.member(session, project, person, pseudonym=pseudonym)
        body = to_keep(from_fields(asked.kind, fields), asked, dict(zip("xyz", range(shows), strict=False)))
        await make.annotation(session, task, person, body=body, kind=asked.kind)


async def frozen(session: AsyncSession, project: Project, home: Path, **question: Any) -> tuple[dict[str, Any], Path]:
    form = FreezeForm.model_validate({"name": "slice", "heldout_share": 0} | question)
    dataset = await ask_to_freeze(session, project.id, form, None)
    manifest = await write_dataset(await session.connection(), dataset, home)
    return manifest, home / "datasets" / manifest["sha256"] / "records.jsonl"


def lines(path: Path, form: Form = Form.native) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in b"".join(rewritten(path, sha256_of(path), form)).splitlines()]


async def test_answers_to_questions_are_frozen_with_their_types_and_become_flat_rows(
    session: AsyncSession, tmp_path: Path
) -> None:
    asked = [
        {"key": "poem", "label": "A poem?"},
        {"key": "size", "label": "Size", "type": "number"},
        {"key": "tone", "label": "Tone", "type": "choices", "about": "answer", "required": False,
         "options": [{"key": "dry", "label": "Dry"}, {"key": "warm", "label": "Warm"}]},
        {"key": "rhyme", "label": "Rhymes", "type": "scale", "about": "answer",
         "only_if": [{"question": "poem", "values": ["yes"]}]},
    ]  # fmt: skip
    protocol = {"kind": "questions", "completions": 2, "questions": asked}
    project = await make.project(session, protocol=protocol_of(protocol).as_json())
    poem = {"say.task.poem": ["yes"], "say.task.size": ["3"], "say.x.rhyme": ["2"], "say.y.rhyme": ["5"]}
    prose = {"say.task.poem": ["no"], "say.task.size": ["0.5"], "say.y.tone": ["warm", "dry"], "say.y.rhyme": ["5"]}
    await rated(session, project, ("r0", poem), ("r1", prose), protocol=protocol)
    manifest, path = await frozen(session, project, tmp_path)
    record = QuestionsRecord.model_validate(lines(path)[0])
    assert [(one.key, one.type, one.about) for one in record.questions][:2] == [
        ("poem", "yes_no", "task"), ("size", "number", "task")
    ]  # fmt: skip
    assert record.votes[0].task == {"poem": True, "size": 3.0}
    assert isinstance(lines(path)[0]["votes"][0]["task"]["size"], float)
    assert manifest["counts"]["kinds"] == {"questions": 1}
    flat = [{name: value for name, value in row.items() if "." not in name} for row in lines(path, Form.flat)]
    assert flat == [
        {"poem": True, "size": 3.0, "tone": None, "rhyme": 2},
        {"poem": True, "size": 3.0, "tone": None, "rhyme": 5},
        {"poem": False, "size": 0.5, "tone": None, "rhyme": None},
        {"poem": False, "size": 0.5, "tone": ["dry", "warm"], "rhyme": None},
    ]
    assert lines(path, Form.trl) == []
