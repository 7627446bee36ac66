"""Make the demo checkpoint from nothing: `python -m workers.demo.build [folder]`.

Corpus, tokenizer and weights follow from the seed: corpus and tokenizer are byte-equal on every machine, the weights
on the same machine with the same torch and two threads.
"""

import argparse
import math
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from workers.demo.corpus import Turn, conversations
from workers.demo.muon import Muon
from workers.demo.tokenizer import BEGIN, END, MARKERS, PAD, encode, id_of, train_tokenizer, wrap
from workers.training.checkpoints import CheckpointRecord, save_checkpoint

FOLDER = Path(__file__).parent / "checkpoint"
THREADS = 2  # sums in another order give other last digits


class BuildConfig(BaseModel):
    """How the checkpoint is made."""

    model_config = ConfigDict(frozen=True)

    seed: str = "hone-demo"
    conversations: int = Field(default=36_000, description="Conversations to learn from, each read once.")
    heldout: int = Field(default=1_000, description="Conversations only measured on.")
    width: int = 192
    layers: int = 5
    heads: int = 6
    inner: int = 512
    context: int = Field(default=512, description="Positions; conversations have at most about 150 tokens.")
    batch: int = Field(default=32, description="Conversations in one step.")
    lr: float = Field(default=0.025, description="Peak rate of Muon, for the matrices inside.")
    outer_lr: float = Field(default=5e-3, description="Peak rate of Adam, for embedding and norms.")
    remark: float = Field(default=3.0, description="How much a word counts of what is said to an answer.")
    warmup: float = Field(default=0.03, description="Share of the steps in which the rates rise.")
    sharpness: float = Field(
        default=2.4, description="Logits are multiplied by this at the end: fewer slips of the tongue at temperature 1."
    )


def build(folder: Path, config: BuildConfig, say: Callable[[str], None]) -> None:
    """Write the checkpoint folder, replacing what is there."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(int.from_bytes(sha256(config.seed.encode()).digest()[:4], "big"))
    started = time.monotonic()
    corpus = list(conversations(config.conversations + config.heldout, config.seed))
    tokenizer = learn_tokenizer(config)
    encoded = encode(tokenizer, corpus)
    learned, heldout = encoded[config.heldout :], encoded[: config.heldout]
    say(f"{sum(map(len, learned)):,} tokens of {len(learned):,} conversations after {time.monotonic() - started:.0f} s")
    network = make_network(config, tokenizer)
    train(network, learned, tokenizer, config, say)
    network.to(torch.bfloat16)  # measured as it is saved
    sharpen(network, config.sharpness)
    loss = heldout_loss(network, heldout, tokenizer)
    say(f"held-out loss {loss:.4f} after {time.monotonic() - started:.0f} s")
    record = CheckpointRecord(
        kind="base",
        method="demo",
        config=config.model_dump(),
        dataset_sha256=corpus_sha256(corpus),
        metrics={"heldout_loss": round(loss, 4), "tokens": sum(map(len, learned))},
    )
    shutil.rmtree(folder, ignore_errors=True)
    save_checkpoint(folder, network, wrap(tokenizer, config.context), record)


@torch.no_grad()
def sharpen(network: LlamaForCausalLM, sharpness: float) -> None:
    """Make likely words likelier: the last norm's weight scales every logit."""
    network.model.norm.weight.mul_(sharpness)


def learn_tokenizer(config: BuildConfig) -> Tokenizer:
    """The tokenizer of the corpus's beginning, where all its words occur."""
    few = conversations(min(config.conversations, 10_000), config.seed)
    return train_tokenizer(turn.text for turns in few for turn in turns)


def corpus_sha256(corpus: Sequence[Sequence[Turn]]) -> str:
    digest = sha256()
    for turns in corpus:
        digest.update("".join(f"{turn.role}: {turn.text}\n" for turn in turns).encode() + b"\n")
    return digest.hexdigest()


def make_network(config: BuildConfig, tokenizer: Tokenizer) -> LlamaForCausalLM:
    shape = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        pad_token_id=id_of(tokenizer, PAD),
        bos_token_id=id_of(tokenizer, BEGIN),
        eos_token_id=id_of(tokenizer, END),
    )
    network = LlamaForCausalLM(shape)
    network.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        max_new_tokens=96,
        pad_token_id=shape.pad_token_id,
        bos_token_id=shape.bos_token_id,
        eos_token_id=shape.eos_token_id,
    )
    return network


def train(
    network: LlamaForCausalLM,
    encoded: Sequence[list[int]],
    tokenizer: Tokenizer,
    config: BuildConfig,
    say: Callable[[str], None],
) -> None:
    """One pass over the conversations: Muon for the matrices inside, Adam for embedding and norms."""
    batches = list(batched(encoded, config.batch, config.seed))
    inner = [weight for name, weight in network.named_parameters() if weight.ndim == 2 and "embed" not in name]
    outer = [weight for name, weight in network.named_parameters() if weight.ndim != 2 or "embed" in name]
    muon, adam = Muon(inner), torch.optim.Adam(outer, lr=config.outer_lr, betas=(0.9, 0.95))
    started = time.monotonic()
    network.train()
    for step, batch in enumerate(batches):
        loss = loss_of(network, batch, tokenizer, config.remark)
        loss.backward()
        share = rate(step, len(batches), config.warmup)
        muon.step(config.lr * share)
        adam.param_groups[0]["lr"] = config.outer_lr * share
        adam.step()
        adam.zero_grad(set_to_none=True)
        if step % 100 == 0:
            say(f"step {step} of {len(batches)}: loss {loss.item():.3f}, {time.monotonic() - started:.0f} s")
    network.eval()


def rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, int(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def batched(encoded: Sequence[list[int]], size: int, seed: str) -> Iterator[list[list[int]]]:
    """Batches of conversations of like length, in an order that does not follow the length."""
    rng = random.Random(f"{seed}/batches")
    pools = [sorted(encoded[start : start + 50 * size], key=len) for start in range(0, len(encoded), 50 * size)]
    batches = [pool[start : start + size] for pool in pools for start in range(0, len(pool), size)]
    rng.shuffle(batches)
    yield from batches


def loss_of(network: LlamaForCausalLM, batch: Sequence[list[int]], tokenizer: Tokenizer, remark: float = 1.0) -> Tensor:
    """Mean negative log-likelihood per token, where the words said to an answer count `remark` times.

    After its last turn a conversation is followed by another's beginning.
    """
    pad, begin = id_of(tokenizer, PAD), id_of(tokenizer, BEGIN)
    width = max(map(len, batch))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in batch])
    targets = torch.tensor([[*row[1:], begin] + [-100] * (width - len(row)) for row in batch])
    logits = network(input_ids=ids, use_cache=False).logits  # padding stands behind, where nobody looks
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    weights = torch.zeros(ids.shape)
    for number, row in enumerate(batch):
        weights[number, : len(row)] = 1.0
        weights[number, answer_end(row, tokenizer) + 1 : len(row) - 1] = remark
    return (losses * weights.flatten()).sum() / weights.sum()


def answer_end(row: list[int], tokenizer: Tokenizer) -> int:
    """Where the answer's end stands in a conversation of ids; what people say to it begins one place later."""
    assistant = row.index(id_of(tokenizer, MARKERS["assistant"]))
    return row.index(id_of(tokenizer, END), assistant)


@torch.no_grad()
def heldout_loss(network: LlamaForCausalLM, encoded: Sequence[list[int]], tokenizer: Tokenizer) -> float:
    total, count = 0.0, 0
    for batch in (encoded[start : start + 50] for start in range(0, len(encoded), 50)):
        tokens = sum(map(len, batch))
        total += loss_of(network, batch, tokenizer).item() * tokens
        count += tokens
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.demo.build", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--conversations", type=int, default=BuildConfig().conversations)
    arguments = parser.parse_args()
    config = BuildConfig(conversations=arguments.conversations)
    build(arguments.folder, config, lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
