"""Several answers judged together: what is read of a record, that all of it is one likelihood, and that it teaches."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets.records import Answer, ChoiceRecord, RankingRecord, RatingRecord, Scale, TextPart
from app.preferences.votes import ChoiceVote, RankingVote, Rated, RatingVote
from app.training.configs import RewardConfig, RewardRun
from tests.training.make import goodness, make_comparison, make_vote, message, planted, write
from workers.training.batches import read_pairs
from workers.training.branches import Sheet
from workers.training.checkpoints import Opened
from workers.training.groups import Group, as_pairs, encode_group, read_groups, ties_in
from workers.training.hearing import Nuisance, Said
from workers.training.networks import Backbone
from workers.training.reward import train_reward
from workers.training.scoring import RewardNetwork
from workers.training.stems import Stems, item_scores

CONFIG = RewardConfig(members=2, rank=2)


def about(number: int, *texts: str, split: str = "train") -> dict[str, Any]:
    answers = tuple(Answer(id=f"a{n}", parts=(TextPart(text=text),)) for n, text in enumerate(texts))
    return {"id": f"r{number}", "group": f"g{number}", "split": split, "prompt": message(f"the day {number}"),
            "answers": answers}  # fmt: skip


def ranking(number: int, texts: list[str], *tiers: tuple[tuple[int, ...], ...], split: str = "train") -> RankingRecord:
    shown = tuple(range(len(texts)))[:: 1 if number % 2 else -1]
    votes = tuple(RankingVote(rater=f"r{n}", tiers=one, shown=shown) for n, one in enumerate(tiers))
    return RankingRecord(votes=votes, **about(number, *texts, split=split))


def rating(number: int, texts: list[str], *values: dict[str, int], split: str = "train") -> RatingRecord:
    scales = (Scale(key="good", label="Good", scale="stars", least=1, most=5),
              Scale(key="sure", label="Sure", scale="points", least=0, most=100))  # fmt: skip
    rated = tuple(Rated(answer=n, criteria=one) for n, one in enumerate(values))
    vote = RatingVote(rater="r", ratings=rated, shown=tuple(range(len(texts))))
    return RatingRecord(criteria=scales, votes=(vote,), **about(number, *texts, split=split))


def test_what_is_read_of_each_kind(opened: Opened, tmp_path: Path) -> None:
    chosen = ChoiceVote(rater="r", outcome="chosen", best=2, worst=None, shown=(2, 1, 0))
    bad = ChoiceVote(rater="s", outcome="both_bad", shown=(0, 1, 2))
    records = [
        ranking(1, ["good", "bad", "sad"], ((0,), (1, 2))),
        ChoiceRecord(votes=(chosen, bad), **about(2, "good", "bad", "sad")),
        rating(3, ["good", "bad"], {"good": 5, "sure": 80}, {"good": 1}),
        ranking(4, ["good", "bad"], ()),
        make_comparison(5, "good", "bad", [make_vote("a")]),
    ]
    file = write(tmp_path / "data.jsonl", records)
    pairs, left_out = read_pairs(file, opened, CONFIG)
    groups = read_groups(file, opened, CONFIG, left_out)
    assert (len(pairs), +left_out) == (1, {"rankings_without_votes": 1})
    first, second, third = groups
    assert [(one.kind, one.tiers) for one in first.orders + second.orders] == [
        ("order", ((0,), (1, 2))), ("best", ((2,), (0, 1))), ("order", ((0, 1, 2),)),
    ]  # fmt: skip
    assert [(g.answer, g.scale, g.value, g.weight) for g in third.grades] == [
        (0, "good", 4.0, 0.5), (0, "sure", 0.8, 0.5), (1, "good", 0.0, 1.0),
    ]  # fmt: skip
    assert third.scales == {"good": 5, "sure": 0}, "a hundred levels are a number"
    tied = ties_in([*pairs, *groups])
    assert (tied.votes, tied.share, tied.most) == (1 + 3 + 3, 2 / 3, 3)
    strict = CONFIG.model_copy(update={"ties": "ignore", "ratings": "ignore"})
    assert [len(one.orders) for one in read_groups(file, opened, strict, Counter())] == [1]


def test_what_follows_for_pairs_is_measured(opened: Opened) -> None:
    group = encode_group(ranking(1, ["good", "bad", "sad"], ((0,), (1, 2)), ((1,), (0,), (2,))), opened, CONFIG)
    pairs, places = as_pairs([group])
    found = {(a, b): [(vote.rater, vote.outcome.value, vote.shown_first) for vote in pair.votes]
             for pair, (_, a, b) in zip(pairs, places, strict=True)}  # fmt: skip
    assert found == {
        (0, 1): [("r0", "a", "a"), ("r1", "b", "a")],
        (0, 2): [("r0", "a", "a"), ("r1", "a", "a")],
        (1, 2): [("r1", "a", "a")],
    }
    rated = encode_group(rating(3, ["good", "bad"], {"good": 2}, {"good": 4}), opened, CONFIG)
    assert [pair.votes[0].outcome.value for pair in as_pairs([rated])[0]] == ["b"]


@pytest.mark.parametrize(("tiers", "outcome"), [(((0,), (1,)), "a"), (((1,), (0,)), "b"), (((0, 1),), "tie")])
def test_a_ranking_of_two_says_what_a_comparison_says(
    opened: Opened, tmp_path: Path, tiers: tuple[tuple[int, ...], ...], outcome: str
) -> None:
    """One likelihood: ties, reliability and position included."""
    record = make_comparison(1, "good", "bad", [make_vote(outcome, rater="r0")])
    (pair,), _ = read_pairs(write(tmp_path / "data.jsonl", [record]), opened, CONFIG)
    group = encode_group(ranking(1, ["good", "bad"], tiers), opened, CONFIG)
    nuisance = Nuisance(1, 0.3, CONFIG)
    with torch.no_grad():
        nuisance.position.fill_(0.4)
        nuisance.reliability.fill_(0.7)
    said = Said(nuisance, {"r0": 0}, 2, CONFIG)
    scores, member = torch.tensor([[0.9, -0.3]]), torch.tensor([1])
    one, other = (next(iter(said.losses(scores, [item], member))) for item in (pair, group))
    assert one.losses.item() == pytest.approx(other.losses.item(), rel=1e-5)
    assert said.weight_of([pair]) == said.weight_of([group]) == 1.0


def test_each_answer_is_read_once_whatever_stands_beside_it(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = RewardNetwork(Backbone(opened.network), CONFIG, "x")
    three = encode_group(ranking(1, ["good", "bad", "sad day"], ((0,), (1,), (2,))), opened, CONFIG)
    two = encode_group(ranking(2, ["fine", "poor"], ((0,), (1,))), opened, CONFIG)
    read: list[int] = []
    whole = reward.block_scores

    def counted(stem: torch.Tensor, sheet: Sheet) -> torch.Tensor:
        read.extend([len(stem), sheet.seats.shape[1]])
        return whole(stem, sheet)

    monkeypatch.setattr(reward, "block_scores", counted)
    found = item_scores(reward, [[three, two], [two, three]], Stems(reward, opened.pad_id))
    assert read == [4, 5], "each of two members reads five answers, and two prompts"
    assert found.shape == (2, 2, 3, 1)
    assert found[0, 1, 2] == found[0, 1, 0], "an answer that is not there"
    alone = item_scores(reward, [[three], [three]], Stems(reward, opened.pad_id))
    assert torch.allclose(found[0, 0], alone[0, 0], atol=1e-5)
    assert torch.allclose(found[1, 1], alone[1, 0], atol=1e-5)


def of_rankings(number: int, texts: list[str], split: str) -> RankingRecord:
    worth = [round(goodness(text), 3) for text in texts]
    tiers = tuple(tuple(n for n, one in enumerate(worth) if one == value) for value in sorted(set(worth), reverse=True))
    return ranking(number, texts, tiers, split=split)


def of_ratings(number: int, texts: list[str], split: str) -> RatingRecord:
    worth = [min(4, int(goodness(text) * 7)) for text in texts]
    return rating(number, texts, *({"good": 1 + one, "sure": 25 * one} for one in worth), split=split)


@pytest.mark.parametrize("made", [of_rankings, of_ratings])
def test_a_dataset_without_a_single_comparison_teaches(base_folder: Path, tmp_path: Path, made: Any) -> None:
    chance = random.Random(3)
    records = [made(n, [planted(chance) for _ in range(3)], "train" if n < 70 else "heldout") for n in range(110)]
    run = RewardRun(
        checkpoint=base_folder, dataset=write(tmp_path / "data.jsonl", records), output=tmp_path / "reward",
        device="cpu", config=RewardConfig(members=2, epochs=6, lr=5e-3, read="mean", batch=16, depth=1.0),
    )  # fmt: skip
    metrics = train_reward(run).metrics
    assert metrics["heldout"]["accuracy"] > 0.7
    assert metrics["left_out"] == {}


def test_groups_are_items_like_pairs(opened: Opened) -> None:
    group = encode_group(rating(3, ["good", "bad"], {"good": 2}, {"good": 4}), opened, CONFIG)
    assert isinstance(group, Group)
    assert group.longest == len(group.prompt) + max(map(len, group.answers))
    assert group.votes == ()
