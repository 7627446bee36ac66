"""A run's report in the words and the order that a reader wants. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.translation import _, ngettext
from app.wording import number

Format = Literal["percent", "number", "plain"]


@dataclass(frozen=True)
class Figure:
    """One number with what it means. `format` says how it is written."""

    label: str
    value: float | int | None
    format: Format = "number"
    note: str | None = None


@dataclass(frozen=True)
class Breakdown:
    """Accuracy or reliability by group, drawn as bars: (group, share, votes or None)."""

    title: str
    rows: list[tuple[str, float, int | None]]


@dataclass(frozen=True)
class Report:
    """figures: the few that decide. more: the rest, named as the trainer names them.

    diagram: curves of what the score said against what people said. margins: votes by how far the score was on their
    side, in bins from `from` to `to`.
    """

    figures: list[Figure] = field(default_factory=list)
    breakdowns: list[Breakdown] = field(default_factory=list)
    diagram: list[tuple[str, list[tuple[float, float]]]] = field(default_factory=list)
    margins: Mapping[str, Any] | None = None
    more: list[tuple[str, Any]] = field(default_factory=list)


def report_of(metrics: Mapping[str, Any]) -> Report:
    """What a run's record says, from workers/training (reward.py, measures.py, figures.py). Unknown parts follow."""
    return Report(
        figures=[figure for figure in figures_of(metrics) if figure.value is not None],
        breakdowns=[one for one in breakdowns_of(metrics) if one.rows],
        diagram=diagram_of(metrics),
        margins=measured_of(metrics).get("margins"),
        more=list(flat({name: value for name, value in metrics.items() if name not in SHOWN})),
    )


SHOWN = {"heldout", "blind", "length_only", "reliability", "score", "reference_score", "win_rate", "kl", "kl_budget",
         "prompts", "length_ratio", "distinct_ratio", "repetition", "ended"}  # fmt: skip


def figures_of(metrics: Mapping[str, Any]) -> list[Figure]:
    heldout, blind, length = (metrics.get(name) or {} for name in ("heldout", "blind", "length_only"))
    agreement = metrics.get("agreement") or {}
    before, after = (metrics.get(name) or {} for name in ("before", "after"))
    return [
        Figure(_("Loss, held out"), after.get("heldout_loss"), note=was(before.get("heldout_loss"))),
        Figure(_("Told apart as people did, held out"), after.get("heldout_accuracy"), "percent"),
        Figure(_("Accuracy, held out"), heldout.get("accuracy"), "percent", votes_of(heldout)),
        Figure(_("Accuracy, training votes not seen"), blind.get("accuracy"), "percent", votes_of(blind)),
        Figure(_("Length alone would reach"), length.get("accuracy"), "percent", _("a score that only counts tokens")),
        Figure(_("Raters’ agreement allows"), agreement.get("ceiling"), "percent", _("if all err alike")),
        Figure(_("Calibration error"), heldout.get("ece"), "percent", _("gap between said and seen shares")),
        Figure(_("Log loss, held out"), heldout.get("log_loss"), note=_("nats; a coin has 0.693")),
        Figure(_("Win rate over the reference"), metrics.get("win_rate"), "percent", judged_on(metrics.get("prompts"))),
        Figure(_("Score"), metrics.get("score"), note=beside(metrics.get("reference_score"))),
        Figure(_("KL, nats per answer"), metrics.get("kl"), note=budget(metrics.get("kl_budget"))),
        Figure(_("Length beside the reference"), metrics.get("length_ratio"), "percent"),
        Figure(_("Distinct answers beside the reference"), metrics.get("distinct_ratio"), "percent"),
        Figure(_("Said twice within an answer"), metrics.get("repetition"), "percent"),
        Figure(_("Answers that end"), metrics.get("ended"), "percent"),
    ]


def votes_of(measured: Mapping[str, Any]) -> str | None:
    votes = measured.get("votes")
    return None if votes is None else ngettext("of {n} vote", "of {n} votes", votes).format(n=number(votes))


def was(before: float | None) -> str | None:
    return None if before is None else _("before: {value}").format(value=number(before))


def judged_on(prompts: str | None) -> str:
    """prompts: `set_apart`, `practised`, or nothing in records from before it was said."""
    told = {
        "set_apart": _("by the reward model, on prompts set apart"),
        "practised": _("by the reward model, on the very prompts it practised on: too few to set some apart"),
    }
    return told.get(prompts or "", _("by the reward model"))


def beside(reference: float | None) -> str | None:
    return None if reference is None else _("the reference has {score}").format(score=number(reference))


def budget(nats: float | None) -> str | None:
    return None if nats is None else _("of {nats} allowed").format(nats=number(nats))


def breakdowns_of(metrics: Mapping[str, Any]) -> list[Breakdown]:
    measured = measured_of(metrics)
    return [
        Breakdown(_("Accuracy by strength of the vote"), shares(measured.get("accuracy_by_strength"))),
        Breakdown(_("Accuracy by rater"), shares(measured.get("accuracy_by_rater"))),
        Breakdown(_("Accuracy by how much longer one answer is"), shares(measured.get("accuracy_by_length"))),
        Breakdown(_("Accuracy by who answered"), shares(measured.get("accuracy_by_makers"))),
        Breakdown(
            _("Reliability of raters, as learned"),
            [(name, share, None) for name, share in sorted((metrics.get("reliability") or {}).items())],
        ),
    ]


def measured_of(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    return metrics.get("heldout") or metrics.get("blind") or {}


def diagram_of(metrics: Mapping[str, Any]) -> list[tuple[str, list[tuple[float, float]]]]:
    """Share of votes for the favourite over what was said of it; a score that keeps its word lies on the line."""
    points = [(said, seen) for said, seen, _votes in measured_of(metrics).get("diagram") or ()]
    return [(_("votes"), points), (_("as said"), [(0.5, 0.5), (1.0, 1.0)])] if points else []


def shares(groups: Mapping[str, Mapping[str, float]] | None) -> list[tuple[str, float, int | None]]:
    return [(name, group["accuracy"], int(group["votes"])) for name, group in (groups or {}).items()]


def flat(metrics: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested figures as (name, value), names joined by a dot's place: `agreement votes compared`."""
    found: list[tuple[str, Any]] = []
    for name, value in metrics.items():
        words = f"{before} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            found += flat(value, words)
        elif isinstance(value, list):
            found.append((words, ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in value)))
        elif value is not None:
            found.append((words, value))
    return found
