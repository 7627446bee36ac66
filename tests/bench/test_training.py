"""Our side of `make bench-training` at toy sizes: a change that breaks a measurement is seen before an hour of it."""

import pytest

from tests.bench import peers

SIZES = {
    "hidden": 16, "layers": 1, "heads": 2, "vocab": 2048, "prompt": 12, "resp": 8, "batch": 4, "micro": 4, "epochs": 1,
    "steps": 2,
}  # fmt: skip


@pytest.mark.skipif(not (peers.SCRIPTS / "common.py").exists(), reason="the peers' scripts are not here")
@pytest.mark.parametrize(("way", "kind"), [("shared", "plain"), ("separate", "marked"), ("full", "ragged")])
def test_our_side_of_ppo_runs(way: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]
    told = peers.result_of(["-m", "tests.bench.ppo", way, kind, *options])
    assert told["s_per_step"] > 0
    assert len(told["curve"]) == 2
