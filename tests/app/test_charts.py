"""Where ticks, points and bars go; sums by hand in the comments."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import charts


def test_ticks_are_round_and_enclose_the_range() -> None:
    assert charts.nice_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert charts.nice_ticks(3, 97) == [0, 20, 40, 60, 80, 100]  # 94/5 = 18.8, next of 1 2 5 10 is 20
    assert charts.nice_ticks(-0.03, 0.04) == pytest.approx([-0.04, -0.02, 0, 0.02, 0.04])


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_any_range_gets_a_few_round_ticks_around_it(low: float, size: float) -> None:
    high = low + size
    if high <= low or size < 1e-9 * abs(low):
        return
    ticks = charts.nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= 7


def test_a_range_without_size_has_no_ticks() -> None:
    with pytest.raises(ValueError, match="low < high"):
        charts.nice_ticks(1, 1)


def test_points_are_placed_from_the_top_left() -> None:
    drawn = charts.line_chart([("loss", [(0, 0.0), (5, 0.5), (10, 1.0)])], height=200)
    assert drawn.curves[0].points == ("0.0,200.0 500.0,100.0 1000.0,0.0",)
    assert [tick.text for tick in drawn.y_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [(tick.at, tick.text) for tick in drawn.x_ticks][::5] == [(0.0, "0"), (100.0, "10")]
    assert (drawn.curves[0].lowest, drawn.curves[0].highest, drawn.curves[0].last) == (0.0, 1.0, 1.0)


def test_between_two_steps_there_is_no_tick() -> None:
    assert [tick.text for tick in charts.line_chart([("loss", [(1, 0.0), (3, 1.0)])]).x_ticks] == ["1", "2", "3"]
    assert len(charts.line_chart([("loss", [(0.5, 0.0), (1.5, 1.0)])]).x_ticks) > 4


def test_points_come_in_order_of_x_whatever_order_they_had() -> None:
    drawn = charts.line_chart([("a", [(2, 0.0), (1, 1.0), (0, 0.5)])])
    assert drawn.curves[0].points == ("0.0,100.0 500.0,0.0 1000.0,200.0",)
    assert drawn.curves[0].last == 0.0


def test_what_is_not_a_number_leaves_a_gap() -> None:
    drawn = charts.line_chart(
        [("a", [(0, 0.0), (1, 1.0), (2, math.nan), (3, 0.5), (4, None), (5, 1.0), (6, math.inf)])]
    )
    assert len(drawn.curves[0].points) == 1
    assert [x for x, _y in drawn.curves[0].dots] == [50.0, 83.33]  # 3/6 and 5/6 of the width


def test_a_constant_curve_lies_between_its_ticks() -> None:
    drawn = charts.line_chart([("a", [(0, 3.0), (1, 3.0)])], height=100)
    heights = [float(point.split(",")[1]) for point in drawn.curves[0].points[0].split()]
    assert all(0 < height < 100 for height in heights)


@pytest.mark.parametrize("series", [[], [("a", [])], [("a", [(0, None)])], [("a", [(0, math.nan)])]])
def test_nothing_to_draw_is_empty(series: list[tuple[str, list[charts.Point]]]) -> None:
    assert charts.line_chart(series).is_empty


def test_one_point_is_a_dot() -> None:
    assert charts.line_chart([("a", [(7, 1.0)])]).curves[0].dots == ((50.0, 100.0),)


def test_a_given_range_is_shown_and_widened_by_what_lies_beyond() -> None:
    inside = charts.line_chart([("a", [(0, 0.4), (1, 0.6)])], y_range=(0, 1))
    assert (inside.y_ticks[0].value, inside.y_ticks[-1].value) == (0, pytest.approx(1))
    beyond = charts.line_chart([("a", [(0, 0.4), (1, 1.7)])], y_range=(0, 1))
    assert beyond.y_ticks[-1].value == pytest.approx(2)


def test_series_may_be_mappings() -> None:
    assert charts.line_chart([{"name": "kl", "points": [(0, 1), (1, 2)]}]).curves[0].name == "kl"


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=3000), st.integers(20, 300))
def test_thinning_keeps_the_extremes_the_last_and_the_bound(values: list[float | None], most: int) -> None:
    points: list[charts.Point] = list(enumerate(values))
    kept = charts.thin(points, most)
    assert len(kept) <= most + 2
    assert kept[-1] == points[-1]
    known = [y for y in values if y is not None]
    if known:
        assert max(known) in [y for _, y in kept]
        assert min(known) in [y for _, y in kept]
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


def test_a_spike_and_a_dip_are_never_thinned_away() -> None:
    values = [math.sin(step) for step in range(1000)]
    values[437], values[612] = 9.0, -9.0
    kept = [y for _, y in charts.thin(list(enumerate(values)), 50)]
    assert len(kept) <= 52
    assert (max(y for y in kept if y), min(y for y in kept if y)) == (9.0, -9.0)


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.one_of(st.none(), st.floats(allow_nan=True))), max_size=40))
def test_any_points_stay_inside_the_plot(points: list[tuple[float, float | None]]) -> None:
    bounded = [(x, y) for x, y in points if abs(x) < 1e12 and (y is None or y != y or abs(y) < 1e12)]
    for curve in charts.line_chart([("a", bounded)], height=200).curves:
        for pair in " ".join(curve.points).split():
            x, y = map(float, pair.split(","))
            assert -0.1 <= x <= 1000.1
            assert -0.1 <= y <= 200.1


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(0, 50_000, "0", "50k"), (0, 3e6, "0", "3M"), (-2, 2, "\u22122", "2"), (0, 1e-5, "0", "1.0e-05")],
)
def test_labels_are_short(low: float, high: float, first: str, last: str) -> None:
    ticks = charts.line_chart([("a", [(0, low), (1, high)])]).y_ticks
    assert (ticks[0].text, ticks[-1].text) == (first, last)


def test_bars_are_shares_of_the_longest() -> None:
    assert charts.shares([10, 5, None, -1]) == [100.0, 50.0, 0.0, 0.0]
    assert charts.shares([1, 3], most=2) == [50.0, 100.0]
    assert charts.shares([0, 0]) == [0.0, 0.0]


def test_a_sparkline_needs_two_points_and_breaks_at_gaps() -> None:
    assert charts.sparkline([1]) == ()
    assert len(charts.sparkline([1, 2, None, 3, 4])) == 2


def test_a_histogram_has_a_bar_for_each_bin() -> None:
    """Four bins from -2 to 2, the highest of 4 up to a tick of 4: heights 0, half, full, a quarter."""
    drawn = charts.histogram([0, 2, 4, 1], -2.0, 2.0, height=100)
    assert [bar[:4] for bar in drawn.bars] == [(0.0, 25.0, 0.0, 0), (25.0, 25.0, 50.0, 2), (50.0, 25.0, 100.0, 4),
                                               (75.0, 25.0, 25.0, 1)]  # fmt: skip
    assert drawn.bars[1][4] == "\N{MINUS SIGN}1 … 0"
    assert (drawn.x_ticks[0].at, drawn.x_ticks[-1].at, drawn.y_ticks[0].at) == (0.0, 100.0, 100.0)
