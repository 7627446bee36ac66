"""PPO against TRL 1.12's: seconds a step, extra memory, and what both learn of a task whose answer is known.

Same networks (random Llama, the same seed), prompts, sizes, micro-batches and optimizer steps on both sides, fp32, two
threads; each run in a process of its own, sides in turn. The first step is left out.

    shared     one frozen base with LoRA of rank 16; critic and reward network are heads and adapters on it
    full       every weight learns; the critic is a head on the policy, the reward network another network
    separate   every weight learns; critic and reward network are networks of their own, as TRL's
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from app.training.configs import PPOConfig, PPORun, RewardConfig
from tests.bench import peers
from workers.training import actors, ppo
from workers.training.checkpoints import CheckpointRecord, open_checkpoint, save_checkpoint, weights_sha256
from workers.training.judging import Judges
from workers.training.networks import Backbone
from workers.training.practice import Prompts
from workers.training.scoring import RewardNetwork, Scores, save_reward

SMALL = {
    "hidden": 256, "layers": 4, "heads": 4, "vocab": 8192, "prompt": 32, "resp": 48, "batch": 16, "micro": 4,
    "epochs": 4, "lr": 3e-6,
}  # fmt: skip
WIDE = SMALL | {"hidden": 64, "layers": 2, "vocab": 49152, "resp": 96, "batch": 32, "epochs": 1}
RAGGED = SMALL | {"prompt": 200, "resp": 128, "batch": 32}
LEARNING = SMALL | {"lr": 3e-4}
# key: sizes, our way, kind of TRL's run, least speed-up, most memory
POINTS = {
    "ppo.point1.shared": (SMALL, "shared", "plain", 2.2, None),
    "ppo.point1.separate": (SMALL, "separate", "plain", 1.4, None),
    "ppo.point1.full": (SMALL, "full", "plain", 1.0, None),
    "ppo.point2": (WIDE, "shared", "plain", 2.5, 0.5),
    "ppo.point3": (RAGGED, "shared", "ragged", 3.0, None),
}


def measure(repeats: int = 5, steps: int = 5, only: str = "") -> Iterator[tuple[str, dict]]:
    for key, (sizes, way, kind, *_) in POINTS.items():
        if not key.startswith(only):
            continue
        rounds = [(ours(sizes, way, kind, steps), theirs(sizes, kind, steps)) for _ in range(repeats)]
        mine, other = ([pair[side] for pair in rounds] for side in (0, 1))
        yield (
            key,
            {
                "speedup": round(middle(other, "s_per_step") / middle(mine, "s_per_step"), 3),
                "memory_ratio": round(middle(mine, "rss_delta_mb") / max(1, middle(other, "rss_delta_mb")), 3),
                "ours": mine,
                "trl": other,
            },
        )
    if "ppo.learning".startswith(only):
        yield "ppo.learning", learning()


def middle(runs: list[dict], name: str) -> float:
    return statistics.median(run[name] for run in runs)


WINDOW = 8  # steps that a score is the mean of: of one step's 16 answers it says little
# two standard deviations of the difference of two such means: 128 answers of 48 tokens, half of them marked
NOISE = 2 * math.sqrt(2 / 128) * peers.WORTH * 0.5 / math.sqrt(48)


def learning(steps: int = 40) -> dict:
    """Both raise the share of marked tokens. Ours is read where its divergence first reaches what TRL's ended at, or at
    its own end where it never does: then it had less of it to pay for."""
    mine, other = ours(LEARNING, "separate", "marked", steps), theirs(LEARNING, "marked", steps)
    (*_, last), reached = smooth(other["curve"]), smooth(mine["curve"])
    equal = next((point for point in reached if point["kl"] >= last["kl"]), reached[-1])
    return {"score": equal["score"], "kl": equal["kl"], "trl_score": last["score"], "trl_kl": last["kl"],
            "score_before": reached[0]["score"], "equal_accuracy": equal["score"] >= last["score"] - NOISE,
            "speedup": round(other["s_per_step"] / mine["s_per_step"], 3), "ours": mine, "trl": other}  # fmt: skip


def smooth(curve: list[dict]) -> list[dict]:
    windows = [curve[first : first + WINDOW] for first in range(len(curve) - WINDOW + 1)]
    return [{name: statistics.mean(point[name] for point in some) for name in ("score", "kl")} for some in windows]


def options_of(sizes: dict, steps: int) -> list[str]:
    told = sizes | {"steps": steps}
    return [word for name, value in told.items() for word in (f"--{name}", str(value))]


def ours(sizes: dict, way: str, kind: str, steps: int) -> dict:
    return peers.result_of(["-m", "tests.bench.ppo", way, kind, *options_of(sizes, steps)])


def theirs(sizes: dict, kind: str, steps: int) -> dict:
    rollout = ["--rollout-batch", str(sizes["batch"]), *(["--eos"] if kind == "ragged" else [])]
    return peers.result_of(["-m", "tests.bench.peers", kind, *options_of(sizes, steps), *rollout])


# ---- our side, in its own process -----------------------------------------------------------------------------------


def run_ours(way: str, kind: str, sizes: argparse.Namespace, folder: Path) -> dict:
    sys.path.insert(0, str(peers.SCRIPTS))
    import common

    torch.set_num_threads(2)
    tokenizer = common.make_tokenizer(2000)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"  # checkpoints have one
    chance, most = random.Random(0), sizes.prompt
    prompts = [prompt(tokenizer, common.WORDS, chance, most, kind) for _ in range(sizes.batch * (sizes.steps + 2))]
    run = prepare(way, kind, sizes, folder, tokenizer, common)
    marks: list[tuple[float, dict]] = []
    memory = common.PeakRSS()
    ppo.read_prompts = lambda run, opened: Prompts(prompts, [], 0)
    ppo.finish = lambda run, *rest: CheckpointRecord(kind="policy")  # the end's figures are no part of a step
    memory.start()
    ppo.train_ppo(run, lambda step, total, values: marks.append((time.perf_counter(), values)))
    seconds = (marks[-1][0] - marks[0][0]) / (len(marks) - 1)
    answered = statistics.mean(values["length"] for _, values in marks[1:]) * sizes.batch
    return {
        "what": f"hone_ppo {way}",
        "s_per_step": round(seconds, 3),
        "e2e_resp_tok_s": round(answered / seconds, 1),
        "optimizer_steps_per_ppo_step": marks[-1][1]["updates"],
        **memory.stop(),
        "curve": [{"score": values["score"], "kl": values["kl"]} for _, values in marks],
    }


def prompt(tokenizer, words: list[str], chance: random.Random, most: int, kind: str) -> list[int]:
    ids = tokenizer(" ".join(chance.choices(words, k=most * 2)))["input_ids"]
    return ids[: peers.length(chance, most) if kind == "ragged" else chance.randint(most // 4, most)]


def prepare(way: str, kind: str, sizes: argparse.Namespace, folder: Path, tokenizer, common) -> PPORun:
    """A base, a reward network on it or on a network of its own, and what PPO is told."""
    from transformers import AutoModelForCausalLM

    longest = sizes.prompt + sizes.resp + 8
    shape = common.make_config("llama", sizes.vocab, sizes.hidden, sizes.layers, sizes.heads, longest, tokenizer)
    for name in ("base", "judge"):
        torch.manual_seed(0)
        save_checkpoint(
            folder / name, AutoModelForCausalLM.from_config(shape), tokenizer, CheckpointRecord(kind="base")
        )
    judge = folder / ("base" if way == "shared" else "judge")
    told = RewardConfig(members=2, rank=16) if way == "shared" else RewardConfig(members=2, depth=0)
    record = CheckpointRecord(kind="reward", base_sha256=weights_sha256(judge), config=told.model_dump(mode="json"))
    network = RewardNetwork(Backbone(open_checkpoint(judge).network), told, weights_sha256(judge))
    save_reward(folder / "reward", network, record)
    if kind == "ragged":
        whole = actors.open_base

        def opened(*args, **more):
            found = whole(*args, **more)
            peers.end_often(found.network, found.eos_id)
            return found

        actors.open_base = opened
    if kind == "marked":
        marked = peers.marked_of(open_checkpoint(folder / "base").network)
        Judges.scores = lambda self, prompts, answers, pad: Scores(
            torch.stack([peers.WORTH * marked[answer].float().mean() for answer in answers]).repeat(2, 1)
        )
    # rewards and prices as TRL has them: no clip, no control, no early end
    config = PPOConfig(
        steps=sizes.steps, batch=sizes.batch, minibatch=sizes.batch, epochs=sizes.epochs, max_tokens=sizes.resp,
        max_prompt_tokens=sizes.prompt, temperature=0.7, kl_coef=0.05, kl_target=None, kl_budget=None, max_step_kl=None,
        token_budget=sizes.micro * (sizes.prompt + sizes.resp), lr=sizes.lr, warmup_steps=0, lr_end=0.0,
        tuning="lora" if way == "shared" else "full", critic="own" if way == "separate" else "shared",
        missing_eos_penalty=1.0 if kind == "ragged" else 0.0, score_clip=None, score_scale="none", uncertainty=0,
        reference_samples=8, save_every=10_000,
    )  # fmt: skip
    return PPORun(
        checkpoint=folder / "base", reward=folder / "reward", reward_base=judge, prompts=folder / "base" / "hone.json",
        output=folder / "policy", device="cpu", config=config,
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["shared", "full", "separate"])
    parser.add_argument("kind", choices=["plain", "ragged", "marked"])
    for name, value in (SMALL | {"steps": 3}).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        print("RESULT " + json.dumps(told := run_ours(wanted.way, wanted.kind, wanted, Path(place))))
        print("CURVE " + json.dumps(told["curve"]))
