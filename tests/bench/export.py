"""Rows a second and memory of a dataset's export over HTTP, in our own form and in TRL's conversational one.

    python -m tests.bench.export

A Postgres of its own below a temporary home, migrated; in it two frozen datasets of 10,000 and 200,000 comparisons,
each line at least 1.5 kB with three votes. A fresh web server (the command that `hone up` runs) for each size and form
gives the whole file to one reader beside it, who counts the lines. Memory is the peak resident size of the server and
its children as the kernel noted it (VmHWM).
"""

import asyncio
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from tests.bench.annotate import serving

SIZES, REPEATS = (10_000, 200_000), 3
FORMS = ("native", "trl")
WORDS = "People read more than one line before they judge, so an answer here goes on for a while. "


def line_of(number: int) -> bytes:
    """A comparison with three votes, different in each line, as `datasets.lines` writes it."""
    said = ("a", "b", "a") if number % 3 else ("b", "b", "tie")
    votes = [
        {"rater": f"rater-{(number + place) % 40}", "outcome": outcome, "levels": 3, "weight": 1.0,
         "strength": None if outcome == "tie" else 1 + (number + place) % 3, "shown_first": "ab"[place % 2]}
        for place, outcome in enumerate(said)
    ]  # fmt: skip
    answers = {
        side: {"id": str(uuid4()), "checkpoint": str(uuid4()), "parts": [{"type": "text", "text": text}]}
        for side, text in (("a", f"{number}. {WORDS * 4}"), ("b", f"{WORDS * 4} So it is, {number} times."))
    }
    prompt = [{"role": "user", "parts": [{"type": "text", "text": f"Tell me about number {number}, please."}]}]
    line = {"kind": "comparison", "schema_version": 1, "id": str(uuid4()), "group": str(uuid4()), "prompt": prompt,
            "split": "train", "conclusion": said[0], "votes": votes, "weight": 1.0, **answers}  # fmt: skip
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def write(home: Path, rows: int) -> str:
    """The file of a frozen dataset; the name of its folder, which is its hash."""
    begun = home / "datasets" / f"{rows}"
    begun.mkdir(parents=True)
    hashed = sha256()
    with (begun / "records.jsonl").open("wb") as file:
        for number in range(rows):
            raw = line_of(number)
            assert len(raw) >= 1500, len(raw)
            hashed.update(raw)
            file.write(raw)
    begun.rename(begun.with_name(hashed.hexdigest()))
    return hashed.hexdigest()


async def fill(home: Path, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """A project, an engineer's token, and a frozen dataset a size."""
    from app import database
    from app.accounts.permissions import Role
    from app.datasets.tables import Dataset, DatasetState
    from tests import make

    async with database.transaction() as session:
        project, person = await make.project(session), await make.user(session)
        await make.member(session, project, person, Role.engineer)
        token = await make.api_token(session, person, Role.engineer, project_id=project.id)
        datasets = {}
        for rows in sizes:
            dataset = Dataset(
                project_id=project.id, name=f"{rows} rows", question={}, state=DatasetState.frozen, lines=rows,
                sha256=write(home, rows),
            )  # fmt: skip
            session.add(dataset)
            await session.flush()
            await session.refresh(dataset)
            datasets[rows] = str(dataset.public_id)
    await database.dispose()
    return {"token": token, "datasets": datasets}


def download(base: str, token: str, dataset: str, form: str) -> tuple[int, float]:
    """(lines, seconds) of one whole download."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(str(urlsplit(base).hostname), urlsplit(base).port)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/v1/datasets/{dataset}/records?form={form}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    lines = 0
    while piece := answer.read(1 << 20):
        lines += piece.count(b"\n")
    connection.close()
    return lines, time.monotonic() - began


def peaks_mb(pid: int) -> list[float]:
    """The largest resident sizes so far of a process and its children."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [own, *(peak for child in children for peak in peaks_mb(int(child)))]


def measure() -> dict[str, Any]:
    """rows_per_second is the slower form's at the larger size. Raises AssertionError when a row is missing."""
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
            return figures(asyncio.run(fill(home)))
        finally:
            embedded.stop(home)


def figures(plan: dict[str, Any]) -> dict[str, Any]:
    rates: dict[str, float] = {}
    peaks: dict[str, float] = {}
    for rows in SIZES:
        for form in FORMS:
            with serving("app.main:app") as (base, pid):
                took = []
                for _ in range(REPEATS):
                    lines, seconds = download(base, plan["token"], plan["datasets"][rows], form)
                    assert lines == rows, f"{lines} of {rows} rows came"
                    took.append(seconds)
                rates[form] = rows / statistics.median(took)
                peaks[str(rows)] = max(peaks.get(str(rows), 0), round(max(peaks_mb(pid)), 1))
    return {
        "export.rows_per_second": round(min(rates.values())),
        **{f"export.rows_per_second_{form}": round(rate) for form, rate in rates.items()},
        "export.peak_rss_mb": peaks,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
    sys.exit(0)
