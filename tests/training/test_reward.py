"""The reward network: the likelihood by hand, what reaches it, who it believes, and that it learns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.datasets.records import Answer, SampleRecord, TextPart
from app.training.configs import RewardConfig, RewardRun, RunRefused
from tests.training.conftest import make_checkpoint
from tests.training.make import make_comparison, make_comparisons, make_vote, message, planted, uneven, write
from workers.training import hearing
from workers.training.batches import Votes, countable, encode_pair, read_pairs, votes_of
from workers.training.checkpoints import CheckpointRefused, Opened, open_checkpoint
from workers.training.folds import (
    Keeper,
    clip_members,
    epoch_batches,
    fold_parts,
    folds_of,
    level,
    steps_per_epoch,
    within_budget,
)
from workers.training.hearing import Nuisance, preference_loss, prior_loss
from workers.training.measures import (
    agreement_ceiling,
    calibration_error,
    choices_of,
    diagram,
    fit_slope,
    length_baseline,
    log_loss,
    margins,
    measure,
)
from workers.training.networks import Backbone
from workers.training.progress import RunCancelled, RunFailed
from workers.training.reward import train_reward
from workers.training.scoring import load_reward

PLAIN = RewardConfig(reliability=False, position_bias=False, members=2)
QUICK = {"members": 2, "epochs": 8, "lr": 5e-3, "read": "mean", "batch": 16, "depth": 1.0}


def cast(outcomes: list[int], **changes: list[float]) -> Votes:
    count = len(outcomes)
    blank = {"first": [1.0] * count, "weight": [1.0] * count, "margin": [0.0] * count, "target": [1.0] * count}
    rest = {name: torch.tensor(value) for name, value in {**blank, **changes}.items()}
    return Votes(pair=torch.arange(count), outcome=torch.tensor(outcomes), rater=torch.zeros(count).long(), **rest)


def losses(differences: list[float], votes: Votes, config: RewardConfig = PLAIN, **nuisance: float) -> list[float]:
    shares = Nuisance(1, 0.2 if 2 in votes.outcome else 0.0, config)
    with torch.no_grad():
        for name, value in nuisance.items():
            getattr(shares, name).fill_(value)
    member = torch.zeros(len(differences)).long()
    found: list[float] = preference_loss(torch.tensor(differences), votes, member, shares, config).tolist()
    return found


def test_without_ties_this_is_bradley_terry() -> None:
    """Difference ln 3: a is preferred with probability 3/4."""
    assert losses([math.log(3)] * 2, cast([0, 1])) == pytest.approx([-math.log(0.75), -math.log(0.25)])


def test_ties_follow_davidson() -> None:
    """Difference ln 4, nu 1/2: weights 2, 1/2 and 1/2 (each over sqrt of the product): 2/3, 1/6, 1/6."""
    found = losses([math.log(4)] * 3, cast([0, 1, 2]), log_nu=math.log(0.5))
    assert found == pytest.approx([-math.log(2 / 3), -math.log(1 / 6), -math.log(1 / 6)])


def test_a_decided_vote_stays_bradley_terry_beside_ties() -> None:
    """Davidson's merit: given that a side was chosen, a has sigmoid(difference)."""
    a, b, _ = losses([0.7] * 3, cast([0, 1, 2]), log_nu=0.3)
    assert math.exp(-a) / (math.exp(-a) + math.exp(-b)) == pytest.approx(1 / (1 + math.exp(-0.7)))


def test_a_rater_who_flips_coins_teaches_nothing() -> None:
    """Crowd-BT: eta 3/4 and P(a) = 3/4 give 9/16 + 1/16 = 5/8; eta 1/2 gives 1/2 whatever the scores."""
    config = RewardConfig(position_bias=False, members=2)
    assert losses([math.log(3)], cast([0]), config, reliability=math.log(3)) == pytest.approx([-math.log(5 / 8)])
    assert losses([5.0, -5.0], cast([0, 0]), config, reliability=0.0) == pytest.approx([math.log(2)] * 2)


def test_standing_first_may_count() -> None:
    config = RewardConfig(reliability=False, members=2)
    found = losses([0.0, 0.0], cast([0, 0], first=[1.0, -1.0]), config, position=math.log(3))
    assert found == pytest.approx([-math.log(0.75), -math.log(0.25)])


def test_margin_and_soft_target_by_hand() -> None:
    """Margin ln 3 is taken off the chosen side; a soft vote of 3/4 at difference ln 3 is the entropy of 3/4."""
    margin = losses([math.log(3), -math.log(3)], cast([0, 1], margin=[math.log(3)] * 2))
    assert margin == pytest.approx([math.log(2)] * 2)
    soft = losses([math.log(3)], cast([0], target=[0.75]))
    assert soft == pytest.approx([-0.75 * math.log(0.75) - 0.25 * math.log(0.25)])


@given(st.floats(-5, 5), st.sampled_from([0, 1, 2]), st.sampled_from([1.0, -1.0]), st.floats(-1, 1), st.floats(-1, 3))
def test_exchanging_the_answers_changes_nothing(
    difference: float, outcome: int, first: float, position: float, trust: float
) -> None:
    config = RewardConfig(members=2)
    swapped = {0: 1, 1: 0, 2: 2}[outcome]
    nuisance = {"position": position, "reliability": trust}
    one = losses([difference, 0.0], cast([outcome, 2], first=[first, 1.0]), config, **nuisance)
    other = losses([-difference, 0.0], cast([swapped, 2], first=[-first, 1.0]), config, **nuisance)
    assert one == pytest.approx(other, abs=1e-5)


def test_the_prior_holds_raters_near_its_mode() -> None:
    """Beta(9, 1.5): mode 8 / 8.5. No other vote: the loss is least there."""
    config = RewardConfig(members=2)
    shares = Nuisance(1, 0.0, config)

    def at(share: float) -> float:
        with torch.no_grad():
            shares.reliability.fill_(math.log(share / (1 - share)))
        return float(prior_loss(shares, 10, config)[0].detach())

    assert at(8 / 8.5) < min(at(0.9), at(0.97))


def test_strength_is_weight_unless_told_otherwise(opened: Opened) -> None:
    votes = [make_vote("a", strength=s, levels=3) for s in (1, 2, 3)] + [make_vote("tie")]
    record = make_comparison(1, "good day", "bad day", votes)
    weights = {}
    for strength in ("weight", "margin", "soft", "ignore"):
        config = RewardConfig(strength=strength, margin=3.0)
        pair = encode_pair(record, opened, config)
        found = votes_of([pair], {"r1": 0}, config)
        weights[strength] = [t.tolist() for t in (found.weight, found.margin, found.target)]
    assert weights["weight"] == [[0.5, 1.0, 1.5, 1.0], [0.0] * 4, [1.0] * 4]  # 2 s / (levels + 1): 1 on average
    assert weights["margin"] == [[1.0] * 4, [1.0, 2.0, 3.0, 0.0], [1.0] * 4]
    assert weights["soft"][2] == pytest.approx([2 / 3, 5 / 6, 1.0, 1.0])
    assert weights["ignore"] == [[1.0] * 4, [0.0] * 4, [1.0] * 4]


def test_which_votes_count() -> None:
    default, strict = RewardConfig(), RewardConfig(both_bad="ignore", ties="ignore")
    said = {outcome: make_vote(outcome) for outcome in ("a", "b", "tie", "both_bad", "neither_valid")}
    assert [name for name, vote in said.items() if countable(vote, default)] == ["a", "b", "tie", "both_bad"]
    assert [name for name, vote in said.items() if countable(vote, strict)] == ["a", "b"]
    assert not countable(make_vote("a", weight=0), default)


def test_what_is_left_out_is_counted(opened: Opened, tmp_path: Path) -> None:
    long = " ".join(["good"] * 60)
    file = write(
        tmp_path / "data.jsonl",
        [
            make_comparison(1, "good day", "bad day", [make_vote("a"), make_vote("neither_valid")]),
            make_comparison(2, "good day", long, [make_vote("a")]),
            make_comparison(3, "same", "same", [make_vote("tie")]),
            make_comparison(4, "good", "bad", [make_vote("neither_valid")]),
        ],
    )
    pairs, left_out = read_pairs(file, opened, RewardConfig(max_tokens=40))
    assert [pair.id for pair in pairs] == ["c1"]
    assert left_out["comparisons_too_long"] == left_out["comparisons_identical"] == 1
    assert left_out["comparisons_without_votes"] == 1
    assert left_out["votes_neither_valid"] == 2


def test_lines_of_other_kinds_are_left_alone_and_counted(opened: Opened, tmp_path: Path) -> None:
    file = write(tmp_path / "data.jsonl", [make_comparison(1, "good", "bad", [make_vote("a")])])
    file.write_text('{"kind":"ranking","id":"r1"}\n' + file.read_text() + '{"kind": "poem"}\n{"kind":"ranking"}\n')
    pairs, left_out = read_pairs(file, opened, RewardConfig())
    assert [pair.id for pair in pairs] == ["c1"]
    assert (left_out["lines_ranking"], left_out["lines_poem"]) == (2, 1)


def test_a_bad_line_is_named(opened: Opened, tmp_path: Path) -> None:
    file = write(tmp_path / "data.jsonl", [make_comparison(1, "good", "bad", [make_vote("a")])])
    file.write_text(file.read_text() + '{"kind": "comparison"}\n')
    with pytest.raises(RunRefused, match=r"data\.jsonl line 2: id is missing"):
        read_pairs(file, opened, RewardConfig())


def test_folds_are_whole_groups_and_cover_everything(opened: Opened, tmp_path: Path) -> None:
    records = [make_comparison(n, f"good {n}", "bad", [make_vote("a")]) for n in range(23)]
    records += [record.model_copy(update={"id": f"again{record.id}"}) for record in records[:7]]
    pairs, _ = read_pairs(write(tmp_path / "data.jsonl", records), opened, RewardConfig())
    folds = folds_of(pairs, 4, seed=1)
    assert sorted(row for fold in folds for row in fold) == list(range(30))
    for fold in folds:
        elsewhere = {pairs[row].group for other in folds if other is not fold for row in other}
        assert not elsewhere & {pairs[row].group for row in fold}
    batches = list(epoch_batches(pairs, folds, 8, seed=3))
    assert len(batches) == steps_per_epoch(folds, 8)
    for member, fold in enumerate(folds):
        read = {pair.id for batch in batches for pair in batch[member]}
        assert read == {pair.id for pair in pairs} - {pairs[row].id for row in fold}


def test_a_part_of_folds_is_one_pass_also_where_a_shorter_fold_goes_round_again(opened: Opened, tmp_path: Path) -> None:
    """Processes that share weights out make one pass for each part, so none may need two."""
    pairs, _ = read_pairs(write(tmp_path / "pairs.jsonl", uneven()), opened, PLAIN)
    folds = [list(range(4)), list(range(4, len(pairs)))]
    parts = list(fold_parts(pairs, folds, 256))
    assert len(parts) > 2
    assert [{row for part in parts for row in part[member]} for member in range(2)] == [set(fold) for fold in folds]
    for part in parts:
        assert len(list(within_budget([[pairs[row] for row in rows] for rows in part], 256))) == 1


def test_lists_are_levelled_by_going_round() -> None:
    assert level([[1, 2, 3], [4]]) == [[1, 2, 3], [4, 4, 4]]


def test_each_member_is_clipped_by_itself() -> None:
    """Norms 5 and 0.5: the first is cut to 1, the second stays."""
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    clip_members([parameter], 1.0)
    assert torch.allclose(parameter.grad, torch.tensor([[0.6, 0.8], [0.3, 0.4]]), atol=1e-4)


def test_measures_by_hand() -> None:
    """Gaps ln 3, ln 3, -ln 3 with votes a, b, b: right, wrong, right. Confidence 3/4 all: ECE |2/3 - 3/4| = 1/12."""
    gaps, won = np.array([1.0, 1.0, -1.0]) * math.log(3), np.array([1.0, 0.0, 0.0])
    assert log_loss(gaps, won) == pytest.approx(-(2 * math.log(0.75) + math.log(0.25)) / 3)
    assert calibration_error(gaps, won) == pytest.approx(1 / 12)


def test_a_slope_calibrates() -> None:
    """Of equal gaps 2, three in four are right: the best probability is 3/4, so the slope is ln 3 / 2."""
    gaps, won = np.full(400, 2.0), np.array([1.0, 1.0, 1.0, 0.0] * 100)
    assert fit_slope(gaps, won) == pytest.approx(math.log(3) / 2, rel=1e-3)
    assert fit_slope(gaps, 1 - won) == pytest.approx(1e-3)  # a score that is always wrong is not turned round
    assert fit_slope(gaps, 1 - won, signed=True) == pytest.approx(-math.log(3) / 2, rel=1e-3)


def test_what_was_said_against_what_was_seen() -> None:
    """Gaps of ln 3 say 75 %, which two of three votes bear out; ln 99 says 99 %, and it is so. One of four is wrong."""
    gaps, won = np.array([math.log(3)] * 3 + [-math.log(99)]), np.array([1.0, 1.0, 0.0, 0.0])
    assert diagram(gaps, won) == [
        [pytest.approx(0.75), pytest.approx(2 / 3), 3], [pytest.approx(0.99), 1.0, 1]
    ]  # fmt: skip
    found = margins(gaps, won)
    assert found is not None
    assert (found["from"], sum(found["votes"]), sum(found["votes"][:10])) == (-found["to"], 4, 1)
    assert margins(np.array([]), np.array([])) is None


def test_lengths_alone_and_raters_among_themselves(opened: Opened, tmp_path: Path) -> None:
    votes = [make_vote("a", rater=r) for r in ("r1", "r2")] + [make_vote("b", rater="r3")]
    records = [make_comparison(n, "good good good", "good", votes) for n in range(6)]
    pairs, _ = read_pairs(write(tmp_path / "data.jsonl", records), opened, RewardConfig())
    found = length_baseline(pairs, pairs)
    assert found["accuracy"] == pytest.approx(2 / 3)  # the longer answer has two votes of three
    ceiling = agreement_ceiling(pairs)
    assert ceiling is not None
    assert ceiling["agreement"] == pytest.approx(1 / 3)  # of three pairs of raters one agrees
    figures = measure(np.full(6, 1.0), choices_of(pairs))
    assert figures["accuracy_by_rater"]["r3"] == {"accuracy": 0.0, "votes": 6}
    assert figures["accuracy_by_length"] == {"≤ 100 %": {"accuracy": 2 / 3, "votes": 18}}
    assert figures["accuracy_by_makers"] == {}, "nobody knows what answered"


@pytest.fixture
def run(base_folder: Path, tmp_path: Path) -> RewardRun:
    raters = {"careful": 0.95, "middling": 0.8, "careless": 0.0}
    records = make_comparisons(160, raters=raters) + make_comparisons(80, split="heldout", raters=raters)
    return RewardRun(
        checkpoint=base_folder,
        dataset=write(tmp_path / "data.jsonl", records),
        output=tmp_path / "reward",
        device="cpu",
        config=RewardConfig(**QUICK),
    )


def changed(run: RewardRun, **fields: Any) -> RewardRun:
    return run.model_copy(update={"config": RewardConfig(**{**run.config.model_dump(), **fields})})


def test_it_learns_a_rule_and_whom_to_believe(run: RewardRun) -> None:
    metrics = train_reward(run).metrics
    careful = metrics["heldout"]["accuracy_by_rater"]["careful"]["accuracy"]
    assert careful > 0.72
    assert metrics["length_only"]["accuracy"] < 0.6
    assert metrics["reliability"]["careful"] > metrics["reliability"]["careless"] + 0.1
    assert metrics["heldout"]["votes"] == sum(v["votes"] for v in metrics["heldout"]["accuracy_by_strength"].values())
    assert metrics["heldout"]["ece"] < 0.2
    assert json.loads((run.output / "hone.json").read_text())["metrics"]["heldout"] == metrics["heldout"]


def test_shuffled_outcomes_teach_nothing(run: RewardRun, tmp_path: Path) -> None:
    """The negative control: raters who flip coins leave held-out accuracy of careful ones near one half."""
    coins = make_comparisons(160, raters={"r1": 0.0, "r2": 0.0, "r3": 0.0})
    heldout = make_comparisons(200, split="heldout", raters={"careful": 1.0})
    file = write(tmp_path / "shuffled.jsonl", coins + heldout)
    metrics = train_reward(run.model_copy(update={"dataset": file})).metrics
    assert 0.35 < metrics["heldout"]["accuracy"] < 0.65


@pytest.mark.parametrize("read", ["last", "mean", "next"])
def test_a_saved_reward_network_scores_as_before_alone_and_in_company(run: RewardRun, read: str) -> None:
    train_reward(changed(run, epochs=1, patience=1, read=read))
    scores = []
    opened = open_checkpoint(run.checkpoint)
    prompts = [opened.prompt_ids([("user", "the day")])] * 3
    answers = [opened.answer_ids(text) for text in ("good", "bad bad bad sad day", "the fine happy time")]
    for _ in range(2):
        network = load_reward(run.output, Backbone(open_checkpoint(run.checkpoint).network), opened.weights_sha256)
        scores.append(network.score(prompts, answers, opened.pad_id).mean)
    alone = [network.score([p], [a], opened.pad_id).mean.item() for p, a in zip(prompts, answers, strict=True)]
    assert torch.equal(scores[0], scores[1])
    assert scores[0].tolist() == pytest.approx(alone, abs=1e-5)


def test_zero_and_unit_come_from_the_reference_answers(run: RewardRun, tmp_path: Path) -> None:
    """Statement 17: reference answers have mean 0 and sd 1 by the stored moments."""
    import random

    texts = [planted(random.Random(n)) for n in range(20)]
    samples = [
        SampleRecord(id=f"s{n}", prompt=message("the day"), answer=Answer(id=f"s{n}", parts=(TextPart(text=text),)))
        for n, text in enumerate(texts)
    ]
    run = changed(run, epochs=1).model_copy(update={"reference_samples": write(tmp_path / "s.jsonl", samples)})
    train_reward(run)
    opened = open_checkpoint(run.checkpoint)
    network = load_reward(run.output, Backbone(opened.network), opened.weights_sha256)
    prompt = opened.prompt_ids([("user", "the day")])
    scores = network.score([prompt] * 20, [opened.answer_ids(text) for text in texts], opened.pad_id).mean
    mean, deviation = network.constants[0].moments
    normalised = (scores - mean) / deviation
    assert normalised.mean().item() == pytest.approx(0, abs=1e-4)
    assert normalised.std().item() == pytest.approx(1, abs=1e-4)


def test_another_base_is_refused(run: RewardRun, reward_folder: Path, tmp_path: Path) -> None:
    other = open_checkpoint(make_checkpoint(tmp_path / "other", seed=4))
    with pytest.raises(CheckpointRefused, match="its scores would mean nothing"):
        load_reward(reward_folder, Backbone(other.network), other.weights_sha256)
    with pytest.raises(CheckpointRefused, match=r"no hone\.json of a reward"):
        load_reward(run.checkpoint, Backbone(other.network), other.weights_sha256)


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], r"0 votes for training choose a side; 20 are needed \(of 0 votes in all\)"),
        (make_comparisons(9), r"\d votes for training choose a side; 20 are needed"),
        (
            [make_comparison(n, f"good {n}", "bad", [make_vote("tie")]) for n in range(30)],
            r"0 votes for training choose a side; 20 are needed \(of 30 votes in all\)",
        ),
        (
            [make_comparison(n, f"good {n}", "bad", [make_vote("a", first="a")]) for n in range(30)],
            "All but 0 of 30 votes chose the same place on the screen; 2 for the other place are needed",
        ),
        (
            [
                make_comparison(1, f"good {n}", "bad", [make_vote("a", first="ab"[n % 2])]).model_copy(
                    update={"id": f"c{n}"}
                )
                for n in range(30)
            ],
            "on fewer than 2 prompts",
        ),
    ],
)
def test_nothing_to_learn_from_is_a_sentence_with_the_count(
    run: RewardRun, tmp_path: Path, records: list[Any], sentence: str
) -> None:
    file = write(tmp_path / "few.jsonl", records)
    with pytest.raises(RunFailed, match=sentence):
        train_reward(run.model_copy(update={"dataset": file}))
    assert not run.output.exists()


def test_a_cancelled_run_goes_on_with_the_next_epoch(run: RewardRun, tmp_path: Path) -> None:
    run = changed(run, epochs=3, patience=5)
    train_reward(run)
    cut = run.model_copy(update={"output": tmp_path / "cut"})

    def stop_after_one(step: int, total: int, values: dict[str, float]) -> None:
        (cut.work / "cancel").touch()

    with pytest.raises(RunCancelled):
        train_reward(cut, stop_after_one)
    train_reward(cut)
    whole, again = ((r.work / "metrics.jsonl").read_text() for r in (run, cut))
    assert again == whole
    assert (run.output / "reward.safetensors").read_bytes() == (cut.output / "reward.safetensors").read_bytes()


def test_a_loss_that_is_no_number_ends_the_run(run: RewardRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hearing.preference_loss

    def broken(*args: Any) -> Tensor:
        return whole(*args) * math.nan

    monkeypatch.setattr(hearing, "preference_loss", broken)
    with pytest.raises(RunFailed, match="was not a number at step 1"):
        train_reward(run)


def test_members_agree_on_zero_so_that_their_doubt_is_about_answers(run: RewardRun) -> None:
    """Bradley-Terry leaves each member its own zero: shifting one member's offset and scores together is no doubt."""
    train_reward(changed(run, epochs=1))
    opened = open_checkpoint(run.checkpoint)
    network = load_reward(run.output, Backbone(opened.network), opened.weights_sha256)
    pairs, _ = read_pairs(run.dataset, opened, run.config)
    prompts, answers = [pair.prompt for pair in pairs], [pair.a for pair in pairs]
    raw = network.raw_scores(prompts, answers, opened.pad_id)[..., 0]
    (head,) = network.constants
    offsets = torch.tensor(head.offsets)
    assert torch.allclose(raw.mean(1), offsets, atol=0.2 * float(raw.std()))
    doubt = network.score(prompts, answers, opened.pad_id).sd
    assert torch.allclose(doubt, ((raw - offsets.unsqueeze(1)) / head.temperature).std(0), atol=1e-5)


def test_each_member_keeps_its_own_best_epoch() -> None:
    """Member 0 is best after the first epoch, member 1 after the second; the third helps nobody."""
    weights = torch.nn.Parameter(torch.zeros(2, 1))
    keeper = Keeper({"weights": weights}, [[0], [1]])
    for epoch, blind_losses in enumerate(([0.5, 0.9], [0.6, 0.7], [0.8, 0.8]), 1):
        with torch.no_grad():
            weights.fill_(float(epoch))
        keeper.consider(epoch, torch.full((2,), float(epoch)), torch.tensor(blind_losses))
    assert not keeper.is_done(3, patience=2)
    assert keeper.is_done(4, patience=2)
    keeper.restore()
    assert weights.flatten().tolist() == keeper.blind.tolist() == [1.0, 2.0]
    assert keeper.best_epochs == [1, 2]
