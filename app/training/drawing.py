"""What pages need of the config classes and of a run's numbers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from app.training.tables import Method
from app.translation import _

Curve = list[tuple[float, float | None]]
HIDDEN = {"schema_version"}


@dataclass(frozen=True)
class FieldView:
    """One field of a config as a form shows it."""

    name: str
    label: str
    hint: str
    kind: Literal["number", "choice", "switch"]
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
        if name in HIDDEN:
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


def nested(sent: Mapping[str, str]) -> dict[str, Any]:
    """A flat form as the classes want it: `config.lr=1e-3` goes inside config, where an empty field is None."""
    told: dict[str, Any] = {name: value for name, value in sent.items() if value and not name.startswith("config.")}
    told["config"] = {
        name.removeprefix("config."): value or None for name, value in sent.items() if name.startswith("config.")
    }
    return told


# Curves that belong on one chart, in the order a reader wants them; what is not named here follows by itself.
TOGETHER: dict[Method, list[tuple[str, tuple[str, ...]]]] = {
    Method.reward: [
        (_("Loss"), ("loss", "inner_loss", "validation_loss", "log_loss")),
        (_("Accuracy"), ("accuracy", "inner_accuracy", "validation_accuracy")),
    ],
    Method.ppo: [
        (_("Score"), ("score", "score_mean", "heldout_score")),
        (_("KL from the reference, nats per answer"), ("kl", "kl_per_answer")),
        (_("Answer length, tokens"), ("length", "length_mean")),
        (_("Entropy, nats per token"), ("entropy",)),
    ],
}


def shown_curves(method: Method, curves: Mapping[str, Curve]) -> list[tuple[str, list[tuple[str, Curve]]]]:
    """(title, [(name, points)]) for each chart."""
    charts, used = [], set()
    for title, names in TOGETHER[method]:
        present = [(name, curves[name]) for name in names if name in curves]
        used |= {name for name, _points in present}
        if present:
            charts.append((title, present))
    return charts + [(name.replace("_", " "), [(name, points)]) for name, points in curves.items() if name not in used]
