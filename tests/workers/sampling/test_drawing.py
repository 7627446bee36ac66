"""The choice of one token: is it the right distribution, and is its log-probability the right number?"""

import math

import pytest
import torch

from workers.sampling.drawing import Sampling, _exponentials, _words, draw, penalised, row_key

PROBABILITIES = [0.5, 0.25, 0.15, 0.0999, 0.0001]
LOGITS = torch.tensor(PROBABILITIES).log()
ROWS = 40_000


def shares(sampling, by="seed"):
    """How often each token came, over many seeds (first tokens) or over many steps of one seed."""
    keys = [row_key(seed, 0) for seed in range(ROWS)] if by == "seed" else [row_key(1, 0)] * ROWS
    steps = [0] * ROWS if by == "seed" else list(range(ROWS))
    tokens, logprobs, *_ = draw(LOGITS.expand(ROWS, -1), keys, steps, sampling)
    return torch.bincount(tokens, minlength=5) / ROWS, tokens, logprobs


@pytest.mark.parametrize("by", ["seed", "step"])
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), PROBABILITIES),
        # .5 : .25 : .15 : .0999 : .0001 squared, over their sum .3450 = .25 + .0625 + .0225 + .00998 + 1e-8
        (Sampling(temperature=0.5), [p * p / 0.34498002 for p in PROBABILITIES]),
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0, 0]),
        (Sampling(top_p=0.6), [2 / 3, 1 / 3, 0, 0, 0]),  # .5 alone is not .6, .5 + .25 is
        (Sampling(top_p=0.5), [1, 0, 0, 0, 0]),
        (Sampling(top_k=3, top_p=0.85), [5 / 9, 2.5 / 9, 1.5 / 9, 0, 0]),  # .75 / .9 = .83 is not yet .85
        (Sampling(min_p=0.4), [2 / 3, 1 / 3, 0, 0, 0]),  # below .4 * .5 = .2 nothing stays
        (Sampling(top_p=0.7, min_p=0.6), [1, 0, 0, 0, 0]),
        (Sampling(temperature=0), [1, 0, 0, 0, 0]),
    ],
)
def test_tokens_come_as_often_as_they_should(sampling, expected, by):
    got, tokens, logprobs = shares(sampling, by)
    # five standard deviations of a share over 40,000 draws
    for share, probability in zip(got.tolist(), expected, strict=True):
        assert share == pytest.approx(probability, abs=5 * math.sqrt(probability * (1 - probability) / ROWS) + 1e-9)
    if sampling.temperature:
        assert logprobs.tolist() == pytest.approx([math.log(expected[token]) for token in tokens], abs=1e-3)


def test_logprobs_are_those_of_the_tempered_distribution():
    logits = torch.randn(50, 300, generator=torch.Generator().manual_seed(0)) * 4
    tokens, logprobs, *_ = draw(logits, [row_key(3, i) for i in range(50)], [2] * 50, Sampling(temperature=0.7))
    expected = (logits / 0.7).log_softmax(-1).gather(-1, tokens[:, None]).squeeze(-1)
    torch.testing.assert_close(logprobs, expected, atol=1e-6, rtol=1e-6)


def test_the_noise_is_exponential_and_unrelated_between_tokens_rows_and_steps():
    keys = [row_key(seed, 0) for seed in range(100)]
    now = _exponentials(torch.from_numpy(_words(keys, [0] * 100)), 4096)
    after = _exponentials(torch.from_numpy(_words(keys, [1] * 100)), 4096)
    count = now.numel()
    assert float(now.min()) > 0
    assert float(now.mean()) == pytest.approx(1, abs=5 / math.sqrt(count))
    assert float(now.var()) == pytest.approx(1, abs=5 * math.sqrt(8 / count))  # the fourth moment of Exp(1) is 9
    # Kolmogorov-Smirnov distance to Exp(1)
    ordered = now.flatten().double().sort().values
    gap = (1 - (-ordered).exp() - torch.arange(1, count + 1) / count).abs().max()
    assert float(gap) < 2.2 / math.sqrt(count)
    centred = now - 1
    for other in (after - 1, centred.roll(1, 0), centred.roll(1, 1), centred.roll(64, 1)):
        assert abs(float((centred * other).mean())) < 5 / math.sqrt(count)


def test_tiny_chances_are_neither_lost_nor_doubled():
    # one token with probability 1/2 and 4,000 that share the other half evenly: 1.25e-4 each
    logits = torch.cat([torch.tensor([math.log(4000.0)]), torch.zeros(4000)])
    tokens, *_ = draw(logits.expand(20_000, -1), [row_key(s, 1) for s in range(20_000)], [0] * 20_000, Sampling())
    rare = tokens[tokens > 0]
    assert len(rare) / 20_000 == pytest.approx(0.5, abs=0.018)
    counts = torch.bincount(rare - 1, minlength=4000).double()
    # Poisson with mean 2.5: variance equals mean; its sampling sd is near mean * sqrt(2 / 4000) (plus a little)
    assert float(counts.var() / counts.mean()) == pytest.approx(1, abs=0.15)


def test_half_precision_logits_are_drawn_from_in_full_precision():
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    keys, steps = [row_key(0, i) for i in range(20)], [0] * 20
    half, full = draw(logits, keys, steps, Sampling()), draw(logits.float(), keys, steps, Sampling())
    assert torch.equal(half[0], full[0])
    assert half[1].dtype == torch.float32


def test_a_penalty_makes_what_was_read_less_likely_whatever_its_sign():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0], [2.0, -2.0, 1.0, -1.0]])
    found = penalised(logits, [[0, 1, 1, 0, 0], [3]], 2.0)
    assert found.tolist() == [[1.0, -4.0, 1.0, -1.0], [2.0, -2.0, 1.0, -2.0]]
    assert logits[0, 0] == 2.0
