"""What is counted, and when: never less than was said, also after the end; one comparison at a time."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.annotations.actions import edit, set_aside, submit, withdraw
from app.annotations.kinds import ComparisonBody
from app.evaluation import actions, queries
from app.evaluation.actions import cancel_evaluation
from app.evaluation.tables import Evaluation, EvaluationState
from app.events import Event
from app.projects.queries import default_batch
from app.projects.tables import Batch, BatchState
from app.settings import get_settings
from app.tasks.actions import cancel_tasks, change_k
from app.tasks.jobs import RoundTurned
from app.tasks.tables import TaskState
from tests import make
from tests.app.evaluation.scene import (
    Ground,
    answer,
    answered,
    ground,
    here,
    judged,
    look_after_evaluations,
    started,
    tasks_of,
    told_of_changes,
)
from tests.app.scene import access_of, claimed, engineer
from tests.queue import waiting
from workers.handlers import evaluation as handler
from workers.handlers.registry import Context
from workers.handlers.tasks import turn_round

TIE = ComparisonBody(outcome="tie")


async def batch_of(session: AsyncSession, evaluation: Evaluation) -> BatchState:
    return (await session.get_one(Batch, evaluation.batch_id, populate_existing=True)).state


def counts(evaluation: Evaluation) -> tuple[int, int, int]:
    people = evaluation.result["people"]
    return people["wins"], people["ties"], people["losses"]


async def test_the_interval_is_drawn_only_when_something_new_was_said(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    drawn: list[int] = []
    plain = handler.result_of
    monkeypatch.setattr(handler, "result_of", lambda said: drawn.append(1) or plain(said))
    await look_after_evaluations(session)
    assert drawn == []
    await make.annotation(session, (await tasks_of(session, evaluation))[0], there.person, 0)
    await look_after_evaluations(session)
    assert drawn == [1]


async def test_no_transaction_is_open_while_the_interval_is_drawn(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    await make.annotation(session, (await tasks_of(session, evaluation))[0], there.person, 0)
    context, seen = here(session), []
    plain = handler.result_of
    monkeypatch.setattr(handler, "result_of", lambda said: seen.append(list(context.open)) or plain(said))
    await handler.look_after(context)
    assert seen == [[]]


@pytest.mark.committed
async def test_housekeeping_counts_in_transactions_that_commit(committed: str) -> None:
    async with database.transaction() as session:
        there = await ground(session)
        evaluation = await started(session, there)
        await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
        await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
    context = Context(get_settings())
    await handler.look_after(context)
    async with database.transaction() as session:
        await say_it_all(session, there, evaluation)
    await asyncio.gather(handler.look_after(context), handler.look_after(context))  # two programs at once
    async with database.transaction() as session:
        found = await session.get_one(Evaluation, evaluation.id)
        assert (found.state, counts(found)) == (EvaluationState.finished, (4, 0, 0))
        finished = await session.scalars(select(Event.subject).where(Event.kind == "evaluation.finished"))
        assert finished.all() == [str(found.public_id)]


async def say_it_all(session: AsyncSession, there: Ground, evaluation: Evaluation) -> None:
    for task in await tasks_of(session, evaluation):
        await make.annotation(session, task, there.person, 0)
        task.state = TaskState.done
    await session.flush()


async def test_an_answer_that_comes_while_it_is_counted_is_never_left_out(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    plain = queries.verdicts

    async def overtaken(*given: Any) -> Any:
        said = await plain(*given)
        monkeypatch.setattr(queries, "verdicts", plain)
        await say_it_all(session, there, evaluation)
        return said

    monkeypatch.setattr(queries, "verdicts", overtaken)
    await look_after_evaluations(session)
    await look_after_evaluations(session)
    await session.refresh(evaluation)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.finished, (4, 0, 0))


async def test_what_was_drawn_is_not_kept_when_more_was_said_meanwhile(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    await make.annotation(session, (await tasks_of(session, evaluation))[0], there.person, 0)
    said = await actions.take_stock(session, evaluation.id)
    assert said is not None
    for task in (await tasks_of(session, evaluation))[1:]:
        await make.annotation(session, task, there.person, 0)
        task.state = TaskState.done
    (await tasks_of(session, evaluation))[0].state = TaskState.done
    await session.flush()
    await actions.conclude(session, evaluation.id, said, handler.result_of(said))
    assert evaluation.state is EvaluationState.open
    await look_after_evaluations(session)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.finished, (4, 0, 0))


async def test_one_comparison_that_fails_does_not_hold_up_the_others(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = await ground(session)
    bad, good = await answered(session, there), await answered(session, there, seed=1)
    for evaluation in (bad, good):
        await make.annotation(session, (await tasks_of(session, evaluation))[0], there.person, 0)
    plain = actions.pair_answers

    async def fails_for_one(given: AsyncSession, evaluation: Evaluation) -> None:
        if evaluation.id == bad.id:
            raise RuntimeError("the first one is broken")
        await plain(given, evaluation)

    monkeypatch.setattr(actions, "pair_answers", fails_for_one)
    with caplog.at_level(logging.ERROR):
        await look_after_evaluations(session)
    for evaluation in (bad, good):
        await session.refresh(evaluation)
    assert (bad.result["people"]["wins"], good.result["people"]["wins"]) == (0, 1)
    assert f"comparison {bad.id} could not be counted" in caplog.text


async def test_an_answer_that_is_edited_after_the_end_is_counted_as_it_stands_now(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    said = await judged(session, there, evaluation, [0, 0, 0, 0])
    ended = evaluation.finished_at
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.finished, (4, 0, 0))
    await edit(session, there.project.id, there.person.id, said[0].public_id, 1, TIE)
    await told_of_changes(session, evaluation)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.finished, (3, 1, 0))
    assert (evaluation.finished_at, evaluation.result["recount"]) == (ended, False)
    project, candidate, shown = there.project, there.candidate, evaluation.public_id
    await engineer(client, session, project)
    page = (await client.get(f"/projects/{project.public_id}/checkpoints/{candidate.public_id}")).text
    assert "87.5" in page.split("Blind comparisons")[1]  # (3 + 1/2) / 4
    told = (await client.get(f"/api/v1/evaluations/{shown}")).json()["result"]
    assert (told["people"]["rate"], set(told)) == (0.875, {"schema", "people", "all"})


@pytest.mark.parametrize("by", ["themselves", "a reviewer"])
async def test_an_answer_taken_out_after_the_end_is_asked_for_again(session: AsyncSession, by: str) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    said = await judged(session, there, evaluation, [0, 0, 0, 1])
    assert (evaluation.state, await batch_of(session, evaluation)) == (EvaluationState.finished, BatchState.closed)
    if by == "themselves":
        await withdraw(session, there.project.id, there.person.id, said[3].public_id)
    else:
        await set_aside(session, there.project.id, said[3].public_id, actor_id=there.person.id, reason="in haste")
    await told_of_changes(session, evaluation)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.open, (3, 0, 0))
    assert (evaluation.finished_at, await batch_of(session, evaluation)) == (None, BatchState.open)
    assert {"batch_id": evaluation.batch_id} in await waiting(session, "RoundTurned")
    await turn_round(RoundTurned(batch_id=evaluation.batch_id), here(session))
    other = await make.user(session)
    await make.member(session, there.project, other)
    shown = await claimed(session, access_of(there.project, other))
    await submit(session, there.project.id, other.id, shown.task, shown.key, TIE)
    await look_after_evaluations(session)
    await session.refresh(evaluation)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.finished, (3, 1, 0))
    assert await batch_of(session, evaluation) is BatchState.closed


async def test_more_answers_wanted_after_the_end_are_counted_too(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    await judged(session, there, evaluation, [0, 0, 0, 1])
    await change_k(session, there.project.id, (await tasks_of(session, evaluation))[0].id, 2)
    await told_of_changes(session, evaluation)
    assert evaluation.state is EvaluationState.open


async def test_a_change_to_an_ordinary_answer_tells_no_comparison(session: AsyncSession) -> None:
    there = await ground(session)
    task = await make.task(session, there.project, await default_batch(session, there.project.id))
    said = await make.annotation(session, task, there.person, 0)
    await edit(session, there.project.id, there.person.id, said.public_id, 1, TIE)
    assert await waiting(session, "AnswersChanged") == []


@pytest.mark.parametrize("whole", [True, False], ids=["the comparison", "the task"])
async def test_who_holds_a_task_when_it_is_cancelled_is_still_counted(session: AsyncSession, whole: bool) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    me = access_of(there.project, there.person)
    shown = await claimed(session, me)
    if whole:
        await cancel_evaluation(session, evaluation, None)
    else:
        await cancel_tasks(session, there.project.id, [task.id for task in await tasks_of(session, evaluation)])
    await look_after_evaluations(session)
    await look_after_evaluations(session)
    await submit(session, there.project.id, there.person.id, shown.task, shown.key, TIE)
    await look_after_evaluations(session)
    await session.refresh(evaluation)
    assert counts(evaluation) == (0, 1, 0)
    assert evaluation.state is (EvaluationState.cancelled if whole else EvaluationState.finished)
    assert evaluation.result["recount"] is False
    assert await queries.evaluations_to_count(session) == []


async def test_a_cancelled_comparison_asks_nobody_and_counts_what_was_said(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await answered(session, there)
    await make.annotation(session, (await tasks_of(session, evaluation))[0], there.person, 0)
    await cancel_evaluation(session, evaluation, None)
    await cancel_evaluation(session, evaluation, None)
    await look_after_evaluations(session)
    assert (evaluation.state, counts(evaluation)) == (EvaluationState.cancelled, (1, 0, 0))
    assert {task.state.value for task in await tasks_of(session, evaluation)} == {"cancelled"}
    assert await batch_of(session, evaluation) is BatchState.closed


async def test_a_cancelled_comparison_makes_no_more_tasks(session: AsyncSession) -> None:
    there = await ground(session)
    evaluation = await started(session, there)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
    await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
    await cancel_evaluation(session, evaluation, None)
    await look_after_evaluations(session)
    assert await tasks_of(session, evaluation) == []
