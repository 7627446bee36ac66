"""Long random histories: whatever people do in whatever order, what was acknowledged is there and the rules hold."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import AlreadyAnswered, EditedMeanwhile, KeyUsed, edit, set_aside, submit, withdraw
from app.annotations.kinds import ComparisonBody
from app.annotations.tables import Annotation, AnnotationState, AnnotationVersion
from app.errors import NotFound
from app.tasks.actions import Showing, cancel_tasks, change_k, claim, release, run_out, skip, sweep
from tests.app.scene import Scene, broken, prefers, scene

PEOPLE, TASKS, STEPS = 4, 5, 70


@dataclass
class Acknowledged:
    """What we told a person: their answer is kept under this id, in this version, saying this."""

    person: int
    shown: Showing
    first: ComparisonBody
    id: UUID
    version: int = 1
    outcomes: list[str] = field(default_factory=list)
    taken_off: bool = False


@dataclass
class World:
    session: AsyncSession
    there: Scene
    chance: random.Random
    shown: list[tuple[int, Showing]] = field(default_factory=list)
    told: dict[UUID, Acknowledged] = field(default_factory=dict)
    deeds: list[str] = field(default_factory=list)

    @property
    def project(self) -> int:
        return self.there.project.id

    def person(self, nth: int) -> int:
        return self.there.people[nth].person.id

    def body(self, shown: Showing) -> ComparisonBody:
        if self.chance.random() < 0.3:
            return ComparisonBody(outcome=self.chance.choice(["tie", "both_bad"]))
        return prefers(shown, self.chance.randrange(2), self.chance.randint(1, 3))

    async def claims(self) -> None:
        nth = self.chance.randrange(PEOPLE)
        found = await claim(self.session, self.there.people[nth])
        if isinstance(found, Showing):
            held = [shown for person, shown in self.shown if person == nth and shown.key == found.key]
            assert all(shown.sides == found.sides for shown in held)
            self.shown.append((nth, found))

    async def submits(self) -> None:
        """Anything that was ever shown may be answered, once or again, in time or late."""
        if not self.shown:
            return
        nth, shown = self.chance.choice(self.shown[-6:])
        before = self.told.get(shown.key)
        body = before.first if before and self.chance.random() < 0.5 else self.body(shown)
        try:
            saved = await submit(self.session, self.project, self.person(nth), shown.task, shown.key, body)
        except KeyUsed:
            assert before is not None
            assert body != before.first
            return
        except AlreadyAnswered:
            assert before is None
            assert any(one.person == nth and one.shown.task == shown.task for one in self.told.values())
            return
        if before:
            assert saved.is_repeat
            assert saved.public_id == before.id
        else:
            self.told[shown.key] = Acknowledged(nth, shown, body, saved.public_id, outcomes=[body.outcome])

    async def edits(self) -> None:
        kept = [one for one in self.told.values() if not one.taken_off]
        if not kept:
            return
        one = self.chance.choice(kept)
        seen = one.version - (self.chance.random() < 0.2)
        body = ComparisonBody(outcome=self.chance.choice(["tie", "both_bad"]))
        try:
            saved = await edit(self.session, self.project, self.person(one.person), one.id, seen, body)
        except EditedMeanwhile:
            assert seen != one.version
            return
        assert seen == one.version or body.outcome == one.outcomes[-1]
        if saved.version != one.version:
            one.version += 1
            one.outcomes.append(body.outcome)
        assert saved.version == one.version

    async def takes_off(self) -> None:
        kept = [one for one in self.told.values() if not one.taken_off]
        if not kept:
            return
        one = self.chance.choice(kept)
        if self.chance.random() < 0.5:
            await withdraw(self.session, self.project, self.person(one.person), one.id)
        else:
            await set_aside(self.session, self.project, one.id, actor_id=self.person(0), reason="a second look")
        one.taken_off = True

    async def leaves(self) -> None:
        if not self.shown:
            return
        nth, shown = self.chance.choice(self.shown[-4:])
        deed = self.chance.choice([skip, release])
        await deed(self.session, self.project, self.person(nth), shown.task, shown.key)

    async def time_passes(self) -> None:
        await self.session.execute(
            text("UPDATE slots SET lease_until = now() - interval '1 s' WHERE state = 1 AND random() < 0.5")
        )
        if self.chance.random() < 0.6:
            for lease in await run_out(self.session):
                assert await sweep(self.session, *lease)

    async def k_changes(self) -> None:
        task = self.chance.choice(self.there.tasks)
        await change_k(self.session, self.project, task, self.chance.choice([2, 3, 4]))

    async def cancels(self) -> None:
        if self.chance.random() < 0.1:
            await cancel_tasks(self.session, self.project, [self.chance.choice(self.there.tasks)])

    async def lies(self) -> None:
        """A key that was shown to somebody else opens nothing."""
        if not self.shown:
            return
        nth, shown = self.chance.choice(self.shown)
        with pytest.raises(NotFound):
            other = self.person((nth + 1) % PEOPLE)
            mine = [one for person, one in self.shown if person == (nth + 1) % PEOPLE and one.task == shown.task]
            if mine:
                raise NotFound
            await submit(self.session, self.project, other, shown.task, shown.key, self.body(shown))

    async def check(self) -> None:
        found = await broken(self.session)
        found.pop("I5 more than k live", None)  # answers given before k was lowered stay
        assert found == {}
        stored = {
            one.public_id: one
            for one in await self.session.scalars(select(Annotation).execution_options(populate_existing=True))
        }
        assert {one.id for one in self.told.values()} == set(stored)
        for key, one in self.told.items():
            row = stored[one.id]
            assert (row.idempotency_key, row.body_hash, row.version) == (key, one.first.digest(), one.version)
            assert row.body["outcome"] == one.outcomes[-1]
            assert one.taken_off == (row.state in (AnnotationState.withdrawn, AnnotationState.set_aside))
            old = await self.session.scalars(
                select(AnnotationVersion.body).where(AnnotationVersion.annotation_id == row.id).order_by("version")
            )
            assert [body["outcome"] for body in old] == one.outcomes[:-1]


@pytest.mark.parametrize("seed", range(12))
async def test_any_history_keeps_every_acknowledged_answer_and_all_rules(session: AsyncSession, seed: int) -> None:
    there = await scene(session, people=PEOPLE, tasks=TASKS, k=3, daily_limit=8)
    world = World(session, there, random.Random(seed))
    deeds: list[tuple[Callable[[], Awaitable[None]], int]] = [
        (world.claims, 30),
        (world.submits, 30),
        (world.edits, 8),
        (world.takes_off, 3),
        (world.leaves, 6),
        (world.time_passes, 8),
        (world.k_changes, 3),
        (world.cancels, 2),
        (world.lies, 3),
    ]
    for _ in range(STEPS):
        (deed,) = world.chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
        world.deeds.append(deed.__name__)
        await deed()
        if len(world.deeds) % 10 == 0:
            await world.check()
    assert len(world.told) > 3
