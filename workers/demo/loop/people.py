"""The simulated annotators at work: each signs in and answers whatever the hand-out gives, until nothing waits."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.preferences.votes import Outcome
from workers.demo.annotators import ANNOTATORS, Annotator, choose
from workers.demo.loop.client import Client, Refused
from workers.demo.loop.reckoning import Acknowledged

IDLE = 0.3  # seconds between two looks at an empty queue
AHEAD = 10  # answers more than the slowest; then one waits a little, or a busy machine would change who says how much


@dataclass(frozen=True)
class Given:
    """An answer that was acknowledged: who said what about which two texts, a shown first."""

    annotator: str
    prompt: str
    a: str
    b: str
    outcome: Outcome


@dataclass
class Person:
    """An annotator with an account."""

    annotator: Annotator
    email: str
    password: str
    given: list[Given] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)


async def hire(manager: Client, address: str, project: str) -> list[Person]:
    """Invite the annotators to the project; each accepts, as anybody would by the link."""
    people = [Person(one, f"{one.name}@example.org", secrets.token_urlsafe(18)) for one in ANNOTATORS]
    invitation = {"emails": [person.email for person in people], "role": "annotator"}
    invited = await manager.post(f"/api/v1/projects/{project}/invitations", invitation)
    links = {one["email"]: one["path"].rpartition("/")[2] for one in invited}
    for person in people:
        async with Client(address) as client:
            form = {"name": person.annotator.name, "password": person.password, "consent": True}
            try:
                await client.post(f"/api/v1/invitations/{links[person.email]}", form)
            except Refused:  # accepted by a try whose answer was lost, and links work once: then the account is there
                await client.sign_in(person.email, person.password)
    return people


def answer_to(task: Mapping[str, Any], annotator: Annotator, seed: int) -> tuple[dict[str, Any], Given]:
    """The annotator's answer as the API wants it, and as the report counts it."""
    prompt = task["prompt"][-1]["text"]
    (first, a), (second, b) = [(shown["handle"], shown["text"]) for shown in task["answers"]]
    choice = choose(annotator, prompt, a, b, levels=task["levels"], seed=seed)
    body: dict[str, Any] = {"kind": "comparison", "outcome": choice.outcome.value}
    if choice.strength is not None:
        preferred = first if choice.outcome is Outcome.a else second
        body |= {"outcome": "preferred", "preferred": preferred, "strength": choice.strength}
    return body, Given(annotator.name, prompt, a, b, choice.outcome)


async def work(
    person: Person, people: list[Person], address: str, project: str, seed: int, enough: asyncio.Event
) -> None:
    """Answer task after task until `enough` is set and nothing waits, keeping step with the others."""
    async with Client(address) as client:
        await client.sign_in(person.email, person.password)
        while True:
            task = await client.post(f"/api/v1/projects/{project}/tasks/next")
            if task["task"] is None:
                if enough.is_set():
                    return
                await asyncio.sleep(IDLE)
                continue
            body, given = answer_to(task, person.annotator, seed)
            answer = {"key": task["key"], "body": body}
            saved = await client.post(f"/api/v1/tasks/{task['task']}/annotations", answer)
            person.given.append(given)
            person.acknowledged.append(Acknowledged(saved["id"], task["task"], given.outcome, body.get("strength")))
            if len(person.given) - min(len(one.given) for one in people) > AHEAD:
                await asyncio.sleep(IDLE)


async def all_work(people: list[Person], address: str, project: str, seed: int, enough: asyncio.Event) -> list[Given]:
    """Everybody at once; the answers of this round."""
    before = {person.email: len(person.given) for person in people}
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(work(person, people, address, project, seed, enough))
    return [given for person in people for given in person.given[before[person.email] :]]
