"""What a newcomer does, in one go and with every part real: `hone up`, a browser, the sampler, the trainer.

HONE_SHOTS=folder keeps a picture of each page on the way, light and dark, on a desk and on a phone.
"""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from app import children, embedded

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
ANSWERS = 48  # what a reward model needs at least, and the share that is held out
REWARD = {"members": "2", "epochs": "2", "read": "next", "depth": "0", "batch": "8"}
PPO = {"steps": "2", "batch": "8", "minibatch": "8", "epochs": "1", "max_tokens": "32", "reference_samples": "8"}
SOON, LATER = 30_000, 240_000  # milliseconds


@pytest.fixture
async def up() -> AsyncIterator[str]:
    """`hone up` in a home of its own: the one-time sign-in link that it prints."""
    home = Path(tempfile.mkdtemp(prefix="hone-journey-"))
    words = (sys.executable, "-m", "app.supervision")
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}
    server = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, env=surroundings | {"HONE_HOME": str(home), "HONE_PORT": "0"}, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        link = None
        while link is None:
            line = (await asyncio.wait_for(server.stdout.readline(), 120)).decode()
            assert line, "hone up ended before it was ready"
            link = re.search(r"Sign in, once, with (\S+)", line)
        yield link[1]
        server.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(server.wait(), 60) == 0
        assert not (home / "hone.pids").exists() or not (home / "hone.pids").read_text().strip(), "a child is left"
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        children.end_leftovers(home / "hone.pids")
        embedded.stop(home)
        with suppress(FileNotFoundError):  # it did not come so far
            print((home / "logs" / "web.log").read_text()[-6000:])  # seen when the journey failed
        rmtree(home)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


async def picture(page: Page, name: str) -> None:
    """A look at the page as it stands, in all four ways, if a folder for it is named."""
    folder = os.environ.get("HONE_SHOTS")
    if not folder:
        return
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            path = Path(folder) / f"{name}-{size}-{theme}.png"
            await page.screenshot(path=path, full_page=True, caret="initial")  # hiding it would be an inline style
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="light")


async def answer(page: Page, wanted: int) -> None:
    """Judge by keys alone: the longer answer, one point stronger each time round."""
    await page.wait_for_selector("#task[data-mode=task]", timeout=LATER)
    await picture(page, "annotate")
    for given in range(wanted):
        task = page.locator("#task[data-mode=task]")
        await task.wait_for(timeout=LATER)
        before = await task.get_attribute("data-key")
        lengths = [len(await side.inner_text()) for side in await page.locator(".answer").all()]
        key = "132"[given % 3] if lengths[0] >= lengths[1] else "756"[given % 3]
        while not await page.locator("#task[data-armed]").count():  # a hand that moves need not wait
            await page.mouse.move(600, 5)
            await page.mouse.move(640, 5)
        await page.keyboard.press(key)
        await expect(page.locator("#task")).not_to_have_attribute("data-key", before or "")


async def start_run(page: Page, method: str, project: str, settings: dict[str, str]) -> None:
    """Start a run by its form with small settings, and wait on its page until it is done."""
    await page.goto(f"{project}/runs/new?method={method}")
    await page.get_by_text("Settings: every one has a working default").click()
    for name, value in settings.items():
        field = page.locator(f"[name='config.{name}']")
        if await field.evaluate("element => element.tagName") == "SELECT":
            await field.select_option(value)
        else:
            await field.fill(value)
    await picture(page, f"{method}-new")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"), timeout=SOON)
    await expect(page.locator("main svg").first).to_be_visible(timeout=LATER)
    await expect(page.locator("main .badge").first).to_have_text("succeeded", timeout=LATER, ignore_case=True)
    await picture(page, f"{method}-run")


async def test_a_newcomer_goes_from_the_first_line_to_tasks_from_a_policy_of_their_own(
    up: str, browser: Browser
) -> None:
    page = await (await browser.new_context(viewport={"width": 1280, "height": 800})).new_page()
    page.set_default_timeout(SOON)
    broken: list[str] = []
    page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("response", lambda came: broken.append(f"{came.status} {came.url}") if came.status >= 500 else None)

    await page.goto(up)
    await picture(page, "link")
    await page.get_by_label("Name").fill("Newcomer")
    await page.get_by_label("E-mail").fill("newcomer@example.com")
    await page.get_by_label("Password").fill("a sentence that nobody guesses")
    await page.get_by_role("button", name="Start").click()
    await page.get_by_role("link", name="Demo").first.click()
    await page.wait_for_url(re.compile(r"/projects/[0-9a-f-]{36}$"))
    project = page.url
    await picture(page, "project")

    await page.goto(f"{project}/annotate")
    await answer(page, ANSWERS)
    await page.goto(project)
    await expect(page.locator(".stats")).to_contain_text(str(ANSWERS))
    await picture(page, "progress")

    await page.goto(f"{project}/datasets")
    await page.get_by_role("button", name="Freeze a dataset").click()
    await page.get_by_label("Name").fill("First round")
    await picture(page, "freeze")
    await page.get_by_role("button", name="Freeze", exact=True).click()
    await expect(page.get_by_text("frozen", exact=True).first).to_be_visible(timeout=LATER)
    await picture(page, "dataset")

    await start_run(page, "reward", project, REWARD)
    await start_run(page, "ppo", project, PPO)

    await page.goto(f"{project}/checkpoints")
    await picture(page, "checkpoints")
    await page.locator("tr", has_text="policy").get_by_role("link").first.click()
    await picture(page, "policy")
    before = await waiting(page, project)
    await page.go_back()
    await page.get_by_label("Prompts", exact=True).fill("6")
    await page.get_by_role("button", name="Generate").click()
    await page.wait_for_url(re.compile("/generations/"))
    await picture(page, "asked")
    for _ in range(120):
        if await waiting(page, project) > before:
            break
        await asyncio.sleep(1)
    else:
        raise AssertionError("the policy's answers became no tasks")
    assert broken == []


async def waiting(page: Page, project: str) -> int:
    """Tasks that wait for somebody, as the project's page says."""
    await page.goto(project)
    told = await page.locator(".stats > *", has_text="Waiting").first.inner_text()
    return int(re.search(r"[\d,]+", told)[0].replace(",", ""))  # type: ignore[index]
