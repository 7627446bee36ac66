"""DPO, IPO and KTO: losses and gradients against formulas written anew, what votes come to, and the loop."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from app.datasets.records import (
    Answer,
    ChoiceRecord,
    ComparisonRecord,
    PromptRecord,
    RankingRecord,
    RatingRecord,
    Scale,
    TextPart,
)
from app.preferences.votes import ChoiceVote, RankingVote, Rated, RatingVote
from app.training.configs import BestRun, DPOConfig, DPORun
from tests.training.make import make_comparison, make_comparisons, make_prompts, make_vote, message, write
from tests.training.test_sft import texts
from tests.workers.sampling.test_graphs import a_card_that_recorded
from workers.training import best, dpo, own_pairs
from workers.training.checkpoints import (
    CheckpointRefused,
    Opened,
    digest_of,
    open_checkpoint,
    read_record,
    weights_sha256,
)
from workers.training.dpo import Liking, Preferring, pair_losses, train_dpo
from workers.training.judged import Rollout
from workers.training.lessons import Lesson, Student, measured, open_student
from workers.training.lines import read_lines
from workers.training.opinions import Liked, Opinion, Preferred, likes_of, opinions_of, read_liked, read_preferred
from workers.training.packing import Text
from workers.training.progress import RunCancelled, RunFailed, fingerprint_of


def answers(count: int) -> tuple[Answer, ...]:
    return tuple(Answer(id=f"a{n}", parts=(TextPart(text="good " * (n + 1)),)) for n in range(count))


def about(**more: Any) -> dict[str, Any]:
    return {"id": "r", "group": "g", "split": "train", "prompt": message("the day"), **more}


# ---- the losses, written anew --------------------------------------------------------------------------------------


def logprob(network: torch.nn.Module, text: Text) -> Tensor:
    """Of an answer, by the whole network's logits, one text at a time."""
    logits = network(input_ids=torch.tensor([text.prompt + text.answer])).logits[0]
    start = len(text.prompt)
    told = [logits[start + j - 1].log_softmax(-1)[token] for j, token in enumerate(text.answer)]
    return torch.stack(told).sum()


def pairs_of(count: int) -> list[Preferred]:
    some = texts(2 * count, seed=3)
    shares = [1.0, 2 / 3, 0.75, 0.5]
    return [
        Preferred(n, 1.0 + n, "train", some[n], Text(some[n].prompt, some[count + n].answer), shares[n % 4])
        for n in range(count)
    ]  # fmt: skip


def by_formula(student: Student, lesson: Any, reference: dict[str, float], config: DPOConfig) -> Tensor:
    """The papers' formulas over single texts, without packing, parts or shared code."""
    network = student.backbone.network
    total, weights = torch.zeros((), dtype=torch.double), 0.0
    if isinstance(lesson, Liking):
        gaps = [logprob(network, one.other) - reference[repr(one.other)] for one in lesson.train]
        divergence = max(0.0, torch.stack(gaps).mean().item())
        for one in lesson.train:
            gain = config.beta * (logprob(network, one.text) - reference[repr(one.text)] - divergence)
            side = gain if one.liked else -gain
            total = total + one.weight * lesson.weights[one.liked] * (1 - torch.sigmoid(side))
            weights += one.weight
        return total / weights
    for one in lesson.train:
        chosen, other = (
            (logprob(network, text) - reference[repr(text)]) / (len(text.answer) if config.per_token else 1)
            for text in (one.a, one.b)
        )
        gap = chosen - other
        if config.loss == "ipo":
            wanted = 1 / (2 * config.beta)
            loss = one.share * (gap - wanted) ** 2 + (1 - one.share) * (gap + wanted) ** 2
        else:
            longer = config.length_coef * (len(one.a.answer) - len(one.b.answer))
            probability = 1 / (1 + torch.exp(-config.beta * gap - longer))
            loss = -one.share * torch.log(probability) - (1 - one.share) * torch.log(1 - probability)
        total, weights = total + one.weight * loss, weights + one.weight
    return total / weights


@pytest.mark.parametrize("fields", [{}, {"per_token": True}, {"length_coef": 0.3}, {"loss": "ipo"}, {"loss": "kto"}])
def test_loss_and_gradients_are_those_of_the_papers_formulas(opened: Opened, fields: dict[str, Any]) -> None:
    """On a frozen batch, in parts and packed, to 1e-6."""
    opened.network.double()
    config = DPOConfig(token_budget=64, rank=2, **fields)
    student = open_student(opened, config)
    pairs = pairs_of(4)
    lesson: Lesson[Any] = Preferring(pairs, [], config)
    if config.loss == "kto":
        singles = [Liked(n, p.weight, "train", p.a, Text(p.a.prompt, pairs[n - 1].a.answer), n % 2 == 0)
                   for n, p in enumerate(pairs)]  # fmt: skip
        lesson = Liking(singles, [], config)
    for weight in student.weights().values():
        weight.data = weight.data.double()
    with torch.no_grad():
        lesson.prepare(student)
    everyone = [text for one in lesson.train for text in lesson.read(one)]
    with torch.no_grad():
        reference = {repr(text): float(logprob(opened.network, text)) for text in everyone}
    with torch.no_grad():
        for weight in student.weights().values():  # a policy that has moved
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double() * 0.1)
    found = measured(student, lesson, lesson.train, backward=True)["loss"]
    ours = {name: weight.grad.clone() for name, weight in student.weights().items()}
    for weight in student.weights().values():
        weight.grad = None
    with student.backbone.using(student.adapter):
        expected = by_formula(student, lesson, reference, config)
    expected.backward()
    assert found == pytest.approx(expected.item(), abs=1e-6)
    for name, weight in student.weights().items():
        assert torch.allclose(ours[name], weight.grad, atol=1e-6), name


def test_an_untouched_policy_is_the_reference(opened: Opened) -> None:
    """No gap yet: sigmoid's loss is ln 2, ipo's 1 / (2 beta) squared, and every reward 0."""
    for loss, expected in (("sigmoid", math.log(2)), ("ipo", 25.0)):
        config = DPOConfig(loss=loss, beta=0.1)
        student = open_student(opened, config)
        lesson = Preferring(pairs_of(3), [], config)
        with torch.no_grad():
            lesson.prepare(student)
            found = measured(student, lesson, lesson.train)
        assert (found["loss"], found["margin"]) == (pytest.approx(expected, rel=1e-4), pytest.approx(0.0, abs=1e-5))
        student.backbone.remove("tuned")


def test_length_has_a_say_in_the_sigmoid_alone() -> None:
    """One token longer at 0.5 each, no gap yet: -ln sigmoid(0.5), by hand; and a refusal elsewhere."""
    longer, all_votes = torch.tensor([1.0]), torch.ones(1)
    (loss,) = pair_losses(torch.zeros(1, 2), all_votes, longer, DPOConfig(length_coef=0.5))
    assert loss.item() == pytest.approx(0.474077, abs=1e-6)
    with pytest.raises(ValueError, match=r"length_coef 0\.5 is part of the sigmoid loss; ipo"):
        DPOConfig(loss="ipo", length_coef=0.5)


# ---- what votes come to --------------------------------------------------------------------------------------------


def test_the_share_of_the_votes_is_the_target() -> None:
    """Two for a, one for b, a tie for half of each: 2.5 of 4. Strengths: (0.5 + 1.5 + 1) / 3."""
    votes = [make_vote("a", strength=1, levels=3), make_vote("a", strength=3, levels=3), make_vote("b")]
    record = make_comparison(1, "good", "bad", [*votes, make_vote("tie"), make_vote("both_bad")])
    assert opinions_of(record, DPOConfig()) == [Opinion(0, 1, 2.5 / 4, 1.0)]
    assert opinions_of(record, DPOConfig(ties="ignore")) == [Opinion(0, 1, 2 / 3, 1.0)]
    assert opinions_of(record, DPOConfig(smoothing="fixed", label_smoothing=0.2))[0].share == 0.8
    assert opinions_of(record, DPOConfig(smoothing="none"))[0].share == 1.0
    even = make_comparison(1, "good", "bad", [make_vote("a"), make_vote("b")])
    assert opinions_of(even, DPOConfig())[0].share == 0.5
    assert opinions_of(even, DPOConfig(smoothing="none")) == []
    nothing = make_comparison(1, "good", "bad", [make_vote("both_bad")])
    assert opinions_of(nothing, DPOConfig()) == []
    turned = make_comparison(1, "good", "bad", [make_vote("b")])
    assert opinions_of(turned, DPOConfig())[0] == Opinion(1, 0, 1.0, 1.0)


def test_a_rankings_pairs_weigh_as_one_comparison_together() -> None:
    """0 › 1 = 2 and 1 › 0 › 2: 0 against 1 is even, 0 against 2 sure, 1 against 2 three quarters."""
    votes = (RankingVote(rater="r", tiers=((0,), (1, 2)), shown=(0, 1, 2)),
             RankingVote(rater="s", tiers=((1,), (0,), (2,)), shown=(0, 1, 2)))  # fmt: skip
    record = RankingRecord(answers=answers(3), votes=votes, **about())
    found = {(one.a, one.b): one.share for one in opinions_of(record, DPOConfig())}
    assert found == {(0, 1): 0.5, (0, 2): 1.0, (1, 2): 0.75}
    assert [one.weight for one in opinions_of(record, DPOConfig())] == pytest.approx([1 / 3] * 3)


def test_a_choice_says_nothing_of_those_it_passed_over() -> None:
    vote = ChoiceVote(rater="r", outcome="chosen", best=1, worst=3, shown=(0, 1, 2, 3))
    record = ChoiceRecord(answers=answers(4), votes=(vote,), **about())
    found = {(one.a, one.b) for one in opinions_of(record, DPOConfig())}
    assert found == {(1, 0), (1, 2), (1, 3), (0, 3), (2, 3)}


def test_who_is_liked() -> None:
    """Ratings above half of their scales, formulas above the median, both bad, and the sides of a pair."""
    scale = Scale(key="good", label="Good", scale="stars", least=1, most=5)
    rated = [Rated(answer=n, criteria={"good": value}) for n, value in enumerate((5, 3, 1))]
    record = RatingRecord(
        answers=answers(3), criteria=(scale,), votes=(RatingVote(rater="r", ratings=rated, shown=(0, 1, 2)),), **about()
    )
    assert likes_of(record, DPOConfig(loss="kto"), 0.0) == {0: (True, 1.0), 2: (False, 1.0)}
    scored = record.votes[0].model_copy(update={"ratings": tuple(r.model_copy(update={"score": 2.0}) for r in rated)})
    assert likes_of(record.model_copy(update={"votes": (scored,)}), DPOConfig(loss="kto"), 3.0)[0] == (False, 1.0)
    bad = make_comparison(1, "x", "y", [make_vote("both_bad")])
    assert likes_of(bad, DPOConfig(loss="kto"), 0.0) == {0: (False, 1.0), 1: (False, 1.0)}
    split = make_comparison(1, "x", "y", [make_vote("a"), make_vote("a"), make_vote("both_bad")])
    # the pair says +1 of x once, both bad says -1 of it once: even, so nothing; of y both say no
    assert likes_of(split, DPOConfig(loss="kto"), 0.0) == {1: (False, 1.0)}
    assert likes_of(split, DPOConfig(loss="kto", pairs_as_singles=False), 0.0)[0] == (False, 1.0)


# ---- the loop ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(base_folder: Path, tmp_path: Path) -> DPORun:
    records = make_comparisons(48, raters={"r1": 1.0}) + make_comparisons(12, split="heldout", raters={"r1": 1.0})
    return DPORun(
        checkpoint=base_folder,
        dataset=write(tmp_path / "data.jsonl", records),
        output=tmp_path / "dpo",
        device="cpu",
        config=DPOConfig(rank=4, lr=5e-3, epochs=2, batch=8, beta=0.5),
    )


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "kto"])
def test_it_learns_what_is_preferred(run: DPORun, loss: str) -> None:
    config = run.config.model_copy(update={"loss": loss, "per_token": loss == "ipo"})
    run = run.model_copy(update={"config": config})
    metrics = train_dpo(run).metrics
    assert metrics["after"]["heldout_loss"] < metrics["before"]["heldout_loss"]
    assert metrics["after"]["heldout_accuracy"] > 0.6
    record = read_record(run.output)
    assert record is not None
    assert (record.kind, record.method) == ("policy", "dpo")


def test_a_cancelled_run_goes_on_and_asks_the_reference_no_more(
    run: DPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_dpo(run)
    asked = []
    prepare = Preferring.prepare
    monkeypatch.setattr(Preferring, "prepare", lambda self, student: asked.append(1) or prepare(self, student))
    cut = run.model_copy(update={"output": tmp_path / "cut"})
    with pytest.raises(RunCancelled):
        train_dpo(cut, lambda step, _total, _values: (cut.work / "cancel").touch() if step == 5 else None)
    again = train_dpo(cut)
    assert asked == [1]
    assert (run.work / "metrics.jsonl").read_text() == (cut.work / "metrics.jsonl").read_text()
    assert again.metrics == whole.metrics


def test_files_of_trl_teach_as_well(opened: Opened, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"prompt": f"day {n}", "chosen": "good", "rejected": "bad", "split": "train"} for n in range(4)
    ]
    lines.append({"prompt": "x", "completion": "fine", "label": False, "split": "train"})
    file = tmp_path / "trl.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found, left_out = read_preferred([file], opened, DPOConfig())
    assert [(one.share, opened.tokenizer.decode(one.a.answer)) for one in found] == [(1.0, "good<|end|>")] * 4
    assert left_out == {"lines_rating_without_opinion": 1}
    liked, _ = read_liked([file], opened, DPOConfig(loss="kto"))
    assert [one.liked for one in liked] == [True, False] * 4 + [False]
    assert all(one.other.prompt == one.text.prompt != [] for one in liked)


def test_too_few_pairs_are_a_sentence(run: DPORun, tmp_path: Path) -> None:
    file = write(tmp_path / "few.jsonl", make_comparisons(3, raters={"r1": 1.0}))
    with pytest.raises(RunFailed, match="3 pairs for training; 10 are needed"):
        train_dpo(run.model_copy(update={"dataset": file}))


def drawing(run: DPORun, reward: Path, prompts: Path, **fields: Any) -> DPORun:
    """The run with a reward model beside it; fields: of its config."""
    config = run.config.model_copy(update={"drawn_answers": 4, "drawn_pairs": 1, "drawn_tokens": 24, **fields})
    return run.model_copy(update={"reward": reward, "prompts": prompts, "config": config})


def answers_end(monkeypatch: pytest.MonkeyPatch, share: float = 1.0) -> None:
    """Of each lot of drawn answers the first ones are told to have ended, this share of them."""
    judge = best.judge

    def ended(*told: Any, **more: Any) -> Rollout:
        rollout = judge(*told, **more)
        many = len(rollout.answers)
        return dataclasses.replace(rollout, ended=torch.arange(many) < share * many)

    monkeypatch.setattr(best, "judge", ended)


def drew(one: BestRun) -> None:
    """As if answers had been drawn, 30 of 40 of which ended, and no pair been made of them."""
    one.work.mkdir(parents=True, exist_ok=True)
    steps = [{"step": 1, "values": {"ended": 1, "answers": 30}}, {"step": 2, "values": {"ended": 0, "answers": 10}}]
    (one.work / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    one.output.touch()


def test_a_reward_model_adds_pairs_of_the_checkpoints_own_answers_and_they_are_drawn_once(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    whole = own_pairs.keep_best
    answers_end(monkeypatch)
    monkeypatch.setattr(own_pairs, "keep_best", lambda one, **more: asked.append(one) or whole(one, **more))
    judged = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)), drawn_pairs=3)
    with pytest.raises(RunCancelled):
        train_dpo(judged, lambda step, _total, _values: (judged.work / "cancel").touch() if step == 3 else None)
    metrics = train_dpo(judged).metrics
    (told,) = asked
    assert (told.keep, told.config.samples_per_prompt, told.rounds) == ("pair", 4, 3)
    (file,) = judged.work.glob("drawn-*.jsonl")
    made = read_lines(file, ComparisonRecord)
    assert 10 < len(made) == metrics["drawn_pairs"] <= 30
    assert len({one.id for one in made}) == len(made)
    of_people = read_preferred([run.dataset], open_checkpoint(run.checkpoint), run.config)[0]
    of_both = read_preferred([run.dataset, file], open_checkpoint(run.checkpoint), run.config)[0]
    assert sum(metrics["lines"].values()) == len(of_both) > len(of_people)
    record = read_record(judged.output)
    assert record is not None
    assert record.reward_sha256 == digest_of([*reward_folder.glob("*.safetensors")])


def test_who_draws_and_who_finds_what_was_drawn_learn_the_same(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed between drawing and its first saved step begins with the same adapters again."""
    answers_end(monkeypatch)
    first = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)), epochs=1)
    drew = train_dpo(first)
    second = first.model_copy(update={"output": tmp_path / "second"})
    shutil.copytree(first.work, second.work, ignore=shutil.ignore_patterns("state.safetensors"))
    monkeypatch.setattr(own_pairs, "keep_best", None)  # nothing is drawn
    found = train_dpo(second)
    assert found.folder != drew.folder
    assert weights_sha256(found.folder) == weights_sha256(drew.folder)


def test_the_card_is_free_of_what_drew_the_pairs_before_anything_is_learned(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_pairs, "keep_best", lambda one, **_: drew(one))
    judged = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)))
    judged.work.mkdir(parents=True)
    recorded, left = a_card_that_recorded(monkeypatch)
    own_pairs.drawn_pairs(judged, "identity", lambda: False)
    assert (recorded(), left) == (None, [None])


def test_answers_of_which_hardly_one_ends_are_a_sentence_and_not_drawn_again(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)), epochs=1)
    answers_end(monkeypatch, 3 / 40)
    with pytest.raises(RunFailed, match="8% of the drawn answers ended within 24 tokens: raise drawn_tokens"):
        train_dpo(judged)
    with monkeypatch.context() as away:
        away.setattr(own_pairs, "keep_best", None)
        with pytest.raises(RunFailed, match="raise drawn_tokens"):
            train_dpo(judged)
    answers_end(monkeypatch, 4 / 40)
    more = judged.model_copy(update={"config": judged.config.model_copy(update={"drawn_tokens": 25})})
    assert train_dpo(more).metrics["drawn_ended"] == pytest.approx(0.1)


def test_neither_a_result_nor_a_state_is_taken_for_that_of_other_prompts_or_pairs(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_end(monkeypatch)
    judged = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)), epochs=1)
    with pytest.raises(RunCancelled):
        train_dpo(judged, lambda step, _total, _values: (judged.work / "cancel").touch() if step == 3 else None)
    (file,) = judged.work.glob("drawn-*.jsonl")
    pairs = file.read_bytes()
    file.write_bytes(pairs[: pairs.index(b"\n") + 1])
    with pytest.raises(RunFailed, match="belongs to another configuration"):
        train_dpo(judged)
    file.write_bytes(pairs)
    whole = train_dpo(judged)
    assert train_dpo(judged).record == read_record(whole.folder)  # done before
    write(tmp_path / "prompts.jsonl", make_prompts(9))
    with pytest.raises(CheckpointRefused, match="not this run's result"):
        train_dpo(judged)
    shutil.rmtree(judged.output)
    with pytest.raises(RunFailed, match="belongs to another configuration"):
        train_dpo(judged)
    assert len([*judged.work.glob("drawn-*.jsonl")]) == 2


def test_a_run_that_is_cancelled_while_pairs_are_drawn_can_be_taken_up_again(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_end(monkeypatch)
    judged = drawing(run, reward_folder, write(tmp_path / "prompts.jsonl", make_prompts(10)))
    judged.work.mkdir(parents=True)
    (judged.work / "cancel").touch()
    with pytest.raises(RunCancelled):
        train_dpo(judged)
    assert not [*judged.work.glob("drawn-*")]
    assert train_dpo(judged).folder == judged.output


def test_pairs_that_were_drawn_for_another_configuration_or_other_prompts_are_not_learned_from(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(own_pairs, "keep_best", lambda one, **_: asked.append(one.rounds) or drew(one))
    prompts = write(tmp_path / "prompts.jsonl", make_prompts(10))
    run.work.mkdir(parents=True)

    def drawn(pairs: int) -> list[Path]:
        config = run.config.model_copy(update={"drawn_pairs": pairs})
        told = run.model_copy(update={"reward": reward_folder, "prompts": prompts, "config": config})
        return own_pairs.drawn_pairs(told, fingerprint_of(told, dpo.inputs_of(told)), lambda: False).files

    first = drawn(1)
    assert (drawn(1), asked) == (first, [1])
    assert (drawn(2) != first, asked) == (True, [1, 2])
    write(prompts, make_prompts(4))
    assert (drawn(1) != first, asked) == (True, [1, 2, 1])


def test_no_pairs_are_drawn_to_prompts_that_the_held_out_opinions_are_about(
    run: DPORun, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the group, as the platform's lines have it; by the words, where a file's groups are its own, and then the
    others of that group too, unless they have none. A line that is learned from keeps nobody away."""
    asked: list[str] = []

    def noted(one: BestRun, **_: Any) -> None:
        asked.extend(line.id for line in read_lines(one.prompts, PromptRecord))
        drew(one)

    monkeypatch.setattr(own_pairs, "keep_best", noted)
    said = message("what is the tea")
    of_platform = make_comparison(1, "good", "bad", [make_vote("a")], split="heldout")  # its group is g1
    elsewhere = make_comparison(2, "good", "bad", [make_vote("a")], split="heldout").model_copy(
        update={"prompt": said, "group": "of another file"}
    )
    learned = make_comparison(3, "good", "bad", [make_vote("a")])
    alone = make_comparison(4, "good", "bad", [make_vote("a")], split="heldout", prompt="alone").model_copy(
        update={"group": ""}
    )
    held = [("other words", "g1"), ("what is the tea", "mine"), ("nearly the tea", "mine"), ("alone", "")]
    free = [("of train", "g3"), ("free", "free"), ("without a group", "")]
    records = [PromptRecord(id=text, group=group, prompt=message(text)) for text, group in [*held, *free]]
    told = {
        "dataset": write(tmp_path / "data.jsonl", [of_platform, elsewhere, learned, alone]),
        "prompts": write(tmp_path / "prompts.jsonl", records),
        "reward": reward_folder,
    }
    run.work.mkdir(parents=True)
    found = own_pairs.drawn_pairs(run.model_copy(update=told), "identity", lambda: False)
    assert (asked, found.left_out) == ([name for name, _ in free], {"prompts_held_out": 4})
    assert found.figures == {"drawn_pairs": 0, "drawn_ended": 0.75}
    write(told["prompts"], records[:4])
    with pytest.raises(RunFailed, match=r"All prompts of prompts\.jsonl are held out in data\.jsonl"):
        own_pairs.drawn_pairs(run.model_copy(update=told), "other", lambda: False)


def test_reward_and_prompts_come_together(run: DPORun, reward_folder: Path) -> None:
    with pytest.raises(ValidationError, match="come together"):
        DPORun(**run.model_dump(exclude={"method", "reward"}), reward=reward_folder)


def test_no_pairs_are_drawn_for_a_loss_that_reads_none(run: DPORun, reward_folder: Path) -> None:
    told = run.model_dump(exclude={"method", "reward", "prompts", "config"})
    judge: dict[str, Any] = {"reward": reward_folder, "prompts": reward_folder}
    singles = DPOConfig(loss="kto", pairs_as_singles=False)
    with pytest.raises(ValidationError, match="kto learns nothing from a reward model’s pairs"):
        DPORun(**told, **judge, config=singles)
    for config, beside in ((singles, {}), (DPOConfig(loss="kto"), judge), (DPOConfig(pairs_as_singles=False), judge)):
        assert DPORun(**told, **beside, config=config).config == config
