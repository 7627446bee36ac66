"""A file that came in is looked at, kept as a clean copy, and what waited for it goes on."""

import asyncio
import hashlib
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from app import database
from app.media.actions import take_upload
from app.media.files import came_at, kept_at
from app.media.jobs import ExamineMedium
from app.media.tables import Medium, MediumState
from app.prompts.actions import import_prompts
from app.prompts.tables import Prompt
from app.settings import get_settings
from tests import make
from tests.workers.media import files
from workers import fetching
from workers.handlers import media as handler
from workers.handlers.media import examine
from workers.handlers.registry import MAX_ATTEMPTS, Context

pytestmark = pytest.mark.committed
A = "https://pictures.test/fern.png"


@pytest.fixture
def context(committed: str) -> Context:
    return Context(get_settings())


async def uploaded(content: bytes) -> Medium:
    async with database.transaction() as session:
        project = await make.project(session)
        return await take_upload(session, project.id, "fern.png", io.BytesIO(content), None)


async def now(medium: Medium) -> Medium:
    async with database.transaction() as session:
        return await session.get_one(Medium, medium.id)


async def test_an_upload_is_kept_clean_under_the_hash_of_what_is_kept(context: Context) -> None:
    content = files.picture()
    medium = await uploaded(content)
    await examine(ExamineMedium(medium_id=medium.id), context)
    await examine(ExamineMedium(medium_id=medium.id), context)  # safe to run twice
    settled = await now(medium)
    assert (settled.state, settled.media_type, settled.width) == (MediumState.ready, "image/png", 40)
    kept = kept_at(settled.sha256 or "").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == settled.sha256
    assert settled.source_sha256 == hashlib.sha256(content).hexdigest()
    assert files.SECRET not in kept
    assert not came_at(medium.public_id).exists()


async def test_what_is_no_medium_is_refused_and_gone(context: Context) -> None:
    medium = await uploaded(b"<svg onload=alert(1)>")
    await examine(ExamineMedium(medium_id=medium.id), context)
    settled = await now(medium)
    assert settled.state is MediumState.refused
    assert "none of these" in (settled.reason or "")
    assert not came_at(medium.public_id).exists()


async def test_an_address_is_fetched_and_its_line_comes_in(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(address: str, target: Path, most: int) -> None:
        assert (address, most) == (A, context.settings.max_media_mb << 20)
        await asyncio.to_thread(target.write_bytes, files.picture())

    monkeypatch.setattr(handler, "fetch", fetch)
    row = {"prompt": [{"type": "text", "text": "What?"}, {"type": "image", "url": A}]}
    async with database.transaction() as session:
        project = await make.project(session)
        await import_prompts(session, project.id, "x", io.BytesIO(json.dumps(row).encode()), None)
        medium = (await session.scalars(select(Medium))).one()
    await examine(ExamineMedium(medium_id=medium.id), context)
    async with database.transaction() as session:
        [prompt] = (await session.scalars(select(Prompt))).all()
    assert prompt.messages[0]["parts"][1]["sha256"] == (await now(medium)).sha256


async def test_what_may_come_later_is_tried_again_and_refused_at_last(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_asked: object) -> None:
        raise fetching.NotFetched("its server answered with status 503", retryable=True)

    monkeypatch.setattr(handler, "fetch", busy)
    async with database.transaction() as session:
        project = await make.project(session)
        medium = Medium(project_id=project.id, source_url=A)
        session.add(medium)
    with pytest.raises(fetching.NotFetched):
        await examine(ExamineMedium(medium_id=medium.id), context)
    assert (await now(medium)).state is MediumState.waiting
    await examine(ExamineMedium(medium_id=medium.id), Context(context.settings, attempt=MAX_ATTEMPTS - 1))
    assert (await now(medium)).reason == "its server answered with status 503"


async def test_what_breaks_the_looking_itself_is_refused_at_last(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_asked: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(handler, "fetch", broken)
    async with database.transaction() as session:
        project = await make.project(session)
        medium = Medium(project_id=project.id, source_url=A)
        session.add(medium)
    with pytest.raises(ValueError, match="nobody thought"):
        await examine(ExamineMedium(medium_id=medium.id), context)
    await examine(ExamineMedium(medium_id=medium.id), Context(context.settings, attempt=MAX_ATTEMPTS - 1))
    assert "went wrong here" in ((await now(medium)).reason or "")


async def test_a_private_address_is_never_asked(context: Context) -> None:
    async with database.transaction() as session:
        project = await make.project(session)
        medium = Medium(project_id=project.id, source_url="http://127.0.0.1:1/secret")
        session.add(medium)
    await examine(ExamineMedium(medium_id=medium.id), context)
    assert "private network" in ((await now(medium)).reason or "")
