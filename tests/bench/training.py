"""`make bench-training`: our training and sampling beside TRL's and transformers', into var/bench-training.json.

    python -m tests.bench.training [ppo reward sampler …] [--repeats 5] [--only ppo.point1]

A part is a file of this folder with `measure(repeats, only=…)`, which yields (key, {speedup, memory_ratio, …}), and
`POINTS`, which maps a key to its bars as its last two entries: the least speed-up, and the most memory or None. Each
figure is written down when it comes.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

from app.version import code_version

FILE = Path("var/bench-training.json")
PARTS = ("ppo", "reward", "sampler")


def shown(key: str, figure: dict, bars: dict) -> tuple[str, bool]:
    fastest, most = bars.get(key, (None, None))[-2:]
    speed, memory = figure.get("speedup"), figure.get("memory_ratio")
    holds = (fastest is None or speed >= fastest) and (most is None or memory <= most)
    holds &= figure.get("equal_accuracy", True)
    words = [
        f"{key:<24} {speed:>6.2f} x",
        f"(≥ {fastest})" if fastest else "",
        f"memory {memory:.2f}" if memory else "",
    ]
    words += [f"(≤ {most})" if most else ""]
    words += [f"accuracy {figure['accuracy']:.3f} beside {figure['trl_accuracy']:.3f}"] if "accuracy" in figure else []
    if "trl_score" in figure:
        ours, theirs = (f"{figure[side + 'score']:.2f} at {figure[side + 'kl']:.1f} nats" for side in ("", "trl_"))
        words += [f"score {ours} beside {theirs}, from {figure['score_before']:.2f}"]
    words += ["" if holds else "MISSED"]
    return " ".join(word for word in words if word), holds


def keep(figures: dict) -> None:
    machine = {
        "cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0],
        "torch": torch.__version__, "transformers": transformers.__version__,
    }  # fmt: skip
    about = {"machine": machine, "measured_at": datetime.now(UTC).isoformat(), "code_version": code_version()}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(figures | about, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=PARTS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="keys that begin with this")
    wanted = parser.parse_args()
    figures = json.loads(FILE.read_text()) if FILE.exists() else {}
    held = True
    for name in wanted.parts:
        part = importlib.import_module(f"tests.bench.{name}")
        print(f"measuring {name} …", flush=True)
        for key, figure in part.measure(wanted.repeats, only=wanted.only):
            line, holds = shown(key, figure, part.POINTS)
            held &= holds
            print(line, flush=True)
            figures[key] = figure
            keep(figures)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
