"""Conversations over REST against a real small server: what is led, kept and lost by nobody, and what becomes of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import TypeAdapter
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.actions import place_openings
from app.annotations.jobs import TurnAsked
from app.annotations.kinds import read_kept
from app.annotations.kinds.comparison import KeptComparison
from app.annotations.kinds.conversation import going_on
from app.annotations.rules import messages_of, seats
from app.annotations.tables import Annotation, Turn, TurnAnswer
from app.checkpoints.tables import Checkpoint, Place
from app.datasets.actions import NothingToFreeze
from app.datasets.records import ComparisonRecord, DatasetRecord
from app.datasets.rules import Form, rewritten, sha256_of, split_of
from app.projects.protocols import protocol_of
from app.projects.tables import Project
from app.prompts.actions import import_prompts
from app.prompts.rooting import newcomer
from app.prompts.rules import of_user
from app.prompts.tables import Prompt, Root, Use
from app.quality.tables import Inquiry
from app.settings import get_settings
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.datasets.test_freezing import frozen
from tests.app.scene import Scene, broken, let_leases_run_out, scene, sweep_all
from tests.conftest import sign_in
from tests.endpoint import Endpoint, endpoint
from tests.queue import waiting
from workers.handlers import conversations
from workers.handlers.conversations import answer_turn
from workers.handlers.registry import Context
from workers.sampling.remote import EndpointFailed
from workers.training.lines import read_records

TALK: dict[str, Any] = {"kind": "conversation", "least": 1, "most": 3, "cards": [{"topic": "Tea", "rule": "no advice"}]}
ROLES = ["system", "user", "assistant"]
READER: TypeAdapter[Any] = TypeAdapter(DatasetRecord)


@dataclass(frozen=True)
class Here(Context):
    """A handler's context on the test's own session: seats that answer at once queue up for it."""

    held: Any = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        async with self.turn, self.held.begin_nested():
            yield self.held


@dataclass
class Talking:
    """One person with a task of this kind, over REST."""

    client: httpx.AsyncClient
    session: AsyncSession
    there: Scene
    head: dict[str, str]
    task: Any = None

    async def take(self) -> Any:
        address = f"/api/v1/projects/{self.there.project.public_id}/tasks/next"
        self.task = (await self.client.post(address, headers=self.head)).json()
        return self.task

    async def ask(self, path: str = "conversation") -> Any:
        return (await self.client.get(f"/api/v1/tasks/{self.task['task']}/{path}", headers=self.head)).json()

    async def send(self, number: int, words: str) -> httpx.Response:
        return await self.post("turns", number=number, words=words)

    async def judge(self, number: int, **body: Any) -> httpx.Response:
        return await self.post(f"turns/{number}/judgement", body=body)

    async def finish(self, turns: int) -> httpx.Response:
        return await self.post("annotations", body={"kind": "conversation", "turns": turns})

    async def post(self, path: str, **said: Any) -> httpx.Response:
        said = {"key": self.task["key"]} | said
        return await self.client.post(f"/api/v1/tasks/{self.task['task']}/{path}", json=said, headers=self.head)

    async def answered(self, attempt: int = 0) -> None:
        """The newest job of a turn is done."""
        job = (await waiting(self.session, "TurnAsked"))[-1]
        await answer_turn(TurnAsked.model_validate(job), Here(get_settings(), attempt=attempt, held=self.session))

    async def turn(self, number: int, words: str, best: int = 0) -> Any:
        """Said, answered, and the answer in that place of the screen preferred."""
        assert (await self.send(number, words)).status_code == 200
        await self.answered()
        shown = (await self.ask())["turns"][-1]["answers"]
        body = {"kind": "comparison", "outcome": "preferred", "preferred": shown[best]["handle"]}
        body |= {"strength": 2} if len(shown) == 2 else {}
        answer = await self.judge(number, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def head_of(session: AsyncSession, there: Scene, nth: int = 0) -> dict[str, str]:
    person = (await session.scalars(select(User).where(User.id == there.people[nth].person.id))).one()
    return {"Authorization": f"Bearer {await make.api_token(session, person)}"}


async def registered(session: AsyncSession, served: Endpoint, project: Project | None = None) -> Checkpoint:
    made = await make.checkpoint(session, name=served.name, place=Place.endpoint, location=served.address, revision="m")
    if project is not None:
        project.checkpoint_id = made.id
    return made


async def talking(
    client: httpx.AsyncClient, session: AsyncSession, *served: Endpoint, people: int = 1, **protocol: Any
) -> Talking:
    """Everybody of `served` may answer; one alone answers for the project."""
    made = [await registered(session, one) for one in served]
    names = [str(one.public_id) for one in made] if len(made) > 1 else []
    asked = protocol_of(TALK | {"checkpoints": names} | protocol).as_json()
    there = await scene(session, people=people, tasks=0, protocol=asked)
    there.project.checkpoint_id = made[0].id if made else None
    await ask_about_prompts(session, there.project.id)
    found = Talking(client, session, there, await head_of(session, there))
    await found.take()
    return found


@pytest.fixture
async def north() -> AsyncIterator[Endpoint]:
    async with endpoint("North") as served:
        yield served


async def test_a_question_about_a_conversation_has_its_turns_beside_it_as_they_stood(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    went = await talk.turn(1, "How long do I steep it?", best=1)
    me = await session.get_one(User, talk.there.me.person.id)
    await sign_in(client, session, me)
    base = f"/projects/{talk.there.project.public_id}"
    said = await client.post(f"{base}/annotate/{talk.task['task']}/question", data={"words": "Is that advice?"})
    assert said.status_code == 303
    question = (await session.scalars(select(Inquiry))).one()
    later = {"created_at": question.at + timedelta(seconds=1)}
    await talk.turn(2, "And green tea?")
    await session.execute(update(Turn).where(Turn.number == 2).values(later))
    reviewer = await make.user(session)
    await make.member(session, talk.there.project, reviewer, Role.reviewer)
    await sign_in(client, session, reviewer)
    page = (await client.get(f"{base}/questions/{question.public_id}")).text
    assert "How long do I steep it?" in page
    assert "green tea" not in page
    first, second = (page.index(one["text"][:12]) for one in went["turns"][0]["answers"])
    assert page.count("went on") == 1
    assert first < page.index("went on") < second  # at the head of the second


async def test_a_conversation_is_led_over_rest_and_becomes_records_that_a_reward_model_learns_from(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint, tmp_path: Path
) -> None:
    talk = await talking(client, session, north, system="Be brief.")
    assert talk.task["kind"] == "conversation"
    assert "Tea" in talk.task["prompt"][0]["text"]
    first = await talk.ask()
    assert (first["state"], first["number"], first["judged"]) == ("write", 1, 0)
    sent = (await talk.send(1, "How long do I steep it?")).json()
    assert (sent["state"], sent["turns"][0]["answers"]) == ("waiting", [])
    await talk.answered()
    shown = await talk.ask()
    assert shown["state"] == "choose"
    assert shown["asked"]["kind"] == "comparison"
    answers = shown["turns"][0]["answers"]
    assert {one["text"] for one in answers} == {f"north says {n} to “How long do I steep it?”." for n in (1, 2)}
    liked = {"kind": "comparison", "outcome": "preferred", "preferred": answers[1]["handle"], "strength": 3}
    assert (await talk.judge(1, **liked)).json()["turns"][0]["chosen"] == answers[1]["handle"]
    seen = (await talk.turn(2, "And green tea, North?"))["turns"][1]["answers"]
    assert {one["text"] for one in seen} == {f"north says {n} to “And green tea, █████?”." for n in (1, 2)}
    told = [(one["role"], one["content"]) for one in north.asked[-1]["messages"]]
    assert told == [
        ("system", "Be brief."),
        ("user", "How long do I steep it?"),
        ("assistant", answers[1]["text"]),
        ("user", "And green tea, North?"),
    ]
    assert (await talk.finish(1)).status_code == 422  # it has two
    kept = await talk.finish(2)
    assert kept.status_code == 200, kept.text
    assert (await talk.finish(2)).json() == kept.json()

    stored = (await session.scalars(select(Annotation))).one()
    assert read_kept(stored.body).model_dump(mode="json") == stored.body
    provenance = (await session.scalars(select(TurnAnswer).order_by(TurnAnswer.turn_id, TurnAnswer.number))).all()
    assert [(one.sample, one.finish_reason, one.sampling["max_tokens"]) for one in provenance] == [
        (0, "stop", 256),
        (1, "stop", 256),
    ] * 2
    assert len({one.seed for one in provenance}) == 2  # one a turn

    dataset, lines = await frozen(session, talk.there.project, tmp_path)
    assert [line["kind"] for line in lines] == ["comparison", "comparison"]
    assert len({line["group"] for line in lines}) == len({line["split"] for line in lines}) == 1
    assert [len(line["prompt"]) for line in lines] == [2, 4]
    assert lines[0]["votes"][0]["strength"] == 3
    assert all("tea, North?" in lines[1][side]["parts"][0]["text"] for side in "ab"), "covered where it is shown alone"
    better = lines[0][lines[0]["conclusion"]]
    assert better["parts"][0]["text"] == answers[1]["text"]
    assert dataset.manifest["checkpoints"] == [better["checkpoint"]]
    for line in lines:
        assert orjson.loads(READER.validate_python(line).model_dump_json(exclude_unset=True)) == line
    file = tmp_path / "datasets" / str(dataset.sha256) / "records.jsonl"
    pairs = [orjson.loads(one) for one in b"".join(rewritten(file, sha256_of(file), Form.trl)).splitlines()]
    assert [turn["role"] for turn in pairs[1]["prompt"]] == ["system", "user", "assistant", "user"]
    assert pairs[0]["chosen"] == [{"role": "assistant", "content": answers[1]["text"]}]
    others: Counter[str] = Counter()
    batch = list(read_records(file, [ComparisonRecord], others))  # what a reward model reads
    assert [[turn.role for turn in one.prompt] for one in batch] == [["system", "user"], [*ROLES, "user"]]
    assert (batch[0].votes[0].strength, others) == (3, Counter())
    assert await broken(session) == {}


async def test_the_same_again_is_once_and_something_else_is_told(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    for _ in range(2):
        assert (await talk.send(1, "Hello")).json()["number"] == 1
    assert len(await waiting(session, "TurnAsked")) == 1
    assert (await talk.send(1, "Good day")).json()["type"].endswith("turn-taken")
    assert (await talk.send(3, "Far ahead")).status_code == 409
    assert (await talk.send(2, "Too early")).json()["type"].endswith("judge-first")
    assert (await talk.judge(1, kind="comparison", outcome="tie")).json()["type"].endswith("not-answered-yet")
    await talk.answered()
    await talk.answered()  # a second run of the job
    assert len(north.asked) == 1
    assert (await talk.finish(0)).status_code == 422  # answers are on the screen
    for _ in range(2):
        assert (await talk.judge(1, kind="comparison", outcome="tie")).status_code == 200
    assert (await talk.judge(1, kind="comparison", outcome="both_bad")).json()["type"].endswith("turn-taken")
    assert (await talk.send(2, "  ")).status_code == 422
    for number in (2, 3):
        await talk.turn(number, f"Message {number}")
    assert (await talk.ask())["state"] == "full"
    assert (await talk.send(4, "One more")).json()["type"].endswith("conversation-full")


async def test_until_the_next_message_the_last_answers_can_be_judged_again(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    await talk.turn(1, "Hello", best=0)
    told = (await talk.post("turns/1/anew")).json()
    assert (told["state"], told["number"], told["turns"][0]["chosen"]) == ("choose", 1, None)
    assert (await talk.finish(0)).status_code == 422
    other = told["turns"][0]["answers"][1]["handle"]
    body = {"kind": "comparison", "outcome": "preferred", "preferred": other, "strength": 1}
    assert (await talk.judge(1, **body)).json()["turns"][0]["chosen"] == other
    await talk.send(2, "And now?")
    assert (await talk.post("turns/1/anew")).json()["type"].endswith("turn-taken")
    assert (await talk.post("turns/2/anew")).json()["state"] == "waiting"
    assert (await talk.post("turns/3/anew")).status_code == 404


async def test_where_none_is_good_the_message_counts_as_not_said(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint, tmp_path: Path
) -> None:
    talk = await talking(client, session, north)
    await talk.send(1, "Bad luck")
    await talk.answered()
    told = (await talk.judge(1, kind="comparison", outcome="both_bad")).json()
    assert (told["state"], told["number"], told["turns"][0]["chosen"]) == ("write", 2, None)
    await talk.turn(2, "Better luck")
    assert [one["content"] for one in north.asked[-1]["messages"]] == ["Better luck"]
    assert (await talk.finish(2)).status_code == 200
    _dataset, lines = await frozen(session, talk.there.project, tmp_path)
    assert lines[0]["conclusion"] == "both_bad"
    assert [len(line["prompt"]) for line in lines] == [1, 1]


async def test_who_answers_is_drawn_and_the_winner_goes_on_alone(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint, tmp_path: Path
) -> None:
    async with endpoint("South") as south, endpoint("East") as east:
        talk = await talking(
            client, session, north, south, east, answers=[3, 2], later="winner", asks="scores", low="bad", high="good"
        )
        await talk.send(1, "Who are you?")
        await talk.answered()
        shown = await talk.ask()
        texts = [one["text"] for one in shown["turns"][0]["answers"]]
        assert sorted(words.split()[0] for words in texts) == ["east", "north", "south"]
        assert shown["asked"]["kind"] == "rating"
        assert "North" not in str(shown["asked"])
        rated = [
            {"completion": one["handle"], "criteria": {"score": 90 if one["text"].startswith("south") else 20 + n}}
            for n, one in enumerate(shown["turns"][0]["answers"])
        ]
        assert (await talk.judge(1, kind="comparison", outcome="tie")).status_code == 422
        assert (await talk.judge(1, kind="rating", ratings=rated)).status_code == 200
        await talk.send(2, "Again?")
        await talk.answered()
        again = (await talk.ask())["turns"][1]["answers"]
        assert {one["text"].split()[0] for one in again} == {"south"}
        assert len(again) == 2
        apart = [{"completion": one["handle"], "criteria": {"score": 80 - 30 * n}} for n, one in enumerate(again)]
        assert (await talk.judge(2, kind="rating", ratings=apart)).status_code == 200
    assert (await talk.finish(2)).status_code == 200
    _dataset, lines = await frozen(session, talk.there.project, tmp_path)
    assert [line["kind"] for line in lines] == ["rating", "ranking", "rating", "comparison"]
    assert len(lines[1]["votes"][0]["tiers"]) == 3
    vote = lines[3]["votes"][0]
    assert (vote["strength"], vote["levels"]) == (30, 99)
    assert lines[3][vote["shown_first"]]["id"] == lines[3][vote["outcome"]]["id"]  # the first on the screen had 80
    for line in lines:
        assert orjson.loads(READER.validate_python(line).model_dump_json(exclude_unset=True)) == line


MOODS = {"failing": "failed to answer", "half": "failed to answer", "slow": "did not answer in time"}


@pytest.mark.parametrize("mood", [*MOODS, "stopped"])
async def test_an_endpoint_that_fails_loses_nothing_and_goes_on_by_itself(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    monkeypatch.setattr(conversations, "PATIENCE", 0.5)
    talk = await talking(client, session, north)
    await talk.send(1, "Are you there?")
    if mood == "stopped":
        await north.stop()
    north.mood = mood
    with pytest.raises(EndpointFailed):  # so that the queue tries again
        await talk.answered()
    told = await talk.ask()
    assert told["state"] == "waiting"
    assert MOODS.get(mood, "cannot be reached") in told["trouble"]
    assert told["turns"][0]["words"] == "Are you there?"
    assert "127.0.0.1" not in told["trouble"]  # nobody learns who answers
    north.mood = "well"
    if mood == "stopped":
        await north.start()
    await talk.answered(attempt=1)
    told = await talk.ask()
    assert (told["state"], told["trouble"], len(told["turns"][0]["answers"])) == ("choose", "", 2)
    assert (await session.scalars(select(Turn.reason))).one() is None


async def test_one_that_refuses_is_asked_again_by_hand_or_in_other_words(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    await talk.send(1, "Open up")
    north.mood = "refusing"
    await talk.answered()
    told = await talk.ask()
    assert (told["state"], told["number"]) == ("stuck", 1)
    assert "401" in ((await session.scalars(select(Turn.reason))).one() or "")
    assert (await talk.send(2, "Or this")).status_code == 409
    assert (await talk.post("turns/1/again")).json()["state"] == "waiting"
    await talk.answered()
    assert (await talk.ask())["state"] == "stuck"
    north.mood = "well"
    assert (await talk.send(1, "Please open")).json()["turns"][0]["words"] == "Please open"
    await talk.answered()
    assert [one["content"] for one in north.asked[-1]["messages"]] == ["Please open"]
    assert (await talk.ask())["state"] == "choose"


async def test_what_one_checkpoint_has_answered_is_kept_while_another_fails(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    async with endpoint("South") as south:
        talk = await talking(client, session, north, south)
        south.mood = "failing"
        await talk.send(1, "Both of you?")
        with pytest.raises(EndpointFailed):
            await talk.answered()
        assert (await talk.ask())["turns"][0]["answers"] == []  # shown when all are there
        south.mood = "well"
        await talk.answered(attempt=1)
        assert (len(north.asked), len(south.asked)) == (1, 2)
        assert len((await talk.ask())["turns"][0]["answers"]) == 2


async def test_a_project_that_nobody_answers_for_keeps_the_words_until_somebody_does(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session)
    await talk.send(1, "Anybody?")
    await talk.answered()
    told = await talk.ask()
    assert (told["state"], told["trouble"]) == ("stuck", "No assistant is set up for this project just now.")
    project = await session.get_one(Project, talk.there.project.id)
    await registered(session, north, project)
    await session.flush()
    await talk.post("turns/1/again")
    await talk.answered()
    assert (await talk.ask())["state"] == "choose"


async def test_after_the_lease_is_lost_a_choice_is_told_and_what_was_led_is_there_again(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north, wanted=1)
    await talk.turn(1, "Hold on")
    await talk.send(2, "Still here?")
    await talk.answered()
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    lost = await talk.judge(2, kind="comparison", outcome="tie")
    assert (lost.status_code, lost.json()["type"].endswith("lease-lost")) == (409, True)
    assert (await talk.send(3, "Hello?")).status_code == 409
    await talk.take()
    told = await talk.ask()
    assert (told["state"], told["judged"], told["turns"][1]["words"]) == ("choose", 1, "Still here?")
    assert (await talk.judge(2, kind="comparison", outcome="tie")).status_code == 200
    assert (await talk.finish(2)).status_code == 200
    assert await broken(session) == {}


async def test_two_people_lead_conversations_of_their_own_and_see_nothing_of_each_others(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    one = await talking(client, session, north, people=2, wanted=1)
    await one.send(1, "A secret")
    other = Talking(client, session, one.there, await head_of(session, one.there, 1))
    await session.execute(text("UPDATE slots SET state = 0, annotator_id = NULL, lease = NULL, lease_until = NULL"))
    await other.take()
    assert other.task["task"] == one.task["task"]
    assert (await other.ask())["turns"] == []
    assert (await other.send(1, "Mine")).status_code == 200
    assert (await client.get(f"/api/v1/tasks/{one.task['task']}/conversation", headers=one.head)).status_code == 404


async def test_what_begins_as_a_held_out_prompt_does_is_in_no_training_data(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    line = orjson.dumps({"prompt": "What is a good tea for the evening?", "use": "heldout"})
    await import_prompts(session, talk.there.project.id, "p", BytesIO(line), None)
    await talk.turn(1, "what is a good tea for the evening")
    await talk.finish(1)
    with pytest.raises(NothingToFreeze):
        await frozen(session, talk.there.project, get_settings().home)
    _dataset, lines = await frozen(session, talk.there.project, get_settings().home, uses=[Use.label, Use.heldout])
    assert [line["split"] for line in lines] == ["heldout"]


OPENING = (
    "Please write a short poem about the sea and the ships that sail on it in winter, with four stanzas and a rhyme in "
    "every second line"
)


async def test_prompts_and_conversations_that_begin_nearly_alike_stand_on_one_side_whatever_comes_later(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    one = await talking(client, session, north, people=2, wanted=2)
    project = one.there.project
    other = Talking(client, session, one.there, await head_of(session, one.there, 1))
    await other.take()
    for talk, words in ((one, OPENING), (other, OPENING.replace("Please write", "Please, do write"))):
        await talk.turn(1, words)
        kept = await talk.finish(1)
        assert kept.status_code == 200, kept.text
    await place_openings(session, project.id)
    await place_openings(session, project.id)  # safe to run twice
    roots = list(await session.scalars(select(Root).where(Root.opening.is_not(None)).order_by(Root.id)))
    assert len(roots) == 2
    assert len({root.component for root in roots}) == 1

    late = orjson.dumps({"prompt": OPENING + ", please", "group": "poems"})
    report = await import_prompts(session, project.id, "p", BytesIO(late), None)
    assert report.uses == {"label": 1}  # as what it is near to, whatever the shares say
    session.expire_all()
    assert len(set(await session.scalars(select(Root.component).where(~Root.key.startswith("card:"))))) == 1
    older = (await session.scalars(select(Root.key).where(Root.key.startswith("card:")))).first() or ""
    await session.execute(update(Root).values(component=older))
    for share in (0.01, 0.5, 0.9):
        _dataset, lines = await frozen(session, project, get_settings().home, heldout_share=share)
        assert {line["split"] for line in lines} == {split_of(older, share)}
        assert len({line["group"] for line in lines}) == 1


async def test_what_begins_nearly_as_prompts_on_two_sides_do_is_held_out(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint
) -> None:
    talk = await talking(client, session, north)
    await talk.turn(1, OPENING)
    assert (await talk.finish(1)).status_code == 200
    for number, use in enumerate(("label", "heldout")):
        line = orjson.dumps({"prompt": f"Another subject: {use} and nothing besides", "use": use})
        await import_prompts(session, talk.there.project.id, "p", BytesIO(line), None)
        near = OPENING + " thanks" * number
        prompt = (await session.scalars(select(Prompt).where(Prompt.use == use, ~Prompt.is_card))).one()
        prompt.messages = of_user(near)
        root = await session.get_one(Root, prompt.root_id)
        root.bands = list(newcomer(near, None, None).bands)
    await session.flush()
    await place_openings(session, talk.there.project.id)
    with pytest.raises(NothingToFreeze):
        await frozen(session, talk.there.project, get_settings().home)


@pytest.mark.parametrize("is_part", [False, True])
async def test_nothing_that_an_annotator_is_told_says_who_answers_or_how_they_are_asked(
    client: httpx.AsyncClient, session: AsyncSession, north: Endpoint, is_part: bool
) -> None:
    async with endpoint("South") as south:
        made = [await registered(session, one) for one in (north, south)]
        asked: dict[str, Any] = TALK | {
            "checkpoints": [str(one.public_id) for one in made],
            "system": "You are secret-model-7",
            "later": "winner",
            "mixed": True,
            "sampling": {"temperature": 0.123},
        }
        if is_part:
            beside = {"key": "q", "label": "Q", "type": "yes_no", "about": "task"}
            asked = {"kind": "combined", "parts": [asked, {"kind": "questions", "questions": [beside]}]}
        there = await scene(session, people=1, tasks=0, protocol=protocol_of(asked).as_json())
        await ask_about_prompts(session, there.project.id)
        talk = Talking(client, session, there, await head_of(session, there))
        await talk.take()
        project = await client.get(f"/api/v1/projects/{there.project.public_id}", headers=talk.head)
        for told in (talk.task, project.json(), await talk.ask()):
            assert told.get("detail") is None, told
            said = orjson.dumps(told).decode()
            for secret in ("secret-model", "winner", "0.123", '"mixed":true', *(str(one.public_id) for one in made)):
                assert secret not in said


@given(some.lists(some.tuples(some.text(min_size=1), some.none() | some.text(min_size=1)), min_size=1), some.text())
def test_a_conversation_so_far_alternates_and_ends_with_what_is_to_be_answered(
    exchanges: list[tuple[str, str | None]], system: str
) -> None:
    told = messages_of(system, exchanges)
    roles = [one["role"] for one in told]
    spoken = roles[1:] if system else roles
    assert spoken == ["user", "assistant"] * (len(spoken) // 2) + ["user"]
    assert told[-1]["parts"][0]["text"] == exchanges[-1][0]
    assert len(spoken) == 1 + 2 * sum(answer is not None for _words, answer in exchanges[:-1])


@given(some.lists(some.integers(), min_size=1, max_size=9, unique=True), some.integers(2, 9), some.integers())
def test_as_many_different_ones_answer_as_there_are(pool: list[int], answers: int, seed: int) -> None:
    drawn = seats(pool, answers, Random(seed))
    assert len(drawn) == answers
    assert len(set(drawn)) == min(len(pool), answers)
    assert max(map(drawn.count, drawn)) - min(map(drawn.count, drawn)) <= 1


@given(some.permutations(range(4)), some.sampled_from(["tie", "both_bad", "neither_valid", 0, 1, 2, 3]))
def test_what_goes_on_is_what_was_preferred_and_of_equals_the_first_on_the_screen(sides, outcome) -> None:
    said = {"outcome": outcome} if isinstance(outcome, str) else {"outcome": "preferred", "preferred": outcome}
    on = going_on(KeptComparison(**said), sides)
    assert on == {"tie": sides[0], "both_bad": None, "neither_valid": None}.get(outcome, outcome)
