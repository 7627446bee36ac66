"""Supervised fine-tuning: what is read, that packed texts do not see each other, the loss by hand, and its loop."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets.records import Answer, ComparisonRecord, DemonstrationRecord, RatingRecord, TextPart
from app.training.configs import RunRefused, SFTConfig, SFTRun
from tests.training.make import message, words, write
from workers.training import learning
from workers.training.checkpoints import Opened, open_checkpoint, read_record
from workers.training.command import parse
from workers.training.learning import batch_rows
from workers.training.lessons import open_student
from workers.training.lines import read_records
from workers.training.networks import Backbone
from workers.training.packing import Text, can_pack, pack, parts_within, rows_of
from workers.training.progress import RunCancelled, RunFailed, Values
from workers.training.sft import Shown, Writing, read_shown, train_sft

QUICK = {"rank": 4, "lr": 5e-3, "epochs": 2, "batch": 8}


def demonstration(number: int, prompt: str, text: str, **more: Any) -> DemonstrationRecord:
    answer = Answer(id=f"d{number}", parts=(TextPart(text=text),))
    told = {"split": "train", "group": f"g{number}", "writer": "w"} | more
    return DemonstrationRecord(id=f"d{number}", prompt=message(prompt), answer=answer, **told)


def texts(count: int, seed: int = 0) -> list[Text]:
    chance = random.Random(seed)
    return [
        Text([chance.randrange(5, 400) for _ in range(chance.randint(2, 6))],
             [chance.randrange(5, 400) for _ in range(chance.randint(1, 9))])
        for _ in range(count)
    ]  # fmt: skip


@pytest.fixture
def run(base_folder: Path, tmp_path: Path) -> SFTRun:
    chance = random.Random(1)
    records = [demonstration(n, words(chance, 4), "good fine happy sure", weight=1.0) for n in range(24)]
    records += [demonstration(n, words(chance, 4), "good fine happy sure", split="heldout") for n in range(24, 30)]
    return SFTRun(
        checkpoint=base_folder,
        dataset=write(tmp_path / "data.jsonl", records),
        output=tmp_path / "sft",
        device="cpu",
        config=SFTConfig(**QUICK),
    )


def test_rows_are_filled_first_fit_with_the_longest_first() -> None:
    """Width 10: 7 takes 3 along, 6 takes 4, and 5 opens a third row."""
    assert rows_of([3, 7, 4, 6, 5], 10, packing=True) == [[1, 0], [3, 2], [4]]
    assert rows_of([3, 7], 10, packing=False) == [[1], [0]]


def test_parts_keep_to_the_budget_of_packed_tokens() -> None:
    """Rows of 8 hold 8, or 5 and 3: within 16 tokens two rows, so three of five texts, then two of 3."""
    assert list(parts_within([[8], [5], [3], [3], [3]], 16, packing=True)) == [[0, 1, 2], [3, 4]]
    assert list(parts_within([[8], [5], [3]], 16, packing=False)) == [[0, 1], [2]]
    assert list(parts_within([[9, 9]], 4, packing=True)) == [[0]]  # beyond the budget, alone


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_packed_texts_are_read_as_if_each_stood_alone(opened: Opened, tuning: str) -> None:
    student = open_student(opened, SFTConfig(tuning=tuning))
    assert student.packing
    many = [*texts(9), Text([7] * 12, [8] * 12)]  # a long one makes room for the others
    packed = pack(many, opened.pad_id, torch.device("cpu"), packing=True)
    assert packed.layout.positions is not None
    assert len(packed.ids) < 7
    together = student.answer_sums(many)
    alone = torch.cat([student.answer_sums([one]) for one in many])
    assert torch.allclose(together, alone, atol=1e-4)


def test_a_family_that_does_not_tell_texts_apart_is_not_packed(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    assert can_pack(backbone)
    whole = backbone.hidden
    backbone.hidden = lambda ids, mask=None, layout=None: whole(ids, mask)
    assert not can_pack(backbone)


def test_the_loss_is_of_answers_only_by_hand(opened: Opened) -> None:
    """Against the whole network's logits: token j of an answer is drawn from the position before it."""
    student = open_student(opened, SFTConfig())
    shown = [Shown(text, weight, "train") for text, weight in zip(texts(3), (1.0, 2.0, 0.5), strict=True)]
    lesson = Writing(shown, [])
    loss, _ = lesson.loss(shown, student.answer_sums([one.text for one in shown]).unsqueeze(1))
    total = 0.0
    for one in shown:
        ids = torch.tensor([one.text.prompt + one.text.answer])
        logprobs = opened.network(input_ids=ids).logits[0].log_softmax(-1)
        start = len(one.text.prompt)
        total -= one.weight * sum(logprobs[start + j - 1, t].item() for j, t in enumerate(one.text.answer))
    assert loss.item() == pytest.approx(total, rel=1e-5)
    tokens = sum(one.weight * len(one.text.answer) for one in shown)
    assert sum(map(lesson.size, shown)) == pytest.approx(tokens)


def test_an_epoch_meets_every_line_once_in_an_order_of_its_own() -> None:
    first = [batch_rows(10, 4, step, 7) for step in range(3)]
    second = [batch_rows(10, 4, step, 7) for step in range(3, 6)]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second


def test_it_learns_to_write_what_people_wrote(run: SFTRun) -> None:
    metrics = train_sft(run).metrics
    assert metrics["after"]["heldout_loss"] < 0.8 * metrics["before"]["heldout_loss"]
    assert metrics["lines"] == {"train": 24, "heldout": 6}
    record = read_record(run.output)
    assert record is not None
    assert (record.kind, record.method) == ("sft", "sft")
    again = open_checkpoint(run.output)  # writes by itself, with no adapter beside it
    shown, _ = read_shown(run.dataset, again, run.config)
    student = open_student(again, run.config)
    heldout = [one for one in shown if one.split == "heldout"]
    loss = -student.answer_sums([one.text for one in heldout]).sum().item() / sum(len(o.text.answer) for o in heldout)
    assert loss == pytest.approx(metrics["after"]["heldout_loss"], abs=1e-3)


def test_a_cancelled_run_goes_on_with_the_next_step(run: SFTRun, tmp_path: Path) -> None:
    whole = train_sft(run)
    cut = run.model_copy(update={"output": tmp_path / "cut"})
    with pytest.raises(RunCancelled):
        train_sft(cut, lambda step, _total, _values: (cut.work / "cancel").touch() if step == 2 else None)
    train_sft(cut)
    lines = [(one.work / "metrics.jsonl").read_text() for one in (run, cut)]
    assert lines[0] == lines[1]
    assert train_sft(cut).metrics == whole.metrics


def test_a_loss_that_breaks_later_leaves_the_best_weights_that_were_looked_at(
    run: SFTRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, steps = learning.descend, count(1)

    def break_in_step_5(*given: Any) -> Values:
        return descend(*given) | ({"loss": math.nan} if next(steps) == 5 else {})

    monkeypatch.setattr(learning, "descend", break_in_step_5)
    result = train_sft(run)
    assert (result.metrics["kept_step"], result.metrics["steps"]) == (3, 6)
    assert result.metrics["ended_by"].startswith("loss was not a number at step 5")
    assert math.isfinite(result.metrics["after"]["heldout_loss"])
    assert read_record(run.output).metrics == result.metrics
    last = run.model_copy(update={"output": run.output.with_name("last"), "config": SFTConfig(**QUICK, keep="last")})
    steps = count(1)
    with pytest.raises(RunFailed, match="was not a number at step 5"):
        train_sft(last)
    assert not last.output.exists()


def test_what_is_left_out_is_counted(opened: Opened, tmp_path: Path) -> None:
    records = [
        demonstration(1, "the day", "good"),
        demonstration(2, "the day", "good", rewritten_from="c1"),
        demonstration(3, "the day", " ".join(["good"] * 90)),
        demonstration(4, "the day", "good", weight=0.0),
    ]
    file = write(tmp_path / "data.jsonl", records)
    shown, left_out = read_shown(file, opened, SFTConfig(max_tokens=64))
    assert len(shown) == 2
    assert left_out == {"lines_too_long": 1, "lines_without_weight": 1}
    shown, left_out = read_shown(file, opened, SFTConfig(max_tokens=64, learn_from="rewrites"))
    assert (len(shown), left_out["lines_written_otherwise"]) == (1, 3)


def test_nothing_written_is_a_sentence(run: SFTRun, tmp_path: Path) -> None:
    file = write(tmp_path / "none.jsonl", [])
    with pytest.raises(RunFailed, match=r"none\.jsonl has no written answer to learn from; 0 lines"):
        train_sft(run.model_copy(update={"dataset": file}))


HUMAN = "\n\nHuman: Hi?\n\nAssistant: "
CHAT = [{"role": "user", "content": "Hi?"}]
PLAIN: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"prompt": "Hi?", "completion": "Yes."}, [("demonstration", "Yes.")]),
    ({"prompt": CHAT, "completion": [{"role": "assistant", "content": "Yes."}]}, [("demonstration", "Yes.")]),
    ({"messages": [*CHAT, {"role": "assistant", "content": "A"}, *CHAT, {"role": "assistant", "content": "B"}]},
     [("demonstration", "A"), ("demonstration", "B")]),
    ({"prompt": "Hi?", "chosen": "Yes.", "rejected": "No."}, [("comparison", "Yes.")]),
    ({"chosen": f"{HUMAN}Yes.", "rejected": f"{HUMAN}No."}, [("comparison", "Yes.")]),
    ({"prompt": "Hi?", "completion": "Yes.", "label": True}, [("rating", "Yes.")]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), PLAIN)
def test_plain_lines_become_the_records_that_say_the_same(
    tmp_path: Path, line: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    file = tmp_path / "plain.jsonl"
    file.write_text(json.dumps(line) + "\n")
    kinds = [DemonstrationRecord, ComparisonRecord, RatingRecord]
    found = []
    for record in read_records(file, kinds, Counter()):  # type: ignore[var-annotated]
        assert record.prompt[0].text == "Hi?"
        if isinstance(record, ComparisonRecord):
            best = record.a if record.votes[0].outcome == "a" else record.b
            found.append((record.kind, best.text))
        elif isinstance(record, RatingRecord):
            assert record.votes[0].ratings[0].criteria == {"liked": 1}
            found.append((record.kind, record.answers[0].text))
        else:
            found.append((record.kind, record.answer.text))
    assert found == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"text": "x"}', "no type of line has these fields: text"),
        ('{"prompt": "x", "chosen": 3, "rejected": "y"}', "are not as TRL's type has them"),
        ("[1]", "is no object"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_line_of_no_type_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "plain.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(RunRefused, match=sentence) as refused:
        list(read_records(file, [DemonstrationRecord], Counter()))
    assert "plain.jsonl line 1" in refused.value.sentence


def test_a_run_from_single_words(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"lr": 0.002, "epochs": 4}')
    said = ["sft", "--config", str(tmp_path / "c.json"), "--dataset", str(tmp_path / "d.jsonl"), "--base", "/b"]
    run, as_json = parse([*said, "--set", "epochs=5", "--seed", "3"])
    assert isinstance(run, SFTRun)
    assert (run.checkpoint, run.dataset, run.output) == (Path("/b"), tmp_path / "d.jsonl", Path("sft").resolve())
    assert (run.config.lr, run.config.epochs, run.seed, as_json) == (0.002, 5, 3, False)
    (tmp_path / "run.json").write_text('{"checkpoint": "base", "dataset": "d.jsonl", "output": "out"}')
    run, as_json = parse(["sft", str(tmp_path / "run.json"), "--json"])
    assert (run.checkpoint, run.output, as_json) == (tmp_path / "base", tmp_path / "out", True)


@pytest.mark.parametrize(
    ("words_said", "sentence"),
    [
        (["sft", "--dataset", "d.jsonl"], "checkpoint is missing"),
        (["sft", "--base", "b", "--dataset", "d", "--set", "lr"], "a field, = and its value are needed"),
        (["sft", "--base", "b", "--dataset", "d", "--set", "speed=9"], "config.speed is not a field here"),
        (["sft", "--colour", "x"], "usage: hone train"),
    ],
)
def test_wrong_words_get_a_sentence(words_said: list[str], sentence: str) -> None:
    with pytest.raises(RunRefused, match=sentence):
        parse(words_said)
