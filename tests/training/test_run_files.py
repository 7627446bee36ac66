"""What a run file may say, and the sentence it gets otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.training.configs import PPOConfig, PPORun, RewardConfig, RewardRun, RunRefused, first_complaint, read_run
from workers.training.folders import CheckpointRecord
from workers.training.progress import fingerprint_of, same_config

ROOT = Path(__file__).parents[2]
REWARD = {"checkpoint": "base", "output": "out/reward", "dataset": "data.jsonl"}
PPO = {"checkpoint": "base", "output": "policy", "reward": "reward", "prompts": "/abs/prompts.jsonl"}


def file_of(folder: Path, content: Any) -> Path:
    file = folder / "run.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    run = read_run("ppo", file_of(tmp_path, PPO))
    assert isinstance(run, PPORun)
    assert run.checkpoint == tmp_path / "base"
    assert run.prompts == Path("/abs/prompts.jsonl")
    assert run.work == tmp_path / "policy.run"
    assert isinstance(read_run("reward", file_of(tmp_path, REWARD)), RewardRun)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{ not json", "is not valid JSON"),
        ({**PPO, "colour": 1}, "colour is not a field here"),
        ({**PPO, "config": {"learning_rate": 1}}, "config.learning_rate is not a field here"),
        ({k: v for k, v in PPO.items() if k != "prompts"}, "prompts is missing"),
        ({**PPO, "config": {"lr": -1}}, "config.lr: Input should be greater than 0"),
        ({**PPO, "config": {"batch": 10, "minibatch": 4}}, "minibatch 4 does not divide batch 10"),
        ({**PPO, "method": "reward"}, "method"),
        ({**PPO, "device": "tpu"}, "device"),
        ([], "valid dictionary"),
    ],
)
def test_a_bad_run_file_gets_a_sentence_that_names_the_place(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(RunRefused) as refused:
        read_run("ppo", file_of(tmp_path, content))
    assert sentence in refused.value.sentence
    assert "run.json" in refused.value.sentence


def test_a_missing_run_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunRefused, match=r"nowhere\.json cannot be read"):
        read_run("ppo", tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("config", "fields", "sentence"),
    [
        (PPOConfig, {"batch": 9, "minibatch": 9, "samples_per_prompt": 2}, "samples_per_prompt 2 does not divide"),
        (PPOConfig, {"whiten_rewards": True, "minibatch": 4}, "whiten_rewards needs a minibatch of at least 8"),
        (PPOConfig, {"kl_target": 6, "kl_budget": 5}, "kl_budget 5 must be above kl_target 6"),
        (PPOConfig, {"kl_coef": 0}, "kl_coef must be above 0"),
        (PPOConfig, {"critic_warmup": 3}, "critic_warmup needs critic own"),
        (PPOConfig, {"critic_warmup": 3, "critic": "own", "steps": 3}, "critic_warmup 3 leaves none of 3 steps"),
        (RewardConfig, {"prior_right": 2, "prior_wrong": 3}, "prior_right 2 must be above prior_wrong 3"),
        (RewardConfig, {"min_votes": 3, "members": 4}, "min_votes 3 is below members 4"),
    ],
)
def test_what_cannot_be_together_is_refused(config: type[Any], fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(**fields)
    assert sentence in first_complaint(refused.value)


def test_a_sampling_cut_is_not_a_field() -> None:
    """Statement 2: sampling is pure; whoever asks for top_p is told so."""
    for name in ("top_p", "top_k", "min_length", "repetition_penalty"):
        with pytest.raises(ValidationError, match="Extra inputs"):
            PPOConfig(**{name: 1})


def test_derived_numbers() -> None:
    config = PPOConfig(batch=64, samples_per_prompt=4)
    assert config.prompts_per_step == 16
    assert RewardConfig(prior_right=9, prior_wrong=1).reliability_expected == 0.9


def test_a_field_that_came_with_an_upgrade_makes_no_other_run() -> None:
    """States and results from before it go on being this run's, unless the field is used."""

    class Newer(PPOConfig):
        fresh: bool = False

    run = PPORun.model_validate(PPO)
    newer, used = (run.model_copy(update={"config": Newer(fresh=fresh)}) for fresh in (False, True))
    assert fingerprint_of(newer, {}) == fingerprint_of(run, {}) != fingerprint_of(used, {})
    record = CheckpointRecord(kind="policy", config=run.config.model_dump(mode="json"))
    assert (same_config(newer, record), same_config(used, record)) == (True, False)
    assert not same_config(run, record.model_copy(update={"config": {"gone": 1}}))


@pytest.mark.parametrize("config", [PPOConfig, RewardConfig])
def test_every_field_explains_itself(config: type[Any]) -> None:
    assert all(field.description and field.description.endswith(".") for field in config.model_fields.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "usage:"),
        (["sing", "run.json"], "usage:"),
        (["ppo", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_the_command_refuses_in_a_sentence_with_code_2_and_without_torch(arguments: list[str], sentence: str) -> None:
    code = "import sys; from workers.training.__main__ import main; code = main(sys.argv[1:]);"
    code += " assert 'torch' not in sys.modules; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.splitlines()[-1]


def test_the_command_names_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    file = file_of(tmp_path, PPO)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "workers.training", "ppo", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"{tmp_path / 'base'} is not a folder on this machine."
