"""The script for a card is tried on a CPU with tiny shapes, so that it runs on the day when there is a card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.bench.gpu import __main__ as script
from tests.bench.gpu.stages import OURS
from tests.bench.gpu.theirs import THEIRS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_every_stage_runs_with_tiny_shapes_and_tells_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.gpu", "--tiny", "--output", str(tmp_path / "gpu")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=550)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads((tmp_path / "gpu.json").read_text())
    figures = {one["stage"]: one for one in told["stages"]}
    assert figures.keys() == OURS.keys() | THEIRS.keys() == {name for name, *_ in script.PLAN}
    broken = {name: one["failed"] for name, one in figures.items() if "failed" in one}
    assert not broken, f"{broken}\n{done.stderr[-4000:]}"
    for name, one in figures.items():
        assert one["rate"] > 0, name
        assert one["peak_bytes"] > 0, name
        assert ("gigabytes" in one) if name in ("decode", "decode-plain", "generate") else one["tflops"] > 0, name
    text = (tmp_path / "gpu.md").read_text()
    assert torch.__version__ in text
    assert all(f"| {name} | tiny |" in text for name in figures if name != "card")
    assert "no measurement" in text


def test_a_stage_that_fails_or_hangs_is_told_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of such a name; one whose process has no time; and one when the minutes are over."""
    monkeypatch.setattr(script, "PLAN", [("nothing", ["0.5B"], 60), ("decode", ["0.5B"], 0), ("card", ["tiny"], 60)])
    nothing, hung, card = script.measure([], tiny=True, minutes=5)
    assert nothing["failed"] == "KeyError: 'nothing'"
    assert hung["failed"] == "took more than 0 seconds"
    assert card["rate"] > 0
    assert "KeyError: 'nothing'" in capsys.readouterr().out
    assert script.measure(["card"], tiny=True, minutes=0)[0]["failed"].startswith("left out: 0 minutes")


def test_the_table_has_shares_of_what_the_card_reached() -> None:
    where = {"measured_at": "2026-01-02T03", "card": "A card, 80 GB", "cuda": "13.0", "tiny": False,
             "versions": {"torch": "2.13.0", "trl": None}}  # fmt: skip
    figures = [
        {"stage": "card", "shape": "tiny", "rate": 500, "unit": "", "tflops": 500.0, "gigabytes": 2000.0},
        {"stage": "ppo", "shape": "0.5B", "rate": 12.34, "unit": "samples/s", "tflops": 200.0, "peak_bytes": 5e9},
        {"stage": "decode", "shape": "0.5B", "rate": 9000, "unit": "tokens/s", "gigabytes": 500.0, "peak_bytes": 2e9},
        {"stage": "trl-dpo", "shape": "0.5B", "failed": "ModuleNotFoundError: No module named 'trl'"},
    ]
    text = script.table(where, figures).splitlines()
    assert text[0] == "2026-01-02, A card, 80 GB, torch 2.13.0, CUDA 13.0"
    assert "| ppo | 0.5B | 12.3 samples/s | 40% of the arithmetic | 5.00 GB |" in text
    assert "| decode | 0.5B | 9,000.0 tokens/s | 25% of the bandwidth | 2.00 GB |" in text
    assert "| trl-dpo | 0.5B | – | – | ModuleNotFoundError: No module named 'trl' |" in text
