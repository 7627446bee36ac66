"""A PPO run in the words of OpenRLHF and verl, and the function that asks for its scores."""

import importlib.util
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.training.configs import RunRefused
from workers.training.exporting import export

ASKED = [{"role": "user", "content": "why “tea”?"}]
RUN = {
    "checkpoint": "base",
    "output": "policy",
    "reward": "reward",
    "prompts": "prompts.jsonl",
    "config": {"samples_per_prompt": 4, "head_weights": {"kind": 2.0}, "repetition_cost": 1.0, "kl_target": None},
}


@contextmanager
def scorer(heard: list[Any]) -> Iterator[str]:
    """Answers with 0, 1, 2 … and keeps what was asked."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append((self.headers["Authorization"], asked))
            told = json.dumps({"rewards": [float(n) for n in range(len(asked["prompts"]))]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_said: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/rewards/mine"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    parts = [{"type": "text", "text": ASKED[0]["content"]}]
    prompt = {"kind": "prompt", "id": "p", "group": "g", "prompt": [{"role": "user", "parts": parts}]}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(prompt) + "\n")
    file = tmp_path / "run.json"
    file.write_text(json.dumps(RUN))
    return file


def exported(run_file: Path, way: str, address: str) -> Path:
    return export([str(run_file), "--to", way, "--scorer", address, "--output", str(run_file.parent / way)])


def loaded(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("reward_of_test", folder / "reward.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_openrlhf_is_told_of_the_run_and_asks_for_its_scores(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_SCORER_TOKEN", "of the test")
    heard: list[Any] = []
    with scorer(heard) as address:
        folder = exported(run_file, "openrlhf", address)
        line = json.loads((folder / "train.jsonl").read_text())
        assert (line["prompt"], json.loads(line["label"])) == (ASKED, ASKED)
        queries = ["<user>why<assistant>so", "<user>why<assistant>no"]
        told = loaded(folder).reward_func(queries, ["<user>why<assistant>"] * 2, [line["label"]] * 2)
    assert told["rewards"].tolist() == [0.0, 1.0]
    ((token, asked),) = heard
    assert token == "Bearer of the test"
    assert asked == {
        "query": queries, "prompts": ["<user>why<assistant>"] * 2, "labels": [line["label"]] * 2,
        "head_weights": {"kind": 2.0}, "formula": "", "uncertainty": 0.5,
    }  # fmt: skip
    script = (folder / "train.sh").read_text()
    for said in ("openrlhf.cli.train_ppo_ray", '--reward.remote_url "$HERE/reward.py"', "--data.label_key label",
                 f"--actor.model_name_or_path {run_file.parent / 'base'}", "--rollout.batch_size 16"):  # fmt: skip
        assert said in script
    assert "equal there: kl_budget, max_step_kl, missing_eos_penalty, repetition_cost, score_clip." in script
    subprocess.run(["bash", "-n", folder / "train.sh"], check=True)


def test_verl_is_told_of_the_run_and_asks_for_its_scores(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_SCORER_TOKEN", "of the test")
    heard: list[Any] = []
    with scorer(heard) as address:
        folder = exported(run_file, "verl", address)
        line = json.loads((folder / "train.jsonl").read_text())
        assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} == set(line)
        function = loaded(folder).compute_score
        asked = {"ground_truth": line["reward_model"]["ground_truth"], "extra_info": line["extra_info"]}
        score = function(data_source=line["data_source"], solution_str="so", **asked, reward_router_address=None)
    assert score == 0.0
    assert (heard[0][1]["prompts"], heard[0][1]["answers"]) == ([ASKED], ["so"])
    script = (folder / "train.sh").read_text()
    for said in ("verl.trainer.main_ppo", 'reward.custom_reward_function.path="$HERE/reward.py"',
                 "actor_rollout_ref.actor.ppo_mini_batch_size=8", "algorithm.kl_ctrl.kl_coef=0.05"):  # fmt: skip
        assert said in script
    subprocess.run(["bash", "-n", folder / "train.sh"], check=True)
    with pytest.raises(RunRefused, match="is there already"):
        exported(run_file, "verl", "http://127.0.0.1:1/")
    with pytest.raises(RunRefused, match="usage"):
        export([str(run_file)])
