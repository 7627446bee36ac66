"""Our sampler beside transformers' `generate`: n answers to one prompt, and answers of very different lengths.

    python -m tests.bench.training sampler

A Llama of 5.2 M random weights (the size of PPO's point 1), fp32, two threads. Each side draws from the same
distribution (temperature 0.7, nothing cut), in turn, in one process; medians of all repeats but the first. Before that
both answer greedily, and must say the same.

    sampler.shared_prompt   8 answers of 32 tokens to a prompt of 256, which we read once
    sampler.skewed          48 answers whose lengths are lognormal, 1 to 128: ours leave the batch when they are done

Memory is the growth of the resident set in a process of its own for each side.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from tests.bench.sampling import PAD, VOCABULARY, build
from workers.sampling.decoding import Sampling, sample

# key: n, prompts, tokens of a prompt, of an answer, bars: speed-up and memory
POINTS = {
    "sampler.shared_prompt": (8, 1, (256, 256), 32, 2.5, None),
    "sampler.skewed": (1, 48, (8, 64), 128, 1.5, None),
}
SKEW = 3.0, 0.9  # of an answer's length, in logarithms: mean 30, one in fifty at 128


class Setting:
    """The network, prompts, and at which length each answer ends."""

    def __init__(self, key: str) -> None:
        torch.set_num_threads(2)
        self.n, count, (shortest, longest), self.most, *_ = POINTS[key]
        self.network = build()
        drawn = torch.Generator().manual_seed(1)
        widths = torch.randint(shortest, longest + 1, (count,), generator=drawn).tolist()
        self.prompts = [torch.randint(1, VOCABULARY, (width,), generator=drawn).tolist() for width in widths]
        self.lengths = [[self.most] * self.n for _ in self.prompts]
        if key == "sampler.skewed":
            spread = torch.randn(count, generator=drawn) * SKEW[1] + SKEW[0]
            self.lengths = spread.exp().round().clamp(1, self.most).int()[:, None].tolist()

    def run_ours(self, temperature: float) -> list[list[list[int]]]:
        answers = sample(
            self.network,
            self.prompts,
            Sampling(temperature=temperature, max_tokens=self.most),
            n=self.n,
            seeds=list(range(len(self.prompts))),
            stop_ids=set(),
            pad_id=PAD,
            token_budget=32_768,
            watch=lambda row: len(row.tokens) >= self.lengths[row.prompt][row.sample],
        )
        return [[one.tokens for one in group] for group in answers]

    def run_theirs(self, temperature: float) -> list[list[list[int]]]:
        width = max(map(len, self.prompts))
        each = [prompt for prompt in self.prompts for _ in range(self.n)]
        ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in each])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in each])
        ends = torch.tensor([length for group in self.lengths for length in group])
        drawing = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        with torch.inference_mode():
            texts = self.network.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=self.most,
                eos_token_id=None,
                pad_token_id=PAD,
                stopping_criteria=StoppingCriteriaList([Ends(ends, width)]),
                **drawing,
            )[:, width:].tolist()
        answers = [text[:end] for text, end in zip(texts, ends.tolist(), strict=True)]
        return [answers[first : first + self.n] for first in range(0, len(answers), self.n)]


class Ends(StoppingCriteria):
    """Each answer ends at its own length."""

    def __init__(self, lengths: torch.Tensor, width: int) -> None:
        self.lengths, self.width = lengths, width

    def __call__(self, input_ids: torch.Tensor, scores: object, **options: object) -> torch.Tensor:
        return input_ids.shape[1] - self.width >= self.lengths


def measure(repeats: int = 5, only: str = "") -> Iterator[tuple[str, dict]]:
    for key in POINTS:
        if not key.startswith(only):
            continue
        setting = Setting(key)
        same = setting.run_ours(0) == setting.run_theirs(0)
        seconds: dict[str, list[float]] = {"ours": [], "generate": []}
        for _ in range(repeats + 1):  # the first one warms up
            for name, run in (("ours", setting.run_ours), ("generate", setting.run_theirs)):
                began = time.perf_counter()
                run(0.7)
                seconds[name].append(time.perf_counter() - began)
        mine, other = (statistics.median(taken[1:]) for taken in seconds.values())
        memory = {name: grown(key, name) for name in seconds}
        tokens = sum(length for group in setting.lengths for length in group)
        yield (
            key,
            {
                "speedup": round(other / mine, 3) if same else 0.0,  # other answers are not quicker ones
                "memory_ratio": round(memory["ours"] / max(1, memory["generate"]), 3),
                "same_greedily": same,
                **{
                    name: {
                        "seconds": [round(one, 4) for one in taken[1:]],
                        "tokens_per_second": round(tokens / statistics.median(taken[1:])),
                        "rss_delta_mb": memory[name],
                    }
                    for name, taken in seconds.items()
                },
            },
        )


def grown(key: str, side: str) -> int:
    """MB by which a process grows at most while one side answers."""
    done = subprocess.run([sys.executable, "-m", "tests.bench.sampler", key, side], capture_output=True, check=True)
    return json.loads(done.stdout)


def peak() -> int:
    """The largest resident set so far, MB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024


if __name__ == "__main__":
    made = Setting(sys.argv[1])
    run = made.run_ours if sys.argv[2] == "ours" else made.run_theirs
    before = peak()
    run(0.7)
    print(peak() - before)
