"""What pages need of the config classes and of a run's numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from app.training.configs import PPOConfig
from app.training.tables import Method
from app.translation import _

Curve = list[tuple[float, float | None]]
# what a form cannot ask: lists of many shapes, and what goes with a file that only a run file names
HIDDEN = {"schema_version", "rules", "pretraining_coef", "pretraining_batch"}
# what counts how much stands in a panel of its own, by the reward model's heads
APART = {"head_weights", "formula"}


@dataclass(frozen=True)
class FieldView:
    """One field of a config as a form shows it."""

    name: str
    label: str
    hint: str
    kind: Literal["number", "choice", "switch", "text"]
    value: Any
    choices: tuple[str, ...] = ()
    required: bool = True

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The choices as a select wants them."""
        return [(choice, choice) for choice in self.choices]


def fields_of(config: type[BaseModel], sent: Mapping[str, str] | None = None) -> list[FieldView]:
    """Every field of a config class with its default, or with what was sent before."""
    views = []
    for name, field in config.model_fields.items():
        if name in HIDDEN | APART:
            continue
        value = (sent or {}).get(f"config.{name}", field.default)
        choices = tuple(str(choice) for choice in get_args(field.annotation)) if _is_choice(field.annotation) else ()
        kind: Literal["number", "choice", "switch"] = (
            "choice" if choices else "switch" if field.annotation is bool else "number"
        )
        optional = type(None) in get_args(field.annotation)
        label = name.replace("_", " ")
        views.append(FieldView(name, label, field.description or "", kind, value, choices, required=not optional))
    return views


def _is_choice(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def weighed_by(heads: Sequence[str], sent: Mapping[str, str] | None = None) -> list[FieldView]:
    """The fields that say how the heads of a reward model count: a weight each, or a formula."""
    given = sent or {}
    weights = [
        FieldView(f"head_weights.{name}", name, "", "number", given.get(f"config.head_weights.{name}"), required=False)
        for name in heads
    ]
    hint = PPOConfig.model_fields["formula"].description or ""
    formula = FieldView("formula", plain("formula"), hint, "text", given.get("config.formula", ""), required=False)
    return [*weights, formula]


def nested(sent: Mapping[str, str]) -> dict[str, Any]:
    """A flat form as the classes want it: `config.lr=1e-3` goes inside config, where an empty field is None;
    `config.head_weights.kind=2` one deeper, where an empty one is not there."""
    told: dict[str, Any] = {name: value for name, value in sent.items() if value and not name.startswith("config.")}
    config: dict[str, Any] = {}
    for path, value in sent.items():
        name, _dot, part = path.removeprefix("config.").partition(".")
        if not path.startswith("config.") or (not value and name in APART):
            continue
        if part:
            config.setdefault(name, {})[part] = value
        else:
            config[name] = value or None
    return told | {"config": config}


# Curves that belong on one chart, in the order a reader wants them; what is not named here follows by itself.
# Names as the trainers write them: `loss` of sft.py and dpo.py, `epoch_values` of reward.py, ppo.py, figures.py.
TOGETHER: dict[Method, list[tuple[str, tuple[str, ...]]]] = {
    Method.sft: [
        (_("Loss per answer token, nats"), ("loss", "heldout_loss")),
        (_("Learning rate"), ("lr",)),
        (_("Norm of the gradients"), ("grad_norm",)),
    ],
    Method.dpo: [
        (_("Loss per pair or judged answer"), ("loss", "heldout_loss")),
        (_("Share told apart as people did"), ("accuracy", "heldout_accuracy")),
        (_("Reward of the preferred answer above the other"), ("margin", "heldout_margin")),
        (_("Rewards: beta times the log-ratio to the reference"), ("reward_chosen", "reward_rejected")),
        (_("Log-probability of preferred answers, nats per token"), ("chosen_logprob", "heldout_chosen_logprob")),
        (_("Divergence on answers to other prompts, nats"), ("divergence",)),
        (_("Learning rate"), ("lr",)),
        (_("Norm of the gradients"), ("grad_norm",)),
    ],
    Method.reward: [
        (_("Loss per vote, nats"), ("loss", "blind_loss")),
        (_("Accuracy on votes it has not seen"), ("blind_accuracy",)),
    ],
    Method.ppo: [
        (_("Score by the reward model"), ("score", "eval_score", "eval_reference_score")),
        (_("KL from the reference, nats per answer"), ("kl", "kl_low_variance", "eval_kl")),
        (_("Win rate over the reference, by the reward model"), ("eval_win_rate",)),
        (_("Length of answers, tokens"), ("length",)),
        (_("Entropy, nats per token"), ("entropy",)),
        (_("Share clipped"), ("clipped", "values_clipped")),
        (_("What the critic explains of the returns"), ("explained_variance",)),
        (_("Learning rate"), ("lr",)),
        (_("Answers: share that ended, variety and length beside the reference"),
         ("ended", "distinct_ratio", "length_ratio")),
        (_("Share of an answer that it has said before"), ("repetition", "eval_repetition")),
        (_("Value loss"), ("value_loss",)),
        (_("Policy loss"), ("policy_loss",)),
        (_("Price of a nat of KL"), ("kl_coef",)),
        (_("Doubt of the reward ensemble"), ("score_doubt",)),
        (_("Step of the policy within an update, nats per token"), ("step_kl",)),
        (_("Norm of the gradients"), ("grad_norm",)),
    ],
}  # fmt: skip
WORDS = {
    "loss": _("while training"),
    "heldout_loss": _("held out"),
    "accuracy": _("while training"),
    "heldout_accuracy": _("held out"),
    "margin": _("while training"),
    "heldout_margin": _("held out"),
    "reward_chosen": _("preferred"),
    "reward_rejected": _("the other"),
    "chosen_logprob": _("while training"),
    "heldout_chosen_logprob": _("held out"),
    "blind_loss": _("on votes not seen"),
    "blind_accuracy": _("accuracy"),
    "score": _("while sampling"),
    "eval_score": _("on prompts only looked at"),
    "eval_reference_score": _("reference, same prompts"),
    "kl": _("what is paid for"),
    "kl_low_variance": _("low-variance estimate"),
    "eval_kl": _("on prompts only looked at"),
    "eval_win_rate": _("win rate"),
    "ended": _("ended by itself"),
    "distinct_ratio": _("distinct answers"),
    "length_ratio": _("length"),
    "repetition": _("while sampling"),
    "eval_repetition": _("on prompts only looked at"),
    "clipped": _("ratios"),
    "values_clipped": _("values"),
}
FIRST = {
    Method.sft: 1,
    Method.reward: 2,
    Method.dpo: 4,
    Method.ppo: 8,
}  # charts that stand open; the rest are for whoever looks for trouble


def shown_curves(method: Method, curves: Mapping[str, Curve]) -> list[tuple[str, list[tuple[str, Curve]]]]:
    """(title, [(name, points)]) for each chart."""
    charts, used = [], set()
    for title, names in TOGETHER[method]:
        present = [(_(WORDS[name]) if name in WORDS else plain(name), curves[name]) for name in names if name in curves]
        used |= {name for name in names if name in curves}
        if present:
            charts.append((_(title), present))
    return charts + [(plain(name), [(plain(name), points)]) for name, points in curves.items() if name not in used]


def plain(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class Evolution:
    """One prompt at several looks. reference: what the reference says to it, each time. said: a row for each look, the
    earliest first: (step, the policy's answer, its score, nats of that answer)."""

    prompt: str
    reference: str
    reference_score: float | None
    said: list[tuple[int, str, float | None, float | None]]


def evolutions(looks: Sequence[tuple[int, Sequence[Mapping[str, Any]]]]) -> list[Evolution]:
    """looks: (step, samples), the earliest first; each look is at the same prompts."""
    found: dict[str, Evolution] = {}
    for step, samples in looks:
        for one in samples:
            blank = Evolution(one["prompt"], one["reference"], one["reference_score"], [])
            found.setdefault(one["prompt"], blank).said.append((step, one["answer"], one["score"], one["kl"]))
    return list(found.values())
