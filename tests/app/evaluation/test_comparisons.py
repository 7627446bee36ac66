"""Blind comparisons from the request to the win rate: held-out prompts, pairs as answers arrive, rules."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.completions.rules import Sampling
from app.completions.tables import Generation
from app.datasets.actions import NothingToFreeze
from app.errors import Invalid
from app.evaluation import actions
from app.evaluation.queries import standings_of
from app.evaluation.tables import Evaluation, EvaluationState
from app.projects.protocols import RankingProtocol
from app.projects.queries import newest_protocol
from app.projects.tables import Batch, Protocol
from app.prompts.tables import Prompt, Use
from app.tasks.actions import make_tasks
from app.tasks.tables import Purpose, TaskCompletion
from tests import make
from tests.app.datasets.scene import frozen
from tests.app.evaluation.scene import answer, answered, ground, judged, look_after_evaluations, started, tasks_of
from tests.app.scene import engineer
from tests.queue import waiting


async def test_both_are_asked_for_one_answer_to_the_same_heldout_prompts(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there, seed=3, sampling=Sampling(temperature=0.5))
    asked = (await session.scalars(select(Generation).filter_by(evaluation_id=evaluation.id))).all()
    assert {one.checkpoint_id for one in asked} == {there.candidate.id, there.baseline.id}
    assert {(one.n, one.seed, one.sampling["temperature"]) for one in asked} == {(1, 3, 0.5)}
    jobs = await waiting(session, "GenerateCompletions")
    assert jobs[0]["prompt_ids"] == jobs[1]["prompt_ids"]
    uses = await session.scalars(select(Prompt.use).where(Prompt.id.in_(jobs[0]["prompt_ids"])))
    assert list(uses) == [Use.heldout] * 4


async def test_without_heldout_prompts_there_is_nothing_to_compare_on(session: AsyncSession) -> None:
    there = await ground(session, heldout=0)
    with pytest.raises(Invalid, match="no held-out prompts"):
        await started(session, there)


async def test_a_pair_becomes_a_task_when_both_answers_are_there(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there, k=1)
    await answer(session, evaluation, there.candidate, ["new 1", "new 2", "new 3", "new 4"])
    await look_after_evaluations(session)
    assert await tasks_of(session, evaluation) == []
    await answer(session, evaluation, there.baseline, ["old 1", "old 2", "old 3", "old 4"])
    await look_after_evaluations(session)
    await look_after_evaluations(session)
    tasks = await tasks_of(session, evaluation)
    assert len(tasks) == 4
    assert {(task.purpose, task.k) for task in tasks} == {(Purpose.evaluation, 1)}
    assert evaluation.state is EvaluationState.open


async def test_answers_made_for_a_comparison_become_no_ordinary_tasks(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    for checkpoint, word in ((there.candidate, "new"), (there.baseline, "old")):
        await answer(session, evaluation, checkpoint, [f"{word} {n}" for n in range(4)])
    prompts = (await session.scalars(select(Prompt.id))).all()
    assert evaluation.batch_id is not None
    assert await make_tasks(session, there.project.id, evaluation.batch_id, prompts) == 0


async def test_wins_ties_and_losses_make_the_rate_whichever_side_a_completion_has(session: AsyncSession) -> None:
    there = await ground(session, heldout=5)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(5)])
    await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(5)])
    await look_after_evaluations(session)
    turned = (await tasks_of(session, evaluation))[0]
    rows = await session.scalars(select(TaskCompletion).filter_by(task_id=turned.id).order_by(TaskCompletion.number))
    first, second = rows.all()
    one, other = first.completion_id, second.completion_id
    await session.delete(first)
    await session.flush()
    second.completion_id, second.number = one, 1
    await session.flush()
    again = TaskCompletion(project_id=there.project.id, task_id=turned.id, number=0, completion_id=other)
    session.add(again)
    await session.flush()
    await judged(session, there, evaluation, [1, 0, "tie", 1, "both_bad"])  # win, win, tie, loss, tie
    people = evaluation.result["people"]
    assert (people["wins"], people["ties"], people["losses"]) == (2, 2, 1)
    assert people["rate"] == pytest.approx((2 + 2 / 2) / 5)
    assert people["low"] < people["rate"] < people["high"]
    assert (evaluation.state, evaluation.result["all"]["rate"]) == (EvaluationState.finished, people["rate"])


async def test_identical_and_empty_answers_are_counted_by_rule_and_shown_to_nobody(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there, k=2)
    await answer(session, evaluation, there.candidate, ["same", "", "good", "new"])
    await answer(session, evaluation, there.baseline, ["same", "good", "", "old"])
    await look_after_evaluations(session)
    assert len(await tasks_of(session, evaluation)) == 1
    assert sorted(evaluation.result["by_rule"].values()) == ["loss", "tie", "win"]
    (task,) = await tasks_of(session, evaluation)
    second = await make.user(session)
    await make.member(session, there.project, second)
    await make.annotation(session, task, second, 0)
    await judged(session, there, evaluation, [0])
    assert evaluation.result["people"]["wins"] == 2
    whole = evaluation.result["all"]
    assert (whole["wins"], whole["ties"], whole["losses"]) == (4, 2, 2)
    assert evaluation.state is EvaluationState.finished


async def test_a_prompt_that_one_side_cannot_answer_is_left_out(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, ["new 1", None, "new 3", "new 4"])
    await answer(session, evaluation, there.baseline, ["old 1", "old 2", "old 3", "old 4"])
    await look_after_evaluations(session)
    assert len(await tasks_of(session, evaluation)) == 3
    await judged(session, there, evaluation, [0, 0, 0])
    assert evaluation.state is EvaluationState.finished


async def test_a_comparison_without_answers_fails_and_says_why(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [None] * 4)
    await answer(session, evaluation, there.baseline, ["old 1", "old 2", "old 3", "old 4"])
    await look_after_evaluations(session)
    await session.refresh(evaluation)
    assert (evaluation.state, evaluation.reason) == (
        EvaluationState.failed,
        "No prompt was answered by both checkpoints. The prompt is too long.",
    )


async def test_what_people_said_in_a_comparison_is_in_no_dataset(session: AsyncSession, tmp_path: Any) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
    await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
    await look_after_evaluations(session)
    await judged(session, there, evaluation, [0, 0, 1, 1])
    with pytest.raises(NothingToFreeze):
        await frozen(session, there.project, tmp_path, uses=["label", "train", "heldout"])


async def test_completions_that_arrive_while_pairs_are_looked_for_are_still_asked_about(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
    plain = actions.unpaired_answers

    async def overtaken(*given: Any) -> Any:
        found = await plain(*given)
        monkeypatch.setattr(actions, "unpaired_answers", plain)
        await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
        return found

    monkeypatch.setattr(actions, "unpaired_answers", overtaken)
    await look_after_evaluations(session)
    await look_after_evaluations(session)
    assert (evaluation.state, len(await tasks_of(session, evaluation))) == (EvaluationState.open, 4)


async def test_each_sides_page_shows_its_own_win_rate(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
    await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
    await look_after_evaluations(session)
    await judged(session, there, evaluation, [0, 0, 0, 1])
    (new,) = await standings_of(session, there.project.id, there.candidate.id)
    (old,) = await standings_of(session, there.project.id, there.baseline.id)
    assert (new.rate, old.rate, new.other, new.answers) == (0.75, 0.25, there.baseline.name, 4)
    assert (old.low, old.high) == (1 - new.high, 1 - new.low)  # type: ignore[operator]
    await engineer(client, session, there.project)
    home = f"/projects/{there.project.public_id}"
    page = (await client.get(f"{home}/checkpoints/{there.candidate.public_id}")).text
    assert "75.0" in page.split("Blind comparisons")[1]
    page = (await client.get(f"/evaluations/{evaluation.public_id}")).text
    assert "75.0" in page
    assert there.baseline.name in page
    assert there.candidate.name in (await client.get(f"{home}/evaluations")).text


async def test_the_page_refuses_to_compare_a_checkpoint_with_itself(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await ground(session)
    await engineer(client, session, there.project)
    address = f"/projects/{there.project.public_id}/evaluations"
    same = str(there.candidate.public_id)
    refused = await client.post(address, data={"candidate": same, "baseline": same, "temperature": "0.5"})
    assert refused.status_code == 422
    assert "Candidate and baseline are the same checkpoint; name two" in refused.text
    sent = {"candidate": same, "baseline": str(there.baseline.public_id), "temperature": "0.5"}
    assert (await client.post(address, data=sent)).status_code == 303
    assert (await session.scalars(select(Evaluation.sampling))).one()["temperature"] == 0.5


async def test_the_page_says_how_an_interval_was_found(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    await judged(session, there, evaluation, [0, 0, 0, 0])
    assert evaluation.result["people"]["interval"] == "wilson"
    await engineer(client, session, there.project)
    page = (await client.get(f"/evaluations/{evaluation.public_id}")).text
    assert "51.0" in page, "4 / (4 + 3.8415)"
    assert "Wilson over prompts, since all have the same rate" in page


async def test_a_comparison_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await ground(session)
    await engineer(client, session, there.project, Role.manager)
    address = f"/api/v1/projects/{there.project.public_id}/evaluations"
    same = str(there.candidate.public_id)
    refused = await client.post(address, json={"candidate": same, "baseline": same})
    assert refused.status_code == 422
    assert "name two" in refused.text
    made = await client.post(address, json={"candidate": same, "prompts": 2})
    assert made.status_code == 202, made.text
    told = made.json()
    assert (told["baseline"], told["prompts"], told["state"]) == (str(there.baseline.public_id), 2, "generating")
    stopped = await client.post(f"/api/v1/evaluations/{told['id']}/cancel")
    assert stopped.json()["state"] == "cancelled"
    orphan = await client.post(address, json={"candidate": str(there.baseline.public_id)})
    assert orphan.status_code == 422
    assert "no parent" in orphan.text


async def test_a_project_that_asks_for_rankings_compares_checkpoints_all_the_same(session: AsyncSession) -> None:
    there = await ground(session)
    protocol = (await session.scalars(select(Protocol).filter_by(project_id=there.project.id))).one()
    protocol.body = RankingProtocol().as_json()
    evaluation = await started(session, there, k=1)
    for checkpoint, word in ((there.candidate, "new"), (there.baseline, "old")):
        await answer(session, evaluation, checkpoint, [f"{word} {n}" for n in range(4)])
    await look_after_evaluations(session)
    assert {task.kind for task in await tasks_of(session, evaluation)} == {"comparison"}
    batch = (await session.scalars(select(Batch).filter_by(id=evaluation.batch_id))).one()
    asked = (await session.scalars(select(Protocol).filter_by(id=batch.protocol_id))).one()
    assert (asked.version, asked.body["kind"]) == (0, "comparison")
    assert (await newest_protocol(session, there.project.id)).body["kind"] == "ranking"
