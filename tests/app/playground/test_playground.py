"""Checkpoints side by side: asked, answered by the sampler's job, shown, sent to annotators, forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.checkpoints.tables import Checkpoint, CheckpointKind, Place
from app.completions.tables import Completion
from app.playground.actions import MOST_AWAITED, forget_plays
from app.playground.jobs import PlayAsked
from app.playground.rules import Piece, Result, Sample, best_of
from app.playground.tables import Play, PlayAnswer
from app.projects.tables import Project
from app.prompts.tables import Prompt, Use
from app.settings import get_settings
from app.tasks.tables import PassedBy, Skip, Slot, Task, TaskCompletion
from tests import make
from tests.app.scene import engineer
from tests.endpoint import endpoint
from tests.queue import waiting
from workers.handlers.playground import answer_play
from workers.handlers.registry import MAX_ATTEMPTS, Context
from workers.sampling.answers import Completed, NotAnswerable, Token
from workers.training.checkpoints import CheckpointRefused


class FakeEngine:
    """Answers with its folder's name and the sample's number; the higher the number, the higher the reward."""

    error: Exception | None = None

    async def complete(self, where, conversations, sampling, n, seeds, **how):
        assert how == {"is_awaited": True, "with_tokens": True}
        if self.error:
            raise self.error
        tokens = (Token(1, "one ", -1.0), Token(2, "two", -2.0))
        return [[Completed(f"{where.name} says {k}", 2, "stop", -3.0, 4, tokens) for k in range(n)] for _ in seeds]

    async def rewards(self, reward: Path, base: Path, conversation, answers):
        return [((float(text[-1]) + 0.5, float(text[-1]) - 0.5), {"kindness": 0.25}) for text in answers]

    async def ratios(self, policy: Path, reference: Path, conversation, tokens):
        assert tokens == [1, 2]
        return [("one\n", 1.0), ("<b>two", -0.25), ("", 2.5)]


class Here(Context):
    """A handler's context whose transactions are the test's own."""

    own: AsyncSession

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:  # type: ignore[override]
        yield self.own
        await self.own.flush()
        self.own.expunge_all()


async def answer_all(session: AsyncSession, engine: FakeEngine, attempt: int = 0) -> None:
    context = Here(get_settings(), engine, attempt)  # type: ignore[arg-type]
    object.__setattr__(context, "own", session)
    for payload in await waiting(session, "PlayAsked"):
        await answer_play(PlayAsked.model_validate(payload), context)


async def ground(session: AsyncSession, **values: Any) -> tuple[Project, list[Checkpoint], Checkpoint]:
    """A project with a base, a policy trained from it, and a reward model on the base."""
    project = await make.project(session, **values)
    base = await make.checkpoint(session, place=Place.folder, location="/there/base", name="Base")
    policy = await make.checkpoint(
        session, CheckpointKind.policy, location="/there/zephyr-7b", name="Zephyr-7b", parent_id=base.id
    )
    reward = await make.checkpoint(session, CheckpointKind.reward, name="Judge", parent_id=base.id)
    return project, [base, policy], reward


def form_of(pair: list[Checkpoint], **more: Any) -> dict[str, Any]:
    return {"text": "What is tea?", "checkpoints": [str(one.public_id) for one in pair]} | more


async def asked(client: httpx.AsyncClient, project: Project, form: dict[str, Any], status: int = 202) -> Any:
    answer = await client.post(f"/api/v1/projects/{project.public_id}/playground", json=form)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_side_by_side_with_rewards_divergence_and_the_best_of_sixteen(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, reward = await ground(session)
    await engineer(client, session, project)
    made = await asked(client, project, form_of(pair, reward=str(reward.public_id), best_of=True, seed=7))
    assert [one["answered_at"] for one in made["answers"]] == [None, None]
    page = f"/projects/{project.public_id}/playground/{made['id']}"
    assert 'hx-trigger="every 1s"' in (await client.get(page)).text
    await answer_all(session, FakeEngine())
    await answer_all(session, FakeEngine())  # a job may run twice
    told = (await client.get(f"/api/v1{page}")).json()
    base, policy = told["answers"]
    assert (len(policy["samples"]), policy["best"], policy["samples"][9]["rewards"]) == (16, 9, [9.5, 8.5])
    assert (policy["kl"], policy["ratios"][2]) == (3.25, ["", 2.5])
    assert (policy["reference"], base["reference"]) == (str(pair[0].public_id), None)
    assert (base["kl"], base["no_ratios"]) == (None, "It names no checkpoint that it was trained from.")
    shown = (await client.get(page)).text
    assert "every 1s" not in shown
    assert "zephyr-7b says 9" in shown
    assert "<b>9.000</b> ± 0.707" in shown
    assert "<dt><bdi>kindness</bdi></dt><dd>0.25</dd>" in shown
    assert "<b>3.25</b> nats" in shown
    assert "reward 3.750 on average" in shown
    shaded = (await client.get(page + "?shading=true")).text
    assert '<span class="ratio up-2" title="1.00">one\n</span>' in shaded
    assert '<span class="ratio down-1" title="−0.25">&lt;b&gt;two</span>' in shaded
    assert '<span class="ratio up-3 end" title="2.50">end</span>' in shaded


async def test_an_endpoint_answers_and_says_that_it_tells_no_log_probabilities(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    async with endpoint("North") as there:
        far = await make.checkpoint(session, place=Place.endpoint, location=there.address, revision="m", name="Far")
        made = await asked(client, project, form_of([pair[1], far]))
        await answer_all(session, FakeEngine())
    told = (await client.get(f"/api/v1/projects/{project.public_id}/playground/{made['id']}")).json()["answers"][1]
    assert told["samples"][0]["text"].startswith("north says 1")
    assert (told["kl"], told["no_ratios"]) == (None, "An endpoint tells no log-probabilities that could be compared.")


@pytest.mark.parametrize("error", [NotAnswerable("messages", "It is too long."), CheckpointRefused("It is too long.")])
async def test_what_cannot_be_answered_says_why_at_once_and_what_may_pass_at_the_last_try(
    session: AsyncSession, client: httpx.AsyncClient, error: Exception
) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    made = await asked(client, project, form_of(pair))
    page = f"/projects/{project.public_id}/playground/{made['id']}"
    engine = FakeEngine()
    engine.error = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await answer_all(session, engine)
    assert "every 1s" in (await client.get(page)).text
    engine.error = error
    await answer_all(session, engine)
    ended = (await client.get(page)).text
    assert "It is too long." in ended
    assert "every 1s" not in ended
    await asked(client, project, form_of(pair))
    engine.error = ConnectionError("away")
    await answer_all(session, engine, attempt=MAX_ATTEMPTS - 1)
    waits = select(func.count()).select_from(PlayAnswer).where(PlayAnswer.answered_at.is_(None))
    assert await session.scalar(waits) == 0


async def test_a_pair_becomes_a_blind_task_of_the_default_round_once(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session, k=2)
    await engineer(client, session, project)
    made = await asked(client, project, form_of(pair))
    place = f"/api/v1/projects/{project.public_id}/playground/{made['id']}"
    too_early = await client.post(f"{place}/tasks", json={"answers": [0, 1]})
    assert too_early.status_code == 422
    await answer_all(session, FakeEngine())
    assert (await client.post(f"{place}/tasks", json={"answers": [0]})).status_code == 422
    sent = await client.post(f"{place}/tasks", json={"answers": [0, 1]})
    assert sent.status_code == 201
    task = (await session.scalars(select(Task))).one()
    assert sent.json() == {"tasks": [str(task.public_id)]}
    shown = select(Completion).join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
    rows = list(await session.scalars(shown.order_by(TaskCompletion.number)))
    assert [row.checkpoint_id for row in rows] == [one.id for one in pair]
    assert rows[1].parts == [{"type": "text", "text": "zephyr-7b says 0"}]
    assert "zephyr-7b says" not in rows[1].html.lower()  # the checkpoint is called so, and people must not know
    assert await session.scalar(select(func.count()).select_from(Slot)) == 2
    prompt = await session.get_one(Prompt, task.prompt_id)
    assert (prompt.use, prompt.messages[0]["parts"][0]["text"]) == (Use.label, "What is tea?")
    again = await client.post(f"{place}/tasks", json={"answers": [0, 1]})
    assert (again.status_code, again.json()["type"]) == (409, "urn:hone:already-sent")
    assert "A task of the default round was made of this." in (await client.get(place.removeprefix("/api/v1"))).text


async def test_who_saw_names_and_rewards_is_not_asked_and_the_list_is_short(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session)
    drawn = await make.prompt(session, project)
    member = await engineer(client, session, project)
    made = await asked(client, project, {**form_of(pair), "text": None, "prompt": str(drawn.public_id)})
    await answer_all(session, FakeEngine())
    place = f"/api/v1/projects/{project.public_id}/playground"
    assert (await client.post(f"{place}/{made['id']}/tasks", json={"answers": [0, 1]})).status_code == 201
    task = (await session.scalars(select(Task))).one()
    passed = (await session.scalars(select(Skip).where(Skip.task_id == task.id))).one()
    assert (passed.annotator_id, passed.kind) == (member.id, PassedBy.by_us)
    (line,) = (await client.get(place)).json()["rows"]
    assert line["tasks"] == [str(task.public_id)]
    assert [set(one) for one in line["answers"]] == [{"checkpoint", "answered_at", "reason"}] * 2


async def test_held_out_prompts_and_answers_that_say_nothing_are_not_put_to_people(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    heldout = await make.prompt(session, project, use=Use.heldout)
    made = await asked(client, project, {**form_of(pair), "text": None, "prompt": str(heldout.public_id)})
    await answer_all(session, FakeEngine())
    place = f"/api/v1/projects/{project.public_id}/playground/{made['id']}/tasks"
    refused = await client.post(place, json={"answers": [0, 1]})
    assert (refused.status_code, "held out" in refused.text) == (422, True)
    empty = Result(samples=(Sample(text=" ", tokens=1, finish="stop"),)).model_dump(mode="json")
    await session.execute(update(PlayAnswer).where(PlayAnswer.number == 0).values(result=empty))
    assert "nothing to judge" in (await client.post(place, json={"answers": [0, 1]})).text
    assert await session.scalar(select(func.count()).select_from(Task)) == 0


async def test_the_form_takes_a_drawn_prompt_and_keeps_what_was_typed_when_it_refuses(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session)
    await make.prompt(session, project, "Held", use=Use.heldout)
    drawn = await make.prompt(session, project, "Why is\nthe sky blue?")
    await engineer(client, session, project)
    place = f"/projects/{project.public_id}/playground"
    page = (await client.get(place + "?draw=true")).text
    assert str(drawn.public_id) in page
    assert "the sky blue?" in page
    ids = [str(one.public_id) for one in pair]
    fields: dict[str, Any] = {"checkpoints": [ids[0], ids[0], "", ""], "text": "Typed here", "sampling.max_tokens": "9"}
    refused = await client.post(place, data=fields)
    assert refused.status_code == 422
    assert "one stands there twice" in refused.text
    assert "Typed here" in refused.text
    fields |= {"checkpoints": [*ids, "", ""], "prompt": str(drawn.public_id), "text": "Why is\r\nthe sky blue?"}
    refused = await client.post(place, data=fields | {"sampling.max_tokens": "9999"})
    assert (refused.status_code, f'name="prompt" value="{drawn.public_id}"' in refused.text) == (422, True)
    emptied = await client.post(place, data=fields | {"text": ""})
    assert (emptied.status_code, "write a prompt" in emptied.text) == (422, True)
    went = await client.post(place, data=fields)
    assert went.status_code == 303
    play = (await session.scalars(select(Play))).one()
    assert (play.prompt_id, play.sampling["max_tokens"]) == (drawn.id, 9)
    again = (await client.get(f"{place}?again={play.public_id}")).text
    assert 'value="9"' in again
    assert str(play.seed) in again


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": " "}, "write a prompt"),
        ({"best_of": True}, "chosen by a reward model"),
        ({"sampling": {"max_tokens": 5000}}, "at most 1024 tokens"),
        ({"checkpoints": []}, "at least 2"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_a_sentence(
    session: AsyncSession, client: httpx.AsyncClient, change: dict[str, Any], said: str
) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    answer = await client.post(f"/api/v1/projects/{project.public_id}/playground", json=form_of(pair) | change)
    assert (answer.status_code, said in answer.text) == (422, True), answer.text


async def test_a_judge_answers_nothing_and_an_answerer_judges_nothing(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, reward = await ground(session)
    await engineer(client, session, project)
    await asked(client, project, form_of([pair[0], reward]), status=409)
    await asked(client, project, form_of(pair, reward=str(pair[0].public_id)), status=422)
    for _ in range(MOST_AWAITED // 2):
        await asked(client, project, form_of(pair))
    assert (await asked(client, project, form_of(pair), status=409))["type"] == "urn:hone:still-answering"


async def test_it_is_its_owners_alone_and_forgotten_after_a_week(
    session: AsyncSession, client: httpx.AsyncClient
) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    old, new = [(await asked(client, project, form_of(pair)))["id"] for _ in range(2)]
    await session.execute(
        update(Play).where(Play.public_id == old).values(created_at=func.now() - func.make_interval(0, 0, 0, 8))
    )
    assert await forget_plays(session) == 1
    listed = (await client.get(f"/api/v1/projects/{project.public_id}/playground")).json()["rows"]
    assert [row["id"] for row in listed] == [new]
    await engineer(client, session, project, Role.manager)
    assert (await client.get(f"/projects/{project.public_id}/playground/{new}")).status_code == 404
    assert (await client.get(f"/api/v1/projects/{project.public_id}/playground")).json()["rows"] == []


def test_the_best_says_something_and_shades_begin_where_they_say() -> None:
    silent = Sample(text=" ", tokens=1, finish="stop", rewards=(9.0, 9.0))
    assert best_of([silent, Sample(text="no", tokens=1, finish="stop", rewards=(-3.0, -1.0))]) == 1
    assert best_of([silent]) == 0
    assert [Piece("", ratio).step for ratio in (0.05, 0.1, -0.7, 1.9, -2.0)] == [0, 1, 2, 2, 3]
    assert [Piece("", ratio).sign for ratio in (0.2, -0.2)] == ["up", "down"]
