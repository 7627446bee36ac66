"""Argued tasks among the usual ones: how often, to whom, and until when."""

import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import submit, withdraw
from app.annotations.tables import Annotation
from app.projects.actions import change_protocol
from app.projects.protocols import protocol_of
from app.projects.queries import newest_protocol
from app.projects.tables import Project
from app.quality import mixing as mixing_module
from app.quality.actions import argue, drop_argument
from app.quality.forms import Argument
from app.quality.mixing import SHOWINGS, doubt, mix_in, without_twins
from app.quality.queries import my_lessons
from app.quality.rules import doubtful
from app.quality.tables import ArguedAnswer, Use
from app.tasks.actions import Waiting, claim, claiming, release_slots
from app.tasks.actions.hot import LEND
from app.tasks.tables import Purpose, Report, Slot, Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import Scene, access_of, broken, claimed, let_leases_run_out, prefers, scene, sweep_all
from tests.app.tasks.test_limits import limit, states
from workers.handlers import quality as handlers
from workers.handlers.quality import doubt_argued_tasks, mix_argued_tasks_in

FIRST = {"kind": "comparison", "outcome": "preferred", "preferred": 0, "strength": 2}
FIRST["schema"] = {"name": "hone.comparison", "version": 1}


async def argued(session: AsyncSession, there: Scene, nth: int, use: Use = Use.gold) -> Task:
    task = await session.get_one(Task, there.tasks[nth])
    protocol = await newest_protocol(session, there.project.id)
    await argue(session, task, protocol.id, FIRST, Argument(use=use, argument="So."), there.people[-1].person.id)
    return task


async def mixing(session: AsyncSession, share: float, **values: Any) -> Scene:
    """The first task is argued and has a twin."""
    there = await scene(session, **values)
    await session.execute(text("UPDATE projects SET gold_share = :share"), {"share": share})
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    return there


async def twins(session: AsyncSession) -> list[Task]:
    asked = select(Task).where(Task.purpose == Purpose.gold).order_by(Task.id)
    return list(await session.scalars(asked.execution_options(populate_existing=True)))


async def answer(session: AsyncSession, there: Scene, nth: int = 0, side: int | None = None) -> Any:
    shown = await claimed(session, there.people[nth])
    number = 0 if side is None else side
    at = [one.number for one in shown.completions].index(number)
    me = there.people[nth].person.id
    await submit(session, there.project.id, me, shown.task, shown.key, prefers(shown, side=at))
    return shown


async def test_the_protocols_share_is_at_hand_for_the_hand_out(session: AsyncSession) -> None:
    project = await make.project(session)
    body = protocol_of((await newest_protocol(session, project.id)).body).model_copy(update={"gold_share": 0.1})
    await change_protocol(session, project.id, body, None)
    assert await session.scalar(select(Project.gold_share).where(Project.id == project.id)) == 0.1


async def test_nothing_is_mixed_in_where_no_share_is_wanted(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await argued(session, there, 0)
    assert await without_twins(session) == []
    assert (await answer(session, there)).task_id == there.tasks[0]


async def test_a_twin_shows_the_same_and_its_first_is_asked_no_more(session: AsyncSession) -> None:
    there = await scene(session, people=4, tasks=2, k=2)
    await answer(session, there, 0)  # the first task
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    first = await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    await mix_argued_tasks_in(here(session))
    (twin,) = await twins(session)
    assert (twin.k, twin.prompt_id, twin.chance) == (SHOWINGS, first.prompt_id, None)
    shown = await claimed(session, there.people[1])
    assert (shown.task_id, {one.id for one in shown.completions}) == (twin.id, await completions(session, first.id))
    assert (await claimed(session, there.people[0])).task_id == there.tasks[1]  # who has met the first never meets it
    await answer(session, there, 1)
    assert (await claimed(session, there.people[1])).task_id == there.tasks[1]  # nor anybody twice
    lessons = await my_lessons(session, there.people[1].person.id, there.project.id)
    assert [(one.use, one.is_hit, one.html) for one in lessons] == [(Use.gold, True, '<p dir="auto">So.</p>\n')]
    assert await broken(session) == {}


async def test_whoever_argues_a_task_never_meets_its_twin(session: AsyncSession) -> None:
    """They know what is accepted, whether they argued it before there was a twin or afterwards."""
    there = await scene(session, people=3, tasks=2, k=2)
    task, protocol = await session.get_one(Task, there.tasks[0]), await newest_protocol(session, there.project.id)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    before, after, neither = there.people
    form = Argument(use=Use.gold, argument="So.")
    await argue(session, task, protocol.id, FIRST, form, before.person.id)
    await mix_argued_tasks_in(here(session))
    (twin,) = await twins(session)
    await argue(session, task, protocol.id, FIRST | {"preferred": 1}, form, after.person.id)
    met = [(await claimed(session, one)).task_id for one in (before, after, neither)]
    assert met == [there.tasks[1], there.tasks[1], twin.id]
    assert await broken(session) == {}


async def completions(session: AsyncSession, task_id: int) -> set[int]:
    asked = text("SELECT completion_id FROM task_completions WHERE task_id = :task")
    return set((await session.execute(asked, {"task": task_id})).scalars())


async def test_so_often_as_the_share_says(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = random.Random(1)
    monkeypatch.setattr(claiming.random, "random", draws.random)
    there = await mixing(session, 0.3, people=2, tasks=190)
    for nth in range(1, 60):
        await argued(session, there, nth)
    await mix_argued_tasks_in(here(session))
    await mix_argued_tasks_in(here(session))
    seen = [(await answer(session, there)).task_id for _ in range(100)]
    met = {twin.id for twin in await twins(session)}
    assert len(met) == 60
    assert (
        21 <= sum(one in met for one in seen) <= 43
    )  # of 100 at 0.3; the twentieth, where a claim looks back, is past
    assert len(set(seen)) == 100
    assert await broken(session) == {}


async def test_an_argued_task_takes_the_room_of_a_usual_one(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=3, tasks=6)
    await limit(session, there, answers_in_all=2)
    assert await states(session) == {0: 2 + SHOWINGS, -1: 3, 3: 1}
    shown = await claimed(session, there.people[0])
    assert shown.task_id == (await twins(session))[0].id
    assert await states(session) == {0: 1 + SHOWINGS - 1, -1: 4, 1: 1, 3: 1}
    await answer(session, there, 0)
    await answer(session, there, 1)
    assert isinstance(await claim(session, there.people[2]), Waiting)  # there is a twin, and no room
    await release_slots(session, there.project.id)
    assert isinstance(await claim(session, there.people[2]), Waiting)
    assert await broken(session) == {}


async def test_the_room_of_one_that_ran_out_comes_back(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=2, tasks=4)
    await limit(session, there, answers_in_all=2)
    await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 2 + SHOWINGS, -1: 1, 3: 1}


async def test_a_changed_argument_is_the_twins_as_well_and_a_dropped_one_ends_it(session: AsyncSession) -> None:
    there = await mixing(session, 0.5, people=2, tasks=2)
    (twin,) = await twins(session)
    protocol = await newest_protocol(session, there.project.id)
    second = FIRST | {"preferred": 1}
    form = Argument(use=Use.training, argument="Also so.")
    await argue(session, twin, protocol.id, second, form, there.me.person.id)  # from the twin's own page
    both = list(await session.scalars(select(ArguedAnswer).order_by(ArguedAnswer.task_id)))
    assert [(one.task_id, one.twin_of, len(one.bodies), one.use) for one in both] == [
        (there.tasks[0], None, 2, Use.training),
        (twin.id, there.tasks[0], 2, Use.training),
    ]
    await drop_argument(session, twin, there.me.person.id)
    assert list(await session.scalars(select(ArguedAnswer))) == []
    assert [one.state.value for one in await twins(session)] == ["cancelled"]
    free = select(Slot.id).where(Slot.task_id == twin.id, Slot.state == 0)
    assert list(await session.scalars(free)) == []


async def test_what_people_who_are_right_elsewhere_say_otherwise_is_doubted(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=7, tasks=6)
    for nth in range(1, 6):
        await argued(session, there, nth)
    await mix_argued_tasks_in(here(session))
    wrong = (await twins(session))[0].id
    for nth in range(5):
        for _ in range(6):
            shown = await claimed(session, there.people[nth])
            side = 1 if shown.task_id == wrong else 0
            await answer(session, there, nth, side=side)
    assert await doubt(session, there.project.id) == [wrong]
    assert await doubt(session, there.project.id) == []
    state = {one.id: one.state.value for one in await twins(session)}
    assert (state.pop(wrong), set(state.values())) == ("cancelled", {"open"})
    assert await mix_in(session, there.tasks[0]) is None  # it is there
    first = await session.get_one(Task, wrong)
    protocol = await newest_protocol(session, there.project.id)
    form = Argument(argument="The other one.")
    await argue(session, first, protocol.id, FIRST | {"preferred": 1}, form, (await make.user(session)).id)
    assert {one.state.value for one in await twins(session)} == {"open"}
    assert (await claimed(session, there.people[5])).task_id in {one.id for one in await twins(session)}
    assert await broken(session) == {}


@pytest.mark.parametrize(
    ("here_right", "elsewhere", "is_doubted"),
    [
        ([False] * 4, 1.0, True),
        ([False] * 3, 1.0, False),  # too few have answered
        ([True, True, False, False], 1.0, False),  # half of them
        ([True, False, False, False], 1.0, True),
        ([False] * 6, 0.6, False),  # they are not usually right
    ],
)
def test_doubt_comes_from_people_who_are_usually_right(
    here_right: list[bool], elsewhere: float, is_doubted: bool
) -> None:
    said = {0: dict(enumerate(here_right))}
    for task in range(1, 11):
        said[task] = dict.fromkeys(range(len(here_right)), task <= 10 * elsewhere)
    assert (0 in doubtful(said)) is is_doubted


async def test_lanes_of_twins_are_those_of_their_firsts_people(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    await session.execute(text("UPDATE slots SET lane = 5"))
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    assert isinstance(await claim(session, there.me), Waiting)
    inside = access_of(there.project, there.me.person, lanes=(0, 5))
    assert (await claimed(session, inside)).task_id == (await twins(session))[0].id


async def test_one_that_is_made_later_is_met_wherever_it_stands(session: AsyncSession) -> None:
    """All showings of a twin stand at one place in the queue: others may be past it already."""
    there = await mixing(session, 1.0, people=2, tasks=6)
    await session.execute(text("UPDATE slots SET rank = 900 WHERE lane & 32 = 32"))
    await answer(session, there)
    await argued(session, there, 1)
    await mix_argued_tasks_in(here(session))
    await session.execute(text("UPDATE slots SET rank = 100 WHERE lane & 32 = 32 AND rank <> 900"))
    shown = await claimed(session, there.me)
    assert shown.task_id == (await twins(session))[1].id


async def test_a_first_that_was_done_is_asked_no_more_whatever_happens_to_its_answers(session: AsyncSession) -> None:
    there = await scene(session, people=3, tasks=1)
    said = await answer(session, there, 0)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    own = select(Annotation.public_id).where(Annotation.annotator_id == there.me.person.id)
    await withdraw(session, there.project.id, there.me.person.id, (await session.scalars(own)).one())
    assert (await claimed(session, there.people[1])).task_id == (await twins(session))[0].id != said.task_id
    await answer(session, there, 1)
    assert isinstance(await claim(session, there.people[1]), Waiting)
    assert await broken(session) == {}


@pytest.mark.parametrize("why", ["retired", "reported"])
async def test_nothing_is_mixed_in_that_is_to_be_shown_to_nobody(session: AsyncSession, why: str) -> None:
    there = await scene(session, people=2, tasks=2)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    task = await argued(session, there, 0)
    if why == "retired":
        await session.execute(text("UPDATE prompts SET retired_at = now() WHERE id = :id"), {"id": task.prompt_id})
    else:
        session.add(Report(project_id=there.project.id, task_id=task.id, annotator_id=there.me.person.id))
        await session.flush()
    assert await without_twins(session) == []


async def test_who_let_the_first_run_out_never_meets_its_twin(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    assert (await claimed(session, there.me)).task_id == there.tasks[1]


async def test_argued_anew_after_a_drop_is_for_nobody_who_met_its_twin(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=3, tasks=3)
    await answer(session, there)
    first = await session.get_one(Task, there.tasks[0])
    await drop_argument(session, first, there.people[1].person.id)
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    assert len(await twins(session)) == 2
    assert (await claimed(session, there.me)).task_id in there.tasks
    assert (await claimed(session, there.people[1])).task_id == (await twins(session))[1].id


async def test_gold_of_a_tag_uses_no_room_of_that_tag(session: AsyncSession) -> None:
    there = await scene(session, people=4, tasks=4)
    await session.execute(text("UPDATE prompts SET tags = '{law}'"))
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    await argued(session, there, 0)
    await mix_argued_tasks_in(here(session))
    for nth in range(3):
        await answer(session, there, nth)
    await limit(session, there, tags=[{"tag": "law", "in_all": 2}])
    usual = Counter(await session.scalars(select(Slot.state).where(Slot.task_id.in_(there.tasks[1:]))))
    assert usual == {0: 2, -1: 1}


async def test_a_showing_that_is_wanted_anew_waits_for_no_room(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=2, tasks=4)
    await limit(session, there, answers_in_all=1)
    await answer(session, there)
    own = select(Annotation.public_id).where(Annotation.annotator_id == there.me.person.id)
    await withdraw(session, there.project.id, there.me.person.id, (await session.scalars(own)).one())
    gold = select(Slot.state).where(Slot.lane.bitwise_and(32) == 32)
    assert set(await session.scalars(gold)) == {0}


async def test_one_that_fails_keeps_no_other_from_being_mixed_in(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, people=2, tasks=3)
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    for nth in (0, 1):
        await argued(session, there, nth)

    async def fails_for_the_first(session: AsyncSession, task_id: int) -> int | None:
        if task_id == there.tasks[0]:
            raise RuntimeError("no")
        return await mix_in(session, task_id)

    monkeypatch.setattr(handlers, "mix_in", fails_for_the_first)
    monkeypatch.setattr(mixing_module, "AT_ONCE", 1)
    await mix_argued_tasks_in(here(session))
    assert len(await twins(session)) == 1


async def test_a_late_answer_to_a_known_task_uses_room_as_any(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=2, tasks=5)
    await limit(session, there, answers_in_all=3)
    late = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await release_slots(session, there.project.id)
    await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    usual = Counter(await session.scalars(select(Slot.state).where(Slot.task_id.in_(there.tasks[1:]))))
    assert usual == {0: 2, -1: 2}
    assert await broken(session) == {}


async def test_a_project_whose_known_answers_cannot_be_looked_through_hides_no_other(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await make.project(session, gold_share=1.0) for _n in range(2)]
    asked = []

    async def fails_for_the_first(session: AsyncSession, project_id: int) -> list[int]:
        asked.append(project_id)
        if project_id == first.id:
            raise RuntimeError("no")
        return []

    monkeypatch.setattr(handlers, "doubt", fails_for_the_first)
    await doubt_argued_tasks(here(session))
    assert asked == [first.id, second.id]


async def test_the_place_that_is_lent_is_the_last_of_all_lanes(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=1, tasks=5)
    slots = (await session.scalars(select(Slot.id).where(Slot.task_id.in_(there.tasks[1:])).order_by(Slot.id))).all()
    for slot, (lane, rank) in zip(slots, [(0, 5), (7, 9), (7, 8), (64, 1)], strict=True):
        place = text("UPDATE slots SET lane = :lane, rank = :rank WHERE id = :slot")
        await session.execute(place, {"lane": lane, "rank": rank, "slot": slot})
    asked = {"project": there.project.id, "lanes": [32]}
    assert [await session.scalar(LEND, asked) for _n in range(5)] == [slots[1], slots[2], slots[0], slots[3], None]
    await session.execute(text("UPDATE slots SET state = 0 WHERE state = -1"))
    assert await session.scalar(LEND, asked | {"lanes": [33]}) is None  # nothing is there for whom it would be lent


async def test_what_somebody_else_accepts_meanwhile_stays_accepted(session: AsyncSession) -> None:
    there = await scene(session, people=1, tasks=1)
    task = await argued(session, there, 0)
    kept = await session.get_one(ArguedAnswer, task.id)
    third = '[{"kind": "comparison", "outcome": "tie", "preferred": null}]'
    await session.execute(text("UPDATE argued_answers SET bodies = bodies || CAST(:b AS jsonb)"), {"b": third})
    assert len(kept.bodies) == 1  # as it was read before
    protocol = await newest_protocol(session, there.project.id)
    again = await argue(
        session, task, protocol.id, FIRST | {"preferred": 1}, Argument(argument="Too."), there.me.person.id
    )
    assert [body["outcome"] for body in again.bodies] == ["preferred", "tie", "preferred"]
