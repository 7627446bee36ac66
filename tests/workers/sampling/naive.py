"""The slowest sampler that can be right: one row, one full forward a token; and how the real one is asked the same."""

import torch

from workers.sampling.decoding import Sampled, Sampling, sample
from workers.sampling.drawing import draw, row_key

VOCABULARY = 61
STOPS = {7, 8, 19, 28, 35, 41, 50, 58}
PROMPTS = [[3, 4, 5], [9], [11, 12, 13, 14, 15, 16, 17, 18], [20, 21], [22, 23, 24, 25, 26], [30, 31, 32, 33]]
SEEDS = [5, 6, 7, 8, 9, 5]


def answer(network, prompts=PROMPTS, seeds=SEEDS, sampling=None, n=2, budget=10_000, **options):
    sampling = sampling or Sampling(max_tokens=12)
    settings = {"stop_ids": STOPS, "pad_id": 0, "token_budget": budget} | options
    return sample(network, prompts, sampling, n=n, seeds=seeds, **settings)


def naive(network, prompt, seed, index, sampling):
    """No cache, no padding, no batch; log-probabilities from a plain log_softmax."""
    tokens, logprobs = [], []
    while len(tokens) < sampling.max_tokens:
        with torch.no_grad():
            logits = network(torch.tensor([prompt + tokens])).logits[:, -1]
        drawn = draw(logits, [row_key(seed, index)], [len(tokens)], sampling)
        tokens.append(int(drawn.tokens))
        logprobs.append(float((logits / sampling.temperature).log_softmax(-1)[0, tokens[-1]]))
        if tokens[-1] in STOPS:
            return Sampled(tokens, logprobs, "stop")
    return Sampled(tokens, logprobs, "length")
