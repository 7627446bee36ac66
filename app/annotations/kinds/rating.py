"""Rating: each answer of a task by itself, on the protocol's criteria, with flags."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    StringConstraints,
    model_serializer,
    model_validator,
)

from app.annotations.kinds import spans
from app.annotations.kinds.base import BodyForm, Fields, Form, Handle, Kept, OnScreen, Schema, number_of, one, refuse
from app.annotations.kinds.spans import MOST, Span
from app.projects.protocols import RatingProtocol
from app.projects.protocols.rating import Criterion
from app.translation import _

# value.<handle>.<criterion>=3, flag.<handle>=<flag> and errors.<handle>=<lines> in the browser's form
VALUE, FLAG, ERRORS = "value.", "flag.", "errors."
Named = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class RatingSchema(Schema):
    name: Literal["hone.rating"] = "hone.rating"
    version: Literal[1] = 1


class KeptRated(Form):
    """What was said about one completion (its number). errors: in the order of its text; not there where there are
    none, as in bodies from before there were any."""

    completion: int
    criteria: dict[str, int] = Field(default={})
    flags: tuple[str, ...] = ()
    errors: tuple[Span, ...] = ()

    @model_serializer(mode="wrap")
    def without_nothing(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = written(self)
        return said if self.errors else {name: value for name, value in said.items() if name != "errors"}


class KeptRating(Kept):
    schema_: RatingSchema = Field(default=RatingSchema(), alias="schema")
    kind: Literal["rating"] = "rating"
    ratings: tuple[KeptRated, ...]

    def words(self, letters: Sequence[str], protocol: RatingProtocol) -> str:
        flags = {one.key: one.label for one in protocol.flags}
        told = []
        for rated in sorted(self.ratings, key=lambda rated: letters[rated.completion]):
            said = [
                f"{asked.label} {in_words(asked, rated.criteria[asked.key])}"
                for asked in protocol.criteria
                if asked.key in rated.criteria
            ]
            said += [flags[key] for key in rated.flags] + spans.in_words(rated.errors, protocol.errors)
            told.append(f"{letters[rated.completion]}: " + (", ".join(said) or _("nothing")))
        return "; ".join(told)

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        said: dict[str, list[str]] = {}
        for rated in self.ratings:
            handle = handles[rated.completion]
            said |= {f"{VALUE}{handle}.{key}": [str(value)] for key, value in rated.criteria.items()}
            said[FLAG + handle] = list(rated.flags)
            said |= {ERRORS + handle: [spans.as_lines(rated.errors)]} if rated.errors else {}
        return said

    def check(self, texts: Sequence[str]) -> None:
        for rated in self.ratings:
            spans.check_inside(rated.errors, texts[rated.completion])

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        body = self.model_dump(mode="json")
        ratings = [rated | {"completion": ids[rated["completion"]]} for rated in body["ratings"]]
        return body | {"ratings": ratings}


class Rated(Form):
    """What is said about one completion. criteria: value by the criterion's key; flags: keys of those that hold;
    errors: pieces of its text, `text` as the task was handed out with."""

    completion: Handle
    criteria: dict[Named, StrictInt] = Field(default={}, max_length=20)
    flags: tuple[Named, ...] = Field(default=(), max_length=20)
    errors: tuple[Span, ...] = Field(default=(), max_length=MOST)


class RatingForm(BodyForm):
    """Every completion of the task by itself."""

    keeps: ClassVar[type[Kept]] = KeptRating
    kind: Literal["rating"]
    ratings: tuple[Rated, ...] = Field(min_length=1, max_length=9)

    @model_validator(mode="after")
    def each_once(self) -> Self:
        handles = [rated.completion for rated in self.ratings]
        if len(handles) != len(set(handles)):
            raise ValueError(_("an answer is rated twice"))
        return self

    def canonical(self) -> dict[str, Any]:
        said = self.model_dump(mode="json")
        for rated in said["ratings"]:
            if not rated["errors"]:
                del rated["errors"]
        return said

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        rated: dict[str, dict[str, Any]] = {}
        for name, values in fields.items():
            start, _dot, rest = name.partition(".")
            handle, _dot, key = rest.partition(".")
            if start + "." not in (VALUE, FLAG, ERRORS):
                continue
            about = rated.setdefault(handle, {"completion": handle, "criteria": {}, "flags": [], "errors": []})
            if start + "." == FLAG:
                about["flags"] = [value for value in values if value]
            elif start + "." == ERRORS:
                about["errors"] = spans.from_lines(values[-1])
            elif values[-1]:
                about["criteria"][key] = whole(values[-1])
        ratings = list(rated.values())
        return {"kind": "rating", "ratings": ratings, "justification": one(fields, "justification")}

    def kept(self, protocol: RatingProtocol, numbers: Mapping[str, int]) -> KeptRating:
        rated = {number_of(about.completion, numbers): about for about in self.ratings}
        if len(rated) < len(self.ratings):
            raise refuse("ratings", _("an answer is rated twice"))
        if missing := set(numbers.values()) - set(rated):
            raise refuse("ratings", _("answers not rated yet: {missing}").format(missing=len(missing)))
        for about in rated.values():
            fits(about, protocol)
        ratings = tuple(
            KeptRated(
                completion=number,
                criteria={one.key: about.criteria[one.key] for one in protocol.criteria if one.key in about.criteria},
                flags=tuple(one.key for one in protocol.flags if one.key in about.flags),
                errors=spans.fitting(about.errors, protocol.errors),
            )
            for number, about in sorted(rated.items())
        )
        return KeptRating(ratings=ratings, justification=self.justification)

    @classmethod
    def screen(cls, protocol: RatingProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        one_question = len(shown) * len(protocol.criteria) == 1 and not protocol.flags and protocol.errors is None
        title = _("Rate the answer") if len(shown) == 1 else _("Rate each answer")
        return {"title": title, "points": {one.key: points_of(one) for one in protocol.criteria}, "one": one_question}


def fits(about: Rated, protocol: RatingProtocol) -> None:
    """:raises AgainstTheProtocol: about one completion something is missing, unknown or off its scale."""
    criteria, flags = {one.key: one for one in protocol.criteria}, {one.key for one in protocol.flags}
    for key in about.criteria.keys() - criteria.keys() - protocol.elsewhere:
        raise refuse(f"ratings.criteria.{key}", _("this project has no such criterion"))
    for key in set(about.flags) - flags:
        raise refuse("ratings.flags", _("this project has no flag “{flag}”").format(flag=key))
    for key, criterion in criteria.items():
        value = about.criteria.get(key)
        if value is None and criterion.required:
            raise refuse(f"ratings.criteria.{key}", _("“{label}” is still open").format(label=criterion.label))
        if value is not None and not criterion.least <= value <= criterion.most:
            reason = _("“{label}” goes from {least} to {most}, not {value}")
            said = reason.format(label=criterion.label, least=criterion.least, most=criterion.most, value=value)
            raise refuse(f"ratings.criteria.{key}", said)


def in_words(criterion: Criterion, value: int) -> str:
    """A value as it is read: a number, or yes and no in the criterion's own words."""
    if criterion.scale != "yes_no":
        return str(value)
    return (criterion.high or _("yes")) if value else (criterion.low or _("no"))


def points_of(criterion: Criterion) -> list[tuple[int, str, str]]:
    """(value, the key that presses it, what stands on it) of a scale with few points; a slider has none."""
    if criterion.scale == "slider":
        return []
    if criterion.scale == "yes_no":
        return [(1, "1", in_words(criterion, 1)), (0, "0", in_words(criterion, 0))]
    return [(value, str(value % 10), str(value)) for value in range(criterion.least, criterion.most + 1)]


def whole(text: str) -> int | str:
    """A whole number where it is one; else the text, for the form to refuse."""
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 9 else text
