"""The sampler process: one engine behind two doors, the queue and loopback HTTP."""

import asyncio
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from app import database
from app.checkpoints.queries import IS_READY, base_of, location_of, writers_here
from app.checkpoints.tables import Checkpoint, CheckpointKind, Place
from app.jobs.queue import Queue
from app.jobs.rules import Card
from app.settings import Settings
from workers.running import work
from workers.sampling.door import door_server, make_door
from workers.sampling.engine import Engine
from workers.sampling.token import door_token
from workers.tenancy import Tenancy
from workers.training.cards import card_of


async def serve(settings: Settings) -> None:
    """Answer until told to stop. The door closes after the queue, so that a live chat outlasts the jobs."""
    engine = Engine(device=settings.device, threads=settings.threads)
    found = card_of(settings.device)
    tenancy = Tenancy(engine, Card(*found)) if found else None  # a CPU is nobody's alone
    staying = asyncio.create_task(tenancy.stay()) if tenancy else None
    app = make_door(engine, folder_of, names, door_token(settings.home), judge_of)
    server = door_server(app, settings.sampler_port)
    door = asyncio.create_task(server.serve())
    try:
        await work(Queue.sampling, concurrency=4, engine=engine, also=Queue.talking)
    finally:
        if staying is not None:
            staying.cancel()
        if tenancy is not None and not tenancy.has:
            await engine.close()  # whoever waits for the card is told that it will not come
        server.should_exit = True
        await door
        await engine.close()
        if tenancy is not None:
            await tenancy.end()


async def folder_of(name: str) -> Path | None:
    """The folder of the checkpoint with this outside id."""
    try:
        wanted = writers_here().where(Checkpoint.public_id == UUID(name))
    except ValueError:
        return None
    async with database.transaction() as session:
        found = await session.scalar(wanted)
    return location_of(found) if found else None


async def judge_of(name: str) -> tuple[Path, Path] | None:
    """The folders of the reward model with this outside id, and of what it stands on."""
    try:
        wanted = select(Checkpoint).where(Checkpoint.public_id == UUID(name), IS_READY)
    except ValueError:
        return None
    async with database.transaction() as session:
        reward = await session.scalar(wanted.where(Checkpoint.kind == CheckpointKind.reward))
        base = await base_of(session, reward.project_id, reward) if reward else None
    if reward is None or base is None or base.place is Place.endpoint:
        return None
    return location_of(reward), location_of(base)


async def names() -> list[str]:
    async with database.transaction() as session:
        return [str(checkpoint.public_id) for checkpoint in await session.scalars(writers_here())]
