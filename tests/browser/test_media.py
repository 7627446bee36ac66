"""Pictures and sound on the annotate page: two pictures against each other, and a caption for one."""

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from app import database
from app.completions.actions import import_completions
from app.completions.tables import Completion
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm
from app.datasets.jobs import FreezeDataset
from app.datasets.queries import folder_of
from app.datasets.records import ComparisonRecord
from app.datasets.tables import Dataset
from app.media.actions import take_upload
from app.media.jobs import ExamineMedium
from app.media.tables import Medium
from app.projects.queries import default_batch
from app.prompts.actions import import_prompts
from app.prompts.tables import Prompt
from app.settings import get_settings
from tests import make
from tests.browser.site import Site, a_site, armed, stored
from tests.workers.media import files
from workers.handlers.datasets import freeze_dataset
from workers.handlers.media import examine
from workers.handlers.registry import Context

pytestmark = [pytest.mark.browser, pytest.mark.committed]


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with a_site(browser, tasks=0) as site:
        yield site


async def kept(site: Site, *contents: bytes) -> list[str]:
    """Upload files and have them looked at; the hashes of what is kept."""
    async with database.transaction() as session:
        project_id = site.there.project.id
        came = [await take_upload(session, project_id, "file", io.BytesIO(one), None) for one in contents]
    for medium in came:
        await examine(ExamineMedium(medium_id=medium.id), Context(get_settings()))
    async with database.transaction() as session:
        found = [await session.get_one(Medium, medium.id) for medium in came]
    assert [one.reason for one in found] == [None] * len(found)
    return [str(one.sha256) for one in found]


def lines(*rows: object) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


async def ask(site: Site, prompt: list[dict[str, Any]], *answers: list[dict[str, Any]]) -> None:
    """One task: this prompt, these answers, by import as an engineer would bring them."""
    project = site.there.project
    async with database.transaction() as session:
        report = await import_prompts(session, project.id, "x", lines({"id": "p", "prompt": prompt}), None)
        assert report.new == 1, report.lines
        rows = [{"prompt_id": "p", "parts": parts, "model": f"m{n}"} for n, parts in enumerate(answers)]
        report = await import_completions(session, project.id, "x", lines(*rows), None)
        assert report.new == len(answers), report.lines
        found = list(await session.scalars(select(Completion).order_by(Completion.id)))
        asked = (await session.scalars(select(Prompt))).one()
        batch = await default_batch(session, project.id)
        await make.task(session, project, batch, prompt_row=asked, completions=found)


async def frozen(site: Site) -> ComparisonRecord:
    """The one line of a dataset of what was said, as a trainer reads it."""
    async with database.transaction() as session:
        dataset = await ask_to_freeze(session, site.there.project.id, FreezeForm(name="x", heldout_share=0), None)
    await freeze_dataset(FreezeDataset(dataset_id=dataset.id), Context(get_settings()))
    async with database.transaction() as session:
        found = await session.get_one(Dataset, dataset.id)
    [line] = (folder_of(get_settings().home, str(found.sha256)) / "records.jsonl").read_bytes().splitlines()
    return ComparisonRecord.model_validate_json(line)


async def all_pictures_are_there(page: Page) -> bool:
    return bool(
        await page.evaluate(
            "Promise.all([...document.querySelectorAll('#task img')].map((one) => one.decode()))"
            ".then(() => [...document.querySelectorAll('#task img')].every((one) => one.naturalWidth > 0))"
        )
    )


@pytest.mark.parametrize("width", [1280, 390])
async def test_two_pictures_are_judged_against_each_other(site: Site, width: int) -> None:
    one, other = await kept(site, files.picture("PNG", (900, 700), "teal"), files.picture("JPEG", (700, 900), "orange"))
    picture = {"type": "image"}
    await ask(
        site,
        [{"type": "text", "text": "Draw a fern."}],
        [{**picture, "sha256": one, "alt": "green"}],
        [{**picture, "sha256": other, "alt": "orange"}],
    )
    page = await site.open()
    await page.set_viewport_size({"width": width, "height": 900})
    await expect(page.locator(".answer img")).to_have_count(2)
    assert await all_pictures_are_there(page)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await armed(page)
    await page.keyboard.press("k")
    await page.keyboard.press("1")  # nothing is decided behind a picture that fills the screen
    await expect(page.locator("#picture img")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#picture")).to_be_hidden()
    await page.keyboard.press("1")
    await expect(page.locator("[data-state]")).to_contain_text(re.compile("Saved"))
    assert [said.body["outcome"] for said in await stored()] == ["preferred"]
    line = await frozen(site)
    assert {part.sha256 for part in (*line.a.parts, *line.b.parts)} == {one, other}
    file = await page.request.get(f"{site.address}/projects/{site.there.project.public_id}/media/{one}")
    assert (await file.body()).startswith(b"\x89PNG")


async def test_two_captions_of_a_picture_and_a_sound_are_compared(site: Site) -> None:
    fern, rain = await kept(site, files.picture("WEBP", (640, 480)), files.wav(1.0))
    prompt = [
        {"type": "text", "text": "Write a **caption**."},
        {"type": "image", "sha256": fern, "alt": "A fern"},
        {"type": "audio", "sha256": rain, "alt": "Rain"},
    ]
    await ask(site, prompt, [{"type": "text", "text": "A fern in rain."}], [{"type": "text", "text": "A cat."}])
    page = await site.open()
    assert await all_pictures_are_there(page)
    await page.wait_for_function("() => document.querySelector('#task audio').duration > 0.9")
    assert await page.get_by_alt_text("A fern").count() == 1
    await page.keyboard.press("2")
    await expect(page.locator("[data-state]")).to_contain_text(re.compile("Saved"))
    [said] = await stored()
    async with database.transaction() as session:
        prompt_row = (await session.scalars(select(Prompt))).one()
    assert [part["type"] for part in prompt_row.messages[0]["parts"]] == ["text", "image", "audio"]
    assert said.body["outcome"] == "preferred"
