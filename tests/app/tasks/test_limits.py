"""Limits of a project: what is handed out never passes them, comes back when there is room, and is work when late."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.annotations.actions import submit, withdraw
from app.projects.batching import LimitsEdit
from app.projects.queries import default_batch
from app.projects.tables import Batch, BatchState, Project
from app.tasks.actions import Waiting, claim, edit_limits, release, release_slots, releasing
from app.tasks.actions.claiming import Reason, lock_quota, tell_if_low
from app.tasks.actions.releasing import make_room_for
from app.tasks.jobs import RoomWanted
from app.tasks.limits import Room, standing_of
from app.tasks.queries import limited_projects
from app.tasks.tables import Slot
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import (
    Scene,
    access_of,
    broken,
    claimed,
    engineer,
    let_leases_run_out,
    prefers,
    scene,
    sweep_all,
)
from tests.queue import waiting
from workers.handlers.tasks import make_room


async def limit(session: AsyncSession, there: Scene, **values: Any) -> None:
    version = await session.scalar(select(Project.version).where(Project.id == there.project.id))
    await edit_limits(session, there.project.id, LimitsEdit(version=version, **values), None)


async def states(session: AsyncSession) -> Counter[int]:
    return Counter(await session.scalars(select(Slot.state).execution_options(populate_existing=True)))


async def answer(session: AsyncSession, there: Scene, nth: int = 0) -> Any:
    shown = await claimed(session, there.people[nth])
    return await submit(session, there.project.id, there.people[nth].person.id, shown.task, shown.key, prefers(shown))


async def test_as_many_are_free_as_the_limit_has_room_for(session: AsyncSession) -> None:
    there = await scene(session, tasks=10)
    await limit(session, there, answers_in_all=4)
    assert await states(session) == {0: 4, -1: 6}
    await answer(session, there)
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 3, -1: 6, 2: 1}
    await limit(session, there, answers_in_all=7)
    assert await states(session) == {0: 6, -1: 3, 2: 1}
    await limit(session, there, answers_in_all=1)
    assert await states(session) == {-1: 9, 2: 1}
    left = await claim(session, there.me)
    assert isinstance(left, Waiting)
    assert left.reason is Reason.nothing_free
    await limit(session, there)
    assert await states(session) == {0: 9, 2: 1}
    assert await broken(session) == {}


async def test_a_new_day_brings_new_room(session: AsyncSession) -> None:
    there = await scene(session, tasks=10)
    await limit(session, there, answers_a_day=2)
    for _ in range(2):
        await answer(session, there)
    await release_slots(session, there.project.id)
    assert await states(session) == {-1: 8, 2: 2}
    await session.execute(text("UPDATE quota_days SET day = day - 1"))  # as if it were tomorrow
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 2, -1: 6, 2: 2}


async def test_the_earliest_in_the_queue_are_released_first(session: AsyncSession) -> None:
    there = await scene(session, tasks=5)
    await limit(session, there, answers_in_all=2)
    free = select(Slot.task_id).where(Slot.state == 0).order_by(Slot.rank)
    assert list(await session.scalars(free)) == there.tasks[:2]


async def test_tags_have_limits_of_their_own(session: AsyncSession) -> None:
    there = await scene(session)
    await session.execute(text("UPDATE slots SET state = 3"))
    batch = await default_batch(session, there.project.id)
    tags = [["law"], ["law"], ["law", "long"], ["poems"], []]
    for rank, carried in enumerate(tags, start=1):
        prompt = await make.prompt(session, there.project, tags=carried)
        await make.task(session, there.project, batch, prompt_row=prompt, rank=rank)
    await limit(session, there, tags=[{"tag": "law", "in_all": 2}, {"tag": "long", "a_day": 0}])
    assert await states(session) == {0: 4, -1: 1, 3: 1}
    await limit(session, there, tags=[{"tag": "law", "in_all": 1}, {"tag": "poems", "in_all": 0}])
    assert await states(session) == {0: 2, -1: 3, 3: 1}
    await limit(session, there, answers_in_all=2, tags=[{"tag": "law", "in_all": 1}])
    assert await states(session) == {0: 2, -1: 3, 3: 1}


async def test_a_late_answer_is_work_and_a_free_place_is_taken_back_for_it(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=6)
    await limit(session, there, answers_in_all=3)
    late = await claimed(session, there.me)
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    taken = await answer(session, there, nth=1)
    assert taken.state.value == "live"
    said = await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    assert said.state.value == "surplus"
    assert await states(session) == {0: 1, -1: 4, 2: 1}
    assert await broken(session) == {}


async def test_an_answer_that_is_taken_back_leaves_its_room_used(session: AsyncSession) -> None:
    """Its author worked for it; the slot waits for room like any other."""
    there = await scene(session, people=2, tasks=2)
    await limit(session, there, answers_in_all=1)
    said = await answer(session, there)
    await withdraw(session, there.project.id, there.me.person.id, said.public_id)
    assert await states(session) == {-1: 2}
    await limit(session, there, answers_in_all=2)
    assert await states(session) == {0: 1, -1: 1}


async def test_a_person_has_a_limit_in_all(session: AsyncSession) -> None:
    there = await scene(session, tasks=5)
    mine = access_of(there.project, there.me.person, total_limit=2)
    await session.execute(text("INSERT INTO quota_days (project_id, annotator_id, day, used) "
                               "SELECT project_id, user_id, current_date - 3, 1 FROM memberships"))  # fmt: skip
    shown = await claimed(session, mine)
    assert (await claimed(session, mine)).key == shown.key
    await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    left = await claim(session, mine)
    assert isinstance(left, Waiting)
    assert left.reason is Reason.through


async def test_a_waiting_queue_is_not_low(session: AsyncSession) -> None:
    there = await scene(session, tasks=50)
    await limit(session, there, answers_in_all=0)
    quota = await lock_quota(session, there.project.id, there.me.person.id, None)
    assert not await tell_if_low(session, there.project.id, quota)


async def test_limits_over_rest_and_by_the_page(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, tasks=4)
    await engineer(client, session, there.project, Role.manager)
    api = f"/api/v1/projects/{there.project.public_id}/limits"
    page = f"/projects/{there.project.public_id}/settings/hand-out"
    sent = await client.put(api, json={"version": 1, "answers_in_all": 1, "tags": [{"tag": "law", "k": 3, "band": 2}]})
    told = sent.json()
    assert (told["free"], told["planned"], told["tags"][0]["k"], told["version"]) == (1, 3, 3, 2)
    stale = await client.put(api, json={"version": 1, "answers_in_all": 9})
    assert stale.status_code == 409
    twice = await client.put(api, json={"version": 2, "tags": [{"tag": "law"}, {"tag": "law"}]})
    assert (twice.status_code, "law" in twice.text) == (422, True)
    shown = (await client.get(page)).text
    assert 'value="law"' in shown
    fields = {"version": "2", "answers_a_day": "3", "answers_in_all": "", "budget": "12.50", "currency": "CHF",
              "tags.tag": ["law", ""], "tags.k": ["2", ""], "tags.audience": ["", ""], "tags.band": ["", ""],
              "tags.a_day": ["", ""], "tags.in_all": ["5", ""]}  # fmt: skip
    assert (await client.post(f"{page}/limits", data=fields)).status_code == 303
    told = (await client.get(api)).json()
    assert (told["answers_a_day"], told["answers_in_all"], told["budget"], told["currency"]) == (3, None, 1250, "CHF")
    assert [(one["tag"], one["k"], one["in_all"]) for one in told["tags"]] == [("law", 2, 5)]
    wrong = await client.post(f"{page}/limits", data=fields | {"budget": "a lot", "version": "3"})
    assert (wrong.status_code, "a lot" in wrong.text) == (422, True)
    assert (await client.post(f"{page}/limits", data=fields)).status_code == 409  # the version is an old one


async def test_room_that_nobody_here_can_use_is_exchanged_for_what_somebody_can(session: AsyncSession) -> None:
    there = await scene(session, tasks=6)
    await session.execute(text("UPDATE slots SET lane = 5 WHERE task_id = ANY(:them)"), {"them": there.tasks[:3]})
    await limit(session, there, answers_in_all=3)
    assert isinstance(await claim(session, there.me), Waiting)
    (wanted,) = await waiting(session, "RoomWanted")
    await make_room(RoomWanted.model_validate(wanted), here(session))
    assert await states(session) == {0: 3, -1: 3}
    assert (await claimed(session, there.me)).task_id in there.tasks[3:]


async def test_rounds_that_do_not_ask_keep_no_room(session: AsyncSession) -> None:
    there = await scene(session, tasks=4)
    other = Batch(project_id=there.project.id, name="Other", state=BatchState.closed)
    session.add(other)
    await session.flush()
    of_other = {"b": other.id, "t": there.tasks[:2]}
    await session.execute(text("UPDATE tasks SET batch_id = :b WHERE id = ANY(:t)"), of_other)
    await limit(session, there, answers_in_all=2)
    free = select(Slot.task_id).where(Slot.state == 0).order_by(Slot.task_id)
    assert list(await session.scalars(free)) == there.tasks[2:]


async def test_leases_of_yesterday_leave_no_room_today(session: AsyncSession) -> None:
    """They may end without an answer, and would be free today beside what the day has."""
    there = await scene(session, people=2, tasks=8)
    await limit(session, there, answers_a_day=3)
    await claimed(session, there.me)
    await session.execute(text("UPDATE slots SET shown_at = shown_at - interval '1 day' WHERE state = 1"))
    await session.execute(text("UPDATE quota_days SET day = day - 1"))
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 2, 1: 1, -1: 5}
    await let_leases_run_out(session)
    await sweep_all(session)
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 3, -1: 5}


async def test_what_was_shown_counts_for_a_tag_whatever_became_of_it(session: AsyncSession) -> None:
    there = await scene(session, tasks=3)
    await session.execute(text("UPDATE prompts SET tags = '{law}'"))
    said = await answer(session, there)
    await withdraw(session, there.project.id, there.me.person.id, said.public_id)
    await limit(session, there, tags=[{"tag": "law", "in_all": 2}])
    assert await states(session) == {0: 1, -1: 2}


async def test_what_is_refused_changes_nothing(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, tasks=4)
    await engineer(client, session, there.project, Role.manager)
    api = f"/api/v1/projects/{there.project.public_id}/limits"
    page = f"/projects/{there.project.public_id}/settings/hand-out/limits"
    there_now = {"version": 1, "answers_in_all": 2, "tags": [{"tag": "law"}]}
    assert (await client.put(api, json=there_now)).status_code == 200
    fields = {"version": "2", "answers_in_all": "1", "currency": "EUR", "tags.tag": ["law"], "tags.k": [""],
              "tags.audience": [str(uuid4())], "tags.band": [""], "tags.a_day": [""], "tags.in_all": [""]}  # fmt: skip
    assert (await client.post(page, data=fields)).status_code == 404
    told = (await client.get(api)).json()
    assert (told["answers_in_all"], told["version"], [one["tag"] for one in told["tags"]]) == (2, 2, ["law"])


async def test_money_is_for_those_who_may_see_pay(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await limit(session, there, budget=500)
    await engineer(client, session, there.project)
    told = (await client.get(f"/api/v1/projects/{there.project.public_id}/limits")).json()
    assert (told["budget"], told["spent"], told["reserved"], told["free"]) == (None, None, None, 1)


@given(
    st.integers(0, 6) | st.none(),
    st.dictionaries(st.sampled_from("abc"), st.integers(-1, 3)),
    st.lists(st.lists(st.sampled_from("abcd"), unique=True, max_size=3), max_size=12),
)
def test_chosen_slots_fit_and_none_that_fits_is_left(
    slots: int | None, tags: dict[str, int], planned: list[list[str]]
) -> None:
    chosen = Room(slots, tags).chosen(enumerate(planned))
    counted = Counter(tag for one in chosen for tag in planned[one])
    assert slots is None or len(chosen) <= slots
    assert all(counted[tag] <= max(0, most) for tag, most in tags.items())
    full = slots is not None and len(chosen) == slots
    left = [one for one in range(len(planned)) if one not in chosen]
    assert full or all(any(counted[tag] >= tags[tag] for tag in planned[one] if tag in tags) for one in left)


@pytest.mark.committed
async def test_40_people_at_once_never_pass_a_limit(committed: str) -> None:
    """Everybody answers as fast as they can while slots are released, taken back and run out beside them."""
    async with database.transaction() as session:
        there = await scene(session, people=40, tasks=60, k=3)
        await limit(session, there, answers_in_all=100)
    seen: list[int] = []

    async def work(nth: int) -> None:
        access = there.people[nth]
        for _turn in range(40):
            async with database.transaction() as session:
                shown = await claim(session, access)
            if isinstance(shown, Waiting):
                return
            async with database.transaction() as session:
                if (nth + _turn) % 7 == 0:
                    await release(session, there.project.id, access.person.id, shown.task, shown.key)
                    continue
                await submit(session, there.project.id, access.person.id, shown.task, shown.key, prefers(shown))

    async def watch(stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with database.transaction() as session:
                await release_slots(session, there.project.id)
                now = await standing_of(session, there.project.id)
                seen.append(now.used + now.free)
            await asyncio.sleep(0.01)

    stop = asyncio.Event()
    watcher = asyncio.create_task(watch(stop))
    await asyncio.gather(*[work(nth) for nth in range(40)])
    stop.set()
    await watcher
    async with database.transaction() as session:
        assert await broken(session) == {}
        assert await session.scalar(text("SELECT count(*) FROM annotations")) == 100
    assert max(seen) == 100


async def test_more_than_one_statement_may_change_is_done_by_jobs(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releasing, "CHUNK", 4)
    there = await scene(session, tasks=10)
    await limit(session, there, answers_in_all=0)
    assert await states(session) == {0: 6, -1: 4}
    assert len(await waiting(session, "RoomChanged")) == 1
    for planned in (8, 10):
        await release_slots(session, there.project.id)
        assert (await states(session))[-1] == planned
    await session.execute(text("DELETE FROM jobs.procrastinate_jobs"))
    await release_slots(session, there.project.id)
    assert await waiting(session, "RoomChanged") == []  # a limit that is passed by answers asks for nothing more


async def test_a_limit_below_what_was_answered_keeps_no_job_busy(session: AsyncSession) -> None:
    there = await scene(session, tasks=4)
    for _ in range(3):
        await answer(session, there)
    await limit(session, there, answers_in_all=1)
    await session.execute(text("DELETE FROM jobs.procrastinate_jobs"))
    await release_slots(session, there.project.id)
    assert await waiting(session, "RoomChanged") == []
    assert await states(session) == {-1: 1, 2: 3}


async def test_a_full_tag_takes_nobodys_room_for_nothing(session: AsyncSession) -> None:
    """Somebody could take only what its tag has no room for: what is free for others stays free."""
    there = await scene(session, tasks=6)
    await session.execute(text("UPDATE slots SET lane = 5 WHERE task_id = ANY(:them)"), {"them": there.tasks[:3]})
    of_mine = {"them": there.tasks[3:]}
    await session.execute(text("UPDATE prompts SET tags = '{law}' WHERE id IN (SELECT prompt_id FROM tasks "
                               "WHERE id = ANY(:them))"), of_mine)  # fmt: skip
    await limit(session, there, answers_in_all=3, tags=[{"tag": "law", "in_all": 0}])
    assert await make_room_for(session, there.project.id, there.me.person.id, [0]) == 0
    free = select(Slot.task_id).where(Slot.state == 0).order_by(Slot.task_id)
    assert list(await session.scalars(free)) == there.tasks[:3]


async def test_only_what_is_lacking_is_taken_back_for_somebody(session: AsyncSession) -> None:
    there = await scene(session, tasks=6)
    await session.execute(text("UPDATE slots SET lane = 5 WHERE task_id = ANY(:them)"), {"them": there.tasks[:5]})
    await limit(session, there, answers_in_all=5)
    assert await make_room_for(session, there.project.id, there.me.person.id, [0]) == 1
    free = select(Slot.task_id).where(Slot.state == 0).order_by(Slot.task_id)
    assert list(await session.scalars(free)) == [*there.tasks[:4], there.tasks[5]]


async def test_what_stayed_planned_when_the_limits_went_is_found(session: AsyncSession) -> None:
    there = await scene(session, tasks=2)
    await session.execute(text("UPDATE slots SET state = -1"))
    assert list(await limited_projects(session)) == [there.project.id]
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 2}
    assert list(await limited_projects(session)) == []


async def test_a_late_answer_takes_its_own_place_that_went_back_to_the_planned_ones(session: AsyncSession) -> None:
    """Nobody else is asked for it then; a free place goes back instead."""
    there = await scene(session, people=2, tasks=3)
    await limit(session, there, answers_in_all=2)
    late = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await session.execute(text("UPDATE slots SET state = -state - 1 WHERE state <= 0"))  # what was free is planned
    said = await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    assert said.state.value == "live"
    assert await states(session) == {-1: 2, 2: 1}
    assert await broken(session) == {}
