"""`make loop`: from prompts to a policy that people prefer, without a browser.

An installation of its own is started as a newcomer would; the simulated annotators sign in and answer over REST like
anybody else; what they like is hidden from everything but themselves and the last judge.
"""

import argparse
import asyncio
import json
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.checkpoints.queries import BUNDLED
from workers.demo.loop import control, measures
from workers.demo.loop.client import Client
from workers.demo.loop.faults import Faults
from workers.demo.loop.people import Given, Person, all_work, hire
from workers.demo.loop.reckoning import reckoned
from workers.demo.loop.report import answers_kept, bars, report_of
from workers.demo.loop.sizes import ANSWERS, METHODS, Method, Size, small, whole
from workers.demo.loop.stack import Installation, running
from workers.demo.prompts import DemoPrompt

FOLDER = Path("var/loop")
JUDGES = 4  # people a pair of the evaluation


class Loop:
    """One pass: what is known so far, and how long each stage took."""

    def __init__(
        self, installation: Installation, manager: Client, seed: int, size: Size, method: Method = "ppo"
    ) -> None:
        self.installation, self.manager, self.seed, self.size = installation, manager, seed, size
        self.method: Method = method
        self.seconds: dict[str, float] = {}
        self.project, self.doing = "", ""
        self.people: list[Person] = []
        self.runs: list[dict[str, Any]] = []
        self.faults = Faults(installation, seed, lambda: self.doing)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        print(f"{name} …", flush=True)  # noqa: T201
        self.doing = name
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def path(self, rest: str) -> str:
        return f"/api/v1/projects/{self.project}/{rest}"

    async def until(self, path: str, *states: str) -> dict[str, Any]:
        """Ask again until the thing is in one of `states`; :raises SystemExit: it failed."""
        while True:
            found: dict[str, Any] = await self.manager.get(path)
            if found["state"] in states:
                return found
            if found["state"] in ("failed", "cancelled", "refused"):
                raise SystemExit(f"{path} is {found['state']}: {found.get('reason')}")
            await asyncio.sleep(0.5)

    async def pages(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every row of a list that comes in pages."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.manager.get(path, limit=200, **query, **cursor)
            rows += page["rows"]
            if page["next"] is None:
                return rows
            cursor = {"cursor": page["next"]}


async def first_sign_in(manager: Client, installation: Installation) -> None:
    """Open the one-time link as the first admin does, and give the account a password."""
    form = {"name": "Admin", "email": "admin@localhost.localdomain", "password": secrets.token_urlsafe(18)}
    await manager.call("POST", f"/sign-in/{installation.link}", data=form)


async def set_up(loop: Loop, prompts: list[DemoPrompt]) -> list[Person]:
    """A project with its prompts and people."""
    demo = (await loop.manager.get("/api/v1/projects"))[0]["id"]
    bundled = (await loop.manager.get(f"/api/v1/projects/{demo}/checkpoints"))["rows"][0]["id"]
    form = {"name": "Loop", "checkpoint": bundled, "low_water": 0, "generation_limit": 0}
    loop.project = (await loop.manager.post("/api/v1/projects", form))["id"]
    lines = b"".join(json.dumps(prompt.line()).encode() + b"\n" for prompt in prompts)
    headers = {"Content-Type": "application/x-ndjson"}
    report = (await loop.manager.call("POST", loop.path("prompts"), content=lines, headers=headers)).json()
    if report["new"] != len(prompts):
        raise SystemExit(f"the prompts did not all come in: {report}")
    return await hire(loop.manager, loop.installation.address, loop.project)


async def generate(loop: Loop, **form: Any) -> dict[str, Any]:
    asked = await loop.manager.post(loop.path("generations"), form)
    return await loop.until(f"/api/v1/generations/{asked['id']}", "finished")


async def collect(loop: Loop, people: list[Person], prompts: int) -> list[Given]:
    """Ask for completions and let people answer while they still arrive."""
    enough = asyncio.Event()
    work = asyncio.create_task(all_work(people, loop.installation.address, loop.project, loop.seed, enough))
    await generate(loop, use="label", most=prompts, n=ANSWERS, seed=loop.seed)
    await tasks_are_made(loop)
    enough.set()
    return await work


async def tasks_are_made(loop: Loop) -> None:
    """Wait until the number of tasks stands still: the last completions have been paired."""
    before = -1
    while (now := await counted(loop)) != before or now == 0:
        before = now
        await asyncio.sleep(2.0)


async def counted(loop: Loop) -> int:
    progress = (await loop.manager.get(f"/api/v1/projects/{loop.project}"))["progress"]
    return int(progress["done"] + progress["leased"] + progress["free"])


async def freeze(loop: Loop, share: float) -> tuple[dict[str, Any], bytes]:
    """The dataset, and its lines as anybody may take them."""
    asked = await loop.manager.post(loop.path("datasets"), {"name": "Loop", "heldout_share": share})
    dataset = await loop.until(f"/api/v1/datasets/{asked['id']}", "frozen")
    records = (await loop.manager.call("GET", f"/api/v1/datasets/{asked['id']}/records")).content
    return dataset, records


async def train(loop: Loop, method: str, form: dict[str, Any]) -> dict[str, Any]:
    """A run that succeeded. One that failed while something was killed is noted and asked for once more."""
    killed = len(loop.faults.kills)
    asked = await loop.manager.post(loop.path(f"runs/{method}"), form | {"seed": loop.seed})
    found = await loop.until(f"/api/v1/runs/{asked['id']}", "succeeded", "failed")
    loop.runs.append({name: found[name] for name in ("method", "state", "attempt", "reason")})
    if found["state"] == "succeeded":
        return found
    if len(loop.faults.kills) == killed:
        raise SystemExit(f"{found['name']} failed: {found['reason']}")
    return await train(loop, method, form)


async def evaluate(loop: Loop, people: list[Person], candidate: str, baseline: str) -> dict[str, Any]:
    """The blind comparison, as ordinary tasks that the same people answer."""
    form = {"candidate": candidate, "baseline": baseline, "k": JUDGES, "seed": loop.seed + 1}
    form["prompts"] = loop.size.evaluated
    asked = await loop.manager.post(loop.path("evaluations"), form)
    enough = asyncio.Event()
    work = asyncio.create_task(all_work(people, loop.installation.address, loop.project, loop.seed + 1, enough))
    found = await loop.until(f"/api/v1/evaluations/{asked['id']}", "finished")
    enough.set()
    await work
    return found


def given_on(given: list[Given], records: bytes, split: str) -> list[Given]:
    """The answers whose prompt stands on one side of the dataset."""
    lines = [json.loads(line) for line in records.splitlines()]
    there = {line["prompt"][-1]["parts"][0]["text"] for line in lines if line["split"] == split}
    return [one for one in given if one.prompt in there]


async def answers_of(loop: Loop, checkpoint: str, words: dict[str, str]) -> dict[str, measures.Answered]:
    return measures.by_prompt(await loop.pages(loop.path("completions"), checkpoint=checkpoint), words)


async def go_round(loop: Loop) -> dict[str, Any]:
    """Every stage once; the report."""
    prompts = loop.size.asked()
    labelled = [prompt for prompt in prompts if prompt.use == "label"]
    share = loop.size.heldout_share(labelled)
    with loop.stage("set up"):
        loop.people = people = await set_up(loop, prompts)
    with loop.stage("collect"):
        given = await collect(loop, people, len(labelled))
    with loop.stage("freeze"):
        dataset, records = await freeze(loop, share)
    with loop.stage("reward model"):
        config = loop.size.reward.model_dump(mode="json")
        reward = await train(loop, "reward", {"dataset": dataset["id"], "config": config})
    with loop.stage("control"):
        folder = loop.installation.home / "control"
        shuffled = await control.accuracy_heldout(records, BUNDLED, config, folder, loop.seed)
    with loop.stage(loop.method.upper()):
        kind, form = loop.size.policy_run(loop.method, dataset["id"], reward["result"])
        policy = await train(loop, kind, form)
    with loop.stage("evaluate"):
        candidate, baseline = policy["result"], (await the_base(loop))["id"]
        compared = await evaluate(loop, people, candidate, baseline)
        words = await heldout_words(loop)
        new, old = await answers_of(loop, candidate, words), await answers_of(loop, baseline, words)
        kl = await divergence_of(loop, policy, new)
    with loop.stage("best of four"):
        best = await best_of_four(loop, reward["result"], baseline, words, old)
    return report_of(
        seed=loop.seed,
        method=loop.method,
        seconds=loop.seconds,
        given=given,
        measured=given_on(given, records, "heldout"),
        votes=dataset["manifest"]["counts"]["votes"],
        reward=reward,
        policy=policy,
        kl=kl,
        people=compared["result"]["people"],
        texts=(new, old),
        shuffled=shuffled,
        best_of_four=best,
        checkpoints={"base": baseline, "reward": reward["result"], "policy": candidate},
    )


async def divergence_of(loop: Loop, policy: dict[str, Any], new: dict[str, measures.Answered]) -> float:
    """As the run measured it; a method that has no price of divergence does not, so it is read off the answers."""
    if "kl" in policy["report"]:
        return float(policy["report"]["kl"])
    folder = await folder_of(loop, policy["result"])
    return await asyncio.to_thread(measures.divergence, BUNDLED, folder, new)


async def the_base(loop: Loop) -> dict[str, Any]:
    found = await loop.pages(loop.path("checkpoints"))
    return next(one for one in found if one["kind"] == "base")


async def heldout_words(loop: Loop) -> dict[str, str]:
    rows = await loop.pages(loop.path("prompts"), use="heldout")
    return {row["id"]: row["messages"][-1]["parts"][0]["text"] for row in rows}


async def best_of_four(
    loop: Loop, reward: str, baseline: str, words: dict[str, str], old: dict[str, measures.Answered]
) -> float:
    """Four further answers of the base to the prompts that were compared. One may be what the base said before, word
    for word: that is a draw like any other, and a tie where it is the best."""
    asked = [prompt for prompt in words if prompt in old]
    before = {row["id"] for row in await loop.pages(loop.path("completions"), checkpoint=baseline)}
    await generate(loop, checkpoint=baseline, prompts=asked, n=4, seed=loop.seed + 2)
    rows = await loop.pages(loop.path("completions"), checkpoint=baseline)
    drawn = measures.by_prompt([row for row in rows if row["id"] not in before], words)
    folder = await folder_of(loop, reward)
    return await asyncio.to_thread(measures.best_of_four, BUNDLED, folder, drawn, old)


async def folder_of(loop: Loop, checkpoint: str) -> Path:
    """Where a run's weights are: this program stands on the same machine."""
    run = next(run for run in await loop.pages(loop.path("runs")) if run["result"] == checkpoint)
    return loop.installation.home / "checkpoints" / str(run["id"])


async def reckon(loop: Loop) -> dict[str, Any]:
    """What was killed, how the runs ended, and whether every answer that was acknowledged is there, once."""
    lines = (await loop.manager.call("GET", loop.path("annotations.jsonl"))).text.splitlines()
    acknowledged = [one for person in loop.people for one in person.acknowledged]
    return {
        "kills": loop.faults.kills,
        "runs": loop.runs,
        "answers": reckoned(acknowledged, [json.loads(line) for line in lines]),
    }


async def run(asked: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    with running(asked.folder / "home") as installation:
        async with Client(installation.address) as manager:
            await first_sign_in(manager, installation)
            loop = Loop(installation, manager, asked.seed, small() if asked.small else whole(), asked.method)
            loop.seconds["start"] = round(time.monotonic() - began, 1)
            async with loop.faults.going_on(every=asked.kill):
                report = await go_round(loop)
            return report | {"faults": await reckon(loop)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.demo.loop", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="changes every random choice")
    parser.add_argument("--method", choices=METHODS, default="ppo", help="what makes the policy")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill a part of it about so often, by kill -9")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the installation and the report lie")
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)  # too little to keep the bars
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the installation is stopped on the way out
    report = asyncio.run(run(asked))
    kept = answers_kept(report) if asked.small else bars(report)
    (asked.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    for what, value, bar, holds in kept:
        print(f"{what:<32}{value:>10.3f}   {bar:<14}{'' if holds else 'MISSED'}")  # noqa: T201
    return 0 if all(holds for *_rest, holds in kept) else 1


if __name__ == "__main__":
    sys.exit(main())
