"""`hone train export run.json --to openrlhf|verl`: a PPO run for a cluster, in the words of those who train on one.

What comes out is a folder: the prompts in their shape, a reward function that asks our sampler's door for scores
(`workers/sampling/judging.py`), and a script that starts the training. Torch-free.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.datasets.records import PromptRecord
from app.training.configs import PPOConfig, PPORun, RunRefused, read_run
from workers.training.command import Words
from workers.training.lines import read_lines, turns

USAGE = "usage: hone train export run.json --to openrlhf|verl --scorer ADDRESS [--output FOLDER]"
# of PPO's config, what each of them is told in its own words; the rest that was changed stands in the script's head
CARRIED = {
    "steps", "batch", "samples_per_prompt", "epochs", "minibatch", "max_tokens", "max_prompt_tokens", "temperature",
    "tuning", "rank", "scale", "advantage", "lr", "clip", "value_clip", "entropy_coef", "gamma", "lam", "kl_coef",
    "kl_in", "max_grad_norm", "head_weights", "formula", "uncertainty", "save_every",
}  # fmt: skip
# what asks for something by its default, beside the value that asks for nothing. What steers the price counts nats per
# answer here, and per token with them
CHANGED = {"kl_target": None, "kl_budget": None, "max_step_kl": None, "missing_eos_penalty": 0.0, "score_clip": None}


def export(arguments: Sequence[str]) -> Path:
    """The folder that was written. Raises RunRefused."""
    words = Words(add_help=False, allow_abbrev=False, usage=USAGE)
    words.add_argument("run", type=Path)
    words.add_argument("--to", choices=sorted(WAYS), required=True)
    words.add_argument("--scorer", required=True)
    words.add_argument("--output", type=Path)
    said = words.parse_args(arguments)
    run = read_run("ppo", said.run)
    assert isinstance(run, PPORun), "read as one"
    folder = said.output or Path(f"{said.run.stem}-{said.to}")
    if run.reward is None:
        raise RunRefused("The run has no reward model, and there is nothing to ask for scores.")
    if folder.exists():
        raise RunRefused(f"{folder} is there already, and is not overwritten.")
    practice = read_lines(run.prompts, PromptRecord)
    looked_at = read_lines(run.evaluation, PromptRecord) if run.evaluation else practice[:32]
    if not practice:
        raise RunRefused(f"{run.prompts.name} has no prompt.")
    row, options = WAYS[said.to]
    folder.mkdir(parents=True)
    for name, records in (("train", practice), ("looked_at", looked_at)):
        lines = (json.dumps(row(name, record, messages_of(record)), ensure_ascii=False) for record in records)
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "reward.py").write_text(reward_function(run.config, said.scorer), encoding="utf-8")
    (folder / "train.sh").write_text(script(run, said.to, options(run, len(practice))), encoding="utf-8")
    (folder / "train.sh").chmod(0o755)
    return folder


def messages_of(record: PromptRecord) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns(record.prompt)]


def reward_function(config: PPOConfig, scorer: str) -> str:
    """Our own file `asking.py`, with the scorer's address and what counts filled in."""
    counted = {"head_weights": config.head_weights, "formula": config.formula, "uncertainty": config.uncertainty}
    source = files("workers.training").joinpath("asking.py").read_text(encoding="utf-8")
    bare = 'SCORER = ""\nCOUNTED: dict[str, Any] = {}\n'
    assert source.count(bare) == 1, "the two lines that are filled in"
    return source.replace(bare, f"SCORER = {scorer!r}\nCOUNTED: dict[str, Any] = {counted!r}\n")


def openrlhf_row(_split: str, _record: PromptRecord, messages: list[dict[str, str]]) -> dict[str, Any]:
    """The label comes back with every answer, so it carries what was asked."""
    return {"prompt": messages, "label": json.dumps(messages, ensure_ascii=False)}


def verl_row(split: str, record: PromptRecord, messages: list[dict[str, str]]) -> dict[str, Any]:
    asked = {"split": split, "index": record.id, "messages": json.dumps(messages, ensure_ascii=False)}
    model = {"style": "model", "ground_truth": ""}
    return {"data_source": "hone", "prompt": messages, "ability": "chat", "reward_model": model, "extra_info": asked}


def openrlhf_options(run: PPORun, prompts: int) -> Iterator[str]:
    """Of `openrlhf.cli.train_ppo_ray` from 0.10.2 on, whose flags have dots."""
    config = run.config
    yield f"--actor.model_name_or_path {shlex.quote(str(run.checkpoint))}"
    yield '--reward.remote_url "$HERE/reward.py"'
    yield '--data.prompt_dataset "$HERE/train.jsonl" --data.input_key prompt --data.label_key label'
    yield f"--data.apply_chat_template --data.max_len {config.max_prompt_tokens + config.max_tokens}"
    yield f"--rollout.batch_size {config.prompts_per_step} --rollout.n_samples_per_prompt {config.samples_per_prompt}"
    yield f"--rollout.max_new_tokens {config.max_tokens} --rollout.temperature {config.temperature:g} --rollout.top_p 1"
    yield f"--train.batch_size {config.minibatch} --train.max_epochs {config.epochs} --train.seed {run.seed}"
    yield f"--train.num_episodes {math.ceil(config.steps * config.prompts_per_step / prompts)}"
    estimator = {"gae": "gae", "rloo": "rloo", "grpo": "group_norm"}[config.advantage]
    yield f"--algo.advantage.estimator {estimator} --algo.advantage.gamma {config.gamma:g}"
    yield f"--algo.kl.init_coef {config.kl_coef:g} --algo.kl.estimator {KL[config.kl_in]}"
    if config.kl_in != "reward":
        yield "--algo.kl.use_loss"
    yield f"--actor.adam.lr {config.lr:g} --actor.max_norm {config.max_grad_norm:g} --actor.eps_clip {config.clip:g}"
    if config.entropy_coef:
        yield f"--actor.entropy_coef {config.entropy_coef:g}"
    if config.asks_critic:
        yield f"--critic.model_name_or_path {shlex.quote(str(run.checkpoint))} --algo.advantage.lambd {config.lam:g}"
        yield f"--critic.value_clip {config.value_clip or 1e9:g}"
        yield '--critic.num_nodes 1 --critic.num_gpus_per_node "$GPUS"'
    if config.tuning == "lora":
        yield f"--ds.lora.rank {config.rank} --ds.lora.alpha {config.scale:g}"
    yield '--actor.num_nodes 1 --actor.num_gpus_per_node "$GPUS" --ref.num_nodes 1 --ref.num_gpus_per_node "$GPUS"'
    yield '--train.colocate_all --vllm.num_engines "$GPUS" --vllm.tensor_parallel_size 1'
    yield "--vllm.gpu_memory_utilization 0.5 --vllm.enable_sleep --ds.enable_sleep"
    yield "--ds.zero_stage 3 --ds.param_dtype bf16 --actor.gradient_checkpointing_enable"
    yield f'--ckpt.output_dir "$HERE/policy" --ckpt.path "$HERE/states" --ckpt.save_steps {config.save_every}'


def verl_options(run: PPORun, _prompts: int) -> Iterator[str]:
    """Of `verl.trainer.main_ppo`, whose reward function stands below `reward` since its reward loop came."""
    config, base = run.config, shlex.quote(str(run.checkpoint))
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    yield 'data.train_files="$HERE/train.jsonl" data.val_files="$HERE/looked_at.jsonl"'
    yield f"data.train_batch_size={config.prompts_per_step} data.filter_overlong_prompts=True"
    yield f"data.max_prompt_length={config.max_prompt_tokens} data.max_response_length={config.max_tokens}"
    yield f"actor_rollout_ref.model.path={base} actor_rollout_ref.model.enable_gradient_checkpointing=True"
    if config.tuning == "lora":
        yield f"actor_rollout_ref.model.lora_rank={config.rank} actor_rollout_ref.model.lora_alpha={config.scale:g}"
    # of prompts, where ours is of answers
    yield f"{actor}.ppo_mini_batch_size={max(1, config.minibatch // config.samples_per_prompt)}"
    yield f"{actor}.ppo_micro_batch_size_per_gpu=1 {actor}.ppo_epochs={config.epochs} {actor}.optim.lr={config.lr:g}"
    yield f"{actor}.clip_ratio={config.clip:g} {actor}.entropy_coeff={config.entropy_coef:g}"
    yield f"{actor}.grad_clip={config.max_grad_norm:g}"
    yield f"{rollout}.name=vllm {rollout}.n={config.samples_per_prompt} {rollout}.temperature={config.temperature:g}"
    yield f"{rollout}.tensor_model_parallel_size=1 {rollout}.log_prob_micro_batch_size_per_gpu=1"
    yield "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=1"
    yield f"algorithm.adv_estimator={config.advantage} algorithm.gamma={config.gamma:g} algorithm.lam={config.lam:g}"
    if config.kl_in == "reward":
        yield f"algorithm.use_kl_in_reward=True algorithm.kl_penalty=kl algorithm.kl_ctrl.kl_coef={config.kl_coef:g}"
    else:
        kind = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}[KL[config.kl_in]]
        yield f"{actor}.use_kl_loss=True {actor}.kl_loss_coef={config.kl_coef:g} {actor}.kl_loss_type={kind}"
    if config.asks_critic:
        yield f"critic.model.path={base} critic.ppo_micro_batch_size_per_gpu=1"
        yield f"critic.cliprange_value={config.value_clip or 1e9:g}"
    yield 'reward.custom_reward_function.path="$HERE/reward.py" reward.custom_reward_function.name=compute_score'
    yield f'trainer.n_gpus_per_node="$GPUS" trainer.nnodes=1 trainer.total_training_steps={config.steps}'
    yield f"trainer.save_freq={config.save_every} trainer.project_name=hone trainer.experiment_name=ppo"
    yield 'trainer.default_local_dir="$HERE/states" trainer.logger=\'["console"]\''


KL = {"reward": "k1", "loss_k1": "k1", "loss_k2": "k2", "loss_k3": "k3"}
WAYS = {"openrlhf": (openrlhf_row, openrlhf_options), "verl": (verl_row, verl_options)}
MODULES = {"openrlhf": "openrlhf.cli.train_ppo_ray", "verl": "verl.trainer.main_ppo"}


def left_behind(run: PPORun) -> list[str]:
    """What this run asks for and the other trainer is not told."""
    asked = run.config.model_dump(exclude_defaults=True).keys() - CHANGED.keys()
    asked |= {name for name, none in CHANGED.items() if getattr(run.config, name) != none}
    found = sorted(asked - CARRIED)
    return found + [name for name in ("references", "pretraining", "functions", "rollouts") if getattr(run, name)]


def script(run: PPORun, way: str, options: Iterator[str]) -> str:
    head = [
        "#!/bin/bash",
        f"# Written by hone train export from {run.output.name}'s run file: PPO with {way}, on GPUs of one machine.",
        "# HONE_SCORER_TOKEN must hold what stands in the sampler's file sampler.token. reward.py says where it asks.",
        f"# Not carried over, because it has no equal there: {', '.join(left_behind(run)) or 'nothing'}.",
        "set -eu",
        'HERE="$(cd "$(dirname "$0")" && pwd)"',
        'GPUS="${GPUS:-8}"',
        ': "${HONE_SCORER_TOKEN:?}"',
    ]
    command = " \\\n    ".join([f"python3 -m {MODULES[way]}", *options, '"$@"'])
    return "\n".join([*head, command]) + "\n"
