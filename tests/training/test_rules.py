"""Rules on answers: what each says, whose they may be, and that they pay beside the reward network or without one."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from app.datasets.records import Answer, ComparisonRecord, DemonstrationRecord, PromptRecord, TextPart
from app.training.configs import BestRun, DPOConfig, PPOConfig, PPORun, RunRefused
from app.training.configs.rules import OutsideRule, Rule
from tests.training.make import write
from tests.training.rolling import lines, make_rollout, rolled
from workers.training import best, lexical, rules
from workers.training.best import keep_best
from workers.training.checkpoints import CheckpointRefused, open_checkpoint
from workers.training.judged import Rollout
from workers.training.lines import read_lines
from workers.training.opinions import read_preferred
from workers.training.ppo import train_ppo
from workers.training.progress import RunFailed
from workers.training.rules import measure_of


def said(rule: dict[str, Any], answer: str, *references: str) -> float:
    return measure_of(TypeAdapter(Rule).validate_python(rule))(["a question"], [answer], [references])[0]


@pytest.mark.parametrize(
    ("rule", "answer", "wanted"),
    [
        ({"kind": "length", "least": 2, "most": 3}, "one two three", 1),
        ({"kind": "length", "least": 2, "most": 3}, "one", 0),
        ({"kind": "format", "form": "json"}, '{"a": [1]}', 1),
        ({"kind": "format", "form": "json"}, "a: 1", 0),
        ({"kind": "format", "form": "list"}, "Two:\n- one\n2. two", 1),
        ({"kind": "format", "form": "list"}, "- one", 0),
        ({"kind": "format", "form": "code"}, "So:\n```python\nx = 1\n```", 1),
        ({"kind": "format", "form": "code"}, "```", 0),
        ({"kind": "format", "form": "paragraph"}, "One thing. And another.", 1),
        ({"kind": "format", "form": "paragraph"}, "One thing.\n\nAnd another.", 0),
        ({"kind": "words", "words": ["Sorry", "cannot"]}, "sorry, sorry: I can't", 1),
        ({"kind": "words", "words": ["Sorry", "cannot"]}, "I am sorry, I cannot", 2),
        ({"kind": "pattern", "pattern": r"\b\d{4}\b"}, "in 1984", 1),
        ({"kind": "pattern", "pattern": r"\b\d{4}\b"}, "in 84", 0),
        ({"kind": "distinct"}, "a b a b a", 0.5),  # a b, b a, a b, b a
        ({"kind": "distinct"}, "alone", 1),
        ({"kind": "repetition"}, "1 2 3 4 5 6 1 2 3 4 5 6", 0.25),
        ({"kind": "readability"}, "The cat sat on the mat.", 1),  # 206.8 - 1.015 x 6 - 84.6 x 1 = 116
        ({"kind": "readability"}, "Institutional internationalisation notwithstanding", 0),
    ],
)
def test_a_rule_says_of_an_answer(rule: dict[str, Any], answer: str, wanted: float) -> None:
    assert said(rule, answer) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("kind", "answer", "wanted"),
    [
        ("bleu", "the cat sat on the mat", 1),
        ("chrf", "the cat sat on the mat", 1),
        ("rouge", "the mat on the cat", 2 * 3 / (5 + 6)),  # "the on the" or "the the cat": three in order
        ("rouge", "dogs", 0),
        ("meteor", "the cat sat on the mat", 1 - 0.5 * (1 / 6) ** 3),  # six words in one piece
        ("meteor", "cats sat", 1 / 3 / (0.9 + 0.1 / 3) * (1 - 0.5 * (1 / 2) ** 3)),  # cats by its stem; P 1, R 2/6
        ("meteor", "sat cats", 1 / 3 / (0.9 + 0.1 / 3) * (1 - 0.5)),  # two pieces of one word
        ("meteor", "dogs", 0),
    ],
)
def test_likeness_is_to_the_best_reference_and_0_without_one(kind: str, answer: str, wanted: float) -> None:
    assert said({"kind": kind}, answer, "nothing alike", "the cat sat on the mat") == pytest.approx(wanted)
    assert said({"kind": kind}, answer) == 0


def test_a_rule_whose_package_is_not_there_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nltk.translate.meteor_score", None)
    lexical.scorer.cache_clear()
    with pytest.raises(RunRefused, match=r"hone\[meteor\]"):
        said({"kind": "meteor"}, "a", "b")


def counted(prompts: list[str], answers: list[str]) -> list[float]:
    return [float(len(answer)) for answer in answers]


def broken(prompts: list[str], answers: list[str]) -> list[float]:
    return [float("nan")] * len(answers)


class Server(BaseHTTPRequestHandler):
    """Fails once, then counts the letters of each answer."""

    failed = False

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, Server.failed = (200, True) if Server.failed else (503, True)
        body = json.dumps({"rewards": counted(told["prompts"], told["answers"])}).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def outside(**told: Any) -> rules.Measure:
    return measure_of(TypeAdapter(OutsideRule).validate_python(told))


def test_a_function_of_ones_own_is_found_by_its_path_and_held_to_its_word() -> None:
    here = __name__
    assert outside(kind="function", path=f"{here}:counted")(["q"] * 2, ["ab", "c"], [[], []]) == [2, 1]
    with pytest.raises(RunFailed, match="function must give 1 finite numbers"):
        outside(kind="function", path=f"{here}:broken")(["q"], ["a"], [[]])
    with pytest.raises(RunRefused, match="mine cannot be imported from nowhere:f"):
        outside(kind="function", name="mine", path="nowhere:f")


def test_a_server_of_ones_own_is_asked_again_before_the_run_fails(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PAUSE", 0.0)
    Server.failed = False
    assert outside(kind="remote", url=url)(["q"] * 2, ["ab", "c"], [[], []]) == [2, 1]
    with pytest.raises(RunFailed, match=r"remote had no answer from http://127\.0\.0\.1:9/"):
        outside(kind="remote", url="http://127.0.0.1:9/")(["q"], ["a"], [[]])


def test_code_and_servers_are_named_by_a_run_file_alone(run: PPORun) -> None:
    """A config comes over REST as well: whoever may start a run may not make the trainer import or fetch anything."""
    for rule in ({"kind": "function", "path": "os:system"}, {"kind": "remote", "url": "http://10.0.0.1/"}):
        with pytest.raises(ValidationError):
            PPOConfig(rules=[rule])
        PPORun(**{**run.model_dump(), "functions": [rule]})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reward": None}, "reward is missing, and there is no rule"),
        ({"functions": [{"kind": "remote", "url": "http://a/"}] * 2}, "two rules have one name"),
        ({"config": {"rules": [{"kind": "bleu"}]}}, "references is missing"),
        ({"config": {"rules": [{"kind": "distinct"}] * 2}}, "two rules have one name"),
        ({"config": {"rules": [{"kind": "pattern", "pattern": "("}]}}, "is no regular expression"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(run: PPORun, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PPORun(**{**run.model_dump(), **changes})


def test_rules_are_logged_each_on_its_own_and_may_judge_alone(run: PPORun, tmp_path: Path) -> None:
    known = [
        DemonstrationRecord(
            id="d", group="d", split="train", prompt=line.prompt, writer="w",
            answer=Answer(id="d", parts=(TextPart(text="the day"),)),
        )
        for line in read_lines(run.prompts, PromptRecord)
    ]  # fmt: skip
    told = {
        "reward": None,
        "references": write(tmp_path / "known.jsonl", known),
        "functions": [{"kind": "function", "name": "letters", "path": f"{__name__}:counted", "weight": 0.1}],
        "config": {
            **run.config.model_dump(),
            "steps": 1,
            "rules": [{"kind": "words", "name": "rude", "words": ["bad"], "weight": -2}, {"kind": "chrf"}],
        },
    }
    run = PPORun(**{**run.model_dump(), **told})
    _, _, rollout = rolled(run)
    assert [weight for weight, _ in rollout.ruled.values()] == [-2, 1, 0.1]
    train_ppo(run)
    values = lines(run)[0]["values"]
    assert values["rule_letters"] > 1
    assert 0 < values["rule_chrf"] < 1
    assert values["rule_rude"] >= 0
    assert values["score"] == 0


def best_of(run: PPORun, tmp_path: Path, **changes: Any) -> BestRun:
    fields = run.model_dump(exclude={"method"}) | {"output": tmp_path / "best.jsonl", **changes}
    return BestRun(**{**fields, "config": {**run.config.model_dump(), "samples_per_prompt": 4}})


def test_the_best_of_n_becomes_a_file_to_learn_from(
    run: PPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = best.judge

    def all_ended(*args: Any, **more: Any) -> Rollout:
        rollout = whole(*args, **more)
        return dataclasses.replace(rollout, ended=torch.ones(len(rollout.answers)).bool())

    monkeypatch.setattr(best, "judge", all_ended)
    chosen = best_of(run, tmp_path)
    found = read_lines(keep_best(chosen), DemonstrationRecord)
    assert [line.prompt for line in found] == [line.prompt for line in read_lines(run.prompts, PromptRecord)]
    assert {line.writer for line in found} == {"best of 4"}
    assert all(line["values"]["kept_score"] > line["values"]["score_shaped"] for line in lines(chosen))  # of all four
    with pytest.raises(CheckpointRefused, match="is there already"):
        keep_best(chosen)


def test_best_and_worst_of_n_become_pairs_that_dpo_reads(
    run: PPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, scored = best.judge, []

    def all_ended(*args: Any, **more: Any) -> Rollout:
        rollout = whole(*args, **more)
        scored.append(rollout)
        return dataclasses.replace(rollout, ended=torch.ones(len(rollout.answers)).bool())

    monkeypatch.setattr(best, "judge", all_ended)
    file = keep_best(best_of(run, tmp_path, keep="pair"))
    found = read_lines(file, ComparisonRecord)
    asked = [line.prompt for line in read_lines(run.prompts, PromptRecord)]
    assert [line.prompt for line in found] == asked
    assert all(line.a.text != line.b.text and line.conclusion == "a" for line in found)
    mean = {tuple(answer): float(score) for rollout in scored
            for answer, score in zip(rollout.answers, rollout.scores.mean, strict=True)}  # fmt: skip
    opened = open_checkpoint(run.checkpoint)
    pairs, left_out = read_preferred([file], opened, DPOConfig())
    assert len(pairs) + sum(left_out.values()) == len(found)
    better = [mean[tuple(pair.a.answer)] > mean[tuple(pair.b.answer)] for pair in pairs
              if {tuple(pair.a.answer), tuple(pair.b.answer)} <= mean.keys()]  # fmt: skip
    assert all(better)


def test_of_four_answers_the_best_that_ended_is_kept_or_all_above_a_threshold(run: PPORun, tmp_path: Path) -> None:
    rollout = make_rollout([2] * 8, ended=torch.tensor([True, True, False, True, True, False, False, False]))
    scores = [0.5, 2.0, 9.0, 1.5, -3.0, 9.0, 9.0, 9.0]
    first, rejecting = best_of(run, tmp_path), best_of(run, tmp_path, keep="above", threshold=1.0)
    assert [best.choose(first, rollout, scores, row) for row in (0, 4)] == [[1], [4]]
    assert [best.choose(rejecting, rollout, scores, row) for row in (0, 4)] == [[1, 3], []]
    pairing = best_of(run, tmp_path, keep="pair")
    assert [best.choose(pairing, rollout, scores, row) for row in (0, 4)] == [[1, 0], []]  # of 5 to 8 one alone ended
    assert best.choose(pairing, rollout, [1.0] * 8, 0) == []
    with pytest.raises(ValidationError, match="must be above 1"):
        BestRun(**{**run.model_dump(exclude={"method"}), "config": run.config})
