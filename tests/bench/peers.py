"""TRL's side of the training benchmarks, whose scripts stand in ../shared/bench (HONE_PEERS names another place).

    python -m tests.bench.peers plain|ragged|marked [options of trl_ppo.py]

runs trl_ppo.py as it is; with prompts of lognormal lengths and answers that end; or with a reward that is the share of
marked tokens. TRL 1.12.0, the last one with PPO, is fetched as a wheel and unpacked into var/peers.
"""

import json
import os
import random
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

SCRIPTS = Path(os.environ.get("HONE_PEERS", "../shared/bench")).resolve()
TRL = Path("var/peers/trl-1.12.0").resolve()
WORTH = 10.0  # of an answer all of marked tokens: a reward of 1 would be lost beside the price of divergence
ENDS = 1 / 40  # chance of a ragged answer to end at a token
LENGTHS = 4.0, 0.7  # of a ragged prompt, in logarithms: mean 70, one in a hundred above 270


def have_trl() -> Path:
    """Where TRL 1.12.0 is, fetched at the first call."""
    if not (TRL / "trl").exists():
        TRL.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "trl==1.12.0", "-d", str(TRL.parent)]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(TRL.parent.glob("trl-1.12.0-*.whl"))) as wheel:
            wheel.extractall(TRL)
    return TRL


def result_of(command: list[str]) -> dict:
    """Run a side in a process of its own; what it prints as RESULT, and as CURVE where it does."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("RESULT ", "CURVE ")))
    if "RESULT" not in told:
        raise RuntimeError(f"{command} printed no RESULT:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return json.loads(told["RESULT"]) | {"curve": json.loads(told.get("CURVE", "[]"))}


def length(chance: random.Random, most: int) -> int:
    return max(4, min(most, round(chance.lognormvariate(*LENGTHS))))


class Ragged(random.Random):
    def randint(self, low: int, high: int) -> int:
        return length(self, high)


def end_often(network, eos: int):
    """Give the network's head a bias by which every token ends an answer with a chance of ENDS."""
    old = network.get_output_embeddings()
    head = torch.nn.Linear(old.in_features, old.out_features, device=old.weight.device, dtype=old.weight.dtype)
    head.weight = old.weight
    torch.nn.init.zeros_(head.bias)
    head.bias.data[eos] = torch.tensor(old.out_features * ENDS).log() * 0.7  # logits are divided by the temperature
    head.requires_grad_(old.weight.requires_grad)
    network.set_output_embeddings(head)
    return network


def marked_of(network) -> torch.Tensor:
    """(v,) the tokens that are worth something: those on one side of the embedding, about half."""
    return network.get_input_embeddings().weight[:, 0] > 0


def main(kind: str, options: list[str]) -> None:
    sys.path.insert(0, str(have_trl()))
    sys.argv = ["trl_ppo.py", "--trl", str(TRL), *options]
    built = []

    def build(cls, config, **more):
        built.append(
            end_often(plain(config, **more), config.eos_token_id) if kind == "ragged" else plain(config, **more)
        )
        return built[-1]

    if kind != "plain":
        from transformers import AutoModelForCausalLM

        plain = AutoModelForCausalLM.from_config
        AutoModelForCausalLM.from_config = classmethod(build)
    if kind == "ragged":
        random.Random = Ragged
    if kind == "marked":
        import trl.experimental.ppo.ppo_trainer as trainer

        whole = trainer.get_reward

        def share(model, texts, pad, start):
            values, _, ends = whole(model, texts, pad, start)
            answers = texts[:, start:]
            liked = (marked_of(built[0]).to(texts.device)[answers] & (answers != pad)).sum(1)
            return values, WORTH * liked / (answers != pad).sum(1).clamp(min=1), ends

        trainer.get_reward = share
    left = runpy.run_path(str(SCRIPTS / "trl_ppo.py"), run_name="__main__")
    wanted = {"score": "objective/scores", "kl": "objective/kl"}
    print("CURVE " + json.dumps([{name: float(log[key]) for name, key in wanted.items()} for log in left["logs"]]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
