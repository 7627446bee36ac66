"""Two processes that others start, torchrun, accelerate and a Ray cluster, make the update of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from app.training.configs import PPORun, RunRefused
from tests.training.rolling import changed
from tests.training.together import beside, same_lines, same_weights
from workers.training import cluster
from workers.training.__main__ import main
from workers.training.ppo import train_ppo
from workers.training.progress import replace_file

ROOT = Path(__file__).parents[2]
# a rule that leaves a file behind for each process that asked it
WITNESS = """
import os
from pathlib import Path

def seen(prompts, answers):
    here = Path(__file__)
    here.with_name(f"process-{os.environ.get('RANK', 0)}-of-{os.environ.get('WORLD_SIZE', 1)}").touch()
    return [0.0] * len(answers)
"""


@pytest.fixture
def told(run: PPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PPORun, PPORun]:
    """A run that this process has done, and the same with parts of the weights for several; its run file is there."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "witness", raising=False)
    (tmp_path / "witness.py").write_text(WITNESS)
    rule = {"kind": "function", "name": "witness", "path": "witness:seen"}
    run = changed(run, steps=1, tuning="full", epochs=1, kl_target=None, kl_budget=None)  # no value is not the default
    run = PPORun.model_validate({**run.model_dump(), "functions": [rule]})
    train_ppo(run)
    two = beside(run, tmp_path, sharding="full")
    (tmp_path / "run.json").write_text(two.model_dump_json())
    return run, two


def launched(
    words: list[str], place: Path, patience: float = 250, **environment: str
) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(place)])
    settings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, *words], cwd=place, env=settings, capture_output=True, text=True, timeout=patience, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    witnesses = {file.name for file in place.glob("process-*")}
    assert witnesses == {"process-0-of-1", "process-0-of-2", "process-1-of-2"}, "two took part, and one before"
    return done


@pytest.mark.parametrize(
    "launcher",
    [
        ["torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"],
        ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
    ],
    ids=["torchrun", "accelerate launch"],
)
def test_what_launchers_start_makes_the_update_of_one(
    told: tuple[PPORun, PPORun], launcher: list[str], tmp_path: Path
) -> None:
    run, two = told
    words = ["-m", *launcher, "-m", "workers.training", "ppo", "run.json"]
    done = launched(words, tmp_path, GLOO_SOCKET_IFNAME="lo", HOME=str(tmp_path))
    assert done.stdout.count('"done"') == 1, "one process tells"
    same_weights(run.output, two.output)
    same_lines(run, two)


@pytest.mark.timeout(600)  # half a minute where nothing else runs: Ray starts a dozen processes
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
def test_two_workers_of_a_ray_cluster_make_the_update_of_one_and_leave_nothing(
    told: tuple[PPORun, PPORun], tmp_path: Path
) -> None:
    """What is shown is what is shown without Ray, and nothing of Ray's own."""
    run, two = told
    with tempfile.TemporaryDirectory() as place:  # Ray's sockets want a short path
        words = ["-m", "workers.training", "ray", "2", "ppo", "run.json"]
        niceness = {"RAY_worker_niceness": "0"}  # 15 by default, which on a busy machine is minutes
        done = launched(words, tmp_path, 500, TMPDIR=place, HOME=place, **niceness)
        late = time.monotonic() + 60
        while left := [*left_of(place), *Path(place).iterdir()]:
            assert time.monotonic() < late, left
            time.sleep(0.1)
    same_weights(run.output, two.output)
    same_lines(run, two)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(line) for line in shown] == [["step", "total", "values"], ["done"]]
    assert shown[-1] == {"done": str(two.output)}
    assert not any(word in done.stderr for word in ("Error", "Traceback", "raylet")), done.stderr


def left_of(place: str) -> list[psutil.Process]:
    """Processes that were started with files there."""
    return [one for one in psutil.process_iter(["cmdline"]) if place in " ".join(one.info["cmdline"] or [])]


def test_what_a_worker_said_in_the_end_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    said = cluster.Ended(3, "Cancelled after step 2.")
    failure = SimpleNamespace(worker_failures={0: RuntimeError("lost"), 1: said})
    assert cluster.ended_by(failure) is said
    unforeseen = cluster.ended_by(SimpleNamespace(worker_failures={0: RuntimeError("lost\nat line 3")}))
    assert (unforeseen.code, unforeseen.sentence) == (1, "The workers ended: lost")

    def ended(_: Any) -> str:
        raise said

    monkeypatch.setattr(cluster, "train_on_ray", ended)
    assert main(["ray", "2", "ppo", "run.json"]) == 3
    assert capsys.readouterr().err == "Cancelled after step 2.\n"


def test_a_cluster_that_is_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise ConnectionError("no node at head:6379\nmore of it")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=away))
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(cluster.Ended) as ended, cluster.cluster(2):
        pass
    assert ended.value.sentence == "Ray could not be reached or started: no node at head:6379"


def test_a_worker_says_what_is_wrong_with_its_run(run: PPORun) -> None:
    settings = run.model_copy(update={"checkpoint": run.prompts}).model_dump(mode="json")
    with pytest.raises(cluster.Ended, match=r"prompts\.jsonl") as ended:
        cluster.work({"method": "ppo", "run": settings})
    assert ended.value.code == 2
    with pytest.raises(cluster.Ended, match="strange is not a field here") as ended:
        cluster.work({"method": "ppo", "run": settings | {"strange": 1}})
    assert ended.value.code == 2


def test_a_run_is_in_the_workers_what_it_was_here(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty fields stay empty, although their defaults are not; and no worker gives the others up within a day."""
    run = changed(run, kl_target=None, kl_budget=None, behaviour_cap=None, score_clip=None)
    received: dict[str, Any] = {}
    monkeypatch.setattr(cluster, "start", lambda run, _: received.update(run=run) or run.output)

    def trainer(work: Any, train_loop_config: Any, torch_config: Any, **_: Any) -> Any:
        received["patience"] = torch_config["timeout_s"]
        done = SimpleNamespace(return_value=work(json.loads(json.dumps(train_loop_config))))
        return SimpleNamespace(fit=lambda: done)

    told = {"ScalingConfig": dict, "RunConfig": dict, "TrainingFailedError": RuntimeError}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(cluster_resources=dict))
    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(**told))
    torch_side = SimpleNamespace(TorchTrainer=trainer, TorchConfig=lambda backend, **told: told)
    monkeypatch.setitem(sys.modules, "ray.train.torch", torch_side)
    assert cluster.fit(run, 2) == str(run.output)
    assert received == {"run": run, "patience": 86_400}


def test_the_signal_that_ray_took_is_ours_again_and_a_second_one_is_not_waited_for(
    run: PPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text(run.model_dump_json())
    theirs = SimpleNamespace(init=lambda **_: signal.signal(signal.SIGTERM, signal.SIG_IGN), shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", theirs)
    monkeypatch.setattr(cluster, "find_spec", lambda name: name)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def fit(run: PPORun, workers: int) -> str:
        for times in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            assert (run.work / "cancel").exists()
            assert codes == [128 + signal.SIGTERM] * times
        return "done"

    monkeypatch.setattr(cluster, "fit", fit)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert cluster.train_on_ray(["2", "ppo", str(tmp_path / "run.json"), "--json"]) == "done"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("words", [[], ["2"], ["0", "ppo"], ["two", "ppo", "run.json"]])
def test_ray_without_a_number_of_workers_is_refused_with_the_usage(words: list[str]) -> None:
    with pytest.raises(RunRefused, match="usage"):
        cluster.train_on_ray(words)


def test_figures_are_shown_as_they_are_written_and_none_twice(tmp_path: Path, monkeypatch: Any) -> None:
    """Of a run that goes on, what was told before is not told again, but for what it does again; half a line is not
    told yet."""
    monkeypatch.setattr(cluster, "PATIENCE", 0.05)
    file, shown = tmp_path / "metrics.jsonl", []

    def line(step: int) -> str:
        return json.dumps({"step": step, "total": 3, "values": {"loss": 1.0 * step, "kl": None}}) + "\n"

    def becomes(*lines: str) -> None:
        replace_file(file, "".join(lines).encode())

    def until(count: int) -> None:
        late = time.monotonic() + 10
        while len(shown) < count and time.monotonic() < late:
            time.sleep(0.02)

    becomes(line(1))
    with cluster.followed(file, lambda *told: shown.append(told)):
        becomes(line(1), line(2), line(3)[:20])
        until(1)
        assert shown == [(2, 3, {"loss": 2.0})]
        becomes(line(1), line(2), line(3))
        until(2)
        becomes(line(1))
        time.sleep(0.5)
        becomes(line(1), line(2))
    assert shown == [(step, 3, {"loss": 1.0 * step}) for step in (2, 3, 2)]
