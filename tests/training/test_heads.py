"""A head for each thing that was asked: who teaches which, what is made of several, and that weights need no fit."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from app.datasets.records import Asked, ChoiceRecord, QuestionsRecord, RatingRecord, Scale
from app.preferences.votes import Answered, ChoiceVote, QuestionsVote, Rated, RatingVote
from app.training.configs import PPOConfig, PPORun, RewardConfig, RewardRun, RunRefused
from tests.training.make import goodness, make_comparison, make_vote, planted, write
from tests.training.rolling import changed, steps_and_values
from tests.training.test_groups import about
from workers.training.batches import read_pairs
from workers.training.checkpoints import Opened, open_checkpoint
from workers.training.groups import read_groups
from workers.training.heads import Head, Mix, Ratings, mix_of
from workers.training.networks import Backbone
from workers.training.ppo import train_ppo
from workers.training.progress import RunFailed
from workers.training.reward import train_reward
from workers.training.scoring import RewardNetwork, load_reward
from workers.training.subjects import names_of, ratings_of, said_of, subjects_in

CONFIG = RewardConfig(members=2, rank=2, heads="criteria")
SCALE = Scale(key="good", label="Good", scale="stars", least=1, most=5)


def rated(number: int, texts: list[str], split: str = "train") -> RatingRecord:
    """Stars for good words, and a flag where the answer says few words."""
    ratings = tuple(
        Rated(answer=n, criteria={"good": 1 + min(4, int(goodness(text) * 7))},
              flags=("short",) if len(text.split()) < 7 else ())
        for n, text in enumerate(texts)
    )  # fmt: skip
    vote = RatingVote(rater="r", ratings=ratings, shown=tuple(range(len(texts))))
    return RatingRecord(
        criteria=(SCALE,), flags={"short": "Short"}, votes=(vote,), **about(number, *texts, split=split)
    )


def test_everything_that_is_said_teaches_the_head_that_it_is_about(opened: Opened, tmp_path: Path) -> None:
    seen = make_vote("a").model_copy(update={"criteria": {"good": "b", "tone": "equal"}})
    chosen = ChoiceVote(rater="r", outcome="chosen", best=2, criteria={"tone": 1}, shown=(2, 1, 0))
    asked = (Asked(key="kind", label="Kind?", type="yes_no", about="answer"),
             Asked(key="depth", label="Depth", type="scale", about="answer", points=7),
             Asked(key="why", label="Why", type="text", about="answer"))  # fmt: skip
    answered = (Answered(answer=0, said={"kind": True, "depth": 7, "why": "so"}), Answered(answer=1, said={"depth": 1}))
    said = QuestionsVote(rater="r", task={}, answers=answered, shown=(0, 1))
    records = [
        make_comparison(1, "good", "bad", [seen]),
        ChoiceRecord(votes=(chosen,), **about(2, "good", "bad", "sad")),
        rated(3, ["good good", "bad"]),
        QuestionsRecord(questions=asked, votes=(said,), **about(4, "good", "bad")),
    ]
    file = write(tmp_path / "data.jsonl", records)
    pairs, left_out = read_pairs(file, opened, CONFIG)
    items = [*pairs, *read_groups(file, opened, CONFIG, left_out)]
    assert +left_out == Counter()
    assert names_of(items, CONFIG) == ("overall", "depth", "good", "tone", "kind", "short"), "rules last"
    assert names_of(items, CONFIG.model_copy(update={"heads": "one"})) == ("overall",)
    pair, choice, rating, questions = items
    tone = [(vote.outcome.value, vote.weight) for vote in said_of(pair, "tone", CONFIG).votes]
    assert tone == [("tie", 0.5)]
    assert [vote.outcome.value for vote in said_of(pair, "good", CONFIG).votes] == ["b"]
    assert [vote.outcome.value for vote in said_of(pair, "overall", CONFIG).votes] == ["a"]
    by_tone, overall = said_of(choice, "tone", CONFIG), said_of(choice, "overall", CONFIG)
    assert by_tone.orders[0].tiers == ((1,), (0, 2))  # type: ignore[union-attr]
    assert overall.orders[0].tiers == ((2,), (0, 1))  # type: ignore[union-attr]
    values = [(one.scale, one.answer, one.value, one.weight) for one in rating.grades]  # type: ignore[union-attr]
    assert sorted(values) == [
        ("good", 0, 4.0, 0.5),
        ("good", 1, 0.0, 0.5),
        ("short", 0, 1.0, 0.5),
        ("short", 1, 1.0, 0.5),
    ]
    assert questions.scales == {"kind": 2, "depth": 7}  # type: ignore[union-attr]


def test_the_rating_that_a_score_foretells() -> None:
    """Two thresholds at 0: 1 + 2 sigmoid(s) of levels 1 to 3; a rule is its chance; a line, a share of its scale."""
    raw = torch.tensor([[0.0, math.log(3)]])
    assert Ratings(1, 3, thresholds=[[0.0, 0.0]]).expected(raw).tolist() == [pytest.approx([2.0, 2.5])]
    assert Ratings(0, 1, thresholds=[[math.log(3)]]).expected(raw).tolist() == [pytest.approx([0.25, 0.5])]
    line = Ratings(0, 100, lines=[[0.5, math.log(0.1), 0.0]])
    assert line.expected(raw).tolist() == [pytest.approx([50, 50 + 10 * math.log(3)])]


def test_several_heads_are_one_score_by_weights_by_a_formula_or_by_the_overall_one() -> None:
    tone = Head("tone", [0.0], moments=(1.0, 2.0))
    good = Head("good", [0.5], temperature=2.0, ratings=Ratings(1, 3, thresholds=[[0.0, 0.0]]))
    raw = torch.tensor([[[3.0, 0.0]]])
    assert Mix({"tone": 0.5, "good": -2.0}).one(raw, [tone, good]).item() == pytest.approx(0.5 * 1 - 2 * -0.25)
    assert Mix().one(raw, [tone, good]).item() == pytest.approx((1 - 0.25) / 2), "all alike"
    assert Mix().one(raw[..., 1:], [good]).item() == -0.25, "a single head, in log-odds"
    overall = Head("overall", [1.0], temperature=0.5)
    assert Mix().one(raw.flip(2), [good, overall]).item() == 4.0
    by_formula = mix_of(PPOConfig(formula="2 * good - min(tone, 5)"), [tone, good])
    assert by_formula.one(raw, [tone, good]).item() == pytest.approx(2 * 2 - 1)
    with pytest.raises(RunFailed, match="no value for an answer: division by zero"):
        mix_of(PPOConfig(formula="1 / (tone - 1)"), [tone, good]).one(raw, [tone, good])


def test_a_flag_never_counts_unless_somebody_says_how() -> None:
    rude, harmful = (Head(name, [0.0], ratings=Ratings(0, 1, thresholds=[[0.0]])) for name in ("rude", "harmful"))
    good, tone = (Head(name, [0.0], moments=(0.0, 2.0), ratings=Ratings(1, 5)) for name in ("good", "tone"))
    raw = torch.tensor([[[3.0, 100.0, 1.0]]])
    assert mix_of(PPOConfig(), [good, harmful, tone]).one(raw, [good, harmful, tone]).item() == (1.5 + 0.5) / 2
    assert Mix().one(raw, [good, harmful, rude]).item() == 3.0, "the only criterion, in log-odds"
    for heads in ([harmful, rude], [harmful]):
        with pytest.raises(RunRefused, match=r"\(harmful.*head_weights or formula is to be given"):
            mix_of(PPOConfig(), heads)
        with pytest.raises(RunRefused, match=r"\(harmful"):  # the playground asks nobody for weights
            Mix().one(raw[..., : len(heads)], heads)
        mix_of(PPOConfig(head_weights={"harmful": -1}), heads)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"head_weights": {"wit": 1}}, "there is no head “wit”; this reward model's heads are: overall, good"),
        ({"formula": "good + wit"}, "formula: character 8: .*“wit”; this reward model's heads are"),
    ],
)
def test_a_head_that_is_not_there_is_refused_by_name(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RunRefused, match=sentence):
        mix_of(PPOConfig(**fields), [Head("overall", [0.0]), Head("good", [0.0])])
    with pytest.raises(ValidationError, match="give one of them"):
        PPOConfig(head_weights={"good": 1}, formula="good")


def test_priors_weigh_beside_all_that_was_said_and_not_beside_one_heads_share(opened: Opened, tmp_path: Path) -> None:
    """A trainer's loss is a mean over the votes of all heads: a rater's prior is as strong as if hers stood alone."""
    records = [make_comparison(n, "good", "bad", [make_vote("a")]) for n in range(30)]
    seen = make_vote("a").model_copy(update={"criteria": {"good": "a"}})
    records[:2] = [make_comparison(n, "good", "bad", [seen]) for n in range(2)]
    pairs, _ = read_pairs(write(tmp_path / "data.jsonl", records), opened, CONFIG)
    subjects = subjects_in(pairs, CONFIG.model_copy(update={"min_votes": 2}), torch.device("cpu"))
    subjects.priors().sum().backward()
    pulls = [one.said.nuisance.reliability.grad for one in subjects.each]
    assert torch.equal(pulls[0], pulls[-1])  # type: ignore[arg-type]
    assert (len(pulls), subjects.weight) == (2, 32)


def test_what_too_little_was_said_of_has_no_head_and_is_counted(opened: Opened, tmp_path: Path) -> None:
    """Short is said of every answer, and tone of one: their heads would stay as random as they began."""
    seen = make_vote("a").model_copy(update={"criteria": {"tone": "a"}})
    records = [*(rated(n, ["good good", "bad"]) for n in range(12)), make_comparison(20, "good", "bad", [seen])]
    file, left_out = write(tmp_path / "data.jsonl", records), Counter[str]()
    items = [*read_pairs(file, opened, CONFIG)[0], *read_groups(file, opened, CONFIG, Counter())]
    subjects = subjects_in(items, CONFIG, torch.device("cpu"), left_out)
    assert [one.name for one in subjects.each] == ["overall", "good"]
    assert left_out == {"head_short": 24, "head_tone": 1}
    assert subjects.heard(items) == items
    only = [said_of(item, "short", CONFIG) for item in items]
    assert subjects.heard(only) == [], "nothing is divided by a weight of 0"


def test_a_criterion_asked_on_two_scales_foretells_ratings_of_the_one_it_learned(
    opened: Opened, tmp_path: Path
) -> None:
    slider = Scale(key="good", label="Good", scale="slider", least=0, most=100)
    old = [rated(n, ["good good", "bad"]) for n in range(3)]
    new = [rated(n, ["good good", "bad"]).model_copy(update={"criteria": (slider,)}) for n in range(3, 6)]
    items = read_groups(write(tmp_path / "data.jsonl", [*old, *new]), opened, CONFIG, Counter())
    subjects = subjects_in(items, CONFIG.model_copy(update={"min_votes": 4}), torch.device("cpu"))
    (good,) = [one for one in subjects.each if one.name == "good"]
    found = ratings_of(good, items)
    assert found is not None
    assert (found.least, found.most, len(found.thresholds[0])) == (1, 5, 4)


@pytest.fixture(scope="module")
def fitted(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RewardRun:
    """Taught by comparisons that like long answers, and ratings with stars for good words and a flag for short ones."""
    chance, folder = random.Random(3), tmp_path_factory.mktemp("heads")
    records: list[Any] = []
    for number in range(70):
        split = "train" if number < 45 else "heldout"
        a, b = planted(chance), planted(chance)
        longer = "a" if len(a.split()) > len(b.split()) else "b"
        vote = make_vote(longer, rater="s", first=chance.choice("ab"))
        records += [
            make_comparison(number, a, b, [vote], split=split),
            rated(number, [planted(chance)] * 1 + [a], split),
        ]
    config = RewardConfig(members=2, epochs=4, lr=8e-3, read="mean", batch=16, depth=1.0, heads="criteria")
    run = RewardRun(
        checkpoint=base_folder, dataset=write(folder / "data.jsonl", records), output=folder / "reward", device="cpu",
        config=config,
    )  # fmt: skip
    train_reward(run)
    return run


def test_each_head_learns_its_own_and_is_measured_alone(fitted: RewardRun) -> None:
    metrics = json.loads((fitted.output / "hone.json").read_text())["metrics"]
    assert list(metrics["heads"]) == ["overall", "good", "short"]
    assert metrics["heads"]["good"]["heldout"]["accuracy"] > 0.7
    assert metrics["heldout"] == metrics["heads"]["overall"]["heldout"]
    assert metrics["heads"]["good"]["temperature"] != metrics["heads"]["overall"]["temperature"]
    lines = [json.loads(line) for line in (fitted.work / "metrics.jsonl").read_text().splitlines()]
    assert {"blind_accuracy", "blind_accuracy_good", "blind_accuracy_short"} <= set(lines[-1]["values"])


def test_the_checkpoint_knows_its_heads_their_zero_and_how_people_rate_by_them(fitted: RewardRun) -> None:
    opened = open_checkpoint(fitted.checkpoint)
    network = load_reward(fitted.output, Backbone(opened.network), opened.weights_sha256)
    overall, good, short = network.constants
    assert (overall.name, good.name, short.name) == ("overall", "good", "short")
    assert overall.ratings is None
    assert good.ratings is not None
    assert (good.ratings.least, good.ratings.most, len(good.ratings.thresholds[0])) == (1, 5, 4)
    assert short.ratings is not None
    assert (short.ratings.least, short.ratings.most, len(short.ratings.thresholds[0])) == (0, 1, 1)
    prompts = [opened.prompt_ids([("user", "the day")])] * 2
    answers = [opened.answer_ids(text) for text in ("good fine happy sure good", "the day and a day")]
    raw = network.raw_scores(prompts, answers, opened.pad_id)
    better, worse = good.ratings.expected(raw[..., 1]).mean(0).tolist()
    assert 1 < worse < better < 5
    scores = network.score(prompts, answers, opened.pad_id)
    assert scores.heads["good"].tolist() == pytest.approx(good.normal(raw[..., 1]).mean(0).tolist())
    assert torch.equal(scores.members, overall.settled(raw[..., 0]))


def test_ppo_follows_other_weights_with_the_same_reward_network_and_logs_each_head(
    fitted: RewardRun, run: PPORun, tmp_path: Path
) -> None:
    run = run.model_copy(update={"reward": fitted.output})
    shaped = {}
    for name, fields in {
        "good": {"head_weights": {"good": 1.0}},
        "against": {"head_weights": {"good": -1.0}},
        "formula": {"formula": "-good"},
    }.items():
        one = changed(run, steps=1, score_scale="none", **fields).model_copy(update={"output": tmp_path / name})
        train_ppo(one)
        ((_, values),) = steps_and_values(one)
        assert {"reward_overall", "reward_good", "reward_short"} <= set(values)
        shaped[name] = values
    assert shaped["good"]["score"] == pytest.approx(shaped["good"]["reward_good"], abs=1e-4)
    assert shaped["against"]["score"] == pytest.approx(-shaped["good"]["score"], abs=1e-4)
    assert -5 < shaped["formula"]["score"] < -1, "the rating that is expected, turned round"


def test_a_checkpoint_from_before_there_were_heads_scores_as_it_did(
    reward_folder: Path, base_folder: Path, tmp_path: Path
) -> None:
    opened = open_checkpoint(base_folder)
    prompts, answers = [opened.prompt_ids([("user", "the day")])], [opened.answer_ids("good day")]
    now = load_reward(reward_folder, Backbone(opened.network), opened.weights_sha256)
    raw = now.raw_scores(prompts, answers, opened.pad_id)
    old = tmp_path / "old"
    old.mkdir()
    (old / "hone.json").write_bytes((reward_folder / "hone.json").read_bytes())
    tensors = load_file(reward_folder / "reward.safetensors")
    constants = {"tail": [], "temperature": 0.5, "moments": [1.0, 3.0], "offsets": [0.25, -0.25]}
    save_file(
        tensors | {"heads": tensors["heads"][:, 0].contiguous()},
        old / "reward.safetensors",
        {"constants": json.dumps(constants)},
    )
    again = open_checkpoint(base_folder)
    network = load_reward(old, Backbone(again.network), again.weights_sha256)
    assert isinstance(network, RewardNetwork)
    wanted = (raw[..., 0] - torch.tensor([[0.25], [-0.25]])) / 0.5
    found = network.score(prompts, answers, opened.pad_id)
    assert torch.allclose(found.members, wanted, atol=1e-6)
    assert found.heads == {}
    assert network.constants[0].moments == (1.0, 3.0)
