"""Labelled data comes in: who said what, what is told of each line, and that nothing here changes because of it."""

import random
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.annotations.tables import Annotation
from app.datasets import importing
from app.datasets.importing import import_dataset
from app.importing import Subject, bring
from app.projects.actions import comparison_protocol
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch, protocol_versions
from app.projects.tables import Project, Protocol
from app.prompts.forms import Report
from app.prompts.tables import Prompt, Root, Use
from app.tasks.tables import Task, TaskState
from tests import make
from tests.app.datasets.scene import Lines, frozen, people
from tests.conftest import sign_in
from tests.journeys.chain import exported, told

BOTH = (Use.label, Use.heldout)


def by_hand(**said: Any) -> dict[str, Any]:
    return {"prompt": "How do I fold a crane?", "a": "In half.", "b": "Buy one.", "chosen": "a"} | said


async def brought(session: AsyncSession, project: Project, *lines: Any, **options: Any) -> Report:
    raw = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    return await import_dataset(session, project.id, "votes.jsonl", BytesIO(raw), None, **options)


async def counted(session: AsyncSession, kind: Any) -> int:
    return (await session.scalar(select(func.count()).select_from(kind))) or 0


async def labelled(session: AsyncSession, home: Path, **question: Any) -> tuple[Any, Lines]:
    """A dataset of two prompts that are near to each other and one held out, two answers each, one by a checkpoint."""
    project = await make.project(session, k=2)
    raters = await people(session, project, 2)
    checkpoint, batch = await make.checkpoint(session, name="crane-7"), await default_batch(session, project.id)
    component = None
    for number, use in enumerate((Use.label, Use.label, Use.heldout)):
        prompt = await make.prompt(session, project, use=use, tags=["paper"] if number else [])
        pair = [
            await make.completion(session, prompt, checkpoint_id=checkpoint.id),
            await make.completion(session, prompt, author="somebody's best"),
        ]
        task = await make.task(session, project, batch, k=2, prompt_row=prompt, completions=pair)
        await make.annotation(session, task, raters[0], 0, strength=3, sides=[1, 0])
        await make.annotation(session, task, raters[1], "tie" if number else 1)
        root = await session.get_one(Root, prompt.root_id)
        component = component or root.key
        root.component = component if use is Use.label else root.key
    await session.flush()
    return await frozen(session, project, home, uses=BOTH, **question)


async def test_splits_groups_tags_and_what_made_an_answer_come_along(session: AsyncSession, tmp_path: Path) -> None:
    dataset, lines = await labelled(session, tmp_path)
    assert [line["split"] for line in lines] == ["train", "train", "heldout"]
    fresh = await make.project(session)
    report = await import_dataset(session, fresh.id, "d", BytesIO(exported(tmp_path, dataset)), None)
    assert (report.new, report.total) == (3, 3)
    _again, back = await frozen(session, fresh, tmp_path, uses=BOTH)
    assert told(back) == told(lines)
    assert back[0]["a"]["checkpoint"] == lines[0]["a"]["checkpoint"]  # both projects may use it
    assert [(one["a"]["author"], one["b"]["author"]) for one in back] == [("crane-7", "somebody's best")] * 3
    assert len({line["group"] for line in back}) == 2
    elsewhere = [orjson.loads(orjson.dumps(line).replace(lines[0]["a"]["checkpoint"].encode(), b"elsewhere"))
                 for line in lines]  # fmt: skip
    other = await make.project(session)
    await brought(session, other, *elsewhere)
    _third, back = await frozen(session, other, tmp_path, uses=BOTH)
    assert {(one["a"]["checkpoint"], one["a"]["author"]) for one in back} == {(None, "crane-7")}


async def test_the_order_of_lines_does_not_matter(session: AsyncSession, tmp_path: Path) -> None:
    protocol = {"kind": "combined", "parts": [{"kind": "comparison"}, {"kind": "rewrite"}]}
    source = await make.project(session, protocol=protocol_of(protocol).as_json())
    (person,) = await people(session, source, 1)
    task = await make.task(session, source, await default_batch(session, source.id), kind="combined")
    said = {"kind": "comparison", "outcome": "preferred", "preferred": 1, "strength": 2}
    parts = [said, {"kind": "rewrite", "completion": 1, "text": "Better."}]
    body = {"schema": {"name": "hone.combined", "version": 1}, "kind": "combined", "parts": parts}
    await make.annotation(session, task, person, kind="combined", body=body | {"justification": "Both at once."})
    _dataset, lines = await frozen(session, source, tmp_path)
    assert [line["kind"] for line in lines] == ["comparison", "demonstration", "comparison"]
    shuffled = lines[:]
    random.Random(2).shuffle(shuffled)
    fresh = await make.project(session)
    report = await brought(session, fresh, *shuffled[::-1])
    assert (report.new, report.total) == (3, 3)
    _again, back = await frozen(session, fresh, tmp_path)
    assert sorted(told([line])[0] for line in back) == sorted(told([line])[0] for line in lines)


async def test_lines_by_hand_are_votes_on_one_task(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    lines = [
        by_hand(rater="ann", strength=2, levels=3, comment="Shorter."),
        by_hand(rater="ben", chosen="tie", at="2026-03-01T12:00:00Z"),
        by_hand(rater="ben", chosen="tie", at="2026-03-01T12:00:00Z"),
        by_hand(rater="ann", chosen="b"),
        by_hand(prompt="Hello", chosen="both_bad"),
    ]
    report = await brought(session, project, *lines)
    assert (report.new, report.identical, report.conflicting) == (3, 1, 1)
    assert [(line.line, line.outcome) for line in report.lines] == [(3, "identical"), (4, "conflicting")]
    _dataset, back = await frozen(session, project, tmp_path, uses=tuple(Use))
    assert [len(line["votes"]) for line in back] == [2, 1]
    first, second = back[0]["votes"]
    assert (first["rater"], first["strength"], first["levels"], first["comment"]) == ("ann", 2, 3, "Shorter.")
    assert (second["outcome"], second["at"]) == ("tie", "2026-03-01T12:00:00+00:00")
    assert back[1]["votes"][0]["rater"] == "unnamed"
    more = await brought(
        session, project, *lines[:2], by_hand(rater="eve", chosen="b"), by_hand(rater="ann", strength=1)
    )
    assert (more.new, more.identical, more.conflicting) == (1, 2, 1)
    assert await counted(session, Task) == 2
    _dataset, back = await frozen(session, project, tmp_path, uses=tuple(Use))
    assert [vote["rater"] for vote in back[0]["votes"]] == ["ann", "ben", "eve"]


async def test_one_bad_line_never_loses_the_others(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    _dataset, (good, *_others) = await labelled(session, tmp_path)
    two_sides = by_hand(rater="ann") | {"prompt": "Held out", "split": "heldout"}
    bad = [
        (b'{"kind": "comparison",', "it ends in the middle of an object"),
        (good | {"kind": "poem"}, "kind: “poem” is none of comparison"),
        (good | {"schema_version": 2}, "schema_version: 2 is of a later Hone"),
        (good | {"votes": []}, "votes: Tuple should have at least 1 item"),
        (good | {"weight": 0.5}, "weight: every vote weighs 1 here"),
        (good | {"surprise": 1}, "surprise: Extra inputs are not permitted"),
        (by_hand(strength=5, levels=5), "scale: Input should be less than or equal to 9"),
        (by_hand(a=" "), "a: it is empty"),
        (by_hand(chosen="c"), "chosen: “c” is none of a, b, tie, both_bad, neither_valid"),
        (by_hand(chosen=["a"]), "chosen: “['a']” is none of"),
        (by_hand(winner="a"), "winner: there is no such field"),
        ({"prompt": "Hello", "chosen": "a", "b": "x"}, "a: it is missing"),
        (by_hand(rater=""), "rater: a name has 1 to 100 characters"),
        (by_hand(a="Same.", b="Same."), "two of its answers are the same"),
        (good | {"id": "1", "kind": "ranking", "votes": [{"rater": "r", "tiers": [[0]], "shown": [0, 1]}],
                 "answers": [good["a"], good["b"]]}, "a: Extra inputs"),
    ]  # fmt: skip
    report = await brought(
        session, project, *(line for line, _reason in bad), good, two_sides, two_sides | {"split": "train"}
    )
    assert (report.new, report.conflicting, report.refused) == (2, 1, len(bad))
    reasons = {line.line: line.reason or "" for line in report.lines}
    for number, (line, reason) in enumerate(bad, 1):
        assert reason in reasons[number], (line, reasons[number])
    assert await counted(session, Project) == 2


RANKING = {
    "kind": "ranking", "id": "r", "group": "g", "split": "train",
    "prompt": [{"role": "user", "parts": [{"type": "text", "text": "Rank these."}]}],
    "answers": [{"id": str(n), "parts": [{"type": "text", "text": f"Text {n}"}]} for n in range(3)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("vote", "reason"),
    [
        ({"tiers": [[0], [1]], "shown": [0, 1, 2]}, "answers without a place yet: 1"),
        ({"tiers": [[0], [1, 1], [2]], "shown": [0, 1, 2]}, "an answer stands in two places"),
        ({"tiers": [[0], [1], [7]], "shown": [0, 1, 2]}, "not one of this task's answers"),
        ({"tiers": [[0], [1], [2]], "shown": [0, 1]}, "does not name each of the 3 answers once"),
    ],
)
async def test_nothing_comes_in_that_could_not_have_been_answered_here(
    session: AsyncSession, vote: dict[str, Any], reason: str
) -> None:
    project = await make.project(session)
    good = {"rater": "ann", "tiers": [[2], [0, 1]], "shown": [2, 0, 1]}
    report = await brought(
        session, project, RANKING | {"votes": [{"rater": "ben"} | vote]}, RANKING | {"votes": [good]}
    )
    assert (report.new, report.refused) == (1, 1)
    assert reason in str(report.lines[0].reason)
    assert [one.body["tiers"] for one in await session.scalars(select(Annotation))] == [[[2], [0, 1]]]


async def test_nobody_speaks_for_somebody_of_the_project(session: AsyncSession) -> None:
    project = await make.project(session)
    await people(session, project, 1)
    report = await brought(session, project, by_hand(rater="r0"), by_hand(rater="r1"))
    assert (report.new, report.refused) == (1, 1)
    assert "“r0” is somebody of this project" in str(report.lines[0].reason)


async def test_a_project_s_own_export_is_here_already(session: AsyncSession, tmp_path: Path) -> None:
    _dataset, lines = await labelled(session, tmp_path)
    project = (await session.scalars(select(Project))).one()
    report = await brought(session, project, *lines)
    assert (report.identical, report.total) == (3, 3)
    changed = orjson.loads(orjson.dumps(lines[0]))
    changed["votes"][0]["outcome"] = "b"
    report = await brought(session, project, changed)
    assert (report.conflicting, report.total) == (1, 1)
    assert await counted(session, Task) == 3


async def test_a_dry_run_tells_the_same_and_keeps_nothing(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    dry = await brought(session, project, by_hand(), b"{", dry_run=True)
    assert [await counted(session, kind) for kind in (Task, Prompt, Annotation, Membership)] == [0, 0, 0, 0]
    done = await brought(session, project, by_hand(), b"{")
    assert dry.model_copy(update={"id": done.id, "dry_run": False}) == done


async def test_what_is_asked_here_stays_as_it_was(session: AsyncSession) -> None:
    """The file's protocol is none of the project's: its versions count down from -1, and nobody is asked by it."""
    project = await make.project(session, protocol=protocol_of({"kind": "ranking"}).as_json())
    await brought(session, project, by_hand(strength=2, levels=2), by_hand(prompt="Hello", levels=3))
    await brought(session, project, by_hand(prompt="Who is there?", levels=3))
    asked = select(Protocol).where(Protocol.project_id == project.id).order_by(Protocol.version)
    assert [(one.version, one.body["kind"]) for one in await session.scalars(asked)] == [
        (-2, "comparison"), (-1, "comparison"), (1, "ranking")
    ]  # fmt: skip
    assert [one.version for one in await protocol_versions(session, project.id)] == [1]
    assert (await comparison_protocol(session, project.id)).version == 0
    assert set(await session.scalars(select(Task.state))) == {TaskState.done}
    batch = await default_batch(session, project.id)
    assert batch.id not in set(await session.scalars(select(Task.batch_id)))


async def test_imported_people_cannot_be_let_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await brought(session, project, by_hand(rater="ann"))
    person = (await session.scalars(select(User))).one()
    assert (person.is_imported, person.password_hash, person.email.endswith(".invalid")) == (True, None, True)
    assert person.disabled_at is not None
    place = (await session.scalars(select(Membership))).one()
    assert (place.pseudonym, place.role, place.paused_at is not None) == ("ann", Role.annotator, True)
    await sign_in(client, session, await make.user(session, is_admin=True))
    page = await client.get("/people")
    assert "imported" in page.text
    assert person.email not in page.text
    refused = await client.post(f"/people/{person.public_id}/enable")
    assert refused.status_code == 409
    assert await session.scalar(select(User.disabled_at).where(User.id == person.id)) is not None


async def test_lines_whose_media_are_not_here_are_refused(session: AsyncSession) -> None:
    project = await make.project(session)
    medium = await make.medium(session, project)
    shown = [{"type": "text", "text": "What is this?"}, {"type": "image", "sha256": medium.sha256}]
    absent = [{"type": "image", "sha256": "0" * 64}]
    report = await brought(session, project, by_hand(prompt=shown), by_hand(prompt=absent))
    assert (report.new, report.refused) == (1, 1)
    assert "no file with the SHA-256 000000" in str(report.lines[0].reason)
    prompt = (await session.scalars(select(Prompt))).one()
    assert f"/media/{medium.sha256}" in prompt.rendered[0]


async def test_the_page_and_rest_tell_what_they_would_do_and_do_it(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    manager = await make.user(session)
    await make.member(session, project, manager, Role.manager)
    await sign_in(client, session, manager)
    address = f"/projects/{project.public_id}/datasets/import"
    files = {"file": ("votes.jsonl", b"\n".join(map(orjson.dumps, [by_hand(), by_hand(chosen="c")])))}
    assert (await client.get(address)).status_code == 200
    assert (await client.post(address, files={"file": ("", b"")})).status_code == 422
    looked = await client.post(address, files=files)
    assert "Import 1 line" in looked.text
    assert await counted(session, Task) == 0
    done = await client.post(address, files=files, data={"confirm": "yes"})
    assert done.status_code == 303
    report = await client.get(done.headers["Location"])
    assert "To the datasets" in report.text
    token = {"Authorization": f"Bearer {await make.api_token(session, manager)}"}
    again = await client.post(f"/api/v1{address}?name=again", content=files["file"][1], headers=token)
    assert (again.status_code, again.json()["identical"], again.json()["refused"]) == (200, 1, 1)
    assert await counted(session, Task) == 1


@pytest.mark.committed
async def test_the_command_line_brings_a_dataset(committed: str, tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_bytes(orjson.dumps(by_hand()))
    async with database.transaction() as session:
        await make.project(session, name="By hand")
    assert (await bring("By hand", file, Subject.dataset, dry_run=False)).new == 1
    assert (await bring("By hand", file, Subject.dataset, dry_run=False)).identical == 1


async def test_a_file_of_many_tasks_comes_in_by_chunks(
    session: AsyncSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 3)
    project = await make.project(session)
    lines = [by_hand(prompt=f"What is {n} times seven?", rater=f"r{n % 2}") for n in range(10)]
    report = await brought(session, project, *lines)
    assert (report.new, await counted(session, Task), await counted(session, Membership)) == (10, 10, 2)
