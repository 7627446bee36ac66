"""Freezing from a filled database: which answers, which votes, which side of the split, and what stands on disk."""

import hashlib
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.datasets.actions import NothingToFreeze, ask_to_freeze, conclude_freezing, give_up_freezing
from app.datasets.forms import FreezeForm
from app.datasets.queries import LinesAreOthers, check_lines
from app.datasets.records import ComparisonRecord
from app.datasets.rules import split_of
from app.datasets.tables import DatasetState
from app.loop.queries import preferring_by_component
from app.projects.queries import default_batch
from app.projects.tables import Batch, Protocol
from app.prompts.actions import retire_prompt
from app.prompts.tables import Prompt, Root, Use
from app.tasks.tables import Purpose, Task
from tests import make
from tests.app.datasets.scene import frozen, people
from tests.queue import waiting


async def test_a_line_holds_the_prompt_both_answers_and_every_vote(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, k=3)
    one, two, three = await people(session, project)
    task = await make.task(session, project, await default_batch(session, project.id), k=3)
    await make.annotation(session, task, one, 1, strength=3, sides=[1, 0])
    await make.annotation(session, task, two, 0, strength=1)
    await make.annotation(session, task, three, "both_bad")
    _dataset, (line,) = await frozen(session, project, tmp_path)
    record = ComparisonRecord.model_validate(line)
    told = [(vote.rater, vote.outcome, vote.strength, vote.levels, vote.shown_first) for vote in record.votes]
    assert told == [("r0", "b", 3, 3, "b"), ("r1", "a", 1, 3, "a"), ("r2", "both_bad", None, 3, "a")]
    assert record.conclusion == "both_bad"  # one vote each, and no side has more than both-bad has
    assert record.id == str(task.public_id)
    assert "rater" not in str(record.prompt)


async def test_each_answer_keeps_its_checkpoint(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    checkpoint, prompt = await make.checkpoint(session), await make.prompt(session, project)
    pair = [
        await make.completion(session, prompt, "From a checkpoint.", checkpoint_id=checkpoint.id),
        await make.completion(session, prompt, "From a file."),
    ]
    batch = await default_batch(session, project.id)
    task = await make.task(session, project, batch, prompt_row=prompt, completions=pair)
    await make.annotation(session, task, one)
    dataset, (line,) = await frozen(session, project, tmp_path)
    assert (line["a"]["checkpoint"], line["b"]["checkpoint"]) == (str(checkpoint.public_id), None)
    assert line["a"]["parts"] == [{"type": "text", "text": "From a checkpoint."}]
    assert dataset.manifest["checkpoints"] == [str(checkpoint.public_id)]


async def test_answers_that_are_not_live_are_left_out(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, k=3)
    one, two, three = await people(session, project)
    task = await make.task(session, project, await default_batch(session, project.id), k=3)
    await make.annotation(session, task, one, 0)
    await make.annotation(session, task, two, 1, state="withdrawn")
    await make.annotation(session, task, three, 1, state="surplus", slot_id=None)
    _dataset, (line,) = await frozen(session, project, tmp_path)
    assert [vote["rater"] for vote in line["votes"]] == ["r0"]


@pytest.mark.parametrize("purpose", [Purpose.evaluation, Purpose.gold, Purpose.review, Purpose.repeat])
async def test_only_what_was_collected_for_training_is_taken(
    session: AsyncSession, tmp_path: Path, purpose: Purpose
) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    await make.annotation(session, await make.task(session, project, batch, purpose=purpose), one)
    wanted = await make.task(session, project, batch, purpose=Purpose.calibration)
    await make.annotation(session, wanted, one)
    _dataset, lines = await frozen(session, project, tmp_path)
    assert [line["id"] for line in lines] == [str(wanted.public_id)]


async def test_answers_to_heldout_prompts_are_never_taken_unless_named(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    prompt = await make.prompt(session, project, use=Use.heldout)
    task = await make.task(session, project, await default_batch(session, project.id), prompt_row=prompt)
    await make.annotation(session, task, one)
    with pytest.raises(NothingToFreeze):
        await frozen(session, project, tmp_path)
    _dataset, (line,) = await frozen(session, project, tmp_path, uses=["heldout"])
    assert line["split"] == "heldout"  # also when named they are for measuring, never for training


async def test_answers_to_retired_prompts_stay_out_and_are_counted(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    kept, retired = [await make.task(session, project, batch) for _ in range(2)]
    for task in (kept, retired):
        await make.annotation(session, task, one)
    await retire_prompt(session, await session.get_one(Prompt, retired.prompt_id), None, retired=True)
    assert [count for _root, count in await preferring_by_component(session, project.id)] == [1], (
        "a schedule counts the same"
    )
    dataset, lines = await frozen(session, project, tmp_path)
    assert [line["id"] for line in lines] == [str(kept.public_id)]
    assert dataset.manifest["counts"]["left_out_for_retired_prompts"] == 1
    await retire_prompt(session, await session.get_one(Prompt, kept.prompt_id), None, retired=True)
    with pytest.raises(NothingToFreeze, match="because their prompt is retired: 2"):
        await frozen(session, project, tmp_path)
    await retire_prompt(session, await session.get_one(Prompt, retired.prompt_id), None, retired=False)
    _dataset, (line,) = await frozen(session, project, tmp_path)
    assert line["id"] == str(retired.public_id)


async def test_votes_without_a_place_in_the_project_stay_out_and_are_counted(
    session: AsyncSession, tmp_path: Path
) -> None:
    """Admins of the installation could once answer without one; who gets one later counts with all that they said."""
    project = await make.project(session, k=2)
    (one,) = await people(session, project, 1)
    admin = await make.user(session, is_admin=True)
    batch = await default_batch(session, project.id)
    shared, alone = await make.task(session, project, batch, k=2), await make.task(session, project, batch)
    await make.annotation(session, shared, one, 0)
    for task in (shared, alone):
        await make.annotation(session, task, admin, 1)
    dataset, (line,) = await frozen(session, project, tmp_path)
    assert (line["id"], [vote["rater"] for vote in line["votes"]]) == (str(shared.public_id), ["r0"])
    assert dataset.manifest["counts"]["votes_left_out_without_membership"] == 2
    with pytest.raises(NothingToFreeze, match="without a place in the project: 1"):
        await frozen(session, project, tmp_path, minimum_votes=2)
    await make.member(session, project, admin, pseudonym="r9")
    dataset, lines = await frozen(session, project, tmp_path)
    assert [len(line["votes"]) for line in lines] == [2, 1]
    assert dataset.manifest["counts"]["votes_left_out_without_membership"] == 0


async def test_another_projects_answers_stay_there(session: AsyncSession, tmp_path: Path) -> None:
    mine, other = await make.project(session), await make.project(session)
    for project in (mine, other):
        (one,) = await people(session, project, 1)
        await make.annotation(session, await make.task(session, project, await default_batch(session, project.id)), one)
    _dataset, lines = await frozen(session, mine, tmp_path)
    ids = (await session.scalars(select(Task.public_id).where(Task.project_id == mine.id))).all()
    assert [line["id"] for line in lines] == [str(one) for one in ids]


async def test_a_batch_can_be_frozen_alone(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    round_two = Batch(project_id=project.id, name="Round two")
    session.add(round_two)
    await session.flush()
    await session.refresh(round_two)
    await make.annotation(session, await make.task(session, project, await default_batch(session, project.id)), one)
    wanted = await make.task(session, project, round_two)
    await make.annotation(session, wanted, one)
    _dataset, lines = await frozen(session, project, tmp_path, batches=[str(round_two.public_id)])
    assert [line["id"] for line in lines] == [str(wanted.public_id)]


async def test_strengths_keep_the_scale_they_were_given_on(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    await make.annotation(session, await make.task(session, project, batch), one, strength=3)
    session.add(Protocol(project_id=project.id, version=2, body=make.PROTOCOL | {"scale": 3}))
    await session.flush()
    await make.annotation(session, await make.task(session, project, batch), one, strength=1)
    dataset, lines = await frozen(session, project, tmp_path)
    assert [(line["votes"][0]["strength"], line["votes"][0]["levels"]) for line in lines] == [(3, 3), (1, 1)]
    assert dataset.manifest["versions"]["protocol"] == [1, 2]
    dataset, lines = await frozen(session, project, tmp_path, protocol_versions=[2])
    assert len(lines) == 1


async def test_lines_below_the_wanted_agreement_are_counted_and_left_out(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, k=2)
    one, two = await people(session, project, 2)
    batch = await default_batch(session, project.id)
    agreed, split = await make.task(session, project, batch, k=2), await make.task(session, project, batch, k=2)
    for task, outcome in ((agreed, 0), (split, 1)):
        await make.annotation(session, task, one, 0)
        await make.annotation(session, task, two, outcome)
    dataset, lines = await frozen(session, project, tmp_path, minimum_agreement=0.5)
    assert [line["id"] for line in lines] == [str(agreed.public_id)]
    assert dataset.manifest["counts"]["left_out_for_agreement"] == 1


async def test_a_task_with_too_few_votes_waits(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, k=2)
    one, two = await people(session, project, 2)
    batch = await default_batch(session, project.id)
    full, half = await make.task(session, project, batch, k=2), await make.task(session, project, batch, k=2)
    await make.annotation(session, full, one)
    await make.annotation(session, full, two)
    await make.annotation(session, half, one)
    _dataset, lines = await frozen(session, project, tmp_path, minimum_votes=2)
    assert [line["id"] for line in lines] == [str(full.public_id)]


async def test_prompts_of_one_root_stand_on_one_side(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    for _root in range(12):
        first = await make.prompt(session, project)
        for prompt in (first, await make.prompt(session, project, root_id=first.root_id)):
            await make.annotation(session, await make.task(session, project, batch, prompt_row=prompt), one)
    _dataset, lines = await frozen(session, project, tmp_path, heldout_share=0.5)
    sides: dict[str, set[str]] = {}
    for line in lines:
        sides.setdefault(line["group"], set()).add(line["split"])
    assert len(sides) == 12
    assert all(len(side) == 1 for side in sides.values())
    keys = {str(row.public_id): row.key for row in await session.scalars(select(Root))}
    assert all(line["split"] == split_of(keys[line["group"]], 0.5) for line in lines)


async def test_the_manifest_counts_what_stands_in_the_file(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session, k=2)
    one, two = await people(session, project, 2)
    batch = await default_batch(session, project.id)
    for outcome in (0, 1, "tie"):
        task = await make.task(session, project, batch, k=2)
        await make.annotation(session, task, one, outcome)
        await make.annotation(session, task, two, 0)
    dataset, lines = await frozen(session, project, tmp_path)
    counts = dataset.manifest["counts"]
    assert counts["lines"] == {"train": 3}
    assert counts["votes"] == {"train": 6}
    assert counts["outcomes"] == {"a": 4, "b": 1, "tie": 1}
    assert counts["raters"] == {"r0": 3, "r1": 3}
    assert counts["agreement"] == pytest.approx(1 / 3)  # the two agree on one task of three
    assert (dataset.state, dataset.lines, len(lines)) == (DatasetState.frozen, 3, 3)
    folder = tmp_path / "datasets" / str(dataset.sha256)
    assert hashlib.sha256((folder / "records.jsonl").read_bytes()).hexdigest() == dataset.sha256
    assert orjson.loads((folder / "manifest.json").read_bytes()) == dataset.manifest
    assert dataset.manifest["question"]["purposes"] == ["collect", "calibration"]
    assert str(dataset.sha256) in (folder / "README.md").read_text()


async def test_the_same_answers_frozen_twice_are_one_folder(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    await make.annotation(session, await make.task(session, project, await default_batch(session, project.id)), one)
    first, _lines = await frozen(session, project, tmp_path)
    second, _lines = await frozen(session, project, tmp_path, name="again")
    assert first.sha256 == second.sha256
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [first.sha256]


async def test_lines_that_somebody_changed_stand_there_again_when_they_are_frozen_again(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    await make.annotation(session, await make.task(session, project, await default_batch(session, project.id)), one)
    first, lines = await frozen(session, project, tmp_path)
    file = tmp_path / "datasets" / str(first.sha256) / "records.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(LinesAreOthers):
        check_lines(tmp_path, first)
    again, found = await frozen(session, project, tmp_path)
    assert (again.sha256, found) == (first.sha256, lines)
    check_lines(tmp_path, first)


async def test_nothing_to_freeze_leaves_nothing_behind(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    with pytest.raises(NothingToFreeze, match="nothing to freeze"):
        await frozen(session, project, tmp_path)
    assert list((tmp_path / "datasets").iterdir()) == []


async def test_why_nothing_was_frozen_is_kept_whatever_characters_it_holds(session: AsyncSession) -> None:
    project = await make.project(session)
    dataset = await ask_to_freeze(session, project.id, FreezeForm(name="slice"), None)
    await give_up_freezing(session, dataset.id, "No room for \0 and \ud83d.")
    await session.refresh(dataset)
    assert (dataset.state, dataset.reason) == (DatasetState.failed, "No room for � and �.")


async def test_a_frozen_dataset_is_told_of_once(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    await make.annotation(session, await make.task(session, project, await default_batch(session, project.id)), one)
    dataset, _lines = await frozen(session, project, tmp_path)
    await conclude_freezing(session, dataset.id, dataset.manifest | {"lines": 99})
    await session.refresh(dataset)
    assert dataset.lines == 1
    assert await waiting(session, "FreezingEnded") == [{"dataset_id": dataset.id}]


async def test_prompts_are_read_as_trainers_read_them(session: AsyncSession, tmp_path: Path) -> None:
    """A conversation of several turns keeps its roles, and odd characters come back as they went in."""
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    said = ["Wie geht’s?\u2028", "Gut. 🎉", "x" * 3000 + "\n\n"]
    roles = ["user", "assistant", "user"]
    messages = [
        {"role": role, "parts": [{"type": "text", "text": text}]} for role, text in zip(roles, said, strict=True)
    ]
    prompt = await make.prompt(session, project, messages=messages)
    task = await make.task(session, project, await default_batch(session, project.id), prompt_row=prompt)
    await make.annotation(session, task, one)
    _dataset, (line,) = await frozen(session, project, tmp_path)
    record = ComparisonRecord.model_validate(line)
    assert [(turn.role, turn.text) for turn in record.prompt] == list(zip(roles, said, strict=True))
    assert await session.scalar(select(Prompt.id).where(Prompt.id == prompt.id))
