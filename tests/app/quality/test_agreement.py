"""Coefficients of agreement equal published examples and sums done by hand; which tasks count decides what is true."""

import numpy as np
import pytest

from app.quality.statistics.agreement import Answers, agreement, kendall, tau_b
from app.quality.statistics.intervals import Estimate, share_of

# Krippendorff (2011, "Computing Krippendorff's Alpha-Reliability", example C/D/E) and Gwet (2014): four people, twelve
# tasks, five categories; a point where somebody said nothing.
PUBLISHED = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def answers_of(lines: tuple[str, ...]) -> Answers:
    """Lines of people, columns of tasks."""
    said = [
        (task, who, int(mark) - 1) for who, line in enumerate(lines) for task, mark in enumerate(line) if mark != "."
    ]
    task, rater, category = (np.array(column) for column in zip(*said, strict=True))
    return Answers(task, rater, category, int(category.max()) + 1)


def test_the_published_example_of_four_people() -> None:
    found = {name: one.value for name, one in agreement(answers_of(PUBLISHED), [1, 2, 3, 4, 5]).items()}
    assert found == pytest.approx(
        {
            "alpha_nominal": 0.743,  # Krippendorff (2011): nominal .743, ordinal .815, interval .849
            "alpha_ordinal": 0.815,
            "alpha_interval": 0.849,
            "percent": 0.8182,  # Gwet (2014), and the R package irrCAC, data set cac.raw4raters
            "fleiss": 0.7612,
            "ac1": 0.7754,
            "cohen": 0.7621,
            "weighted_kappa": 0.8572,
            "ac2": 0.9140,
        },
        abs=6e-4,
    )


def table(counts: list[list[int]]) -> Answers:
    """Two people; counts[one][other] tasks."""
    pairs = [(a, b) for a, line in enumerate(counts) for b, many in enumerate(line) for _n in range(many)]
    tasks = np.arange(len(pairs))
    who = np.repeat([0, 1], len(pairs))
    return Answers(np.tile(tasks, 2), who, np.array([a for a, _ in pairs] + [b for _, b in pairs]), len(counts))


def test_two_abstractors() -> None:
    """Gwet (2014), three diagnoses (irrCAC, cont3x3abstractors): Cohen .7964, AC1 .8493, alpha .7973, percent .89."""
    found = agreement(table([[13, 0, 0], [0, 20, 7], [0, 4, 56]]))
    assert found["percent"].value == pytest.approx(0.89)
    assert found["cohen"].value == pytest.approx(0.7964094)
    assert found["ac1"].value == pytest.approx(0.8493305)
    assert found["alpha_nominal"].value == pytest.approx(0.7972585)


def test_cohen_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_a 35/50 = 0.7; p_e 0.5 · 0.6 + 0.5 · 0.4 = 0.5; (0.7 - 0.5) /
    0.5."""
    found = agreement(table([[20, 5], [10, 15]]), [0, 1])
    assert found["cohen"].value == pytest.approx(0.4)
    assert found["weighted_kappa"].value == pytest.approx(0.4)  # two categories have no middle
    low, high = found["cohen"].low, found["cohen"].high
    assert low is not None
    assert high is not None
    # Gwet's standard error of this table is near 0.13
    assert (0.4 - low, high - 0.4) == (pytest.approx(0.25, abs=0.06), pytest.approx(0.25, abs=0.06))


def test_fleiss_of_the_handbook() -> None:
    """Fleiss (1971), in the widely printed example of ten subjects and fourteen people: kappa 0.210."""
    rows = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    said = [
        (task, category) for task, row in enumerate(rows) for category, many in enumerate(row) for _n in range(many)
    ]
    task, category = (np.array(column) for column in zip(*said, strict=True))
    found = agreement(Answers(task, np.tile(np.arange(14), 10), category, 5))
    assert found["fleiss"].value == pytest.approx(0.20993, abs=1e-5)
    assert found["percent"].value == pytest.approx(0.37802, abs=1e-5)


def test_kendall_by_hand() -> None:
    """1 2 3 4 against 2 1 3 4: five pairs alike, one turned: 4/6. One tie of three: 2 / √(3 · 2)."""
    assert tau_b([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(4 / 6)
    assert tau_b([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / np.sqrt(3 * 2))
    assert tau_b([1, 1], [1, 2]) is None
    # two tasks: 1 and -1; the third has one judge
    assert kendall([0, 0, 1, 1, 2], [[1, 2], [1, 2], [1, 2], [2, 1], [1, 2]]).value == 0
    assert kendall([0, 0], [[1, 2], [1, 2]]).low is None


def test_tasks_that_are_all_alike_have_no_interval_but_a_shares() -> None:
    found = agreement(answers_of(("11", "11")))
    wilson = Estimate(pytest.approx(1.0), pytest.approx(2 / 5.8415, abs=1e-4), pytest.approx(1.0), 2)  # 2 of 2
    assert found["percent"] == wilson
    assert found["ac1"].low is None
    assert found["cohen"].value is None  # nobody ever said anything else: chance explains all
    assert agreement(Answers(*(np.array([], dtype=np.int64),) * 3, 2))["percent"].value is None


def test_answers_of_one_screen_are_drawn_together() -> None:
    """Ten copies of each answer in the same task do not make the interval narrower."""
    one = answers_of(PUBLISHED)
    copies = 10
    spread = Answers(
        np.concatenate([one.task + 12 * copy for copy in range(copies)]),
        np.tile(one.rater, copies),
        np.tile(one.category, copies),
        one.categories,
        drawn=np.tile(np.arange(12), copies),
    )
    single, many = agreement(one)["ac1"], agreement(spread)["ac1"]
    assert (many.value, many.n) == (pytest.approx(single.value), 11)
    assert many.low == pytest.approx(single.low, abs=0.05)


def test_chosen_tasks_mislead_and_the_random_slice_does_not() -> None:
    """Half the tasks are clear (people agree in 95 of 100 cases), half are doubtful (60 of 100). The doubtful ones were
    chosen to be asked eight times as often. Truth: (0.95 + 0.6) / 2 = 0.775."""
    draw = np.random.default_rng(7)
    doubtful = np.arange(8000) % 2 == 1
    chance = np.where(doubtful, 0.8, 0.1)
    asked = np.flatnonzero(draw.random(8000) < chance)
    agree = (draw.random(len(asked)) < np.where(doubtful[asked], 0.6, 0.95)).astype(float)
    naive = share_of(asked, agree)
    weighed = share_of(asked, agree, 1 / chance[asked])
    slice_ = np.flatnonzero(draw.random(len(asked)) < 0.1 / chance[asked])  # what would have been asked at random
    random = share_of(asked[slice_], agree[slice_])
    assert naive.high is not None
    assert naive.high < 0.7  # wrong, and sure of it
    for one in (weighed, random):
        assert one.low is not None
        assert one.high is not None
        assert one.low < 0.775 < one.high


def test_weights_turn_a_chosen_half_back() -> None:
    """The same in the coefficients: tasks drawn with probability ¼ count four times."""
    said = answers_of(("1122" * 30, "1211" * 30))
    doubled = answers_of(("1122" * 30 + "1" * 90, "1211" * 30 + "1" * 90))
    weight = np.where(np.arange(120) % 4 == 0, 4.0, 1.0)  # tasks in which both say 1
    weighed = agreement(Answers(said.task, said.rater, said.category, 2, weight))
    assert weighed["percent"].value == pytest.approx(agreement(doubled)["percent"].value)
    assert weighed["ac1"].value == pytest.approx(agreement(doubled)["ac1"].value)
