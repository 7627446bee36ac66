"""One card, measured unattended within 10 minutes: PPO, decoding, memory, and shares of the card's peak.

    python -m tests.bench.gpu [--only decode,ppo] [--minutes 10] [--output var/bench-gpu]
    python -m tests.bench.gpu --tiny          tries the script itself, on a CPU too

Llama shapes of 0.5 B and 1.5 B in bf16, random weights; PPO with adapters of an 8 B shape by its peak memory; beside
transformers' `generate`, and TRL's DPO, reward and GRPO trainers where TRL is installed. Nothing is fetched, and no
database is needed: what has to be there is torch, transformers, pydantic, babel, tensorboard, sacrebleu and psutil.

Each stage runs in a process of its own with a limit of its own; one that fails, runs out of memory or out of time is
told so, and the next begins. The most important come first, and what does not fit the minutes is told as left out.
Figures stand in OUTPUT.json, and as a table with date, card and versions in OUTPUT.md, for docs/performance.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.gpu.running import run_stage

NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "pydantic", "babel", "tensorboard", "sacrebleu")
VERSIONS = ("torch", "transformers", "trl", "bitsandbytes")
# stage, its shapes, seconds that it may take
PLAN = [
    ("card", ["tiny"], 60),
    ("decode", ["0.5B", "1.5B"], 90),
    ("decode-plain", ["0.5B"], 45),
    ("generate", ["0.5B", "1.5B"], 90),
    ("ppo", ["0.5B", "1.5B"], 120),
    ("ppo-8B", ["8B"], 150),
    ("ppo-8B-nf4", ["8B"], 150),
    ("dpo", ["0.5B", "1.5B"], 90),
    ("trl-dpo", ["0.5B", "1.5B"], 90),
    ("grpo", ["0.5B", "1.5B"], 90),
    ("trl-grpo", ["0.5B", "1.5B"], 90),
    ("reward", ["0.5B", "1.5B"], 90),
    ("trl-reward", ["0.5B", "1.5B"], 90),
    ("ppo-full", ["0.5B", "1.5B"], 120),
]


def told_by(name: str, shape: str, tiny: bool, limit: float) -> dict:
    """What the stage's process sends within so many seconds."""
    context = multiprocessing.get_context("forkserver")  # torch is imported there once, and CUDA never
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_stage, args=(name, shape, tiny, sender))
    began = time.perf_counter()
    process.start()
    sender.close()
    try:
        found = receiver.recv() if receiver.poll(limit) else {"failed": f"took more than {limit:.0f} seconds"}
    except EOFError:
        process.join(10)
        found = {"failed": f"its process ended with {process.exitcode}; out of memory, perhaps"}
    process.kill()
    process.join()
    return found | {"stage": name, "shape": "tiny" if tiny else shape, "took": time.perf_counter() - began}


def measure(only: list[str], tiny: bool, minutes: float) -> list[dict]:
    found, ends = [], time.monotonic() + 60 * minutes
    for name, shapes, limit in PLAN:
        for shape in shapes[:1] if tiny else shapes:
            if only and name not in only:
                continue
            left = ends - time.monotonic()
            if left < 10:
                found.append({"stage": name, "shape": shape, "failed": f"left out: {minutes:g} minutes were over"})
                continue
            found.append(told_by(name, shape, tiny, min(limit, left)))
            print(line_of(found[-1]), flush=True)
    return found


def line_of(figure: dict) -> str:
    said = figure.get("failed") or f"{figure['rate']:,.1f} {figure['unit']}, {figure['peak_bytes'] / 1e9:.2f} GB"
    return f"{figure['stage']:<12} {figure['shape']:<6} {said}"


def machine(tiny: bool) -> dict:
    import torch

    here = torch.cuda.is_available()
    versions = {name: version(name) for name in VERSIONS}
    card = torch.cuda.get_device_properties(0) if here else None
    return {
        "card": f"{card.name}, {card.total_memory / 1e9:.0f} GB" if card else "no GPU: the script was tried on a CPU",
        "has_card": here, "cuda": torch.version.cuda, "versions": versions, "tiny": tiny,
        "measured_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(where: dict, figures: list[dict]) -> str:
    """Shares are of what the card stage reached."""
    peak = next((one for one in figures if one["stage"] == "card" and "failed" not in one), {})
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items() if number)
    head = f"{where['measured_at'][:10]}, {where['card']}, {versions}" + (
        f", CUDA {where['cuda']}" * bool(where["cuda"])
    )
    rows = [f"{head}{' (tiny shapes: a try of the script, no measurement)' if where['tiny'] else ''}", ""]
    if peak:
        reached = f"{peak['tflops']:,.1f} TFLOP/s of a bf16 product, {peak['gigabytes']:,.1f} GB/s of a copy"
        rows += [f"Reached bare, and what shares are of: {reached}.", ""]
    rows += ["| stage | shape | rate | share of the peak | peak memory |", "|---|---|---|---|---|"]
    for one in figures:
        if one["stage"] == "card" and "failed" not in one:
            continue
        if "failed" in one:
            rows.append(f"| {one['stage']} | {one['shape']} | – | – | {one['failed']} |")
            continue
        share = next((f"{one[of] / peak[of]:.0%} {what}" for of, what in OF if of in one and peak), "–")
        rows.append(
            f"| {one['stage']} | {one['shape']} | {one['rate']:,.1f} {one['unit']} | {share}"
            f" | {one['peak_bytes'] / 1e9:,.2f} GB |"
        )
    return "\n".join(rows) + "\n"


OF = (("tflops", "of the arithmetic"), ("gigabytes", "of the bandwidth"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu")
    parser.add_argument("--only", default="", help="stages, with commas between")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--output", type=Path, default=Path("var/bench-gpu"))
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, on a CPU where there is no card")
    wanted = parser.parse_args()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Missing here: {', '.join(missing)}. A machine without a network takes them as wheels (pip download"
              " elsewhere, pip install --no-index --find-links here).", file=sys.stderr)  # fmt: skip
        return 2
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.bench.gpu.stages"])
    where = machine(wanted.tiny)
    if not where["has_card"] and not wanted.tiny:
        print("There is no GPU here; --tiny tries the script on a CPU.", file=sys.stderr)
        return 2
    figures = measure([name for name in wanted.only.split(",") if name], wanted.tiny, wanted.minutes)
    wanted.output.parent.mkdir(parents=True, exist_ok=True)
    wanted.output.with_suffix(".json").write_text(json.dumps({"machine": where, "stages": figures}, indent=2) + "\n")
    wanted.output.with_suffix(".md").write_text(text := table(where, figures))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
