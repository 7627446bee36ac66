"""One answer first, and one more as long as those that came disagree."""

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import submit
from app.annotations.kinds import ComparisonBody
from app.annotations.rules import agree, conclusion_of, is_weak
from app.tasks.actions import Showing, Waiting, claim
from app.tasks.tables import Task, TaskState
from tests.app.scene import Scene, broken, claimed, handle, scene


def says(shown: Showing, said: str) -> ComparisonBody:
    """`0+`: the task's first completion, strongly; `1-`: the second, weakly; else an outcome."""
    if said in ("tie", "both_bad", "neither_valid"):
        return ComparisonBody(outcome=said)
    side = [one.number for one in shown.completions].index(int(said[0]))
    strength = 3 if said[1] == "+" else 1
    return ComparisonBody(outcome="preferred", preferred=handle(shown, side), strength=strength)


async def answered(session: AsyncSession, there: Scene, sayings: list[str]) -> Task:
    """As many of these as people are asked for, one person each."""
    for person, said in zip(there.people, sayings, strict=True):
        shown = await claim(session, person)
        assert not isinstance(shown, Waiting), "somebody more should have been asked"
        await submit(session, there.project.id, person.person.id, shown.task, shown.key, says(shown, said))
    task: Task = (await session.scalars(select(Task).execution_options(populate_existing=True))).one()
    return task


@pytest.mark.parametrize(
    ("sayings", "wanted"),
    [
        (["0+"], 1),  # one strong answer settles it
        (["0-"], 2),  # a weak one asks for another
        (["tie"], 2),
        (["0-", "0-"], 2),  # two say the same
        (["0-", "1+"], 3),  # one against one
        (["0-", "1+", "1+"], 3),  # two of three
        (["0-", "1+", "tie"], 4),
        (["0-", "1+", "tie", "1-"], 5),  # two of four
        (["0-", "1+", "tie", "1-", "0+"], 5),  # nobody agrees, and five are the most
    ],
)
async def test_one_more_is_asked_until_two_thirds_agree(session: AsyncSession, sayings: list[str], wanted: int) -> None:
    there = await scene(session, people=len(sayings))
    await session.execute(text("UPDATE tasks SET most_k = 5"))
    task = await answered(session, there, sayings)
    assert task.k == wanted
    assert task.state is (TaskState.open if wanted > len(sayings) else TaskState.done)
    assert task.first_k == (1 if wanted > 1 else None)  # what came later was asked for because of what was said
    assert await broken(session) == {}


async def test_tasks_without_a_bound_want_what_they_wanted(session: AsyncSession) -> None:
    there = await scene(session)
    assert (await answered(session, there, ["0-"])).k == 1


async def test_all_first_answers_have_to_be_in(session: AsyncSession) -> None:
    there = await scene(session, people=3, k=2)
    await session.execute(text("UPDATE tasks SET most_k = 3"))
    shown = [await claimed(session, there.people[nth]) for nth in range(2)]
    for nth, said in enumerate(("0+", "1+")):
        me = there.people[nth].person.id
        await submit(session, there.project.id, me, shown[nth].task, shown[nth].key, says(shown[nth], said))
        task = (await session.scalars(select(Task).execution_options(populate_existing=True))).one()
        assert task.k == 2 + nth


@pytest.mark.parametrize(
    ("body", "conclusion", "weak"),
    [
        ({"kind": "comparison", "outcome": "preferred", "preferred": 1, "strength": 2}, "1", False),
        ({"kind": "comparison", "outcome": "preferred", "preferred": 0, "strength": 1}, "0", True),
        ({"kind": "comparison", "outcome": "both_bad"}, "both_bad", True),
        ({"kind": "ranking", "tiers": [[2, 0], [1]]}, "0 2", False),
        ({"kind": "ranking", "tiers": []}, "not rankable", False),
        ({"kind": "rating", "ratings": []}, None, False),
        ({"kind": "combined", "parts": [{"kind": "rating"}, {"kind": "ranking", "tiers": [[1], [0]]}]}, "1", False),
    ],
)
def test_what_a_body_comes_to(body: dict[str, Any], conclusion: str | None, weak: bool) -> None:
    assert (conclusion_of(body), is_weak(body, 3)) == (conclusion, weak)


def test_a_scale_of_one_step_has_no_weak_side() -> None:
    assert not is_weak({"kind": "comparison", "outcome": "preferred", "preferred": 0, "strength": 1}, 1)


@pytest.mark.parametrize(
    ("said", "settled"),
    [("a", True), ("aa", True), ("ab", False), ("aab", True), ("aabb", False), ("aaab", True), ("aaabb", False)],
)
def test_two_thirds_settle_it(said: str, settled: bool) -> None:
    assert agree(list(said), weak=False) is settled
