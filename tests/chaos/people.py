"""Simulated annotators over HTTP, who note what was acknowledged; some fall asleep over a task for longer than it is
kept for them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from workers.demo.loop.client import Client, Refused

IDLE = 0.5  # seconds between two looks at an empty queue


@dataclass(frozen=True)
class Acknowledged:
    """An answer that the server said it had kept. side: of the screen, that was preferred. state: live or surplus."""

    id: str
    task: str
    key: str
    person: int
    side: int
    strength: int
    state: str


@dataclass(frozen=True)
class Person:
    """id: the inside one. token: of the API."""

    id: int
    token: str


@dataclass
class Said:
    """refused: answers that the server would not keep, in its words: there may be none. slept: tasks whose time was
    over before they were answered."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    slept: int = 0


@dataclass(frozen=True)
class Load:
    """What everybody does. sleep: until the time of a task is over, given its key."""

    address: str
    project: str
    pause: float
    over: asyncio.Event
    said: Said
    sleep: Callable[[str], Awaitable[None]]


async def work(person: Person, load: Load, rng: random.Random, sleeps: int = 0) -> None:
    """Task after task until it is over. sleeps: how many of them are slept over, the first ones."""
    async with Client(load.address) as client:
        client.http.headers["Authorization"] = f"Bearer {person.token}"
        while not load.over.is_set():
            task = await client.post(f"/api/v1/projects/{load.project}/tasks/next")
            if task["task"] is None:
                await asyncio.sleep(IDLE)
                continue
            if sleeps:
                await load.sleep(task["key"])
                sleeps -= 1
                load.said.slept += 1
            await asyncio.sleep(load.pause * rng.uniform(0.5, 1.5))
            await answer(client, person, task, load.said, rng)


async def answer(client: Client, person: Person, task: dict[str, Any], said: Said, rng: random.Random) -> None:
    side, strength = rng.randrange(2), rng.randrange(1, 4)
    body = {"kind": "comparison", "outcome": "preferred", "strength": strength}
    body["preferred"] = task["answers"][side]["handle"]
    try:
        saved = await client.post(f"/api/v1/tasks/{task['task']}/annotations", {"key": task["key"], "body": body})
    except Refused as refusal:
        said.refused.append(str(refusal))
        return
    kept = (saved["id"], task["task"], task["key"], person.id, side, strength, saved["state"])
    said.acknowledged.append(Acknowledged(*kept))
