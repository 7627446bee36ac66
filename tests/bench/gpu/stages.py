"""What is measured, one function a stage: (shape, sizes) → figures. Each runs in a process of its own.

Every stage tells `seconds` of one unit of work and its `rate` with `unit`; where it means something also `tflops`
(training: arithmetic of the weights on real tokens, attention left out) or `gigabytes` a second (decoding: weights and
cache, which a step has to read once). `__main__` sets them beside what the `card` stage reached.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.datasets.records import Outcome, Vote
from app.training.configs import DPOConfig, PPOConfig, PPORun, RewardConfig
from tests.bench.gpu.shapes import END, PAD, Shape, Sizes, device, network_of, opened_of, token_rows
from workers.sampling.decoding import Sampling, sample
from workers.training import actors, bases, packed, ppo, reward
from workers.training.batches import Pair
from workers.training.checkpoints import CheckpointRecord
from workers.training.dpo import Preferring
from workers.training.learning import descend
from workers.training.lessons import open_student
from workers.training.networks import Backbone
from workers.training.opinions import Preferred
from workers.training.packing import Text
from workers.training.practice import Prompts
from workers.training.scoring import RewardNetwork
from workers.training.stems import Stems
from workers.training.subjects import subjects_in

Figures = dict[str, Any]
REPEATS = 3


def timed(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median seconds, a first go left out."""
    taken = []
    for _ in range(repeats + 1):
        wait()
        began = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_bytes() -> int:
    """Of tensors on the card; without one, of the process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def card(shape: Shape, sizes: Sizes) -> Figures:
    """What a bare product and a bare copy reach here: the peaks that the other stages are shares of."""
    n, place = sizes.product, device()
    a, b = (torch.randn(n, n, device=place, dtype=torch.bfloat16) for _ in "ab")
    product = timed(lambda: [torch.mm(a, b) for _ in range(10)]) / 10
    source = torch.empty(max(1 << 22, min(1 << 30, n**2 * 16)), dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    copy = timed(lambda: [target.copy_(source) for _ in range(10)]) / 10
    return {
        "seconds": product, "rate": 2 * n**3 / product / 1e12, "unit": "TFLOP/s of a bf16 product",
        "tflops": 2 * n**3 / product / 1e12, "gigabytes": 2 * source.numel() / copy / 1e9,
    }  # fmt: skip


# ---- writing ---------------------------------------------------------------------------------------------------------


def written(shape: Shape, sizes: Sizes, seconds: float) -> Figures:
    """Every step reads the weights (of the embedding a row or two) and the cache, which grows by a column."""
    middle = sizes.prompt * 0.75 + sizes.answer / 2
    read = 2 * (shape.in_layers + shape.in_head) + shape.position_bytes * sizes.rows * middle
    return {
        "seconds": seconds, "rate": sizes.rows * sizes.answer / seconds, "unit": "tokens/s",
        "gigabytes": sizes.answer * read / seconds / 1e9,
    }  # fmt: skip


def decode(shape: Shape, sizes: Sizes, *, is_recorded: bool = True) -> Figures:
    """Our sampler; no answer ends before its time."""
    network = network_of(shape, sizes.context + 16, torch.bfloat16)
    prompts = token_rows(sizes.rows // sizes.samples, sizes.prompt, shape)

    def work() -> None:
        sample(
            network, prompts, Sampling(temperature=1.0, max_tokens=sizes.answer), n=sizes.samples,
            seeds=list(range(len(prompts))), stop_ids=set(), pad_id=PAD, token_budget=1 << 20,
            is_recorded=is_recorded,
        )  # fmt: skip

    return written(shape, sizes, timed(work))


def decode_plain(shape: Shape, sizes: Sizes) -> Figures:
    """The same without recorded steps: what CUDA graphs are worth here."""
    return decode(shape, sizes, is_recorded=False)


def generate(shape: Shape, sizes: Sizes) -> Figures:
    """transformers' `generate` on the same prompts, from the same distribution."""
    network = network_of(shape, sizes.context + 16, torch.bfloat16)
    prompts = token_rows(sizes.rows // sizes.samples, sizes.prompt, shape)
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts], device=device())
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device())

    def work() -> None:
        with torch.inference_mode():
            network.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=sizes.answer, min_new_tokens=sizes.answer,
                eos_token_id=None, pad_token_id=PAD, do_sample=True, temperature=1.0, top_k=0,
                num_return_sequences=sizes.samples,
            )  # fmt: skip

    return written(shape, sizes, timed(work))


# ---- our trainers ----------------------------------------------------------------------------------------------------


def learned(shape: Shape, sizes: Sizes, tokens: float, answers: float, *, full: bool) -> float:
    """TFLOP of forward and backward passes over so many tokens, of which the head sees the answers': for each weight 2
    forwards, 2 for the gradient of what it read, and 2 for its own, which a frozen one has none of."""
    each = 6 if full else 4
    return each * (tokens * shape.in_layers + answers * shape.in_head) / 1e12


def train(shape: Shape, sizes: Sizes, config: PPOConfig, held: str) -> Figures:
    """Some steps of `train_ppo`, on networks that were opened here; the seconds of `improve` are told as well."""
    place = Path(tempfile.mkdtemp())
    (place / "prompts.jsonl").touch()
    prompts = token_rows(4 * sizes.batch, sizes.prompt, shape)
    full = config.tuning == "full"
    opened = opened_of(shape, sizes, torch.float32 if full else torch.bfloat16)
    if held == "nf4":
        bases.pack_maps(opened.network, packed.bitsandbytes(), device())
        opened = replace(opened, precision="nf4")
        opened.__dict__["weights_sha256"] = "0" * 64
    ends, spent = [], [0.0]
    improve = ppo.improve

    def watched(*given: Any) -> Any:
        wait()
        began = time.perf_counter()
        found = improve(*given)
        wait()
        spent.append(time.perf_counter() - began)
        return found

    ppo.improve = watched
    ppo.read_prompts = lambda run, opened: Prompts(prompts, [], 0)
    ppo.finish = lambda *given: CheckpointRecord(kind="policy")
    actors.open_base = lambda *given: opened
    actors.open_reward = lambda run, folder, opened, backbone: RewardNetwork(
        backbone, RewardConfig(members=2, rank=16), opened.weights_sha256
    )
    told = {"checkpoint": place, "prompts": place / "prompts.jsonl", "output": place / "policy", "device": "auto"}
    rules = {"functions": ({"kind": "function", "path": f"{__name__}:even"},)}
    run = PPORun(config=config, **told, **({"reward": place} if config.advantage == "gae" else rules))
    ppo.train_ppo(run, lambda step, total, values: ends.append((time.perf_counter(), values["length"])))
    seconds = statistics.median(b[0] - a[0] for a, b in itertools.pairwise(ends))
    practising = statistics.median(spent[2:])
    answers = ends[-1][1] * config.batch * config.epochs
    tokens = (ends[-1][1] + sizes.prompt * 0.75) * config.batch * config.epochs
    return {
        "seconds": seconds, "rate": config.batch / seconds, "unit": "samples/s",
        "tflops": learned(shape, sizes, tokens, answers, full=full) / practising,
        "learning_share": practising / seconds,
    }  # fmt: skip


def even(prompts: list[str], answers: list[str]) -> list[float]:
    """A rule: what a word is worth is whether it is even."""
    return [sum(hash(word) % 2 for word in answer.split()) / max(1, len(answer.split())) for answer in answers]


def config_of(sizes: Sizes, **more: Any) -> PPOConfig:
    return PPOConfig(
        steps=sizes.steps, batch=sizes.batch, minibatch=sizes.batch // 2, epochs=2, max_tokens=sizes.answer,
        token_budget=max(64, sizes.micro * sizes.context), precision="bfloat16", reference_samples=8, lr=1e-5,
        kl_target=None, kl_budget=None, max_step_kl=None, save_every=10_000, **more,
    )  # fmt: skip


def ppo_lora(shape: Shape, sizes: Sizes) -> Figures:
    """One frozen bf16 base with adapters for policy, value and a reward ensemble of two."""
    return train(shape, sizes, config_of(sizes, base_precision="bfloat16"), "bfloat16")


def ppo_lora_small(shape: Shape, sizes: Sizes) -> Figures:
    """The same with activations recomputed, which is what fits an 8 B shape."""
    config = config_of(sizes, base_precision="bfloat16", gradient_checkpointing=True)
    return train(shape, sizes, config, "bfloat16")


def ppo_nf4(shape: Shape, sizes: Sizes) -> Figures:
    """And with the base in 4 bits."""
    config = config_of(sizes, base_precision="nf4", gradient_checkpointing=True)
    return train(shape, sizes, config, "nf4")


def ppo_full(shape: Shape, sizes: Sizes) -> Figures:
    """Every weight, in fp32 with bf16 arithmetic, beside a frozen reference."""
    return train(shape, sizes, config_of(sizes, tuning="full"), "float32")


def grpo(shape: Shape, sizes: Sizes) -> Figures:
    """Every weight, eight answers to a prompt, a rule as the reward, one pass, as TRL's is told."""
    n = min(8, sizes.batch // 2)
    config = config_of(sizes, tuning="full", advantage="grpo", samples_per_prompt=n, kl_coef=0.0, missing_eos_penalty=0)
    return train(shape, sizes, config.model_copy(update={"epochs": 1, "minibatch": sizes.batch}), "float32")


def pairs_of(shape: Shape, sizes: Sizes) -> list[tuple[list[int], list[int], list[int]]]:
    asked = token_rows(sizes.batch, sizes.prompt, shape)
    said = [token_rows(sizes.batch, sizes.answer, shape, seed=seed) for seed in (1, 2)]
    return [(prompt, [*a, END], [*b, END]) for prompt, a, b in zip(asked, *said, strict=True)]


def judged(shape: Shape, sizes: Sizes, seconds: float, *, full: bool, heads: bool) -> Figures:
    """Of steps over pairs: real tokens of both texts, and how many of them the vocabulary's head sees."""
    pairs = pairs_of(shape, sizes)
    answers = sum(len(a) + len(b) for _, a, b in pairs)
    tokens = answers + sum(2 * len(prompt) for prompt, _, _ in pairs)
    work = learned(shape, sizes, tokens, answers if heads else 0, full=full)
    return {"seconds": seconds, "rate": tokens / seconds, "unit": "real tokens/s", "tflops": work / seconds}


def dpo(shape: Shape, sizes: Sizes) -> Figures:
    """Every weight, the reference's log-probabilities taken before."""
    config = DPOConfig(tuning="full", precision="bfloat16", token_budget=max(64, sizes.micro * sizes.context), lr=1e-6)
    rows = [
        Preferred(number, 1.0, "train", Text(prompt, a), Text(prompt, b), 1.0)
        for number, (prompt, a, b) in enumerate(pairs_of(shape, sizes))
    ]
    student = open_student(opened_of(shape, sizes, torch.float32), config)
    lesson = Preferring(rows, [], config)
    with torch.no_grad():
        lesson.prepare(student)
    optimizer = torch.optim.AdamW(student.weights().values(), lr=config.lr)
    return judged(shape, sizes, timed(lambda: descend(student, lesson, rows, optimizer)), full=True, heads=True)


def reward_model(shape: Shape, sizes: Sizes) -> Figures:
    """An ensemble of two adapters on a frozen bf16 base; each reads half of the pairs, so a step reads them once."""
    budget = max(64, sizes.micro * sizes.context)
    config = RewardConfig(members=2, rank=16, depth=1, min_votes=2, token_budget=budget, precision="bfloat16")
    opened = opened_of(shape, sizes, torch.bfloat16)
    vote = Vote(rater="r", outcome=Outcome.a, strength=1, levels=1, shown_first="a", weight=1.0)
    items = [
        Pair(f"c{number}", f"g{number}", "train", prompt, a, b, (vote,), 1.0)
        for number, (prompt, a, b) in enumerate(pairs_of(shape, sizes))
    ]
    network = RewardNetwork(Backbone(opened.network), config, opened.weights_sha256)
    subjects = subjects_in(items, config, device())
    optimizer, half = reward.optimizer_for(network, subjects), len(items) // 2
    stems = Stems(network, PAD)

    def work() -> None:
        reward.descend(network, subjects, [items[:half], items[half:]], stems)
        optimizer.step()

    return judged(shape, sizes, timed(work), full=False, heads=False)


OURS = {
    "card": card, "decode": decode, "decode-plain": decode_plain, "generate": generate, "ppo": ppo_lora,
    "ppo-full": ppo_full, "dpo": dpo, "reward": reward_model, "grpo": grpo,
    "ppo-8B": ppo_lora_small, "ppo-8B-nf4": ppo_nf4,
}  # fmt: skip
