"""The reward model against TRL 1.16's RewardTrainer: real tokens a second, extra memory, and what both have learned.

Same network (random Llama, the same seed), the same pairs in text (better answers have more of a marked set of words),
as many pairs in as many optimizer steps, fp32, two threads; each run in a process of its own, sides in turn. TRL trains
every weight of one network at its script's rate; ours an ensemble of two by low-rank adapters in every layer of one
frozen base, at three times RewardConfig's rate, since nothing here is learned yet that a high one could spoil.

Real tokens are counted on both sides as TRL reads them: prompt and answer of either side of a pair, without padding.
Seconds are those of the steps; a pair teaches one of our members, and is then read blind by the other for early
stopping and calibration, which TRL does not do: `real_tok_s_blind_too` has that reading in it. Accuracy: TRL's over the
last quarter of its pairs, each before it is learned from; ours on as many held-out pairs.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from app.datasets.records import Answer, ComparisonRecord, Message, Outcome, TextPart, Vote
from app.training.configs import RewardConfig, RewardRun
from tests.bench import peers
from workers.training import reward
from workers.training.checkpoints import CheckpointRecord, save_checkpoint

SIZES = {"hidden": 256, "layers": 4, "heads": 4, "vocab": 8192, "prompt": 64, "resp": 64, "batch": 8}
STEPS = 60
# key: least speed-up, most memory
POINTS = {"reward": (1.6, 1.0)}
EQUAL = 0.03  # accuracies that differ by less are equal: two standard deviations of 120 pairs near 0.97


def measure(repeats: int = 5, only: str = "") -> Iterator[tuple[str, dict]]:
    if not "reward".startswith(only):
        return
    told = [word for name, value in (SIZES | {"steps": STEPS}).items() for word in (f"--{name}", str(value))]
    ours, theirs = ["-m", "tests.bench.reward", *told], [str(peers.SCRIPTS / "trl_rm.py"), *told]
    rounds = [(peers.result_of(ours), peers.result_of(theirs)) for _ in range(repeats)]
    yield "reward", beside(*([pair[side] for pair in rounds] for side in (0, 1)))


def beside(mine: list[dict], other: list[dict]) -> dict:
    def middle(runs: list[dict], name: str) -> float:
        return statistics.median(run[name] for run in runs)

    accuracy, theirs = middle(mine, "accuracy"), middle(other, "acc_last")
    return {
        "speedup": round(middle(mine, "real_tok_s") / middle(other, "real_tok_s"), 3),
        "speedup_blind_too": round(middle(mine, "real_tok_s_blind_too") / middle(other, "real_tok_s"), 3),
        "memory_ratio": round(middle(mine, "rss_delta_mb") / max(1, middle(other, "rss_delta_mb")), 3),
        "accuracy": accuracy,
        "trl_accuracy": theirs,
        "equal_accuracy": accuracy >= theirs - EQUAL,
        "ours": mine,
        "trl": other,
    }


# ---- our side, in its own process -----------------------------------------------------------------------------------


def run_ours(sizes: argparse.Namespace, folder: Path) -> dict:
    sys.path.insert(0, str(peers.SCRIPTS))
    import common

    torch.set_num_threads(2)
    tokenizer = common.make_tokenizer(2000)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"  # checkpoints have one
    shape = common.make_config(
        "llama", sizes.vocab, sizes.hidden, sizes.layers, sizes.heads, sizes.prompt + sizes.resp + 8, tokenizer
    )
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(shape)
    save_checkpoint(folder / "base", base, tokenizer, CheckpointRecord(kind="base"))
    pairs, heldout = sizes.batch * sizes.steps, sizes.batch * sizes.steps // 4
    rows = texts(common.WORDS, pairs + heldout, sizes)
    (folder / "pairs.jsonl").write_text("".join(
        line(number, row, "train" if number < pairs else "heldout") + "\n" for number, row in enumerate(rows)
    ))  # fmt: skip
    # with one of two members blind to a pair, half as many pairs for each member are as many pairs a step as TRL's
    # and no pass reads more than a batch of TRL's, so that memory compares
    widest = 2 * sizes.batch * (sizes.prompt + sizes.resp)
    config = RewardConfig(members=2, depth=1.0, batch=sizes.batch // 2, epochs=1, lr=3e-3, token_budget=widest)
    memory, real = common.PeakRSS(), sum(tokens(tokenizer, row) for row in rows[:pairs])
    seconds = {"fit": 0.0, "look_at_folds": 0.0}

    def timed(name: str) -> None:
        whole = getattr(reward, name)

        def watched(*arguments):
            if name == "fit":  # as TRL's script: the network and the texts are there already
                memory.start()
            began = time.perf_counter()
            found = whole(*arguments)
            seconds[name] += time.perf_counter() - began
            return found

        setattr(reward, name, watched)

    timed("fit")
    timed("look_at_folds")
    run = RewardRun(checkpoint=folder / "base", output=folder / "reward", dataset=folder / "pairs.jsonl", config=config)
    told = reward.train_reward(run).metrics
    return {
        "what": "hone_reward",
        "real_tok_s": round(real / (seconds["fit"] - seconds["look_at_folds"]), 1),
        "real_tok_s_blind_too": round(real / seconds["fit"], 1),
        "steps": sizes.steps,
        "accuracy": told["heldout"]["accuracy"],
        **memory.stop(),
    }


def texts(words: list[str], count: int, sizes: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(prompt, chosen, rejected), drawn as TRL's script draws them."""
    chance, good, bad = random.Random(0), words[:60], words[60:]

    def answer(share: float) -> str:
        long = chance.randint(sizes.resp // 4, sizes.resp - 4)
        return " ".join(chance.choice(good if chance.random() < share else bad) for _ in range(long))

    def prompt() -> str:
        return " ".join(chance.choices(words, k=chance.randint(sizes.prompt // 4, sizes.prompt - 4))) + "\n"

    return [(prompt(), answer(0.65), answer(0.35)) for _ in range(count)]


def tokens(tokenizer, row: tuple[str, str, str]) -> int:
    prompt, chosen, rejected = (len(tokenizer(text)["input_ids"]) for text in row)
    return 2 * prompt + chosen + rejected + 2  # each side ends


def line(number: int, row: tuple[str, str, str], split: str) -> str:
    prompt, chosen, rejected = row
    first = number % 2 == 0  # as often one side as the other
    a, b = (chosen, rejected) if first else (rejected, chosen)
    outcome = Outcome.a if first else Outcome.b
    return ComparisonRecord(
        id=str(number), group=str(number), split=split,
        prompt=(Message(role="user", parts=(TextPart(text=prompt),)),),
        a=Answer(id=f"{number}a", parts=(TextPart(text=a),)), b=Answer(id=f"{number}b", parts=(TextPart(text=b),)),
        conclusion=outcome,
        votes=(Vote(rater="r", outcome=outcome, strength=1, levels=1, shown_first="a"),),
    ).model_dump_json()  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, value in (SIZES | {"steps": STEPS}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    with tempfile.TemporaryDirectory() as place:
        print("RESULT " + json.dumps(run_ours(parser.parse_args(), Path(place))))
