"""Comparison: which of two is better and how much; or which of several is best, and perhaps which is worst."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, StringConstraints, model_validator

from app.annotations.kinds.base import BodyForm, Choice, Fields, Handle, Kept, OnScreen, Schema, number_of, one, refuse
from app.projects.forms import without_nul
from app.projects.protocols import ComparisonProtocol
from app.projects.protocols.asked import is_empty
from app.translation import _

Ahead = int | Literal["equal"]  # number of a completion
EQUAL: Literal["equal"] = "equal"
SIDE = "side."  # side.<criterion>=<handle>, or equal, in the browser's form
Named = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Flag = Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(without_nul)]
OutcomeWord = Literal["preferred", "tie", "both_bad", "neither_valid"]
BESIDE = ("tie", "both_bad", "neither_valid")


class ComparisonSchema(Schema):
    name: Literal["hone.comparison"] = "hone.comparison"
    version: Literal[1] = 1


class KeptComparison(Kept):
    """A comparison as it is stored. preferred, worst: numbers of completions. worst: of more than two, where asked.

    criteria: by key, the number of the completion that is ahead, or that they are equal.
    """

    schema_: ComparisonSchema = Field(default=ComparisonSchema(), alias="schema")
    kind: Literal["comparison"] = "comparison"
    outcome: OutcomeWord
    preferred: int | None = None
    worst: int | None = None
    strength: int | None = None
    flags: tuple[str, ...] = ()
    criteria: dict[str, Ahead] = Field(default={}, exclude_if=is_empty)

    def words(self, letters: Sequence[str], protocol: ComparisonProtocol) -> str:
        labels = {one.key: one.label for one in protocol.criteria}
        sides = [
            f"{labels.get(key, key)}: {_('equal') if side == EQUAL else letters[int(side)]}"
            for key, side in self.criteria.items()
        ]
        return "; ".join((self._overall(letters, protocol), *sides))

    def _overall(self, letters: Sequence[str], protocol: ComparisonProtocol) -> str:
        if self.preferred is None:
            return words_beside(len(letters))[self.outcome]
        best = letters[self.preferred]
        if self.strength is not None:
            return _("{letter} {how}").format(letter=best, how=protocol.words(self.strength))
        if self.worst is None:
            return _("{letter} is best").format(letter=best)
        return _("{best} is best, {worst} is worst").format(best=best, worst=letters[self.worst])

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        sides = {SIDE + key: [EQUAL if side == EQUAL else handles[int(side)]] for key, side in self.criteria.items()}
        if self.preferred is None:
            return {"choice": [str(self.outcome)]} | sides
        best = handles[self.preferred]
        said = {"choice": [best if self.strength is None else f"{best}.{self.strength}"]} | sides
        return said if self.worst is None else said | {"worst": [handles[self.worst]]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        body = self.model_dump(mode="json")
        named = {name: ids[body[name]] for name in ("preferred", "worst") if body[name] is not None}
        if self.criteria:
            named["criteria"] = {key: side if side == EQUAL else ids[int(side)] for key, side in self.criteria.items()}
        return body | named


class ComparisonBody(BodyForm):
    """One person's judgement between two completions, or among more of them.

    preferred: the handle under which this task showed the completion, given exactly when the outcome is `preferred`.
    strength: of two completions, 1 (slightly better) … the protocol's number of levels. worst: of more than two, where
    the protocol asks for it. criteria: by key, the handle of the completion that is ahead, or `equal`.
    """

    keeps: ClassVar[type[Kept]] = KeptComparison
    kind: Literal["comparison"] = "comparison"
    outcome: OutcomeWord = Field(description="preferred, tie, both_bad or neither_valid, as far as the protocol asks")
    preferred: Handle | None = Field(default=None, description="handle of the better completion")
    worst: Handle | None = Field(default=None, description="handle of the worst completion, of more than two")
    strength: StrictInt | None = Field(default=None, ge=1, le=9, description="1 = slightly better; of two completions")
    flags: tuple[Flag, ...] = Field(default=(), max_length=20)
    criteria: dict[Named, Handle] = Field(
        default={}, max_length=20, exclude_if=is_empty, description="by key, the handle that is ahead, or `equal`"
    )

    @model_validator(mode="after")
    def does_not_contradict_itself(self) -> Self:
        chosen = self.outcome == "preferred"
        if chosen and self.preferred is None:
            raise ValueError(_("the outcome is “preferred”, so `preferred` must name a completion"))
        if not chosen and (self.preferred is not None or self.worst is not None):
            raise ValueError(
                _("the outcome is “{outcome}”, so no completion is preferred").format(outcome=self.outcome)
            )
        if not chosen and self.strength is not None:
            raise ValueError(_("the outcome is “{outcome}”, so there is no strength").format(outcome=self.outcome))
        if chosen and self.worst == self.preferred:
            raise ValueError(_("the best and the worst are two different completions"))
        return self

    def canonical(self) -> dict[str, Any]:
        said = self.model_dump(mode="json")
        return {name: value for name, value in said.items() if name != "worst" or value is not None}

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        """choice: `tie`, `both_bad`, `neither_valid`; of two, `<handle>.<strength>`; of more, the best one's handle."""
        choice, worst = one(fields, "choice"), one(fields, "worst")
        handle, dot, strength = choice.rpartition(".")
        sides = {name.removeprefix(SIDE): one(fields, name) for name in fields if name.startswith(SIDE)}
        said: dict[str, Any] = {"justification": one(fields, "justification")}
        said |= {"criteria": chosen} if (chosen := {key: side for key, side in sides.items() if side}) else {}
        if dot:
            number = int(strength) if strength.isascii() and strength.isdigit() else 0
            return said | {"outcome": "preferred", "preferred": handle, "strength": number}
        if choice and choice not in BESIDE:
            return said | {"outcome": "preferred", "preferred": choice, "worst": worst or None}
        return said | ({"outcome": choice} if choice else {})

    def kept(self, protocol: ComparisonProtocol, numbers: Mapping[str, int]) -> KeptComparison:
        if len(set(numbers.values())) < 2:
            raise refuse("outcome", _("this task shows fewer than two answers, so there is nothing to compare"))
        allowed = {"tie": protocol.ties, "both_bad": protocol.both_bad, "neither_valid": protocol.neither_valid}
        if not allowed.get(self.outcome, True):
            raise refuse("outcome", _("this project does not offer “{outcome}”").format(outcome=self.outcome))
        preferred = None if self.preferred is None else number_of(self.preferred, numbers)
        worst = None if self.worst is None else number_of(self.worst, numbers)
        if preferred is not None:
            (self._of_two if len(set(numbers.values())) == 2 else self._of_more)(protocol)
            if worst == preferred:
                raise refuse("worst", _("the best and the worst are two different completions"))
        said = self.model_dump(exclude={"kind", "preferred", "worst", "criteria"})
        sides = self._sides(protocol, numbers)
        return KeptComparison(preferred=preferred, worst=worst, criteria=sides, **said)

    def _sides(self, protocol: ComparisonProtocol, numbers: Mapping[str, int]) -> dict[str, Ahead]:
        """In the protocol's order. Where no completion is an answer at all, none of them need be ahead."""
        unknown = set(self.criteria) - {one.key for one in protocol.criteria}
        if unknown:
            raise refuse("criteria", _("this project does not ask for “{key}”").format(key=min(unknown)))
        sides: dict[str, Ahead] = {}
        for asked in protocol.criteria:
            side = self.criteria.get(asked.key)
            if side is not None:
                sides[asked.key] = EQUAL if side == EQUAL else number_of(side, numbers)
            elif asked.required and self.outcome != "neither_valid":
                raise refuse("criteria", _("“{label}” is still open").format(label=asked.label))
        return sides

    def _of_two(self, protocol: ComparisonProtocol) -> None:
        if self.strength is None:
            raise refuse("strength", _("the outcome is “preferred”, so `strength` must say how much better"))
        if self.strength > protocol.levels:
            reason = _("{strength} is beyond the {levels} levels of this project's scale")
            raise refuse("strength", reason.format(strength=self.strength, levels=protocol.levels))
        if self.worst is not None:
            raise refuse("worst", _("of two completions, the other one is the worse"))

    def _of_more(self, protocol: ComparisonProtocol) -> None:
        if self.strength is not None:
            raise refuse("strength", _("the best of several has no strength"))
        if self.worst is None and protocol.choose == "best_and_worst":
            raise refuse("worst", _("this project also asks which one is worst"))
        if self.worst is not None and protocol.choose == "best":
            raise refuse("worst", _("this project only asks which one is best"))

    @classmethod
    def screen(cls, protocol: ComparisonProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        of_two = len(shown) == 2
        asks_worst = not of_two and protocol.choose == "best_and_worst"
        return {
            "title": _("Which answer is better?") if of_two else _("Which answer is best?"),
            "scale": scale_of(protocol, shown) if of_two else best_of(shown),
            "worst": worst_of(shown) if asks_worst else [],
            "beside": beside_scale(protocol, len(shown)),
            "of_two": of_two,
            "criteria": protocol.criteria,
            "sides": sides_of(shown) if protocol.criteria else [],
            "decides": is_alone and not asks_worst and not protocol.criteria,  # one key chooses and submits
            "decides_last": is_alone and not asks_worst and bool(protocol.criteria),  # so does the last one
        }


def scale_of(protocol: ComparisonProtocol, shown: Sequence[OnScreen]) -> list[Choice]:
    """The protocol's scale from A's end to B's, one button a point."""
    choices = []
    for point in protocol.points:
        if point.side is None:
            choices.append(Choice("tie", str(point.number), _("Tie: {words}").format(words=point.words)))
            continue
        side = 0 if point.side == "first" else 1
        choices.append(Choice(f"{shown[side].handle}.{point.strength}", str(point.number), point.words, side))
    return choices


def sides_of(shown: Sequence[OnScreen]) -> list[Choice]:
    """Who is ahead: of two, with “equal” between them."""
    sides = [Choice(one.handle, one.letter, one.letter, n) for n, one in enumerate(shown)]
    sides.insert(1 if len(shown) == 2 else len(sides), Choice(EQUAL, "0", _("equal")))
    return sides


def best_of(shown: Sequence[OnScreen]) -> list[Choice]:
    words = _("{letter} is best")
    return [Choice(one.handle, str(n + 1), words.format(letter=one.letter), n) for n, one in enumerate(shown)]


def worst_of(shown: Sequence[OnScreen]) -> list[Choice]:
    words = _("{letter} is worst")
    return [Choice(one.handle, str(n + 1), words.format(letter=one.letter), n) for n, one in enumerate(shown)]


def beside_scale(protocol: ComparisonProtocol, completions: int = 2) -> list[Choice]:
    """What can be said beside the scale: the tie only when the scale has no middle."""
    words = words_beside(completions)
    offered = (
        (protocol.ties and (completions > 2 or not protocol.tie_on_scale), Choice("tie", "0", words["tie"])),
        (protocol.both_bad, Choice("both_bad", "X", words["both_bad"])),
        (protocol.neither_valid, Choice("neither_valid", "N", words["neither_valid"])),
    )
    return [choice for is_offered, choice in offered if is_offered]


def words_beside(completions: int) -> dict[str, str]:
    if completions == 2:
        return {"tie": _("Tie"), "both_bad": _("Both bad"), "neither_valid": _("Neither is an answer")}
    return {"tie": _("Tie"), "both_bad": _("All bad"), "neither_valid": _("None is an answer")}
