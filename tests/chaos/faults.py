"""What is done to an installation while people work: parts are killed, frozen, and the disk fills up."""

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import httpx

from workers.demo.loop.faults import EVERYTHING, ONE_WEB, POSTGRES, Faults, children_of
from workers.demo.loop.stack import Installation

BACKEND = "one backend of Postgres"
DISK = "the disk is full"
PIECE = 1 << 20


def killed(what: str) -> str:
    return f"{what} killed"


def frozen(what: str, seconds: float) -> str:
    return f"{what} frozen for {seconds:g} s"


class Chaos(Faults):
    """done: how many of each kind. recovery: seconds by kind, until the part is back and the project's page answers."""

    def __init__(
        self, installation: Installation, seed: int, path: str, token: str, *, disk_full_for: float = 6.0
    ) -> None:
        super().__init__(installation, seed, lambda: "")
        self.disk_full_for = disk_full_for
        self.path, self.headers = path, {"Authorization": f"Bearer {token}"}
        self.done = Counter[str]()
        self.recovery: dict[str, list[float]] = defaultdict(list)

    async def server_answers(self) -> bool:
        """Whether a page that needs the database comes."""
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=5.0, headers=self.headers) as client:
                return (await client.get(self.installation.address + self.path)).status_code == 200
        return False

    async def all_of(self, plan: Mapping[str, int], deadline: float) -> None:
        """Every kind so often as the plan says, in a drawn order, one after the other; none begins after the deadline.

        Kinds: `killed(part)`, `frozen(part, seconds)`, DISK.
        """
        wanted = [kind for kind, count in plan.items() for _nth in range(count)]
        for kind in self.rng.sample(wanted, len(wanted)):
            if time.monotonic() > deadline:
                return
            await self.do(kind)
            await asyncio.sleep(self.rng.uniform(0.1, 0.5))

    async def do(self, kind: str) -> None:
        if kind == DISK:
            self.recovery[kind].append(await self.fill_the_disk(self.disk_full_for))
        elif kind.endswith(" killed"):
            await self.kill_and_wait(kind)
        else:
            what, _frozen, seconds = kind.removesuffix(" s").partition(" frozen for ")
            await self.freeze(kind, what, float(seconds))
        self.done[kind] += 1

    async def kill_and_wait(self, kind: str) -> None:
        what = kind.removesuffix(" killed")
        while not self.pids_of(what):  # noqa: ASYNC110  (it is still on its way up)
            await asyncio.sleep(0.05)
        began = time.monotonic()
        if what == BACKEND:
            await self.kill_backend()
        else:
            await self.kill(what)
        self.recovery[kind].append(time.monotonic() - began)

    async def kill_backend(self) -> None:
        """Postgres ends all its connections and recovers by itself, under the same number."""
        with suppress(ProcessLookupError):
            os.kill(self.rng.choice(sorted(self.pids_of(BACKEND))), SIGKILL)
        await self.until_it_answers()

    async def freeze(self, kind: str, what: str, seconds: float) -> None:
        stopped = self.rng.choice(sorted(self.pids_of(what)) or [0])
        if not stopped:
            return
        with suppress(ProcessLookupError):
            os.kill(stopped, SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.kill(stopped, SIGCONT)
        self.recovery[kind].append(await self.until_it_answers())

    async def fill_the_disk(self, seconds: float) -> float:
        """Nothing can be written for so long, and a worker dies meanwhile; returns the seconds after which the page
        answers again and the worker is there."""
        ballast, tidy = self.installation.home / "ballast", self.pids_of("tidy")
        began = time.monotonic()
        try:
            await asyncio.to_thread(fill, ballast)
            for pid in tidy:
                os.kill(pid, SIGKILL)
            while time.monotonic() - began < seconds:
                await asyncio.to_thread(fill, ballast)  # what others have given back
                await asyncio.sleep(0.2)
        finally:
            ballast.unlink(missing_ok=True)
        began = time.monotonic()
        await self.until_back("tidy", 1, tidy)
        return time.monotonic() - began

    async def until_it_answers(self) -> float:
        began = time.monotonic()
        await self.until_back(EVERYTHING, 1, set())
        return time.monotonic() - began

    def pids_of(self, what: str) -> set[int]:
        if what == BACKEND:
            return children_of(super().pids_of(POSTGRES), "postgres: hone")
        return super().pids_of(what)


def fill(ballast: Path) -> None:
    """Take what room is left, down to the last bytes."""
    size = PIECE
    with ballast.open("ab", buffering=0) as file:
        while size >= 512:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 4


def menu(scale: float, *, torch: bool, disk: bool, full: bool) -> dict[str, int]:
    """About 110 faults at scale 1, where every part is there. full: also those that take longer than a test may."""
    counts = {killed(ONE_WEB): 40, killed(POSTGRES): 16, killed(BACKEND): 16, killed("tidy"): 8}
    long = 2 if full else 0.5
    counts |= {frozen(ONE_WEB, long): 8, frozen(POSTGRES, long): 4, frozen(BACKEND, long): 8}
    if full:
        counts |= {killed(EVERYTHING): 1, killed("web"): 4, frozen("tidy", 40): 2, frozen(ONE_WEB, 35): 1}
    if torch:
        counts |= {killed("sampler"): 3, killed("trainer"): 3}
    if disk:
        counts[DISK] = 3
    return {kind: max(1, round(count * scale)) for kind, count in counts.items()}


def drawn(seed: int) -> random.Random:
    return random.Random(f"chaos/{seed}")
