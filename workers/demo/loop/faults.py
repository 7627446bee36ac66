"""`--kill 30`: while the loop goes on, one part of the installation after the other is ended by SIGKILL.

What is ended, and when, is drawn by the seed. `hone up` itself is killed once and started again, as a person would do;
everything else has to come back by itself.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from signal import SIGKILL
from typing import Any

import httpx

from app import embedded, pids
from workers.demo.loop.stack import DidNotStart, Installation

EVERYTHING = "hone up"
TRAINING = "training"  # the trainer's child alone: its run fails and says why
POSTGRES = "Postgres"
ONE_WEB = "one web process"
PARTS = (ONE_WEB, "web", "sampler", "trainer", "tidy", POSTGRES)
ONCE = (EVERYTHING, TRAINING)
PATIENCE = 120.0  # seconds for a killed part to be there again
LOOK = 0.1


class NotBack(Exception):
    """A part that was killed did not come back."""


class Deck:
    """What is killed next: everything once in a drawn order, then PARTS again in another, and so on.

    What is not there to be killed keeps its turn.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.waiting = rng.sample(PARTS + ONCE, len(PARTS + ONCE))

    def draw(self, is_there: Callable[[str], object]) -> str | None:
        if not set(self.waiting) & set(PARTS):
            self.waiting += self.rng.sample(PARTS, len(PARTS))
        for what in self.waiting:
            if is_there(what):
                self.waiting.remove(what)
                return what
        return None


class Faults:
    """kills: what was killed in which second and stage, and for how many seconds it was away."""

    def __init__(self, installation: Installation, seed: int, stage: Callable[[], str]) -> None:
        self.installation, self.stage = installation, stage
        self.rng = random.Random(f"faults/{seed}")
        self.deck = Deck(self.rng)
        self.began = time.monotonic()
        self.kills: list[dict[str, Any]] = []

    @asynccontextmanager
    async def going_on(self, every: float | None) -> AsyncIterator[None]:
        """Kill about every so many seconds (None: never) until the block ends and what was killed last is back.

        :raises SystemExit: something did not come back; the block is cancelled.
        """
        if every is None:
            yield
            return
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.go_on(every, over))
                try:
                    yield
                finally:
                    over.set()
        except ExceptionGroup as failed:
            away, others = failed.split((NotBack, DidNotStart))
            if away is None or others is not None:
                raise
            raise SystemExit(str(away.exceptions[0])) from failed

    async def go_on(self, every: float, over: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), every * self.rng.uniform(0.5, 1.5))
                return
            what = self.deck.draw(self.pids_of)
            if what is not None:
                await self.kill(what)

    async def kill(self, what: str) -> None:
        """End a part and wait until it is there again, under other numbers, and the server answers."""
        awaited = "web" if what == EVERYTHING else what
        killed, before = self.pids_of(what), self.pids_of(awaited)
        if what == ONE_WEB:
            killed = {self.rng.choice(sorted(killed))}
        began = time.monotonic()
        note = {"second": round(began - self.began, 1), "stage": self.stage(), "what": what, "away": None}
        self.kills.append(note)
        print(f"  killed in second {note['second']:.0f}: {what}", flush=True)  # noqa: T201
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        if what == EVERYTHING:
            self.installation.start_again()
        if what != TRAINING:
            await self.until_back(awaited, len(before), killed if what == ONE_WEB else before)
            note["away"] = round(time.monotonic() - began, 1)

    async def until_back(self, what: str, wanted: int, gone: set[int]) -> None:
        """:raises NotBack: it is still away after PATIENCE. :raises DidNotStart: `hone up` has ended."""
        deadline = time.monotonic() + PATIENCE
        while True:
            now = self.pids_of(what)
            if len(now) >= wanted and not now & gone and await self.server_answers():
                return
            if self.installation.child.poll() is not None:
                raise DidNotStart(self.installation.last_words())
            if time.monotonic() > deadline:
                raise NotBack(f"{what} did not come back within {PATIENCE:.0f} s of being killed.")
            await asyncio.sleep(LOOK)

    async def server_answers(self) -> bool:
        with suppress(httpx.TransportError):
            async with httpx.AsyncClient(timeout=5.0) as client:
                return (await client.get(f"{self.installation.address}/health")).status_code == 200
        return False

    def pids_of(self, what: str) -> set[int]:
        """The numbers under which a part runs; empty while it does not."""
        if what == EVERYTHING:
            return {self.installation.child.pid}
        if what == POSTGRES:
            found = embedded.running(self.installation.home)
            return {found.pid} if found else set()
        if what == ONE_WEB:
            return children_of(self.listed("web"), "app.serving")
        if what == TRAINING:
            return children_of(self.listed("trainer"), "workers.training")
        return self.listed(what)

    def listed(self, name: str) -> set[int]:
        """What `hone up` has noted under this name, if it lives."""
        try:
            noted = json.loads((self.installation.home / "hone.pids").read_text())["children"]
        except FileNotFoundError:
            return set()
        return {one["pid"] for one in noted if one["name"] == name and pids.start_mark(one["pid"]) == one["mark"]}


def children_of(parents: set[int], word: str) -> set[int]:
    """Living programs that one of `parents` has started, with `word` in their command line."""
    started = {pid for pid in pids.all_pids() if parent_of(pid) in parents and pids.start_mark(pid)}
    return {pid for pid in started if word in " ".join(pids.command_line(pid))}


def parent_of(pid: int) -> int | None:
    """Field 4 of proc(5)'s stat; None when it is gone."""
    try:
        return int((pids.PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return None
