"""Reward formulas: kept with versions, shown on an example, and computed when a dataset is frozen."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.annotations.kinds import from_fields, to_keep
from app.datasets.actions import ask_to_freeze, write_dataset
from app.datasets.forms import FreezeForm, NewFormula
from app.datasets.formulas import example_of, save_formula
from app.datasets.records import RatingRecord
from app.datasets.rules import Form, rewritten, sha256_of
from app.datasets.scoring import names_of, values_of
from app.errors import Invalid
from app.projects.actions import change_protocol
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch, newest_protocol
from app.projects.tables import Project
from tests import make
from tests.conftest import sign_in

RATING = {
    "kind": "rating",
    "completions": 2,
    "criteria": [
        {"key": "accuracy", "label": "Accuracy", "scale": "grade"},
        {"key": "relevance", "label": "Relevance", "scale": "grade", "required": False},
    ],
    "flags": [{"key": "harmful", "label": "Harmful"}],
    "errors": {"categories": [{"key": "fact", "label": "Fact"}, {"key": "style", "label": "Style"}]},
}
SCORE = "0.6*accuracy + 0.3*relevance - 1*harmful"


async def rated(
    session: AsyncSession, project: Project, *said: tuple[str, dict[str, list[str]]], protocol: Any = None
) -> None:
    """A task of two completions that one person each rates. said: pseudonym, and fields with handles x and y."""
    asked = protocol_of(protocol or RATING)
    task = await make.task(session, project, await default_batch(session, project.id), k=len(said), kind=asked.kind)
    for pseudonym, fields in said:
        person = await make.user(session)
        await make.member(session, project, person, pseudonym=pseudonym)
        body = to_keep(from_fields(asked.kind, fields), asked, {"x": 0, "y": 1}, ["0123456789"] * 2)
        await make.annotation(session, task, person, body=body, kind=asked.kind)


def values(x: tuple[int, int | None], y: tuple[int, int | None], **more: str) -> dict[str, list[str]]:
    fields = {f"flag.{handle}": [""] for handle in "xy"}
    for handle, (accuracy, relevance) in (("x", x), ("y", y)):
        fields[f"value.{handle}.accuracy"] = [str(accuracy)]
        fields[f"value.{handle}.relevance"] = ["" if relevance is None else str(relevance)]
    return fields | {name.replace("_", ".", 1): [value] for name, value in more.items()}


async def frozen(session: AsyncSession, project: Project, home: Path, **question: Any) -> tuple[dict[str, Any], Path]:
    form = FreezeForm.model_validate({"name": "slice", "heldout_share": 0} | question)
    dataset = await ask_to_freeze(session, project.id, form, None)
    manifest = await write_dataset(await session.connection(), dataset, home)
    return manifest, home / "datasets" / manifest["sha256"] / "records.jsonl"


def lines(path: Path, form: Form = Form.native) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in b"".join(rewritten(path, sha256_of(path), form)).splitlines()]


async def test_each_rating_gets_its_score_and_the_manifest_counts_those_without(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    await rated(
        session,
        project,
        ("r0", values((4, 3), (2, None))),  # 2.4 + 0.9 = 3.3; nothing said on relevance
        ("r1", values((0, 4), (3, 1), flag_x="harmful")),  # 0 + 1.2 - 1 = 0.2; 1.8 + 0.3 = 2.1
    )
    await save_formula(session, project.id, NewFormula(name="reward", expression=SCORE), None)
    manifest, path = await frozen(session, project, tmp_path, formula="reward")
    (line,) = lines(path)
    record = RatingRecord.model_validate(line)
    scores = [[one.score for one in vote.ratings] for vote in record.votes]
    assert scores[0] == [pytest.approx(3.3), None]
    assert scores[1] == [pytest.approx(0.2), pytest.approx(2.1)]
    formula = {"name": "reward", "version": 1, "expression": SCORE}
    assert manifest["scores"] == {"formula": formula, "given": 3, "none": {"missing:relevance": 1}}
    assert manifest["question"]["formula_version"] == 1


async def test_a_division_by_zero_gives_no_score_and_a_question_without_a_formula_none_at_all(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    errors = {"errors_x": "0 3 fact major\n2 5 style minor\n2 5 fact minor"}
    await rated(session, project, ("r0", values((4, 3), (2, 1), **errors)))
    await save_formula(session, project.id, NewFormula(name="density", expression="accuracy / errors_fact_minor"), None)
    manifest, path = await frozen(session, project, tmp_path, formula="density")
    (vote,) = RatingRecord.model_validate(lines(path)[0]).votes
    assert [one.score for one in vote.ratings] == [4.0, None]
    assert manifest["scores"]["none"] == {"division_by_zero": 1}
    assert [(one.start, one.end, one.category) for one in vote.ratings[0].errors] == [
        (0, 3, "fact"), (2, 5, "fact"), (2, 5, "style")
    ]  # fmt: skip
    manifest, path = await frozen(session, project, tmp_path)
    assert manifest["scores"] is None
    assert "0.6" not in path.read_text()


async def test_a_dataset_keeps_the_version_that_was_newest_when_it_was_asked_for(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    await rated(session, project, ("r0", values((4, 3), (2, 1))))
    first = await save_formula(session, project.id, NewFormula(name="r", expression="accuracy"), None)
    again = await save_formula(session, project.id, NewFormula(name="r", expression="accuracy"), None)
    assert again.id == first.id, "the same words are no new version"
    question = FreezeForm(name="slice", formula="r", heldout_share=0)
    dataset = await ask_to_freeze(session, project.id, question, None)
    await save_formula(session, project.id, NewFormula(name="r", expression="2 * accuracy"), None)
    manifest = await write_dataset(await session.connection(), dataset, tmp_path)
    assert manifest["scores"]["formula"]["version"] == 1
    manifest, path = await frozen(session, project, tmp_path, formula="r")
    assert manifest["scores"]["formula"] == {"name": "r", "version": 2, "expression": "2 * accuracy"}
    assert [one["score"] for one in lines(path)[0]["votes"][0]["ratings"]] == [8.0, 4.0]
    manifest, _path = await frozen(session, project, tmp_path, formula="r", formula_version=1)
    assert manifest["scores"]["formula"]["version"] == 1
    for unknown in ({"formula": "s"}, {"formula": "r", "formula_version": 3}):
        with pytest.raises(Invalid, match="no such formula"):
            await frozen(session, project, tmp_path, **unknown)


async def test_names_of_older_protocols_may_be_used_and_others_are_pointed_at(session: AsyncSession) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    await change_protocol(session, project.id, protocol_of({"kind": "rating"}), None)
    kept = await save_formula(session, project.id, NewFormula(name="r", expression="accuracy + quality"), None)
    assert kept.version == 1
    with pytest.raises(Invalid, match="character 12: there is no criterion, flag or error count “qualty”"):
        await save_formula(session, project.id, NewFormula(name="r", expression="accuracy + qualty"), None)
    combined = protocol_of({"kind": "combined", "parts": [RATING, {"kind": "comparison"}]})
    assert names_of([combined]) == names_of([protocol_of(RATING)])
    assert names_of([protocol_of(RATING)])["accuracy"] == "Accuracy: 0 … 4"


def test_counts_of_errors_by_severity_category_and_both() -> None:
    spans = [
        {"start": 0, "end": 3, "category": category, "severity": severity}
        for category, severity in (("fact", "major"), ("fact", "minor"), ("style", "minor"))
    ]
    told = values_of({"criteria": {"accuracy": 4}, "flags": ["harmful"], "errors": spans}, protocol_of(RATING))  # type: ignore[arg-type]
    assert told | {"accuracy": 4, "harmful": 1} == told
    assert {name: count for name, count in told.items() if name.startswith("errors") and count} == {
        "errors": 3, "errors_fact": 2, "errors_style": 1, "errors_major": 1, "errors_minor": 2,
        "errors_fact_major": 1, "errors_fact_minor": 1, "errors_style_minor": 1,
    }  # fmt: skip
    assert told["errors_critical"] == 0
    assert set(told) <= set(names_of([protocol_of(RATING)]))


async def test_ratings_become_flat_rows_with_score_flags_and_errors(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    await rated(session, project, ("r0", values((4, 3), (2, None), flag_y="harmful", errors_x="0 3 fact major")))
    await save_formula(session, project.id, NewFormula(name="r", expression="accuracy - errors"), None)
    _manifest, path = await frozen(session, project, tmp_path, formula="r")
    rows = lines(path, Form.flat)
    wanted = ("accuracy", "relevance", "flag.harmful", "error.count", "vote.score", "vote.rater")
    assert [tuple(row[name] for name in wanted) for row in rows] == [
        (4, 3, False, 1, 3.0, "r0"), (2, None, True, 0, 2.0, "r0")
    ]  # fmt: skip


async def test_a_page_writes_a_formula_and_shows_what_it_comes_to(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    person = await make.user(session)
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    address = f"/projects/{project.public_id}/formulas"
    page = await client.get(address)
    assert page.status_code == 200
    assert 'name="value.accuracy" value="2"' in page.text, "the middle of 0 … 4"
    part = {"HX-Request": "true"}
    looked = await client.post(address, data={"expression": SCORE, "value.accuracy": "4", "look": "yes"}, headers=part)
    assert '<p class="stat-value">3</p>' in looked.text  # 2.4 + 0.6 - 0
    assert "<html" not in looked.text
    wrong = await client.post(address, data={"expression": "accuracy +* 2", "look": "yes"}, headers=part)
    assert "character 11" in wrong.text
    assert "<mark>*</mark>" in wrong.text
    refused = await client.post(address, data={"name": "reward", "expression": "accuracy / nothing"}, headers=part)
    assert refused.status_code == 422
    assert "character 12: there is no criterion" in refused.text
    saved = await client.post(address, data={"name": "reward", "expression": SCORE}, headers=part)
    assert saved.headers["HX-Redirect"] == address
    assert SCORE in (await client.get(address)).text
    assert 'value="reward"' in (await client.get(f"/projects/{project.public_id}/datasets")).text


async def test_a_script_writes_and_tries_formulas(session: AsyncSession, client: httpx.AsyncClient) -> None:
    project = await make.project(session, protocol=protocol_of(RATING).as_json())
    person = await make.user(session)
    await make.member(session, project, person, Role.manager)
    headers = {"Authorization": f"Bearer {await make.api_token(session, person)}"}
    address = f"/api/v1/projects/{project.public_id}/formulas"
    for version, expression in ((1, "accuracy"), (2, SCORE)):
        made = await client.post(address, json={"name": "reward", "expression": expression}, headers=headers)
        assert (made.status_code, made.json()["version"]) == (201, version)
    listed = (await client.get(address, headers=headers)).json()
    assert [one["expression"] for one in listed["formulas"]] == [SCORE, "accuracy"]
    assert listed["names"]["harmful"] == "Harmful: 1 where the flag holds, else 0"
    tried = await client.post(
        f"{address}/try", json={"expression": "accuracy / harmful", "values": {"harmful": 0}}, headers=headers
    )
    assert tried.json() == {"value": None, "sentence": "No score: it divides by zero here.", "at": None}
    tried = await client.post(f"{address}/try", json={"expression": "max(1, ", "values": {}}, headers=headers)
    assert (tried.json()["value"], tried.json()["at"]) == (None, 8)
    refused = await client.post(address, json={"name": "Bad Name", "expression": "1"}, headers=headers)
    assert refused.status_code == 422


async def test_an_example_is_taken_from_what_was_said_about_a_turn(session: AsyncSession) -> None:
    parts = [
        {"kind": "conversation", "asks": "scores"},
        {"kind": "questions", "questions": [{"key": "q", "label": "Q", "type": "yes_no", "about": "task"}]},
    ]
    asked = protocol_of({"kind": "combined", "parts": parts})
    project = await make.project(session)
    await change_protocol(session, project.id, asked, None)
    task = await make.task(session, project, await default_batch(session, project.id), k=2, kind="combined")
    for turns, score in (([], 50.0), ([{"said": {"ratings": [{"criteria": {"score": 71}, "flags": []}]}}], 71.0)):
        person = await make.user(session)
        await make.member(session, project, person)
        said = {"kind": "combined", "parts": [{"kind": "conversation", "turns": turns}, {"kind": "questions"}]}
        protocol_id = (await newest_protocol(session, project.id)).id
        await make.annotation(session, task, person, body=said, kind="combined", protocol_id=protocol_id)
        assert await example_of(session, project.id) == {"score": score}


def test_names_say_which_prompts_they_are_asked_about() -> None:
    rating = {"kind": "rating", "completions": 1, "criteria": [{"key": "rhyme", "label": "Rhyme", "tags": ["poem"]}]}
    assert "poem" in names_of([protocol_of(rating)])["rhyme"]
