import pytest

from app.training.configs import PPOConfig, RewardConfig
from app.training.drawing import APART, HIDDEN, fields_of, nested, shown_curves, weighed_by
from app.training.reporting import report_of
from app.training.tables import Method

REWARD = {
    "heldout": {
        "votes": 50,
        "accuracy": 0.8,
        "log_loss": 0.45,
        "ece": None,
        "accuracy_by_strength": {"1/3": {"accuracy": 0.7, "votes": 20}},
        "accuracy_by_rater": {},
    },
    "blind": {"votes": 90, "accuracy": 0.78},
    "length_only": None,
    "agreement": {"agreement": 0.7, "ceiling": 0.82, "votes_compared": 30},
    "reliability": {"r1": 0.6, "r0": 0.9},
    "best_epochs": [3, 4],
    "moments": [0.5, 1.25],
    "left_out": {"too_long": 2},
}


def test_a_reward_report_begins_with_what_decides_and_loses_nothing() -> None:
    report = report_of(REWARD)
    assert [(figure.value, figure.format) for figure in report.figures] == [
        (0.8, "percent"), (0.78, "percent"), (0.82, "percent"), (0.45, "number"),
    ]  # fmt: skip
    assert report.figures[0].note == "of 50 votes"
    assert [one.rows for one in report.breakdowns] == [[("1/3", 0.7, 20)], [("r0", 0.9, None), ("r1", 0.6, None)]]
    assert ("left out too long", 2) in report.more
    assert ("moments", "0.5, 1.25") in report.more


def test_a_ppo_report_says_its_budget() -> None:
    report = report_of(
        {"kl": 4.0, "kl_budget": 12.0, "win_rate": 0.8, "score": 1.0, "reference_score": 0.25, "steps": 9}
    )
    notes = {figure.value: figure.note for figure in report.figures}
    assert notes[4.0] == "of 12 allowed"
    assert notes[1.0] == "the reference has 0.250"
    assert report.more == [("steps", 9)]


@pytest.mark.parametrize(
    ("prompts", "note"),
    [
        ({"prompts": "set_apart"}, "by the reward model, on prompts set apart"),
        (
            {"prompts": "practised"},
            "by the reward model, on the very prompts it practised on: too few to set some apart",
        ),
        ({}, "by the reward model"),
    ],
)
def test_a_ppo_report_says_which_prompts_its_figures_are_from(prompts: dict[str, str], note: str) -> None:
    report = report_of({"win_rate": 0.8} | prompts)
    assert [(figure.value, figure.note) for figure in report.figures] == [(0.8, note)]
    assert report.more == []


def test_a_run_without_a_report_has_nothing_to_show() -> None:
    report = report_of({})
    assert (report.figures, report.breakdowns, report.more) == ([], [], [])


def test_every_curve_is_drawn_once() -> None:
    curves = {name: [(1.0, 2.0)] for name in ("kl", "score", "eval_kl", "value_loss", "brand_new")}
    charts = shown_curves(Method.ppo, curves)
    drawn = [name for _title, series in charts for name, _points in series]
    assert len(drawn) == len(curves)
    assert charts[0][0] == "Score by the reward model"
    assert charts[-1] == ("brand new", [("brand new", [(1.0, 2.0)])])


def test_a_form_has_every_setting_and_reads_back_as_it_was() -> None:
    for config in (RewardConfig, PPOConfig):
        fields = fields_of(config)
        assert {field.name for field in fields} == set(config.model_fields) - HIDDEN - APART
        assert all(field.hint for field in fields)
        sent = {f"config.{field.name}": "" if field.value is None else str(field.value) for field in fields}
        assert config.model_validate(nested(sent)["config"]) == config()
    weighed = {f"config.{field.name}": "" for field in weighed_by(["kind", "harmful"])} | {
        "config.head_weights.kind": "2"
    }
    assert PPOConfig.model_validate(nested(weighed)["config"]).head_weights == {"kind": 2.0}


def test_a_reward_report_draws_what_was_said_against_what_was_seen() -> None:
    margins = {"from": -1.0, "to": 1.0, "votes": [1, 2]}
    measured = {"diagram": [[0.6, 0.55, 10], [0.9, 0.95, 20]], "margins": margins,
                "accuracy_by_length": {"≤ 10 %": {"accuracy": 0.7, "votes": 9}}}  # fmt: skip
    report = report_of({"heldout": measured})
    assert report.diagram[0][1] == [(0.6, 0.55), (0.9, 0.95)]
    assert report.diagram[1][1] == [(0.5, 0.5), (1.0, 1.0)]
    assert report.margins == margins
    assert report.breakdowns[0].rows == [("≤ 10 %", 0.7, 9)]
    assert report_of({"kl": 1.0}).diagram == []


def test_a_fine_tunings_report_says_what_it_was_before() -> None:
    report = report_of({"before": {"heldout_loss": 4.0}, "after": {"heldout_loss": 2.5}, "steps": 3})
    assert [(figure.value, figure.note) for figure in report.figures] == [(2.5, "before: 4")]
