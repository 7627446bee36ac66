"""From a key to the next task on the screen, in Chromium, while 200 people answer; and what each kind costs.

    python -m tests.bench.page

A Postgres of its own below a temporary home and the web server as `hone up` starts it. 200 simulated annotators each
answer a comparison of two completions of 2,000 words every 3 seconds, from a process of its own. Beside them one
browser works on the same queue by keyboard alone. A cycle begins with the keydown event and ends with the second
animation frame after the new task is in the document, so the frame between them was painted; the arming pause lies
before the key and is not counted. Of comparisons every layout shift counts, also those shortly after a key, which the
usual sum forgives; where keys move things on purpose (an answer into its tier), the usual sum. Then the browser does a
few tasks of other kinds and counts its keys, and the server is timed alone: one person's post of an answer that brings
the next task, for every kind; of a conversation, of the post that ends it.
"""

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.annotate import FORM, SENTENCE, serving
from tests.bench.kinds import KINDS, said_in

ANNOTATORS, EVERY, TASKS, K = 200, 3.0, 600, 20
CYCLES, OTHER_CYCLES, TIMED = 60, 6, 30
ARMED = 500  # milliseconds until the page's keys are armed
HTML = "".join(f"<p>{SENTENCE * 12}</p>" for _ in range(10))  # 2,000 words
KEYS = {"ranking": ["1", "2", "3", "4", "Enter"], "rating": ["4", "4", "3", "2", "1", "Enter"]}
WATCH = """
window.shifts = 0; window.unbidden = 0; window.took = []; window.keys = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) {
  window.shifts += one.value;
  if (!one.hadRecentInput) window.unbidden += one.value;
} })
  .observe({ type: "layout-shift", buffered: true });
let pressed = 0, showing = null;
addEventListener("keydown", (event) => { pressed = event.timeStamp; window.keys += 1; }, true);
new MutationObserver(() => {
  const now = document.getElementById("task");
  if (now === showing || !now) return;
  const isFirst = showing === null;
  showing = now;
  if (isFirst) return;
  const from = pressed;
  requestAnimationFrame(() => requestAnimationFrame(() => window.took.push(performance.now() - from)));
}).observe(document, { childList: true, subtree: true });
"""


# ---- the database --------------------------------------------------------------------------------------------------


async def fill() -> dict[str, Any]:
    """A long queue of comparisons with its 200 people, and a project of each kind for one more."""
    from sqlalchemy import text

    from app import database
    from app.projects.protocols import protocol_of
    from tests import make
    from tests.bench.kinds import tasks_of

    async with database.transaction() as session:
        me = await make.user(session)
        pages, cookies = {}, []
        for kind, (shows, protocol) in KINDS.items():
            limits = {"daily_limit": 100_000, "low_water": 0}
            project = await make.project(session, k=K, protocol=protocol_of(protocol).as_json(), **limits)
            await make.member(session, project, me)
            pages[kind] = f"/projects/{project.public_id}/annotate"
            tasks = TASKS if kind == "comparison" else TIMED + OTHER_CYCLES
            await tasks_of(session, project, me, shows, tasks, html=HTML, k=K if kind == "comparison" else 1)
            for _ in range(ANNOTATORS if kind == "comparison" else 0):
                person = await make.user(session)
                await make.member(session, project, person)
                cookies.append(await make.sign_in(session, person))
        mine = await make.sign_in(session, me)
    async with database.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("VACUUM ANALYZE"))
    await database.dispose()
    return {"pages": pages, "cookies": cookies, "mine": mine}


# ---- the other people, in a process of their own -------------------------------------------------------------------


async def load(base: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Each answers every 3 seconds until standard input ends."""
    import aiohttp

    took: list[float] = []
    over = asyncio.Event()
    began = time.monotonic() + EVERY  # all of them are at work

    async def annotate(web: aiohttp.ClientSession, cookie: str) -> None:
        headers = {"Cookie": f"hone_session={cookie}", "Sec-Fetch-Site": "same-origin"}
        due = time.monotonic() + random.uniform(0, EVERY)
        async with web.get(base + plan["pages"]["comparison"], headers=headers) as response:
            html = await response.text()
        headers["HX-Request"] = "true"
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += EVERY
            form = FORM.search(html)
            assert form, html[:2000]
            start = time.monotonic()
            said = {"key": form[2], "choice": form[3], "seen": "1", "justification": ""}
            async with web.post(base + form[1], data=said, headers=headers) as response:
                html = await response.text()
                assert response.status == 200, html[:2000]
            if start > began and not over.is_set():
                took.append(time.monotonic() - start)

    async def end() -> None:
        await asyncio.to_thread(sys.stdin.read)
        over.set()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as web:
        ending = asyncio.create_task(end())
        people = [asyncio.create_task(annotate(web, cookie)) for cookie in plan["cookies"]]
        await ending
        seconds = time.monotonic() - began
        await asyncio.gather(*people)
    return {"per_second": round(len(took) / seconds, 1), "p99_ms": round(1000 * sorted(took)[int(len(took) * 0.99)], 1)}


# ---- one browser ---------------------------------------------------------------------------------------------------


async def browse(base: str, plan: dict[str, Any]) -> dict[str, Any]:
    """What the browser's person met with, by kind."""
    from tests.browser.site import chromium

    found: dict[str, Any] = {}
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        await context.add_cookies([{"name": "hone_session", "value": plan["mine"], "url": base}])
        await context.add_init_script(WATCH)
        for kind in ("comparison", *KEYS):
            page = await context.new_page()
            await page.goto(base + plan["pages"][kind])
            for _ in range(CYCLES if kind == "comparison" else OTHER_CYCLES):
                await page.wait_for_timeout(ARMED)
                before = await page.evaluate("took.length")
                for key in KEYS.get(kind, [str(random.randint(1, 7))]):
                    await page.keyboard.press(key)
                await page.wait_for_function("(before) => took.length > before", arg=before, timeout=10_000)
            found[kind] = await page.evaluate("({ took, keys: keys / took.length, shifts, unbidden })")
            await page.close()
    return found


# ---- the server alone ----------------------------------------------------------------------------------------------


async def timed(base: str, plan: dict[str, Any], kind: str) -> float:
    """Median milliseconds of submit, claim and render for one person alone."""
    import aiohttp

    headers = {"Cookie": f"hone_session={plan['mine']}", "Sec-Fetch-Site": "same-origin"}
    took = []
    async with aiohttp.ClientSession() as web:
        async with web.get(base + plan["pages"][kind], headers=headers) as response:
            html = await response.text()
        headers["HX-Request"] = "true"
        for number in range(TIMED - 1):
            action = re.search(r'action="([^"]+)" data-choices', html)
            assert action, html[:2000]
            said = said_in(kind, html, number)
            start = time.monotonic()
            async with web.post(base + action[1], data=said, headers=headers) as response:
                html = await response.text()
                assert response.status == 200, html[:2000]
            took.append(time.monotonic() - start)
            assert "data-saved" in html, html[:2000]
            assert action[1] not in html, "the next task came along"
    return round(1000 * statistics.median(took), 1)


# ---- the measurement -----------------------------------------------------------------------------------------------


def measure() -> dict[str, Any]:
    from app import embedded
    from app.migrating import migrate
    from app.settings import get_settings

    with tempfile.TemporaryDirectory(prefix="hone-bench-") as folder:
        home = Path(folder) / "home"
        running = embedded.start(home)
        os.environ |= {"HONE_HOME": str(home), "HONE_DATABASE_URL": running.url}
        get_settings.cache_clear()
        try:
            migrate(running.url)
            plan = asyncio.run(fill())
            (Path(folder) / "plan.json").write_text(json.dumps(plan))
            return figures(plan, Path(folder) / "plan.json")
        finally:
            embedded.stop(home)


def figures(plan: dict[str, Any], file: Path) -> dict[str, Any]:
    with serving("app.main:app") as (base, _pid):
        server = {kind: asyncio.run(timed(base, plan, kind)) for kind in KINDS}
        words = [sys.executable, "-m", "tests.bench.page", "load", base, str(file)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as others:
            time.sleep(2 * EVERY)  # all of them are at work
            met = asyncio.run(browse(base, plan))
            load = json.loads(others.communicate()[0])
    assert others.returncode == 0, "the other people's process failed"
    took = sorted(met["comparison"]["took"])
    return {
        "page.key_to_next_p50_ms": round(statistics.median(took), 1),
        "page.key_to_next_p95_ms": round(took[int(len(took) * 0.95)], 1),
        "page.cls": round(max(met["comparison"]["shifts"], *(one["unbidden"] for one in met.values())), 4),
        "page.keys_per_task": {kind: round(one["keys"], 2) for kind, one in met.items()},
        "page.server_ms": server,
        "page.others_per_second": load["per_second"],
        "page.others_p99_ms": load["p99_ms"],
    }


def main(words: list[str]) -> None:
    if words and words[0] == "load":
        _load, base, plan = words
        print(json.dumps(asyncio.run(load(base, json.loads(Path(plan).read_text())))))
        return
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
