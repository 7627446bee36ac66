"""What was on the screen decides: its protocol, its tags, its number of answers; whatever the project asks by now."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.annotations.actions import prompting, settle_prompt
from app.annotations.tables import Annotation
from app.datasets.flat import as_flat
from app.datasets.formulas import example_of
from app.loop.queries import preferring_by_component
from app.projects.actions import change_protocol, locked
from app.projects.protocols import protocol_of
from app.prompts.actions import retire_prompt
from app.prompts.tables import Prompt
from app.quality.actions import argue
from app.quality.forms import Argument
from app.quality.tables import Use as ArguedUse
from app.tasks.actions import ask_about_prompts
from app.tasks.actions.hot import CLAIM
from app.tasks.tables import Slot, Task
from tests import make
from tests.app.annotations.test_writing import CARDS, head_of, nothing_made, of, say, take
from tests.app.datasets.scene import frozen
from tests.app.scene import scene
from tests.app.tasks.test_care import VIOLENCE, sensitive
from tests.conftest import sign_in

ASIDE = {"kind": "questions", "questions": [{"key": "q", "label": "Q", "type": "yes_no", "about": "task"}]}
OF_TWO = {"kind": "combined", "completions": 2, "parts": [{"kind": "comparison"}, ASIDE]}


def test_the_driver_keeps_the_plan_of_the_claim() -> None:
    assert len(CLAIM.sql) <= 4096


@pytest.mark.parametrize("first", ["rating", "demonstration"])
async def test_a_task_with_too_few_answers_keeps_to_the_protocol_that_it_was_made_for(
    client: httpx.AsyncClient, session: AsyncSession, first: str
) -> None:
    there = await of(session, {"kind": "combined", "parts": [{"kind": first}, ASIDE]}, shows=1, tasks=first == "rating")
    for slot in await session.scalars(select(Slot)):
        slot.sides = [0]  # as they are drawn where tasks are made
    if first == "demonstration":
        await make.prompt(session, there.project)
        assert await ask_about_prompts(session, there.project.id) == 1
    await change_protocol(session, there.project.id, protocol_of(OF_TWO), None)
    task = await take(client, there, await head_of(session, there))
    assert [part["kind"] for part in task["protocol"]["parts"]] == [first, "questions"]


@pytest.mark.parametrize(
    "body", [{"kind": "comparison", "outcome": "tie"}, {"kind": "ranking", "outcome": "not_rankable"}]
)
async def test_fewer_than_two_answers_are_not_compared(
    client: httpx.AsyncClient, session: AsyncSession, body: dict[str, Any]
) -> None:
    there = await of(session, {"kind": body["kind"]}, shows=1)
    head = await head_of(session, there)
    said = await say(client, await take(client, there, head), head, **body)
    assert (said.status_code, "fewer than two answers" in said.text) == (422, True)


async def test_a_task_that_does_not_fit_its_answers_is_counted_and_ends_no_freeze(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await of(session, {"kind": "comparison"}, tasks=2)
    head = await head_of(session, there)
    for _number in range(2):
        task = await take(client, there, head)
        assert (await say(client, task, head, kind="comparison", outcome="tie")).status_code == 200
    broken = (await session.scalars(select(Annotation).order_by(Annotation.id))).first()
    assert broken is not None
    broken.body = broken.body | {"outcome": "preferred", "preferred": 0, "strength": None}
    dataset, lines = await frozen(session, there.project, tmp_path)
    assert len(lines) == 1
    assert dataset.manifest["counts"]["left_out_as_unreadable"] == 1


async def test_tags_of_the_screen_decide_what_is_asked(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    criteria = [{"key": "quality", "label": "Q"}, {"key": "rhyme", "label": "R", "tags": ["poem"]}]
    there = await of(session, {"kind": "rating", "completions": 1, "criteria": criteria}, shows=1)
    head = await head_of(session, there)
    task = await take(client, there, head)
    for prompt in await session.scalars(select(Prompt)):
        prompt.tags = ["poem"]
    await session.flush()
    again = await take(client, there, head)
    assert [one["key"] for one in again["protocol"]["criteria"]] == ["quality"]
    rated = [{"completion": task["answers"][0]["handle"], "criteria": {"quality": 3}}]
    saved = await say(client, task, head, kind="rating", ratings=rated)
    assert saved.status_code == 200, saved.text
    body = {"kind": "rating", "ratings": [rated[0] | {"criteria": {"quality": 4}}]}
    address = f"/api/v1/annotations/{saved.json()['id']}"
    assert (await client.put(address, json={"version": 1, "body": body}, headers=head)).status_code == 200
    _dataset, (line,) = await frozen(session, there.project, tmp_path)
    assert [one["key"] for one in line["criteria"]] == ["quality"]


async def test_a_late_answer_is_read_under_the_tags_of_its_screen(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    criteria = [{"key": "quality", "label": "Q"}, {"key": "rhyme", "label": "R", "tags": ["poem"]}]
    there = await of(session, {"kind": "rating", "completions": 1, "criteria": criteria}, shows=1)
    head = await head_of(session, there)
    task = await take(client, there, head)
    await client.post(f"/api/v1/tasks/{task['task']}/release", json={"key": task["key"]}, headers=head)
    for prompt in await session.scalars(select(Prompt)):
        prompt.tags = ["poem"]
    await session.flush()
    rated = [{"completion": task["answers"][0]["handle"], "criteria": {"quality": 3}}]
    saved = await say(client, task, head, kind="rating", ratings=rated)
    assert saved.status_code == 200, saved.text
    assert list(await session.scalars(select(Annotation.tags))) == [[]]


async def test_columns_are_those_of_all_versions_in_the_newest_words(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    def asks(**labels: str) -> dict[str, Any]:
        criteria = [{"key": key, "label": label} for key, label in labels.items()]
        return {"kind": "rating", "completions": 1, "criteria": criteria}

    there = await of(session, asks(quality="Old"), shows=1, people=2, k=2)
    named = select(Membership.user_id).where(Membership.project_id == there.project.id).order_by(Membership.pseudonym)
    last = list(await session.scalars(named))[-1]  # votes stand in this order, which says nothing about versions
    places = sorted((0, 1), key=lambda nth: there.people[nth].person.id == last)
    heads = [await head_of(session, there, nth) for nth in places]
    before = await take(client, there, heads[1])
    wanted = asks(quality="New", truth="True") | {"flags": [{"key": "harmful", "label": "Harmful"}]}
    await change_protocol(session, there.project.id, protocol_of(wanted), None)
    after = await take(client, there, heads[0])
    for task, head, criteria in (
        (before, heads[1], {"quality": 3}),
        (after, heads[0], {"quality": 3, "truth": 7}),
    ):
        rated = [{"completion": task["answers"][0]["handle"], "criteria": criteria}]
        assert (await say(client, task, head, kind="rating", ratings=rated)).status_code == 200
    _dataset, (line,) = await frozen(session, there.project, tmp_path)
    assert {one["key"]: one["label"] for one in line["criteria"]} == {"quality": "New", "truth": "True"}
    assert line["flags"] == {"harmful": "Harmful"}
    assert sorted(row["truth"] or 0 for row in as_flat(line)) == [0, 7]


async def test_a_prompt_whose_words_come_back_comes_back(client: httpx.AsyncClient, session: AsyncSession) -> None:
    crane, tax = "How do I fold a paper crane with wings that move?", "Which tax do I owe on a bicycle that I sold?"
    there = await nothing_made(session, CARDS, people=2)
    await ask_about_prompts(session, there.project.id)
    head = await head_of(session, there)
    saved = await say(client, await take(client, there, head), head, kind="prompt", text=crane)
    mine = (await session.scalars(select(Annotation.id))).one()
    await settle_prompt(session, mine)

    async def edited(version: int, text: str) -> None:
        said = {"version": version, "body": {"kind": "prompt", "text": text}}
        given = await client.put(f"/api/v1/annotations/{saved.json()['id']}", json=said, headers=head)
        assert given.status_code == 200, given.text
        await settle_prompt(session, mine)

    async def in_use() -> list[str]:
        asked = select(Prompt).where(Prompt.retired_at.is_(None), ~Prompt.is_card).order_by(Prompt.id)
        return [one.messages[0]["parts"][0]["text"] for one in await session.scalars(asked)]

    await edited(1, tax)
    await edited(2, crane)
    assert await in_use() == [crane]
    other = await head_of(session, there, 1)  # what its author replaced is free for others, and theirs then
    taken = await say(client, await take(client, there, other), other, kind="prompt", text=tax)
    assert taken.status_code == 200, taken.text
    theirs = (await session.scalars(select(Annotation.id).order_by(Annotation.id.desc()))).first()
    await settle_prompt(session, theirs or 0)
    assert await in_use() == [crane, tax]
    written = (await session.scalars(select(Prompt).where(Prompt.retired_at.is_(None), ~Prompt.is_card))).all()
    assert {one.author_id for one in written} == {one.person.id for one in there.people}
    (first,) = [one for one in written if one.author_id == there.me.person.id]
    await retire_prompt(session, first, None, retired=True)  # by those who run the project: it stays out
    await edited(3, "What else can be folded?")
    await edited(4, crane)
    assert await in_use() == [tax]


async def test_what_is_edited_while_a_job_waits_for_the_project_is_what_it_settles(
    client: httpx.AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await nothing_made(session, CARDS)
    await ask_about_prompts(session, there.project.id)
    head = await head_of(session, there)
    await say(client, await take(client, there, head), head, kind="prompt", text="How do I fold a paper crane?")
    mine = (await session.scalars(select(Annotation))).one()

    async def waits(session: AsyncSession, project_id: int) -> Any:
        body = mine.body | {"text": "How do I fold a boat?"}
        await session.execute(update(Annotation).values(body=body), execution_options={"synchronize_session": False})
        return await locked(session, project_id)

    monkeypatch.setattr(prompting, "locked", waits)
    await settle_prompt(session, mine.id)
    written = select(Prompt).where(~Prompt.is_card)
    assert [one.messages[0]["parts"][0]["text"] for one in await session.scalars(written)] == ["How do I fold a boat?"]


@pytest.mark.parametrize("with_turns", [False, True])
async def test_a_formula_is_tried_on_what_was_said_in_a_conversation(session: AsyncSession, with_turns: bool) -> None:
    there = await of(session, {"kind": "combined", "parts": [{"kind": "conversation", "asks": "scores"}, ASIDE]})
    rated = {"kind": "rating", "ratings": [{"completion": 0, "criteria": {"score": 7}, "flags": []}]}
    talk = {"kind": "conversation", "turns": [{"said": rated}] if with_turns else []}
    body = {"kind": "combined", "parts": [talk, {"kind": "questions"}]}
    task, person = await session.get_one(Task, there.tasks[0]), await session.get_one(User, there.me.person.id)
    await make.annotation(session, task, person, kind="combined", body=body)
    assert await example_of(session, there.project.id) == {"score": 7.0 if with_turns else 50.0}


async def test_argued_tasks_stay_out_of_datasets_unless_gold_is_wanted(session: AsyncSession, tmp_path: Path) -> None:
    there = await scene(session, tasks=2)
    person = await session.get_one(User, there.me.person.id)
    plain, argued = [await session.get_one(Task, task) for task in there.tasks]
    said, _other = [await make.annotation(session, task, person) for task in (plain, argued)]
    form = Argument(use=ArguedUse.gold, argument="Because.")
    reviewer = await make.user(session)  # nobody argues what they answered
    await argue(session, argued, said.protocol_id, said.body, form, reviewer.id)
    dataset, lines = await frozen(session, there.project, tmp_path)
    assert [line["id"] for line in lines] == [str(plain.public_id)]
    assert dataset.manifest["counts"]["left_out_as_argued"] == 1
    assert [count for _root, count in await preferring_by_component(session, there.project.id)] == [1]
    _dataset, lines = await frozen(session, there.project, tmp_path, purposes=("collect", "gold"))
    assert len(lines) == 2


async def test_the_list_of_answers_covers_sensitive_prompts(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE])
    task, person = await session.get_one(Task, there.tasks[0]), await session.get_one(User, there.me.person.id)
    prompt = await session.get_one(Prompt, task.prompt_id)
    prompt.rendered = ["<p>The dreadful words</p>"]
    await make.annotation(session, task, person)
    reader = await make.user(session)
    await make.member(session, there.project, reader, Role.engineer)
    await sign_in(client, session, reader)
    page = (await client.get(f"/projects/{there.project.public_id}/annotations")).text
    assert ("dreadful" in page, "Violence" in page) == (False, True)
