"""The modular way: strengths by hand, and that a score can be fitted to them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from app.training.configs import RewardConfig, RewardRun
from tests.training.make import make_comparisons, write
from workers.training.reward import train_reward
from workers.training.strengths import PRIOR, STEP, bradley_terry, elo


def test_strengths_of_two_are_their_votes() -> None:
    """Three votes to one, and half a vote for each side: 3.5 to 1.5; a tie is half a vote for each."""
    found = bradley_terry([(0, 1, 1.0, 1.0)] * 3 + [(0, 1, 0.0, 1.0)], 2)
    assert found[0] - found[1] == pytest.approx(math.log((3 + PRIOR) / (1 + PRIOR)))
    assert sum(found) == pytest.approx(0)
    assert bradley_terry([(0, 1, 0.5, 2.0)], 2) == pytest.approx([0, 0])


def test_strengths_of_three_explain_the_votes() -> None:
    """At the most likely strengths each answer wins as often as expected."""
    said = [(0, 1, 1.0, 2.0), (1, 2, 1.0, 3.0), (2, 0, 1.0, 1.0)]
    found = bradley_terry(said, 3)
    wins = {0: 2.0, 1: 3.0, 2: 1.0}
    games = {(0, 1): 2.0, (1, 2): 3.0, (0, 2): 1.0}
    for one, won in wins.items():
        expected = sum(
            (count + 2 * PRIOR) / (1 + math.exp(found[a + b - one] - found[one]))
            for (a, b), count in games.items()
            if one in (a, b)
        )
        assert expected == pytest.approx(won + 2 * PRIOR, abs=1e-6)


def test_elo_moves_by_what_was_not_expected() -> None:
    """From equal: half a step. Then the stronger one, at odds of e^STEP, wins again."""
    assert elo([(0, 1, 1.0, 1.0)], 2) == [STEP / 2, -STEP / 2]
    again = STEP * (1 - 1 / (1 + math.exp(-STEP)))
    assert elo([(0, 1, 1.0, 1.0)] * 2, 2)[0] == pytest.approx(STEP / 2 + again)


@pytest.mark.parametrize("way", ["bradley_terry", "elo"])
def test_a_score_is_fitted_to_strengths(base_folder: Path, tmp_path: Path, way: str) -> None:
    records = make_comparisons(120, raters={"r": 0.95}) + make_comparisons(60, split="heldout", raters={"r": 1.0})
    config = RewardConfig(way=way, members=2, epochs=6, lr=5e-3, read="mean", batch=16, depth=1.0)
    file = write(tmp_path / "data.jsonl", records)
    run = RewardRun(checkpoint=base_folder, dataset=file, output=tmp_path / "reward", device="cpu", config=config)
    assert train_reward(run).metrics["heldout"]["accuracy"] > 0.65
