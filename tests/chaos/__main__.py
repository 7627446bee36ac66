"""`make chaos`: people work while what can be killed, frozen, cut or filled up is; then nothing may be wrong.

An installation of its own below a temporary folder, on the loopback, started as a newcomer would. Two hundred faults
and more take ten to twenty minutes. It ends only processes that it started. What was found is printed and written to
var/chaos.json.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from app import database, embedded
from app.accounts.permissions import Role
from app.accounts.tables import User
from app.projects.tables import Project
from app.settings import get_settings
from tests import make
from tests.app.tasks.race import set_up
from tests.chaos.faults import Chaos, drawn, menu
from tests.chaos.people import Load, Person, Said, work
from tests.chaos.proxy import HALF, LOST, Proxy
from tests.chaos.reckoning import DIFFERS, MISSING, doubled, not_done, violations
from workers.demo.loop.client import Client, Refused
from workers.demo.loop.stack import UP, Installation, running

FILE = Path("var/chaos.json")
# Everything but what needs torch: that waits for its packages, as it does while they are being installed.
WITHOUT_TORCH = "from app import extras, supervision; extras.missing = lambda extra: ['torch']; supervision.main()"
SLEPT = "somebody asleep for longer than the lease"


@dataclass(frozen=True)
class Size:
    """people: who work; sleepers: who fall asleep over a task first, so many tasks each, for `asleep` seconds (None:
    their lease is made to run out). cuts: answers that the proxy loses, each way. scale: of `faults.menu`."""

    people: int = 24
    sleepers: int = 10
    naps: int = 2
    asleep: float | None = 75.0
    tasks: int = 24_000  # more than a fast machine gets through
    cuts: int = 45
    scale: float = 1.0
    pause: float = 0.2
    torch: bool = True
    minutes: float = 25.0
    full: bool = True
    disk: str = "4g"


@contextmanager
def a_disk(folder: Path, size: str) -> Iterator[str | None]:
    """A small disk of its own below `folder`, where this machine lets us make one; else why not."""
    made = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    said = subprocess.run(made, capture_output=True, text=True, check=False)
    try:
        yield said.stderr.strip() or "it cannot be made here" if said.returncode else None
    finally:
        if not said.returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


async def set_scene(home: Path, size: Size) -> tuple[str, list[Person], Person]:
    """A project with its tasks in the installation's database; its outside id, and people and an engineer with a token
    each."""
    os.environ |= {"HONE_HOME": str(home), "HONE_DATABASE_URL": embedded.url(home)}
    for kept in (get_settings, database.engine, database.snapshot_engine, database.sessions):
        kept.cache_clear()
    race = await set_up(people=size.people + size.sleepers, tasks=size.tasks)
    async with database.transaction() as session:
        users = [await session.get_one(User, one.person.id) for one in race.people]
        people = [Person(user.id, await make.api_token(session, user)) for user in users]
        engineer = await make.user(session)
        project = await session.get_one(Project, race.people[0].of_project())
        await make.member(session, project, engineer, Role.engineer)
        freezer = Person(engineer.id, await make.api_token(session, engineer))
    await database.dispose()
    return str(project.public_id), people, freezer


def sleeping(seconds: float | None) -> Any:
    """Until the lease of a task is over; without seconds it is made to be."""

    async def sleep(key: str) -> None:
        if seconds is not None:
            await asyncio.sleep(seconds)
            return
        async with database.transaction() as session:
            ended = text("UPDATE slots SET lease_until = now() - interval '1 s' WHERE shown_key = :key AND state = 1")
            await session.execute(ended, {"key": key})

    return sleep


async def freeze_datasets(engineer: Person, load: Load, every: float) -> None:
    """A job now and then that takes its while and must be done once."""
    number = 0
    async with Client(load.address) as client:
        client.http.headers["Authorization"] = f"Bearer {engineer.token}"
        while not load.over.is_set():
            try:
                await client.post(f"/api/v1/projects/{load.project}/datasets", {"name": f"Chaos {number}"})
                number += 1
            except Refused:
                pass  # nothing to freeze yet
            for _second in range(int(every)):
                if not load.over.is_set():
                    await asyncio.sleep(1)


async def settle(seconds: float) -> None:
    """Wait until no lease is over and no job is left, at most so long."""
    unrest = text("""
        SELECT (SELECT count(*) FROM slots WHERE state = 1)
             + (SELECT count(*) FROM jobs.procrastinate_jobs WHERE status = 'doing' OR task_name = 'FreezeDataset')
    """)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        async with database.transaction() as session:
            if not await session.scalar(unrest):
                return
        await asyncio.sleep(0.5)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  (of many things, each of which would need an event)
        await asyncio.sleep(0.1)


async def go(installation: Installation, size: Size, seed: int, disk: str | None) -> dict[str, Any]:
    began, rng = time.monotonic(), drawn(seed)
    project, people, engineer = await set_scene(installation.home, size)
    proxy = Proxy(int(installation.address.rpartition(":")[2]), rng, {LOST: size.cuts, HALF: size.cuts})
    over, said = asyncio.Event(), Said()
    chaos = Chaos(
        installation, seed, f"/api/v1/projects/{project}", people[0].token, disk_full_for=6 if size.full else 1.5
    )
    plan = menu(size.scale, torch=size.torch, disk=disk is None, full=size.full)
    async with proxy.listening(), asyncio.TaskGroup() as group:
        load = Load(proxy.address, project, size.pause, over, said, sleeping(size.asleep))
        for number, person in enumerate(people):
            naps = size.naps if number >= size.people else 0
            group.create_task(work(person, load, random.Random(f"{seed}/{number}"), naps))
        await until(lambda: len(said.acknowledged) >= size.people)
        if size.full:
            group.create_task(freeze_datasets(engineer, load, every=20))
        if size.asleep is None:  # while the database is still left alone
            await until(lambda: said.slept == size.sleepers * size.naps)
        deadline = began + 60 * size.minutes
        await chaos.all_of(plan, deadline)
        await until(lambda: not any(proxy.wanted.values()) or time.monotonic() > deadline)
        in_time = time.monotonic() <= deadline
        over.set()
    await database.dispose()  # of connections that were cut
    await settle(seconds=100)
    async with database.transaction() as session:
        found = await violations(session, said)
        undone = await not_done(session)
    await database.dispose()
    faults = chaos.done + proxy.done
    faults[SLEPT] = said.slept
    return {
        "faults": dict(faults),
        "faults_in_all": faults.total(),
        "acknowledged": len(said.acknowledged),
        "surplus": sum(one.state == "surplus" for one in said.acknowledged),
        "lost": found[MISSING] + found[DIFFERS],
        "doubled": doubled(said.acknowledged, found),
        "violations": found,
        "not_done": undone,
        "recovery_s": {
            kind: {"median": round(median(took), 2), "worst": round(max(took), 2), "n": len(took)}
            for kind, took in sorted(chaos.recovery.items())
        },
        "not_possible_here": {} if disk is None else {"full disk": disk},
        "refused": said.refused[:20],
        "in_time": in_time,  # else not all that was planned was done, for want of time
        "seconds": round(time.monotonic() - began),
        "seed": seed,
    }


def chaos_of(size: Size, seed: int = 1) -> dict[str, Any]:
    """All of it; the installation and its disk are gone afterwards."""
    words = UP if size.torch else (sys.executable, "-c", WITHOUT_TORCH)
    with tempfile.TemporaryDirectory(prefix="hone-chaos-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with a_disk(home, size.disk) as disk, running(home, words, HONE_LEASE_MINUTES="1") as installation:
            return asyncio.run(go(installation, size, seed, disk))


def is_clean(report: dict[str, Any]) -> bool:
    return not any((report["lost"], report["doubled"], *report["violations"].values()))


def show(report: dict[str, Any]) -> None:
    for kind, count in sorted(report["faults"].items()):
        back = report["recovery_s"].get(kind)
        again = f"back after {back['median']:6.2f} s, at worst {back['worst']:6.2f} s" if back else ""
        print(f"{count:6}  {kind:<46}{again}")
    print(f"{report['faults_in_all']:6}  faults in {report['seconds']} s; {report['not_possible_here'] or ''}")
    print(f"{report['acknowledged']:6}  answers acknowledged, {report['surplus']} of them as surplus")
    print(f"{report['lost']:6}  lost\n{report['doubled']:6}  doubled")
    for name, count in report["violations"].items():
        print(f"{count:6}  {name}")
    for line in report["not_done"]:
        print(f"        {line}")


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the usual number of faults")
    parser.add_argument("--minutes", type=float, default=25.0, help="no fault begins later")
    parser.add_argument("--without-torch", action="store_true", help="neither sampler nor trainer")
    asked = parser.parse_args(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the installation is stopped on the way out
    cuts = max(1, round(45 * asked.scale))
    size = Size(scale=asked.scale, minutes=asked.minutes, torch=not asked.without_torch, cuts=cuts)
    report = chaos_of(size, asked.seed)
    show(report)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if is_clean(report) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
