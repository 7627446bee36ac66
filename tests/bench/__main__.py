"""`make bench`: every figure we promise, printed beside its bar and its peers, and written to var/bench.json.

`python -m tests.bench annotate` measures one part only; the others keep their last figures in the file.
"""

import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import database
from app.settings import get_settings
from app.version import code_version

FILE = Path("var/bench.json")
PARTS = ("annotate", "claim", "export", "overview", "page", "rework", "sampling")

# figure: (bar as words, test, what peers reach, where from)
BARS: dict[str, tuple[str, Any, str]] = {
    "annotate.cycles_per_second": ("≥ 250", lambda value: value >= 250, "Label Studio 1.23: 13; Potato 2.12: 30"),
    "annotate.p99_ms": ("< 300", lambda value: value < 300, ""),
    "annotate.web_peak_rss_mb": ("< 150", lambda value: value < 150, ""),
    "claim.50000_ahead.p99_ms": ("< 5", lambda value: value < 5, ""),
    "page.key_to_next_p95_ms": ("≤ 150", lambda value: value <= 150, ""),
    "page.cls": ("0", lambda value: value == 0, ""),
    "page.keys_per_task": ("1, K+1, C+1", lambda value: value == {"comparison": 1, "ranking": 5, "rating": 6}, ""),
    "rework.seconds": ("< 30", lambda value: value < 30, ""),
    "overview.p95_ms": ("< 300", lambda value: value < 300, ""),
    "export.rows_per_second": ("≥ 20,000", lambda value: value >= 20_000, "Label Studio: 520"),
    "export.peak_rss_mb": ("flat", lambda value: max(value.values()) < 1.1 * min(value.values()), ""),
}


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def shown(name: str, value: Any) -> str:
    bar, holds, peers = BARS.get(name, ("", lambda _value: True, ""))
    figure = f"{value:>14,.2f}" if isinstance(value, int | float) else f"{value!s:>14}"
    return f"{name:<44}{figure}   {bar:<10} {'' if holds(value) else 'MISSED':<7}{peers}"


def forget_the_last_home() -> None:
    """Each part brings a database of its own."""
    for kept in (get_settings, database.engine, database.snapshot_engine, database.sessions):
        kept.cache_clear()


def main(wanted: list[str]) -> int:
    figures = read()
    for part in wanted or PARTS:
        if part not in PARTS:
            print(f"{part} is not one of {', '.join(PARTS)}")
            return 2
        print(f"measuring {part} …", flush=True)
        forget_the_last_home()
        measured = importlib.import_module(f"tests.bench.{part}").measure()
        figures |= measured
        for name, value in measured.items():
            print(shown(name, value), flush=True)
    figures["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    figures["measured_at"], figures["code_version"] = datetime.now(UTC).isoformat(), code_version()
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(figures, indent=2) + "\n")
    missed = [name for name, (_bar, holds, _peers) in BARS.items() if name in figures and not holds(figures[name])]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
