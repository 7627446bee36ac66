"""What an answer would tell, the order that follows from it, and that what was drawn at random stays a share of it."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import CheckpointKind, CheckpointState
from app.completions.tables import Completion, Score
from app.events import Event
from app.projects.batching import HandOutEdit
from app.projects.queries import default_batch
from app.projects.tables import Ordering
from app.quality.gathering import Gathered
from app.quality.informing import Waiting, ask_for_scores, gains, members_of, rounds_to_arrange, unscored_in
from app.quality.jobs import ScoreAnswers
from app.quality.statistics.information import LEAST_DRAWN, between, fit, of_fit, of_members, places
from app.tasks.actions import edit_hand_out, settle_places
from app.tasks.rules import DRAWN, chance_of
from app.tasks.tables import Slot, Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import claimed, scene
from tests.queue import waiting
from workers.handlers import scoring
from workers.handlers.quality import put_the_most_informative_first
from workers.sampling.answers import NotAnswerable


def test_what_an_answer_tells_by_hand() -> None:
    """Two members who are sure of opposite things: the answer decides between them, log 2. Two who both say 50 to 50,
    or both are sure of the same: nothing. One says 0.9, one 0.5: H(0.7) - (H(0.9) + H(0.5)) / 2 = 0.1017."""
    log_odds = math.log(9)
    differences = np.array([[40.0, 0.0, 40.0, log_odds], [-40.0, 0.0, 40.0, 0.0]])
    assert of_members(differences) == pytest.approx([math.log(2), 0, 0, 0.1017], abs=1e-4)
    assert between(np.array([[0.2], [0.8]]), np.array([1.0, 0.0])) == pytest.approx([0.0])


def test_a_fit_would_rather_ask_what_it_knows_less_of() -> None:
    """One feature was seen often, the other never: its pairs tell more; and of what is known the close pair does."""
    draw = np.random.default_rng(1)
    x = np.stack([draw.normal(0, 1, 300), np.zeros(300)], axis=1)
    points = (draw.random(300) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(float)
    beta, covariance = fit(x, points)
    assert beta[0] == pytest.approx(2.0, abs=0.5)
    assert (beta[1], covariance[1, 1]) == (pytest.approx(0.0), pytest.approx(1.0))  # as beforehand
    seen_far, seen_close, unseen = of_fit(np.array([[3.0, 0.0], [0.5, 0.0], [0.0, 1.0]]), beta, covariance)
    assert unseen > 5 * seen_close > 5 * seen_far


def test_the_drawn_are_their_share_of_any_beginning() -> None:
    gains = {task: float(task) for task in range(80)}
    drawn = {task: float(task % 7) for task in range(100, 120)}
    found = places(gains, drawn)
    order = sorted(found, key=lambda task: found[task])
    assert sorted(order) == [*range(80), *range(100, 120)]
    assert [task for task in order if task < 100] == list(range(79, -1, -1))
    for so_far in range(1, 101):
        assert sum(task >= 100 for task in order[:so_far]) >= DRAWN * so_far - 1e-9
    few = places(gains, {100: 0.0, 101: 1.0})  # by chance fewer than they should be
    order = sorted(few, key=lambda task: few[task])
    assert all(sum(task >= 100 for task in order[:n]) >= LEAST_DRAWN * n for n in range(1, 14))
    assert max(few.values()) < 1
    assert places({}, {}) == {}
    shares = [chance_of(f"task {number}") for number in range(2000)]
    assert shares.count(DRAWN) / 2000 == pytest.approx(DRAWN, abs=0.03)
    assert set(shares) == {DRAWN, None}


async def test_a_round_asks_first_what_its_ensemble_disagrees_about(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=30, low_water=0)
    batch = await default_batch(session, there.project.id)
    answered = await session.get_one(Task, there.tasks[0])
    await make.annotation(session, answered, await make.user(session), 0)
    await edit_hand_out(session, batch, HandOutEdit(ordering=Ordering.informative), None)
    assert await settle_places(session, there.project.id) == there.tasks[-1]
    chances = dict((await session.execute(select(Task.id, Task.chance))).all())
    assert chances[there.tasks[0]] == 1, "everybody would have been asked it"
    assert set(chances.values()) == {1, DRAWN, None}
    chosen = [task for task in there.tasks if chances[task] is None]
    reward = await make.checkpoint(session, CheckpointKind.reward, project_id=there.project.id)
    shown = text("SELECT task_id, number, completion_id FROM task_completions")
    for task, number, completion in await session.execute(shown):
        said = [9.0, -9.0] if task == chosen[-1] and not number else [0.0, 0.0]
        row = {"completion_id": completion, "checkpoint_id": reward.id, "project_id": there.project.id}
        session.add(Score(**row, value=0.0, members=said))
    await session.flush()
    assert await rounds_to_arrange(session) == [(there.project.id, batch.id)]
    await put_the_most_informative_first(here(session))
    assert await rounds_to_arrange(session) == [], "nothing has happened since"
    order = list(await session.scalars(select(Slot.task_id).where(Slot.state == 0).order_by(Slot.rank, Slot.id)))
    assert next(task for task in order if task in chosen) == chosen[-1]
    assert any(chances[task] == DRAWN for task in order[:6])
    first = [(await claimed(session, one)).task_id for one in there.people]
    assert first == order[:2]


class FakeEngine:
    """Two members who differ by how long an answer is; it cannot read one that says so."""

    async def rewards(self, reward: Path, base: Path, conversation: Any, answers: list[str]) -> Any:
        if any("too long" in text for text in answers):
            raise NotAnswerable("messages", "It is too long.")
        return [((float(len(text)), float(-len(text))), {}) for text in answers]


async def test_the_newest_reward_model_scores_what_a_round_asks_about(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, people=1, tasks=3, low_water=0)
    batch = await default_batch(session, there.project.id)
    await edit_hand_out(session, batch, HandOutEdit(ordering=Ordering.informative), None)
    await settle_places(session, there.project.id)
    assert not await ask_for_scores(session, there.project.id, batch.id)  # there is none
    base = await make.checkpoint(session)
    about = {"project_id": there.project.id, "parent_id": base.id}
    reward = await make.checkpoint(session, CheckpointKind.reward, **about)
    await make.checkpoint(session, CheckpointKind.reward, state=CheckpointState.checking, **about)
    unread = (await session.scalars(select(Completion).order_by(Completion.id).limit(1))).one()
    unread.parts = [{"type": "text", "text": "too long"}]
    await session.flush()
    await put_the_most_informative_first(here(session))
    monkeypatch.setattr(scoring, "AT_ONCE", 2)
    context = replace(here(session), engine=FakeEngine())  # type: ignore[arg-type]
    while jobs := await waiting(session, "ScoreAnswers"):
        await session.execute(text("DELETE FROM jobs.procrastinate_jobs"))
        await scoring.score_answers(ScoreAnswers.model_validate(jobs[0]), context)
    scores = {one.completion_id: one for one in await session.scalars(select(Score))}
    assert unread.id not in scores
    assert {one.checkpoint_id for one in scores.values()} == {reward.id}
    assert await members_of(session, there.project.id, list(scores)) == {
        one.completion_id: one.members for one in scores.values()
    }
    assert all(one.members and len(one.members) == 2 and one.value == 0 and one.uncertainty for one in scores.values())
    told = select(Event.body["scores"].as_integer()).where(Event.kind == "scores.kept")
    assert (await session.scalars(told)).all() == [len(scores)]
    assert await rounds_to_arrange(session) == []  # it rests
    left = await unscored_in(session, batch.id, reward.id, after=0, most=9)
    assert {one.prompt_id for one in left} == {unread.prompt_id}


def test_members_of_different_numbers_are_compared_with_their_like() -> None:
    """Who sends scores may send four of one model and two of another."""
    tasks = [Waiting(number, "k", (2 * number, 2 * number + 1), False) for number in range(3)]
    said = {0: [30.0, -30.0], 1: [0.0, 0.0], 2: [9.0, -9.0, 0.0], 3: [0.0, 0.0, 0.0], 4: [1.0, 1.0], 5: [1.0] * 3}
    nothing = Gathered([], {}, {}, {}, "UTC", False, 0)
    found = gains(tasks, nothing, {}, said)
    assert found[0] == pytest.approx(math.log(2), abs=1e-3)
    assert found[2] == gains(tasks[2:], nothing, {}, {})[0]  # by the fit
