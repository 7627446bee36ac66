"""The sums of `make loop`; the loop itself is run by hand, since it takes minutes."""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import torch

from app.datasets.rules import split_of
from app.preferences.votes import Outcome
from app.prompts.rules import group_key
from app.training.forms import DPOForm, PPOForm
from tests.training.conftest import make_checkpoint
from workers.demo.annotators import ANNOTATORS
from workers.demo.judge import Heard, true_win_rate
from workers.demo.loop import __main__ as loop
from workers.demo.loop import control, measures, report, sizes
from workers.demo.loop.people import Given, answer_to
from workers.demo.prompts import demo_prompts
from workers.training.checkpoints import open_checkpoint


def line(number: int, split: str, outcome: str) -> dict[str, Any]:
    return {"id": str(number), "split": split, "votes": [{"outcome": outcome, "rater": "r"}]}


def test_the_control_turns_half_of_the_sided_training_votes_and_nothing_else() -> None:
    lines = [line(n, "train", "a") for n in range(10)] + [line(n, "train", "tie") for n in range(3)]
    lines += [line(n, "heldout", "b") for n in range(5)]
    outcomes = [one["votes"][0]["outcome"] for one in control.turned(lines, seed=1)]
    assert outcomes[:10].count("b") == 5
    assert outcomes[10:] == ["tie"] * 3 + ["b"] * 5
    assert {one["votes"][0]["outcome"] for one in lines[:10]} == {"a"}, "what came in is left as it was"


def test_the_other_half_turns_exactly_the_votes_that_were_left() -> None:
    lines = [line(n, "train", "a") for n in range(11)]
    one, other = control.turned(lines, 1), control.turned(lines, 1, half=1)
    sides = [(a["votes"][0]["outcome"], b["votes"][0]["outcome"]) for a, b in zip(one, other, strict=True)]
    assert sorted(sides) == [("a", "b")] * 6 + [("b", "a")] * 5


def test_other_seeds_turn_other_votes() -> None:
    lines = [line(n, "train", "a") for n in range(40)]
    assert control.turned(lines, 1) != control.turned(lines, 2)
    assert control.turned(lines, 1) == control.turned(lines, 1)


async def test_a_loop_that_is_stopped_ends_the_control_that_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "run"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    waiting = asyncio.create_task(control.trained(tmp_path))
    while not (tmp_path / "pid").exists():  # noqa: ASYNC110  (a file offers no event)
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_split_leaves_at_most_600_votes_for_training_and_at_least_500_for_measuring() -> None:
    labelled = [prompt for prompt in demo_prompts() if prompt.use == "label"]
    share = sizes.whole().heldout_share(labelled)
    sides = [split_of(group_key(prompt.group), share) for prompt in labelled]
    pairs = sizes.ANSWERS // 2
    assert sides.count("train") * pairs <= report.MOST_TRAINING
    assert sides.count("train") * pairs >= 500, "a reward model needs what it may have"
    assert sides.count("heldout") * pairs >= report.LEAST_MEASURED + 60, "some pairs are too alike to be shown"


def answered(*texts: str, tokens: int = 10) -> measures.Answered:
    return measures.Answered("What is a pond?", list(texts), [tokens] * len(texts))


def test_distinct_answers_are_counted_over_all_prompts() -> None:
    new = {"p": answered("one"), "q": answered("one"), "r": answered("two")}
    old = {"p": answered("a"), "q": answered("b"), "r": answered("c")}
    assert measures.distinct_ratio(new, old) == pytest.approx(2 / 3)


def test_length_is_compared_by_mean_tokens() -> None:
    assert measures.length_ratio({"p": answered("x", tokens=30)}, {"p": answered("y", tokens=20)}) == pytest.approx(1.5)


def test_completions_are_gathered_by_prompt_and_others_left_out() -> None:
    rows = [
        {"prompt": "p", "parts": [{"type": "text", "text": "one"}], "token_count": 3},
        {"prompt": "p", "parts": [{"type": "text", "text": "two"}], "token_count": 5},
        {"prompt": "elsewhere", "parts": [{"type": "text", "text": "no"}], "token_count": 1},
    ]
    found = measures.by_prompt(rows, {"p": "What is a pond?"})
    assert found == {"p": measures.Answered("What is a pond?", ["one", "two"], [3, 5])}


def test_the_ceiling_is_taken_over_votes_that_chose_a_side() -> None:
    careless = Given("annotator-8", "What is a pond?", "A", "B", Outcome.tie)
    sided = Given("annotator-1", "What is a pond?", "A", "B", Outcome.a)
    assert measures.ceiling_of([careless, sided]) == measures.ceiling_of([sided])


def test_an_annotator_names_what_was_shown_by_its_handle() -> None:
    task = {
        "prompt": [{"text": "What is a pond?"}],
        "answers": [{"handle": "h1", "text": "A small still water."}, {"handle": "h2", "text": "Go away, silly."}],
        "levels": 3,
    }
    for seed in range(30):
        body, given = answer_to(task, ANNOTATORS[0], seed)
        assert (body["outcome"] == "preferred") == (given.outcome in (Outcome.a, Outcome.b))
        if given.outcome is Outcome.a:
            assert body["preferred"] == "h1"
        if given.outcome is Outcome.b:
            assert body["preferred"] == "h2"


class Paged:
    """A manager whose lists come one row a page."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        number = int(query.get("cursor", 0))
        more = str(number + 1) if number + 1 < len(self.rows) else None
        return {"rows": self.rows[number : number + 1], "next": more}


class Asked:
    """A manager that keeps what it was told to post; every run succeeds at once."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.posted.append((path, body))
        return {"id": "r1"}

    async def get(self, _path: str) -> dict[str, Any]:
        return {"method": "", "state": "succeeded", "attempt": 1, "reason": None}


@pytest.mark.parametrize(
    ("method", "kind", "form", "advantage", "learns_from"),
    [
        ("ppo", "ppo", PPOForm, "gae", {"reward"}),
        ("rloo", "ppo", PPOForm, "rloo", {"reward"}),
        ("dpo", "dpo", DPOForm, None, {"dataset", "reward"}),
    ],
)
async def test_the_policy_is_asked_for_as_any_engineer_would(
    method: sizes.Method, kind: str, form: Any, advantage: str | None, learns_from: set[str]
) -> None:
    manager, ids = Asked(), {"dataset": uuid4(), "reward": uuid4()}
    there = loop.Loop(cast(Any, None), cast(Any, manager), 5, sizes.whole(), method)
    there.project = "p"
    await loop.train(there, *there.size.policy_run(method, *map(str, ids.values())))
    [(path, body)] = manager.posted
    sent = form.model_validate(body)  # what REST reads, which refuses every word that it does not know
    assert (path, sent.seed) == (f"/api/v1/projects/p/runs/{kind}", 5)
    assert {name: value for name, value in sent if isinstance(value, UUID)} == {name: ids[name] for name in learns_from}
    assert getattr(sent.config, "advantage", None) == advantage


def test_without_a_critic_a_nat_costs_half_as_much_again() -> None:
    size = sizes.whole()
    price = {method: size.policy_run(method, "d", "r")[1]["config"]["kl_coef"] for method in ("ppo", "rloo")}
    assert price["rloo"] == pytest.approx(1.5 * price["ppo"])


async def test_what_a_run_does_not_say_of_its_divergence_is_read_off_the_answers(tmp_path: Path) -> None:
    base, policy = (make_checkpoint(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    new = {"p": answered("good fine day", "sad")}
    gaps = []
    for text in new["p"].texts:
        of = []
        for folder in (policy, base):
            opened = open_checkpoint(folder)
            asked, said = opened.prompt_ids([("user", new["p"].prompt)]), opened.answer_ids(text)
            with torch.no_grad():
                logs = opened.network(torch.tensor([asked + said])).logits[0].log_softmax(1)
            of.append(sum(float(logs[len(asked) + n - 1, token]) for n, token in enumerate(said)))
        gaps.append(of[0] - of[1])
    assert measures.divergence(base, policy, new) == pytest.approx(sum(gaps) / 2, abs=1e-3)
    there = loop.Loop(cast(Any, None), cast(Any, None), 0, sizes.small())
    assert await loop.divergence_of(there, {"report": {"kl": 4.5}}, new) == 4.5


async def test_what_stands_on_a_later_page_is_found(tmp_path: Path) -> None:
    runs = [{"id": "r2", "result": None}, {"id": "r1", "result": "c1"}]
    there = loop.Loop(cast(Any, SimpleNamespace(home=tmp_path)), cast(Any, Paged(runs)), 0, sizes.small())
    assert await loop.folder_of(there, "c1") == tmp_path / "checkpoints" / "r1"
    there.manager = cast(Any, Paged([{"id": "c2", "kind": "policy"}, {"id": "c1", "kind": "base"}]))
    assert (await loop.the_base(there))["id"] == "c1"


async def test_four_further_answers_are_four_also_where_the_base_says_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(number: int, text: str) -> dict[str, Any]:
        return {"id": f"c{number}", "prompt": "p", "parts": [{"type": "text", "text": text}], "token_count": 3}

    rows = [row(0, "old")]
    there = loop.Loop(cast(Any, SimpleNamespace(home=tmp_path)), cast(Any, None), 0, sizes.small())

    async def pages(path: str, **_query: Any) -> list[dict[str, Any]]:
        return [{"id": "r1", "result": "reward"}] if path.endswith("runs") else list(rows)

    async def generate(_loop: Any, **form: Any) -> None:
        assert (form["n"], form["prompts"]) == (4, ["p"])
        rows.extend(row(number, text) for number, text in enumerate(["old", "new", "old", "other"], start=1))

    judged = []

    def best(_base: Path, _folder: Path, drawn: dict[str, measures.Answered], _old: Any) -> float:
        judged.append(drawn)
        return 0.5

    monkeypatch.setattr(there, "pages", pages)
    monkeypatch.setattr(loop, "generate", generate)
    monkeypatch.setattr(measures, "best_of_four", best)
    words, old = {"p": "What is a pond?", "elsewhere": "?"}, {"p": answered("old")}
    assert await loop.best_of_four(there, "reward", "base", words, old) == 0.5
    assert [one.texts for one in judged[0].values()] == [["old", "new", "old", "other"]]


def test_an_answer_that_is_the_old_one_again_is_a_tie() -> None:
    assert true_win_rate([Heard("What is a pond?", "A small still water.", "A small still water.")]) == 0.5


GOOD = {
    "labels": {"training": 580, "measurement": 640},
    "seconds": {"PPO": 200.0, "collect": 100.0},
    "reward_model": {"ceiling": 0.82, "of_ceiling": 0.95, "accuracy_heldout": 0.78, "length_only": 0.55},
    "control": {"accuracy_heldout": 0.5},
    "policy": {
        "win_rate_vs_base": 0.75,
        "win_rate_interval": [0.7, 0.8],
        "comparisons": 480,
        "prompts": 120,
        "win_rate_true": 0.85,
        "distinct_ratio": 0.9,
        "length_ratio": 1.1,
        "kl": 8.0,
        "kl_budget": 12.0,
    },
    "baseline": {"best_of_4_win_rate": 0.7},
    "faults": {
        "kills": [],
        "answers": {"acknowledged": 1500, "lost": 0, "changed": 0, "doubled": 0, "unacknowledged": 0},
    },
}
BAD = [
    ("labels", "training", 601),
    ("labels", "measurement", 499),
    ("reward_model", "ceiling", 0.91),
    ("reward_model", "of_ceiling", 0.91),
    ("reward_model", "length_only", 0.71),
    ("control", "accuracy_heldout", 0.56),
    ("policy", "win_rate_vs_base", 0.69),
    ("policy", "win_rate_interval", [0.6, 0.9]),
    ("policy", "win_rate_true", 0.79),
    ("policy", "distinct_ratio", 0.69),
    ("policy", "length_ratio", 1.41),
    ("policy", "comparisons", 399),
    ("policy", "prompts", 99),
    ("policy", "kl", 12.1),
    ("seconds", "PPO", 501.0),
]


def test_a_good_report_keeps_every_bar() -> None:
    assert all(holds for *_rest, holds in report.bars(GOOD))


def test_a_method_without_a_budget_promises_nothing_about_divergence() -> None:
    free = json.loads(json.dumps(GOOD))
    free["policy"] |= {"kl": 40.0, "kl_budget": None}
    assert all(holds for *_rest, holds in report.bars(free))


@pytest.mark.parametrize(("part", "name", "value"), BAD, ids=lambda given: str(given))
def test_each_bar_can_be_missed(part: str, name: str, value: object) -> None:
    spoilt = json.loads(json.dumps(GOOD))
    spoilt[part][name] = value
    assert [holds for *_rest, holds in report.bars(spoilt)].count(False) == 1
