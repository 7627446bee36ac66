"""Claim-and-submit cycles a second over HTTP, with 32 annotators at once, beside a bare route in the same run.

    python -m tests.bench.annotate [seconds]

A Postgres of its own below a temporary home (fsync on, our own settings), migrated and filled: one project, k = 3,
10,000 tasks of two completions of 2 kB. The web server is the command that `hone up` runs, with default settings. The
load generator is a process of its own (aiohttp, this file with the word `load`): each annotator opens the page once
and then posts the form that the page's fragment holds, with the cookie, over and over. After the warm-up the clock
runs; then the answers are counted in Postgres and compared with what the generator was told.

The yardstick is a FastAPI route that finds one row by its key over the same engine and server, in the same run, half
of its time before and half after, so that a machine shared with others slows both alike. At the end the same server
gives out a dataset, and the largest resident size of any of its processes is noted.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANNOTATORS, TASKS, K = 32, 10_000, 3
WARM_UP, SECONDS, BARE_SECONDS = 5.0, 30.0, 5.0
SENTENCE = "The answer goes on for a while, because people read more than one line before they judge. "
HTML = f"<p>{SENTENCE * 12}</p><p>{SENTENCE * 11}</p>"  # 2 kB
FORM = re.compile(r'action="([^"]+)" data-choices.*?name="key" value="([^"]+)".*?name="choice" value="([^"]+)"', re.S)
TICKS = os.sysconf("SC_CLK_TCK")


# ---- the database --------------------------------------------------------------------------------------------------


async def fill(tasks: int = TASKS) -> dict[str, Any]:
    """A project with tasks and signed-in annotators; what the generator needs to know of it."""
    from sqlalchemy import insert, text

    from app import database
    from app.completions.tables import Completion
    from app.projects.queries import default_batch
    from app.prompts.tables import Prompt
    from app.settings import get_settings
    from app.tasks.actions import NewTask, Wish, open_tasks
    from tests import make
    from tests.bench import export

    async with database.transaction() as session:
        project = await make.project(session, k=K, daily_limit=100_000, low_water=0)
        batch = await default_batch(session, project.id)
        root = (await make.prompt(session, project)).root_id
        prompts = [
            {"project_id": project.id, "root_id": root, "use": "label", "messages": [{"role": "user", "parts": []}],
             "rendered": [f"<p>Question {n}?</p>"], "content_hash": b"%d" % n}
            for n in range(tasks)
        ]  # fmt: skip
        asked = (await session.scalars(insert(Prompt).returning(Prompt.id), prompts)).all()
        rows = [
            {"project_id": project.id, "prompt_id": prompt, "html": HTML, "content_hash": b"%d %d" % (prompt, side),
             "parts": [{"type": "text", "text": HTML}]}
            for prompt in asked for side in range(2)
        ]  # fmt: skip
        answers = iter((await session.scalars(insert(Completion).returning(Completion.id), rows)).all())
        wanted = [NewTask(prompt, (next(answers), next(answers)), Wish(K)) for prompt in asked]
        await open_tasks(session, project.id, batch.id, wanted)
        cookies = []
        for _ in range(ANNOTATORS):
            person = await make.user(session)
            await make.member(session, project, person)
            cookies.append(await make.sign_in(session, person))
    async with database.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("VACUUM ANALYZE"))
    exported = await export.fill(get_settings().home, sizes=(10_000,))
    return {"page": f"/projects/{project.public_id}/annotate", "cookies": cookies, "prompt": asked[0]} | exported


async def counted() -> int:
    from sqlalchemy import text

    from app import database

    async with database.transaction() as session:
        found = await session.scalar(text("SELECT count(*) FROM annotations WHERE state = 'live'"))
    await database.dispose()
    return int(found or 0)


# ---- the load generator, in a process of its own -------------------------------------------------------------------


async def load(base: str, plan: dict[str, Any], warm_up: float, seconds: float) -> dict[str, Any]:
    """Drive every annotator until the time is over. Latencies are of whole cycles, from the form to the next task."""
    import aiohttp

    took: list[float] = []
    answered = [0]
    began = time.monotonic() + warm_up
    ends = began + seconds

    async def annotate(web: aiohttp.ClientSession, cookie: str) -> None:
        headers = {"Cookie": f"hone_session={cookie}", "Sec-Fetch-Site": "same-origin"}
        async with web.get(base + plan["page"], headers=headers) as response:
            html = await response.text()
        headers["HX-Request"] = "true"
        while time.monotonic() < ends:
            form = FORM.search(html)
            assert form, html[:2000]
            said = {"key": form[2], "choice": form[3], "seen": "1", "justification": ""}
            start = time.monotonic()
            async with web.post(base + form[1], data=said, headers=headers) as response:
                html = await response.text()
                assert response.status == 200, html[:2000]
            answered[0] += 1
            if began <= start and (now := time.monotonic()) <= ends:
                took.append(now - start)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as web:
        await asyncio.gather(*[annotate(web, cookie) for cookie in plan["cookies"]])
    return {"took": took, "answered": answered[0]}


async def load_bare(base: str, plan: dict[str, Any], warm_up: float, seconds: float) -> dict[str, Any]:
    import aiohttp

    took: list[float] = []
    began = time.monotonic() + warm_up
    ends = began + seconds

    async def ask(web: aiohttp.ClientSession) -> None:
        while time.monotonic() < ends:
            start = time.monotonic()
            async with web.get(f"{base}/prompt/{plan['prompt']}") as response:
                await response.read()
                assert response.status == 200
            if start >= began:
                took.append(time.monotonic() - start)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as web:
        await asyncio.gather(*[ask(web) for _ in range(ANNOTATORS)])
    return {"took": took}


def generate(kind: str, base: str, plan: Path, warm_up: float, seconds: float) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.bench.annotate", kind, base, str(plan), str(warm_up), str(seconds)]
    result: dict[str, Any] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return result


# ---- the servers ---------------------------------------------------------------------------------------------------


@contextmanager
def serving(application: str) -> Iterator[tuple[str, int]]:
    """The web server as `hone up` starts it, with another application if one is named: its address and process."""
    from app.supervision import choose_port, web_words

    port = choose_port("127.0.0.1", 0, "web")
    words = [application if word == "app.main:app" else word for word in web_words(port)]
    with subprocess.Popen(words) as server:
        base = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{base}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        try:
            yield base, server.pid
        finally:
            server.terminate()


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process and its children have used; nothing for one that has ended meanwhile."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_of(int(child)) for child in children)


# ---- the measurement -----------------------------------------------------------------------------------------------


def measure(seconds: float = SECONDS) -> dict[str, float]:
    """The figures. Raises AssertionError when an acknowledged answer is not in Postgres."""
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
            plan = Path(folder) / "plan.json"
            plan.write_text(json.dumps(asyncio.run(fill())))
            return figures(plan, seconds, running.pid)
        finally:
            embedded.stop(home)


def figures(plan: Path, seconds: float, postgres: int) -> dict[str, float]:
    bare_took = yardstick(plan)
    with serving("app.main:app") as (base, pid):
        before, before_there = cpu_of(pid), cpu_of(postgres)
        found = generate("load", base, plan, WARM_UP, seconds)
        cpu, cpu_there = cpu_of(pid) - before, cpu_of(postgres) - before_there
        peak = peak_after_export(base, pid, json.loads(plan.read_text()))
    bare_took += yardstick(plan)
    stored = asyncio.run(counted())
    assert stored == found["answered"], f"{found['answered']} answers were acknowledged, {stored} are stored"
    took = sorted(found["took"])
    rate, bare_rate = len(took) / seconds, len(bare_took) / (2 * BARE_SECONDS)
    return {
        "annotate.cycles_per_second": round(rate, 1),
        "annotate.p50_ms": round(1000 * statistics.median(took), 1),
        "annotate.p99_ms": round(1000 * took[int(len(took) * 0.99)], 1),
        "annotate.ratio_to_bare": round(rate / bare_rate, 3),
        "annotate.server_cpu_ms_per_cycle": round(1000 * cpu / found["answered"], 2),
        "annotate.postgres_cpu_ms_per_cycle": round(1000 * cpu_there / found["answered"], 2),
        "annotate.web_peak_rss_mb": round(peak, 1),
    }


def peak_after_export(base: str, pid: int, plan: dict[str, Any]) -> float:
    """The largest resident size that any web process has had, after it also gave out a dataset of 10,000 rows."""
    from tests.bench import export

    ((_, dataset),) = plan["datasets"].items()
    for _ in range(8):  # whichever process takes the connection; all have had one by then
        export.download(base, plan["token"], dataset, "trl")
    return max(export.peaks_mb(pid))


def yardstick(plan: Path) -> list[float]:
    with serving("tests.bench.bare:app") as (base, _pid):
        took: list[float] = generate("bare", base, plan, 1.0, BARE_SECONDS)["took"]
        return took


def main(words: list[str]) -> None:
    if words and words[0] in ("load", "bare"):
        kind, base, plan, warm_up, seconds = words
        drive = load if kind == "load" else load_bare
        print(json.dumps(asyncio.run(drive(base, json.loads(Path(plan).read_text()), float(warm_up), float(seconds)))))
        return
    print(json.dumps(measure(float(words[0]) if words else SECONDS), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
