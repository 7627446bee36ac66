"""Who is shown what: leases, quotas, lanes, ranks and what changes them."""

import json
from dataclasses import replace

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import submit
from app.annotations.actions.submitting import KEEP, LOOK
from app.projects.queries import default_batch
from app.projects.tables import Batch, BatchState
from app.tasks.actions import Place, Showing, Waiting, cancel_tasks, change_k, claim, release, renew, reorder
from app.tasks.actions.claiming import Reason, lease_time
from app.tasks.actions.hot import CLAIM, CLAIM_AHEAD, LOCK_QUOTA
from app.tasks.tables import Slot, SlotState, Task, TaskState, Watermark
from tests import make
from tests.app.scene import (
    Scene,
    access_of,
    broken,
    claimed,
    let_leases_run_out,
    prefers,
    scene,
    sweep_all,
)


async def answer(session: AsyncSession, there: Scene, shown: Showing, nth: int = 0) -> None:
    await submit(session, there.project.id, there.people[nth].person.id, shown.task, shown.key, prefers(shown))


async def slots(session: AsyncSession) -> list[int]:
    found = await session.scalars(
        select(Slot.state).order_by(Slot.task_id, Slot.number).execution_options(populate_existing=True)
    )
    return list(found)


async def test_asking_again_gives_the_same_task_in_the_same_order(session: AsyncSession) -> None:
    there = await scene(session, tasks=5, k=2)
    first, again = await claimed(session, there.me), await claimed(session, there.me)
    assert (first.slot_id, first.key, first.sides) == (again.slot_id, again.key, again.sides)
    assert first.used == again.used == 1
    assert await broken(session) == {}


async def test_whoever_is_paused_while_their_claim_is_on_its_way_gets_nothing(session: AsyncSession) -> None:
    """`there.me` is what the request found when it began. What they hold already they keep until it runs out."""
    there = await scene(session, people=2, tasks=2)
    held = await claimed(session, there.people[1])
    await session.execute(text("UPDATE memberships SET paused_at = now()"))
    assert isinstance(await claim(session, there.me), Waiting)
    assert await broken(session) == {}
    assert (await claimed(session, there.people[1])).key == held.key
    await let_leases_run_out(session)
    looks = replace(there.people[1], paused=True)  # and knows it: a look keeps the task no longer
    waits = await claim(session, looks)
    assert isinstance(waits, Waiting)
    assert waits.reason is Reason.paused
    assert await sweep_all(session) == 1


async def test_a_person_never_answers_one_task_twice(session: AsyncSession) -> None:
    there = await scene(session, tasks=2, k=3)
    shown = {(await answered_next(session, there)).task_id for _ in range(2)}
    assert len(shown) == 2
    left = await claim(session, there.me)
    assert isinstance(left, Waiting)
    assert left.reason is Reason.nothing_free


async def answered_next(session: AsyncSession, there: Scene, nth: int = 0) -> Showing:
    shown = await claimed(session, there.people[nth])
    await answer(session, there, shown, nth)
    return shown


async def test_tasks_come_in_the_order_of_their_rank(session: AsyncSession) -> None:
    there = await scene(session, tasks=4)
    await reorder(session, there.project.id, {there.tasks[3]: Place(lane=0, rank=0)})
    order = [(await answered_next(session, there)).task_id for _ in range(4)]
    assert order == [there.tasks[3], *there.tasks[:3]]


async def test_a_slot_of_another_lane_is_for_those_who_have_it(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await reorder(session, there.project.id, {there.tasks[0]: Place(lane=7, rank=1)})
    assert (await claimed(session, there.me)).task_id == there.tasks[1]
    specialist = access_of(there.project, there.people[1].person, lanes=(0, 7))
    assert (await claimed(session, specialist)).task_id == there.tasks[0]


async def test_a_slot_that_is_freed_behind_the_watermark_is_found(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=60)
    behind = await claimed(session, there.people[1])  # somebody else takes the first task
    for _ in range(3):
        await answered_next(session, there)
    await release(session, there.project.id, there.people[1].person.id, behind.task, behind.key)
    taken = [(await answered_next(session, there)).task_id for _ in range(20)]
    assert behind.task_id in taken
    assert taken.index(behind.task_id) == 16  # the twentieth claim looks back
    claims = select(Watermark.claims).where(Watermark.annotator_id == there.me.person.id)
    assert (await session.scalars(claims)).one() == 23


async def test_when_nothing_is_left_ahead_what_lies_behind_is_found_at_once(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=3)
    behind = await claimed(session, there.people[1])
    await answered_next(session, there)
    await answered_next(session, there)
    await release(session, there.project.id, there.people[1].person.id, behind.task, behind.key)
    assert (await claimed(session, there.me)).task_id == behind.task_id


async def test_the_daily_limit_counts_answers_and_the_task_in_hand(session: AsyncSession) -> None:
    there = await scene(session, tasks=5, daily_limit=2)
    await answered_next(session, there)
    held = await claimed(session, there.me)
    assert (held.used, held.most) == (2, 2)
    await answer(session, there, held)
    over = await claim(session, there.me)
    assert isinstance(over, Waiting)
    assert (over.reason, over.used, over.most) == (Reason.quota, 2, 2)
    await session.execute(text("UPDATE memberships SET daily_limit = 3"))
    own = access_of(there.project, there.me.person, daily_limit=3)
    assert isinstance(await claim(session, own), Showing)
    assert await broken(session) == {}


async def test_a_limit_lowered_below_what_is_used_lets_the_task_in_hand_be_finished(session: AsyncSession) -> None:
    there = await scene(session, tasks=5, daily_limit=5)
    await answered_next(session, there)
    held = await claimed(session, there.me)
    await session.execute(text("UPDATE projects SET daily_limit = 1"))
    assert (await claimed(session, there.me)).slot_id == held.slot_id
    await answer(session, there, held)
    assert isinstance(await claim(session, there.me), Waiting)


@pytest.mark.parametrize(("zone", "days"), [("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12)])
async def test_a_day_is_one_of_the_projects_zone(session: AsyncSession, zone: str, days: int) -> None:
    there = await scene(session, zone=zone)
    await claimed(session, there.me)
    local = await session.scalar(text(f"SELECT day = CAST(now() + interval '{days} hours' AS date) FROM quota_days"))
    assert local
    await session.execute(text("UPDATE quota_days SET day = day - 1"))  # it was yesterday
    await session.execute(text("UPDATE slots SET shown_at = shown_at - interval '1 day' WHERE state = 1"))
    await session.execute(text("UPDATE projects SET daily_limit = 1"))
    assert isinstance(await claim(session, there.me), Showing)  # the lease goes on, the new day is untouched
    assert await session.scalar(text("SELECT min(used) FROM quota_days")) == 0
    assert await broken(session) == {}


async def test_a_lease_that_ran_out_is_swept_and_can_be_taken_by_others(session: AsyncSession) -> None:
    there = await scene(session, people=2)
    shown = await claimed(session, there.me)
    assert await sweep_all(session) == 0
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    assert await slots(session) == [SlotState.free]
    assert (await claimed(session, there.people[1])).task_id == shown.task_id
    assert await session.scalar(text("SELECT kind FROM events ORDER BY id DESC LIMIT 1")) == "task.lease_ran_out"
    assert await broken(session) == {}


async def test_a_lease_is_renewed_by_work_but_not_for_ever(session: AsyncSession) -> None:
    there = await scene(session)
    shown = await claimed(session, there.me)

    async def left() -> float:
        seconds = await session.scalar(text("SELECT extract(epoch FROM lease_until - now()) FROM slots"))
        return float(seconds or 0)

    for shown_ago, expected in (("1 hour", lease_time().total_seconds()), ("3 hours", 60)):
        await session.execute(
            text(f"UPDATE slots SET lease_until = now() + interval '60 s', shown_at = now() - interval '{shown_ago}'")
        )
        await renew(session, there.project.id, there.me.person.id, shown.task, shown.key)
        assert await left() == pytest.approx(expected)


async def test_more_answers_open_a_finished_task_again_and_fewer_cancel_free_slots_only(session: AsyncSession) -> None:
    there = await scene(session, people=3, k=2)
    task_id = there.tasks[0]
    await answered_next(session, there, 0)
    held = await claimed(session, there.people[1])
    await change_k(session, there.project.id, task_id, 4)
    assert await slots(session) == [2, 1, 0, 0]
    task = await change_k(session, there.project.id, task_id, 1)
    assert await slots(session) == [2, 1, 3, 3]
    assert task.state is TaskState.open  # somebody still holds it
    await answer(session, there, held, 1)
    await session.refresh(task)
    assert task.state is TaskState.done
    task = await change_k(session, there.project.id, task_id, 3)
    assert task.state is TaskState.open
    assert await slots(session) == [2, 2, 3, 3, 0]
    numbers = await session.scalars(select(Slot.sides).order_by(Slot.number))
    assert all(sorted(sides or [0, 1]) == [0, 1] for sides in numbers)


async def test_a_lease_beyond_a_lowered_k_is_not_offered_again(session: AsyncSession) -> None:
    there = await scene(session, people=2, k=2)
    await answered_next(session, there, 0)
    await claimed(session, there.people[1])
    await change_k(session, there.project.id, there.tasks[0], 1)
    await let_leases_run_out(session)
    await sweep_all(session)
    assert await slots(session) == [2, 3]
    assert (await session.scalars(select(Task.state))).one() == TaskState.done


async def test_a_cancelled_task_is_not_handed_out_but_may_be_finished(session: AsyncSession) -> None:
    there = await scene(session, people=2, k=3)
    held = await claimed(session, there.me)
    assert await cancel_tasks(session, there.project.id, there.tasks) == 1
    assert await slots(session) == [1, 3, 3]
    assert isinstance(await claim(session, there.people[1]), Waiting)
    await answer(session, there, held)
    assert await slots(session) == [2, 3, 3]
    assert (await session.scalars(select(Task.state))).one() == TaskState.cancelled


@pytest.mark.parametrize("state", BatchState)
async def test_only_rounds_that_ask_are_handed_out(session: AsyncSession, state: BatchState) -> None:
    there = await scene(session, tasks=3, low_water=3)
    batch = await default_batch(session, there.project.id)
    batch.state = state
    other = await make.task(session, there.project, await later_round(session, there), rank=100)
    await session.flush()
    shown = await claimed(session, there.me)
    assert shown.task_id == (there.tasks[0] if state.asks else other.id)
    told = await session.scalar(text("SELECT count(*) FROM jobs.procrastinate_jobs"))
    assert told == (0 if state.asks else 1)  # what nobody is asked is no work that waits


async def later_round(session: AsyncSession, there: Scene) -> Batch:
    batch = Batch(project_id=there.project.id, name="Later", k=1)
    session.add(batch)
    await session.flush()
    return batch


async def test_a_closed_round_is_not_handed_out_also_by_the_claim_that_looks_back(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=25)
    for _ in range(19):
        await answered_next(session, there)
    closed = await make.task(session, there.project, await later_round(session, there), rank=0)
    await session.execute(text("UPDATE batches SET state = 'closed' WHERE name = 'Later'"))
    assert [(await answered_next(session, there)).task_id for _ in range(6)] == there.tasks[19:]
    assert isinstance(await claim(session, there.me), Waiting)
    await session.execute(text("UPDATE batches SET state = 'open'"))
    assert (await claimed(session, there.me)).task_id == closed.id


async def test_what_is_held_when_its_round_closes_may_be_finished(session: AsyncSession) -> None:
    there = await scene(session, people=3, tasks=2, k=2)
    held, lost = await claimed(session, there.me), await claimed(session, there.people[1])
    await session.execute(text("UPDATE batches SET state = 'closed'"))
    assert (await claimed(session, there.me)).key == held.key  # a reload shows it again
    await answer(session, there, held)
    assert isinstance(await claim(session, there.me), Waiting)
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    assert isinstance(await claim(session, there.people[1]), Waiting)  # what comes free is not handed out either
    assert isinstance(await claim(session, there.people[2]), Waiting)
    await answer(session, there, lost, 1)
    assert await session.scalar(text("SELECT count(*) FROM annotations WHERE state = 'live'")) == 2
    assert await broken(session) == {}


async def test_the_queue_says_once_that_it_ran_low(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2, k=5, low_water=3)  # tasks are counted, not their slots
    await claimed(session, there.me)
    await claimed(session, there.people[1])
    told = await session.scalars(text("SELECT args ->> 'project_id' FROM jobs.procrastinate_jobs"))
    assert list(told) == [str(there.project.id)]


MANY = (  # a thousand tasks, each of a prompt and two completions of its own, with two hundred slots each
    """
    INSERT INTO prompts (project_id, root_id, use, messages, rendered, content_hash)
    SELECT project_id, root_id, use, messages, rendered, sha256(CAST(CAST(n AS text) AS bytea))
    FROM prompts, generate_series(1, 1000) n WHERE project_id = :project
    """,
    """
    INSERT INTO completions (project_id, prompt_id, parts, html, content_hash)
    SELECT p.project_id, p.id, parts, html, c.content_hash FROM prompts p, completions c
    WHERE p.project_id = :project AND c.project_id = :project AND p.id <> c.prompt_id
    """,
    """
    INSERT INTO tasks (project_id, batch_id, prompt_id, k)
    SELECT p.project_id, batch_id, p.id, 9 FROM prompts p, tasks t
    WHERE p.project_id = :project AND t.project_id = :project AND p.id <> t.prompt_id
    """,
    """
    INSERT INTO task_completions (project_id, task_id, number, completion_id)
    SELECT t.project_id, t.id, row_number() OVER (PARTITION BY t.id ORDER BY c.id) - 1, c.id
    FROM tasks t JOIN completions c USING (prompt_id) WHERE t.project_id = :project AND t.k = 9
    """,
    """
    INSERT INTO slots (project_id, task_id, number, rank, state, annotator_id, sides)
    SELECT t.project_id, t.id, n, 1000 + t.id * 1000 + n, CASE WHEN n <= 120 THEN 2 ELSE 0 END,
           CASE WHEN n <= 120 THEN 1000000 + n END, '{0,1}'
    FROM tasks t, generate_series(1, 200) n WHERE t.project_id = :project AND t.k = 9
    """,
)


# Whatever the claim reads. A vacuum that passes by while a test has not committed tells the planner that these are
# empty, and then it may walk over all of them; an analysis in the test's own transaction says what is there, and holds
# a lock that keeps the vacuum away until the end.
READ = (
    "slots, tasks, task_completions, prompts, completions, projects, batches, memberships, protocols, guidelines, "
    "quota_days, watermarks, skips, drafts"
)


async def test_the_search_uses_the_free_index_with_lane_and_rank_at_200_000_slots(session: AsyncSession) -> None:
    """With one project in the table a planner that ignores lane and rank walks over all finished rows."""
    there = await scene(session, tasks=1)
    await session.execute(text("SET LOCAL session_replication_role = replica"))  # foreign keys are not the point here
    await session.execute(text("SET LOCAL statement_timeout = '60s'"))
    for many in MANY:
        await session.execute(text(many), {"project": there.project.id})
    await session.execute(text(f"ANALYZE {READ}"))
    await answered_next(session, there)  # now there is a watermark
    today = await session.scalar(text("SELECT max(day) FROM quota_days"))
    values = {
        "project": there.project.id, "me": there.me.person.id, "lease": lease_time(), "lanes": [0], "anew": False,
        "rounds": [there.batch_id], "back": 0.5, "may_take": True, "texts": False, "day": today,
        "guidelines": None,
    }  # fmt: skip
    inner = CLAIM.statement.element  # type: ignore[attr-defined]
    explain = text("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + inner.text)
    explain = explain.bindparams(*inner._bindparams.values())
    plan = (await session.execute(explain, values)).scalar_one()
    nodes = list(walk(plan[0]["Plan"]))
    search = next(node for node in nodes if node.get("Alias") == "f")
    assert search.get("Index Name") == "ix_slots_free", json.dumps(plan)
    assert "lane" in search["Index Cond"]
    assert "rank" in search["Index Cond"]
    assert search["Actual Rows"] <= 2
    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 400


def walk(node: dict[str, object]) -> object:
    yield node
    for child in node.get("Plans", []):  # type: ignore[attr-defined]
        yield from walk(child)  # type: ignore[misc]


async def test_two_projects_of_one_person_have_a_lease_each(session: AsyncSession) -> None:
    there, elsewhere = await scene(session), await scene(session)
    person = there.me.person
    await make.member(session, elsewhere.project, person)  # type: ignore[arg-type]
    await claimed(session, there.me)
    await claimed(session, access_of(elsewhere.project, person))
    assert await slots(session) == [1, 1]


async def test_whoever_gave_an_extra_answer_is_not_asked_again(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=1)
    mine = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await answered_next(session, there, 1)
    await answer(session, there, mine)  # late, and kept beside the one that is wanted
    await change_k(session, there.project.id, there.tasks[0], 3)
    assert isinstance(await claim(session, there.me), Waiting)
    assert await broken(session) == {}


async def test_a_late_answer_takes_a_slot_that_is_still_free(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=2)
    mine = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await answered_next(session, there, 1)
    await answer(session, there, mine)
    assert await slots(session) == [2, 2]
    assert (await session.scalars(select(Task.state))).one() == TaskState.done
    assert await broken(session) == {}


async def test_an_answer_under_an_old_showing_goes_into_the_lease_that_is_held_again(session: AsyncSession) -> None:
    there = await scene(session, tasks=1, k=1)
    first = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    second = await claimed(session, there.me)
    assert second.key != first.key
    await answer(session, there, first)
    assert await slots(session) == [2]
    assert await session.scalar(text("SELECT used FROM quota_days")) == 1
    assert await broken(session) == {}


def test_the_driver_remembers_the_statements_of_the_hot_path() -> None:
    """Longer ones are parsed anew for every execution (psycopg._queries.MAX_CACHED_STATEMENT_LENGTH)."""
    for statement in (LOCK_QUOTA, CLAIM_AHEAD, CLAIM, LOOK, KEEP):
        assert len(statement.sql) < MAX_CACHED_STATEMENT_LENGTH


async def test_the_statements_of_the_hot_path_are_planned_once_and_not_for_every_answer(session: AsyncSession) -> None:
    """The driver prepares what it sees often, and Postgres keeps a plan that seems no dearer than planning anew."""
    there = await scene(session, tasks=60, low_water=0)
    for _ in range(20):
        await answered_next(session, there)
    await session.execute(text("ANALYZE"))
    for _ in range(20):
        await answered_next(session, there)
        await claimed(session, there.me)
        await claimed(session, there.me)  # the page loaded anew: the task in hand
    found = await session.execute(text("SELECT statement, generic_plans FROM pg_prepared_statements"))
    kept = {" ".join(row.statement.split()[:12]): row.generic_plans for row in found}
    begins = (
        "SELECT q.used,q.day",
        "WITH opted AS(SELECT",
        "WITH held AS(UPDATE",
        "SELECT t.id AS task_id",
        "WITH held AS(SELECT",
    )
    for start in begins:
        assert [plans > 0 for words, plans in kept.items() if words.startswith(start)] == [True], (start, kept)
