"""Sensitive prompts: nobody is shown what they did not opt into, nor more of it on a day than the project allows."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.access import Access
from app.accounts.tables import Membership
from app.annotations.actions import submit
from app.projects.actions import CategoryInUse, EditedMeanwhile, edit_care
from app.projects.care import CareEdit, Category, CategoryEdit, lanes_of, mask_of, mask_of_tags, merged, used_up
from app.projects.queries import default_batch
from app.prompts.tables import Prompt
from app.tasks.actions import (
    Place,
    Waiting,
    categorise,
    claim,
    close_report,
    open_tasks,
    opt,
    reorder,
    report,
    skip,
)
from app.tasks.actions.making import NewTask, Wish
from app.tasks.tables import PassedBy, QuotaDay, Report, Skip, Slot, Task, Verdict
from tests import make
from tests.app.scene import Scene, access_of, broken, claimed, prefers

VIOLENCE, HATE = 1, 2
CATEGORIES = (Category(key="violence", name="Violence", tags=("gore",)), Category(key="hate", name="Hate"))


async def sensitive(
    session: AsyncSession, care: list[int], *, people: int = 1, k: int = 1, opted: int = 0, caps: tuple[Any, ...] = ()
) -> Scene:
    """A task for each set of categories in `care`, in this order. caps: a day, by category."""
    stored = [one.model_dump(mode="json") for one in CATEGORIES]
    for one, cap in zip(stored, caps, strict=False):
        one["daily_cap"] = cap
    project = await make.project(session, k=k, care=stored, care_sets=sorted({one for one in care if one}))
    batch = await default_batch(session, project.id)
    members = []
    for _ in range(people):
        person = await make.user(session)
        member = await make.member(session, project, person, care=opted)
        members.append(access_of(project, person, membership_id=member.id))
    tasks = []
    for n, mask in enumerate(care):
        prompt = await make.prompt(session, project, care=mask)
        tasks.append((await make.task(session, project, batch, k=k, rank=n + 1, prompt_row=prompt)).id)
    return Scene(project, batch.id, members, tasks)


async def all_of(session: AsyncSession, access: Access) -> list[int]:
    """The tasks that a person is shown, answering each, until there is none."""
    seen = []
    while not isinstance(shown := await claim(session, access), Waiting):
        await submit(session, access.of_project(), access.person.id, shown.task, shown.key, prefers(shown))
        seen.append(shown.task_id)
    return seen


# ---- arithmetic -----------------------------------------------------------------------------------------------------


def test_sets_are_bits_in_the_order_of_the_list() -> None:
    assert mask_of(["hate", "violence"], CATEGORIES) == 3
    assert mask_of_tags(["gore", "poem"], CATEGORIES) == VIOLENCE
    with pytest.raises(ValueError, match=r"“rage” is none .* \(violence, hate\)"):
        mask_of(["rage"], CATEGORIES)


def test_lanes_are_classes_with_sets_above_them_and_fit_into_a_smallint() -> None:
    assert lanes_of([0, 7], [1, 2, 3], barred=HATE) == [0, 64, 7, 71]
    assert max(lanes_of([63], [511], 0)) == 32767


def test_a_category_is_used_up_when_its_cap_is_reached() -> None:
    stored = [{"daily_cap": 2}, {"daily_cap": None}, {"daily_cap": 0}]
    assert used_up(stored, [1, 9]) == 0b100
    assert used_up(stored, [2, 9, 0]) == 0b101


def test_an_edit_keeps_the_places_and_gives_free_ones_to_new_categories() -> None:
    after = merged(CATEGORIES, [CategoryEdit(key="hate", name="Contempt"), CategoryEdit(name="Self harm")])
    assert [(one.key, one.name, one.retired) for one in after] == [
        ("self-harm", "Self harm", False),
        ("hate", "Contempt", False),
    ]
    assert [one.key for one in merged(CATEGORIES, [])] == ["violence", "hate"]
    assert all(one.retired for one in merged(CATEGORIES, []))


# ---- who is shown what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opted", "shown"),
    [(0, [0]), (VIOLENCE, [0, 1]), (HATE, [0, 2]), (VIOLENCE | HATE, [0, 1, 2, 3])],
)
async def test_a_person_is_shown_what_they_opted_into(session: AsyncSession, opted: int, shown: list[int]) -> None:
    there = await sensitive(session, [0, VIOLENCE, HATE, VIOLENCE | HATE], opted=opted)
    assert await all_of(session, there.me) == [there.tasks[n] for n in shown]
    assert await broken(session) == {}


async def test_an_admin_without_a_place_is_shown_nothing_sensitive(session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE, 0])
    stranger = access_of(there.project, await make.user(session, is_admin=True))
    assert (await claimed(session, stranger)).task_id == there.tasks[1]


async def test_whoever_leaves_a_category_is_asked_no_more_and_the_task_in_hand_is_taken_back(
    session: AsyncSession,
) -> None:
    there = await sensitive(session, [VIOLENCE, 0], opted=VIOLENCE)
    assert [one.key for one in (await claimed(session, there.me)).care] == ["violence"]
    await opt(session, there.me, 0)
    shown = await claimed(session, there.me)
    assert (shown.task_id, shown.used, shown.care) == (there.tasks[1], 1, ())
    await opt(session, there.me, VIOLENCE)  # and may come back
    await skip(session, there.project.id, there.me.person.id, shown.task, shown.key)
    assert (await claimed(session, there.me)).task_id == there.tasks[0]
    assert await broken(session) == {}


async def test_a_prompt_that_becomes_sensitive_takes_its_tasks_along(session: AsyncSession) -> None:
    there = await sensitive(session, [0, 0, 0], people=2, k=2)
    held = await claimed(session, there.me)
    prompts = list(await session.scalars(select(Task.prompt_id).where(Task.id.in_(there.tasks[:2]))))
    assert await categorise(session, there.project.id, prompts, add=HATE) == 2
    assert await categorise(session, there.project.id, prompts, add=HATE) == 0
    assert (await claimed(session, there.me)).task_id == there.tasks[2] != held.task_id
    assert await all_of(session, there.people[1]) == [there.tasks[2]]
    await reorder(session, there.project.id, {there.tasks[0]: Place(lane=7, rank=1)})
    assert set(await session.scalars(select(Slot.lane).where(Slot.task_id == there.tasks[0]))) == {2 << 6 | 7}
    assert await broken(session) == {}
    assert await categorise(session, there.project.id, prompts, remove=HATE) == 2
    assert (await session.execute(text("SELECT care_sets FROM projects"))).scalars().all() == [[]]
    assert await all_of(session, there.people[1]) == [there.tasks[1]]


async def test_new_tasks_of_a_sensitive_prompt_are_sensitive(session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE])
    prompt = (await session.scalars(select(Prompt))).one()
    pair = [(await make.completion(session, prompt)).id for _ in range(2)]
    await open_tasks(session, there.project.id, there.batch_id, [NewTask(prompt.id, pair, Wish(2))])
    assert set(await session.scalars(select(Slot.lane))) == {64}
    assert isinstance(await claim(session, there.me), Waiting)


async def test_what_is_taken_away_as_a_category_is_taken_from_its_people_and_never_from_its_prompts(
    session: AsyncSession,
) -> None:
    there = await sensitive(session, [VIOLENCE], opted=VIOLENCE | HATE)
    only = CategoryEdit(key="violence", name="Violence", daily_cap=3)
    await edit_care(session, there.project.id, CareEdit(version=1, categories=[only], help="Call *us*."), None)
    assert await session.scalar(select(Membership.care)) == VIOLENCE
    assert "<em>us</em>" in there.project.help_html
    with pytest.raises(EditedMeanwhile):
        await edit_care(session, there.project.id, CareEdit(version=1), None)
    with pytest.raises(CategoryInUse, match="Violence"):
        await edit_care(session, there.project.id, CareEdit(version=2), None)


# ---- how much of it -------------------------------------------------------------------------------------------------


async def test_the_daily_cap_ends_a_category_for_today_and_nothing_else(session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE, VIOLENCE, VIOLENCE, HATE, 0], opted=3, caps=(2, None))
    assert await all_of(session, there.me) == [there.tasks[n] for n in (0, 1, 3, 4)]
    ended = await claim(session, there.me)
    assert isinstance(ended, Waiting)
    assert [one.key for one in ended.used_up] == ["violence"]
    await session.execute(text("UPDATE quota_days SET day = day - 1"))
    assert await all_of(session, there.me) == [there.tasks[2]]


# ---- returned, skipped, reported ------------------------------------------------------------------------------------


async def test_a_sensitive_task_is_returned_without_a_trace_in_the_figures(session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE, 0], opted=VIOLENCE)
    for _ in range(2):
        shown = await claimed(session, there.me)
        await skip(session, there.project.id, there.me.person.id, shown.task, shown.key, "ugh", PassedBy.not_this_one)
    kept = {row.task_id: (row.kind, row.reason) for row in await session.scalars(select(Skip))}
    assert kept == {there.tasks[0]: ("not_this_one", None), there.tasks[1]: ("skipped", "ugh")}
    assert (await session.scalars(text("SELECT kind FROM events ORDER BY id"))).all() == [
        "task.released",
        "task.skipped",
    ]
    waiting = await claim(session, there.me)
    assert isinstance(waiting, Waiting)
    assert waiting.used == 0


async def test_a_reported_task_is_held_back_until_somebody_looked_at_it(session: AsyncSession) -> None:
    there = await sensitive(session, [0, 0], people=3, k=3)
    first, holder, other = there.people
    shown = await claimed(session, first)
    await claimed(session, holder)
    for _ in range(2):  # safe to repeat
        await report(
            session, there.project.id, first.person.id, shown.task, shown.key, category="violence", words="A fight."
        )
    assert (await session.execute(select(Report.category, Report.words))).all() == [("violence", "A fight.")]
    assert (await claimed(session, first)).task_id == there.tasks[1]
    assert await all_of(session, other) == [there.tasks[1]]
    assert await all_of(session, holder) == [there.tasks[0], there.tasks[1]]  # what is held is finished
    assert await broken(session) == {}
    found = (await session.scalars(select(Report))).one()
    await close_report(session, there.project.id, found.public_id, Verdict.harmless, other.person.id)
    assert await all_of(session, other) == [there.tasks[0]]
    assert await broken(session) == {}


@pytest.mark.parametrize("verdict", [Verdict.categorised, Verdict.retired])
async def test_a_report_ends_with_a_category_or_with_the_prompts_end(session: AsyncSession, verdict: Verdict) -> None:
    there = await sensitive(session, [0], people=2, k=2)
    shown = await claimed(session, there.me)
    await report(session, there.project.id, there.me.person.id, shown.task, shown.key)
    found = (await session.scalars(select(Report))).one()
    await close_report(session, there.project.id, found.public_id, verdict, there.me.person.id, categories=["hate"])
    await session.refresh(found)
    assert found.verdict is verdict
    assert found.closed_by_id == there.me.person.id
    assert isinstance(await claim(session, there.people[1]), Waiting)
    await opt(session, there.people[1], HATE)
    assert isinstance(await claim(session, there.people[1]), Waiting) == (verdict is Verdict.retired)
    assert await broken(session) == {}


# ---- many at once ---------------------------------------------------------------------------------------------------


async def wavers(access: Access, chance: random.Random, seen: list[tuple[int, int]]) -> None:
    """Opts in and out, and notes of each task shown how it stood to what was last opted into for sure."""
    opted = 0
    for _ in range(25):
        if chance.random() < 0.3:
            opted = chance.randrange(4)
            async with database.transaction() as session:
                await opt(session, access, opted)
        async with database.transaction() as session:
            shown = await claim(session, access)
        if isinstance(shown, Waiting):
            continue
        seen.append((opted, mask_of([one.key for one in shown.care], CATEGORIES)))
        async with database.transaction() as session:
            if chance.random() < 0.3:
                await skip(session, access.of_project(), access.person.id, shown.task, shown.key)
            else:
                await submit(session, access.of_project(), access.person.id, shown.task, shown.key, prefers(shown))


async def recategorises(there: Scene, chance: random.Random) -> None:
    for _ in range(30):
        async with database.transaction() as session:
            prompts = list(
                await session.scalars(select(Task.prompt_id).where(Task.id.in_(chance.sample(there.tasks, 5))))
            )
            add = chance.randrange(4)
            await categorise(session, there.project.id, prompts, add=add, remove=~add & 3)
        await asyncio.sleep(0.005)


@pytest.mark.committed
async def test_nobody_is_ever_shown_what_they_have_not_opted_into(committed: str) -> None:
    chance = random.Random(3)
    async with database.transaction() as session:
        there = await sensitive(session, [chance.randrange(4) for _ in range(60)], people=10, k=3)
    seen: list[tuple[int, int]] = []
    await asyncio.gather(*[wavers(one, chance, seen) for one in there.people], recategorises(there, chance))
    assert [pair for pair in seen if pair[1] & ~pair[0]] == []
    assert {shown for _opted, shown in seen} == {0, 1, 2, 3}
    async with database.transaction() as session:
        assert await broken(session) == {}


@pytest.mark.committed
async def test_tabs_at_the_same_moment_do_not_pass_the_cap(committed: str) -> None:
    async with database.transaction() as session:
        there = await sensitive(session, [VIOLENCE] * 12, people=3, k=3, opted=VIOLENCE, caps=(4, None))

    async def tab(access: Access) -> int:
        count = 0
        for _ in range(6):
            async with database.transaction() as session:
                shown = await claim(session, access)
            if isinstance(shown, Waiting):
                continue
            async with database.transaction() as session:
                await submit(session, access.of_project(), access.person.id, shown.task, shown.key, prefers(shown))
        return count

    await asyncio.gather(*[tab(one) for one in there.people for _tab in range(4)])
    async with database.transaction() as session:
        per_person = Counter(await session.scalars(text("SELECT annotator_id FROM annotations")))
        assert set(per_person.values()) == {4}
        assert [row[0] for row in await session.scalars(select(QuotaDay.care))] == [4, 4, 4]
        assert await broken(session) == {}
