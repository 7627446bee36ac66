"""Tokens per second of our decode loop and of transformers' `generate`, side by side in one run.

    python -m tests.bench.sampling [repeats]

A Llama of the size of the bundled checkpoint (hidden 256, 4 layers, vocabulary 8192, random weights), 64 prompts of
8 to 32 tokens, 2 samples each, fp32, 2 threads. "even": every answer takes all 64 tokens. "ragged": answers end with a
chance of 1 in 40 per token, as real ones do at different lengths. Both sides draw from the same distribution
(temperature 0.7, nothing cut); only tokens up to the stop token count. Runs alternate; medians are compared.
"""

import json
import statistics
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from workers.sampling.decoding import Sampling, sample

VOCABULARY, PAD, SAMPLES, TOKENS = 8192, 0, 2, 64


def build() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=4,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(shape).eval()


def ours(network, prompts, stop_ids):
    sampling = Sampling(temperature=0.7, max_tokens=TOKENS)
    seeds = list(range(len(prompts)))
    options = {"n": SAMPLES, "seeds": seeds, "stop_ids": stop_ids, "pad_id": PAD, "token_budget": 32_768}
    answers = sample(network, prompts, sampling, **options)
    return sum(len(sampled.tokens) for group in answers for sampled in group)


def theirs(network, prompts, stop_ids):
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    options = {"do_sample": True, "temperature": 0.7, "top_k": 0, "num_return_sequences": SAMPLES}
    with torch.inference_mode():
        texts = network.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=TOKENS,
            eos_token_id=sorted(stop_ids) or None,
            pad_token_id=PAD,
            **options,
        )
    return sum(length_of(row, stop_ids) for row in texts[:, width:].tolist())


def length_of(row, stop_ids):
    return next((place for place, token in enumerate(row, 1) if token in stop_ids), len(row))


def measure(repeats: int = 5) -> dict[str, float]:
    torch.set_num_threads(2)
    network = build()
    drawn = torch.Generator().manual_seed(1)
    lengths = torch.randint(8, 33, (64,), generator=drawn).tolist()
    prompts = [torch.randint(1, VOCABULARY, (length,), generator=drawn).tolist() for length in lengths]
    figures = {}
    for name, stop_ids in (("even", set()), ("ragged", set(range(100, 100 + VOCABULARY // 40)))):
        rates = {ours: [], theirs: []}
        for _ in range(repeats + 1):
            for side, seen in rates.items():
                began = time.perf_counter()
                tokens = side(network, prompts, stop_ids)
                seen.append(tokens / (time.perf_counter() - began))
        mine, other = (statistics.median(seen[1:]) for seen in rates.values())  # the first one warms up
        figures |= {f"sampling.{name}_tokens_per_second": round(mine), f"sampling.{name}_generate": round(other)}
        figures[f"sampling.{name}_ratio"] = round(mine / other, 2)
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5), indent=2))
