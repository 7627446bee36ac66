"""`make loop ARGS="--kill 30"`: what is killed when, and what was acknowledged beside what is there."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import pids
from app.preferences.votes import Outcome
from workers.demo.loop import client, faults, report
from workers.demo.loop.client import Client, Refused
from workers.demo.loop.faults import EVERYTHING, ONCE, ONE_WEB, PARTS, TRAINING, Deck, Faults, NotBack
from workers.demo.loop.reckoning import Acknowledged, reckoned
from workers.demo.loop.sizes import small, whole
from workers.demo.loop.stack import DidNotStart, Installation
from workers.demo.prompts import demo_prompts

# What is killed next


def drawn(seed: int, count: int, absent: str = "") -> list[str | None]:
    deck = Deck(random.Random(seed))
    return [deck.draw(lambda what: what != absent) for _ in range(count)]


def test_everything_is_killed_once_before_anything_is_killed_again() -> None:
    first = drawn(1, len(PARTS) + len(ONCE))
    assert Counter(first) == Counter([*PARTS, *ONCE])
    assert first != drawn(2, len(first)), "the seed decides"
    assert first == drawn(1, len(first))


def test_the_supervisor_and_a_training_alone_are_killed_once_and_the_parts_for_ever() -> None:
    counts = Counter(drawn(1, 50))
    assert counts[EVERYTHING] == counts[TRAINING] == 1
    assert max(counts[part] for part in PARTS) - min(counts[part] for part in PARTS) <= 1


def test_what_is_not_there_keeps_its_turn() -> None:
    deck = Deck(random.Random(1))
    early = [deck.draw(lambda what: what != TRAINING) for _ in range(40)]
    assert TRAINING not in early
    assert deck.draw(lambda _what: True) == TRAINING
    assert deck.draw(lambda _what: False) is None


# The acknowledged against what is there

TASK = "task-1"


def row(number: int = 1, **values: Any) -> dict[str, Any]:
    """An annotation as REST gives it: the answer shown first was preferred, with strength 2."""
    body = {"outcome": "preferred", "preferred": "x", "strength": 2}
    common = {"task": TASK, "rater": "rater-1", "state": "live", "body": body, "shown": ["x", "y"]}
    return {"id": f"annotation-{number}"} | common | values


def given(number: int = 1, **values: Any) -> Acknowledged:
    told = {"id": f"annotation-{number}", "task": TASK, "outcome": Outcome.a, "strength": 2} | values
    return Acknowledged(**told)


def counts(**values: int) -> dict[str, int]:
    names = ("acknowledged", "found", "lost", "changed", "doubled", "unacknowledged", "surplus")
    return dict.fromkeys(names, 0) | values


SECOND = row(2, task="task-2", body={"outcome": "tie"})
CASES: list[tuple[str, list[Acknowledged], list[dict[str, Any]], dict[str, int]]] = [
    ("both there", [given(), given(2, task="task-2", outcome=Outcome.tie, strength=None)], [row(), SECOND],
     counts(acknowledged=2, found=2)),
    ("one lost", [given(), given(2)], [row()], counts(acknowledged=2, found=1, lost=1)),
    ("withdrawn is not there", [given()], [row(state="withdrawn")], counts(acknowledged=1, lost=1)),
    ("late, kept beside", [given()], [row(state="surplus")], counts(acknowledged=1, found=1, surplus=1)),
    ("the other side", [given()], [row(shown=["y", "x"])], counts(acknowledged=1, changed=1)),
    ("another strength", [given()], [row(body=row()["body"] | {"strength": 3})], counts(acknowledged=1, changed=1)),
    ("of another task", [given(task="task-9")], [row()], counts(acknowledged=1, changed=1)),
    ("twice to one task", [given()], [row(), row(2)], counts(acknowledged=1, found=1, doubled=1, unacknowledged=1)),
    ("two people at one task", [given(), given(2)], [row(), row(2, rater="rater-2")], counts(acknowledged=2, found=2)),
    ("told twice of one", [given(), given()], [row()], counts(acknowledged=2, found=2, doubled=1)),
    ("nobody was told", [], [row()], counts(unacknowledged=1)),
]  # fmt: skip


@pytest.mark.parametrize(("acknowledged", "there", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_answers_are_counted_as(
    acknowledged: list[Acknowledged], there: list[dict[str, Any]], expected: dict[str, int]
) -> None:
    assert reckoned(acknowledged, there) == expected


@pytest.mark.parametrize("wrong", ["lost", "changed", "doubled", "unacknowledged"])
def test_one_wrong_answer_misses_a_bar(wrong: str) -> None:
    def kept(**values: int) -> list[bool]:
        answers = reckoned([], []) | values
        return [holds for *_rest, holds in report.answers_kept({"faults": {"answers": answers}})]

    assert all(kept())
    assert kept(**{wrong: 1}).count(False) == 1


# A client that outlasts restarts


class Failing(httpx.AsyncBaseTransport):
    """Fails as a server does that is killed and started again: each entry is a status or an error."""

    def __init__(self, *does: int | Exception) -> None:
        self.does = list(does)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.does.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"title": "no"} if answer >= 400 else {"id": 1})


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE", 0.001)
    monkeypatch.setattr(client, "PATIENCE", 0.02)


async def post(transport: Failing) -> Any:
    async with Client("http://hone.test", transport) as person:
        return await person.post("/api/v1/tasks/1/annotations", {"key": "k"})


async def test_a_write_whose_answer_was_lost_is_sent_again_under_its_key() -> None:
    server = Failing(httpx.RemoteProtocolError("cut off"), httpx.ConnectError("refused"), 503, 500, 502, 200)
    assert await post(server) == {"id": 1}
    assert len(server.asked) == 6
    assert len({request.headers["Idempotency-Key"] for request in server.asked}) == 1
    assert {request.content for request in server.asked} == {b'{"key":"k"}'}


async def test_each_write_has_a_key_of_its_own_and_a_read_has_none() -> None:
    server = Failing(200, 200, 200)
    async with Client("http://hone.test", server) as person:
        await person.post("/x")
        await person.post("/x")
        await person.get("/x")
    first, second, read = (request.headers.get("Idempotency-Key") for request in server.asked)
    assert first
    assert second
    assert first != second
    assert read is None


@pytest.mark.parametrize("status", [401, 404, 409, 422])
async def test_a_refusal_is_not_repeated(status: int) -> None:
    server = Failing(status)
    with pytest.raises(Refused, match=str(status)):
        await post(server)


async def test_patience_ends() -> None:
    with pytest.raises(httpx.ConnectError):
        await post(Failing(*[httpx.ConnectError("refused")] * 30))
    with pytest.raises(Refused, match="503"):
        await post(Failing(*[503] * 30))


# Killing


WAIT = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys; [subprocess.Popen([sys.executable, '-c', '{WAIT}', word]) for word in sys.argv[1:]]"


def program(*words: str) -> "subprocess.Popen[str]":
    """Something that waits, with children that have `words` in their command lines."""
    command = [sys.executable, "-c", f"{PARENT}; {WAIT}", *words]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)


def installation(home: Path, child: "subprocess.Popen[str]") -> Installation:
    return Installation("http://127.0.0.1:1", "", home, {}, child)


def note(home: Path, **named: "subprocess.Popen[str]") -> None:
    listed = [{"name": name, "pid": one.pid, "mark": pids.start_mark(one.pid)} for name, one in named.items()]
    (home / "hone.pids").write_text(json.dumps({"token": "t", "children": listed}))


async def yes(_self: Faults) -> bool:
    return True


async def test_a_part_is_killed_and_waited_for_until_another_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Faults, "server_answers", yes)
    with program() as supervisor, program() as old, program() as new:
        killing = Faults(installation(tmp_path, supervisor), 1, lambda: "collect")
        note(tmp_path, sampler=old)
        assert killing.pids_of("sampler") == {old.pid}
        until_back = killing.until_back

        async def restarted(what: str, wanted: int, gone: set[int]) -> None:
            assert old.wait(5) == -signal.SIGKILL
            assert killing.pids_of(what) == set()
            note(tmp_path, sampler=new)
            await until_back(what, wanted, gone)

        monkeypatch.setattr(killing, "until_back", restarted)
        await killing.kill("sampler")
        (told,) = killing.kills
        assert (told["stage"], told["what"]) == ("collect", "sampler")
        assert told["away"] is not None
        for one in (supervisor, new):
            one.kill()


async def test_a_part_that_stays_away_ends_the_loop_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faults, "server_answers", yes)
    monkeypatch.setattr(faults, "PATIENCE", 0.2)
    with program() as supervisor, program() as old:
        killing = Faults(installation(tmp_path, supervisor), 1, lambda: "PPO")
        note(tmp_path, trainer=old)
        with pytest.raises(NotBack, match="trainer did not come back"):
            await killing.kill("trainer")
        supervisor.kill()
        supervisor.wait()
        with pytest.raises(DidNotStart, match="without a word"):
            await killing.until_back("trainer", 1, {old.pid})


def test_only_children_that_do_the_work_count(tmp_path: Path) -> None:
    """A web process carries its parent's words, and a trainer's child is known by its program."""
    with program("app.serving 1", "app.serving 2", "another", "workers.training") as parent:
        note(tmp_path, web=parent, trainer=parent)
        killing = Faults(installation(tmp_path, parent), 1, lambda: "")
        while len(killing.pids_of(ONE_WEB)) < 2 or not killing.pids_of(TRAINING):
            time.sleep(0.02)
        assert not killing.pids_of(ONE_WEB) & killing.pids_of(TRAINING)
        assert len(killing.pids_of(TRAINING)) == 1
        assert killing.pids_of(EVERYTHING) == {parent.pid}
        os.killpg(parent.pid, signal.SIGKILL)
    assert killing.pids_of(ONE_WEB) == killing.pids_of("web") == set()


async def test_kills_go_on_until_the_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []

    async def kill(_self: Faults, what: str) -> None:
        killed.append(what)
        if len(killed) == 5:
            ended.set()

    ended = asyncio.Event()
    monkeypatch.setattr(Faults, "kill", kill)
    monkeypatch.setattr(Faults, "pids_of", lambda _self, _what: {1})
    with program() as supervisor:
        killing = Faults(installation(tmp_path, supervisor), 1, lambda: "")
        async with killing.going_on(every=0.001):
            await ended.wait()
        count = len(killed)
        async with killing.going_on(every=None):
            await asyncio.sleep(0.01)
        assert len(killed) == count >= 5
        supervisor.kill()


async def test_what_does_not_come_back_ends_the_loop_with_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kill(_self: Faults, what: str) -> None:
        raise NotBack(f"{what} did not come back")

    monkeypatch.setattr(Faults, "kill", kill)
    monkeypatch.setattr(Faults, "pids_of", lambda _self, _what: {1})
    with program() as supervisor:
        killing = Faults(installation(tmp_path, supervisor), 1, lambda: "")
        with pytest.raises(SystemExit, match="did not come back"):
            async with killing.going_on(every=0.001):
                await asyncio.sleep(60)
        with pytest.raises(Refused):
            async with killing.going_on(every=None):
                raise Refused
        supervisor.kill()


# A small pass


def test_a_small_pass_has_prompts_of_every_use_on_both_sides_and_the_whole_one_all() -> None:
    few = small().asked()
    assert Counter(one.use for one in few) == dict.fromkeys(("label", "train", "heldout"), 24)
    share = small().heldout_share([one for one in few if one.use == "label"])
    assert 0.2 < share < 0.8
    assert whole().asked() == demo_prompts()
