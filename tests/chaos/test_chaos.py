"""The short form of `make chaos`: a few faults of each kind, and nothing is wrong afterwards; and its own checks."""

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import __main__ as chaos
from tests.chaos.people import Acknowledged
from tests.chaos.proxy import HALF, LOST, Proxy
from tests.chaos.reckoning import DIFFERS, MISSING, SURPLUS, compared, doubled

GIVEN = Acknowledged("a", "t", "k", 1, side=0, strength=2, state="live")
THERE = {
    "id": "a",
    "task": "t",
    "key": "k",
    "person": 1,
    "state": "live",
    "sides": [1, 0],
    "preferred": 1,
    "strength": 2,
}


def test_a_few_faults_of_each_kind_lose_and_double_nothing() -> None:
    few = chaos.Size(people=6, sleepers=2, naps=1, asleep=None, tasks=300, cuts=2, scale=0.01, minutes=3, disk="400m")
    report = chaos.chaos_of(replace(few, torch=False, full=False))
    assert {name: count for name, count in report["violations"].items() if count} == {}, report
    assert (report["lost"], report["doubled"]) == (0, 0)
    assert report["acknowledged"] > 20
    assert report["faults"][chaos.SLEPT] == 2
    if report["in_time"]:  # a slow machine does less, which is no fault
        assert report["faults"][LOST] + report["faults"][HALF] == 4
        assert set(report["recovery_s"]) >= {"Postgres killed", "one web process killed", "tidy killed"}


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (THERE, None),
        (THERE | {"id": "b"}, MISSING),
        (THERE | {"preferred": 0}, DIFFERS),
        (THERE | {"strength": 1}, DIFFERS),
        (THERE | {"person": 2}, DIFFERS),
        (THERE | {"key": "l"}, DIFFERS),
    ],
)
def test_what_is_there_is_held_against_what_was_acknowledged(row: dict[str, Any], wrong: str | None) -> None:
    expected = dict.fromkeys((MISSING, DIFFERS, SURPLUS), 0)
    assert compared([GIVEN], {row["id"]: row}) == expected | ({wrong: 1} if wrong else {})


def test_two_ids_for_one_key_are_a_doubled_answer() -> None:
    none = {"I3 one key twice": 0, "I6 one person twice": 0}
    assert doubled([GIVEN, GIVEN], none) == 0
    assert doubled([GIVEN, replace(GIVEN, id="b")], none) == 1
    assert doubled([GIVEN, replace(GIVEN, id="b"), replace(GIVEN, key="l")], none) == 2  # one does not hide the other


def test_the_proxy_loses_as_many_answers_as_were_asked_for() -> None:
    proxy = Proxy(1, random.Random(1), {LOST: 2, HALF: 1}, every=2)
    lost = [kind for _answer in range(100) if (kind := proxy.drawn())]
    assert sorted(lost) == sorted([LOST, LOST, HALF])
    assert proxy.done == {LOST: 2, HALF: 1}
