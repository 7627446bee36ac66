"""A protocol as a form: which fields each kind has, read from its class, and the browser's fields as JSON again.

A kind, or a field, that is added later is in the editor at once; `wording.py` gives it better words.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.projects.protocols.asked import Asked
from app.projects.protocols.combined import CombinedProtocol
from app.projects.protocols.parts import Single

HIDDEN = ("schema_", "kind", "preset")
OF_THE_WHOLE = ("completions", "gold_share")  # stand once, on the whole protocol
PARTS: dict[str, type[Asked]] = {
    get_args(one)[0].model_fields["kind"].default: get_args(one)[0] for one in get_args(Single)
}
KINDS: dict[str, type[Asked]] = {**PARTS, "combined": CombinedProtocol}
Looks = Literal["choice", "switch", "number", "text", "words", "items", "parts", "group"]
Tree = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """How a field is asked. of: the class of items and groups. options: of a choice. whole, may_be_empty: numbers."""

    looks: Looks
    of: type[BaseModel] | None = None
    options: tuple[str, ...] = ()
    whole: bool = False
    may_be_empty: bool = False
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Entry:
    """One field on the page. name: as it is sent, `criteria.0.label`. inside: of a group, its fields; of items, one
    group each."""

    name: str
    own: str
    shape: Shape
    value: Any = None
    inside: tuple["Entry", ...] = ()
    kind: str = ""
    can_grow: bool = True
    missing: tuple[str, ...] = ()


def shape_of(info: FieldInfo) -> Shape | None:
    """None: a field that is not asked of people."""
    found, optional = bare(info.annotation)
    bounds = {type(one): one for one in info.metadata}
    if get_origin(found) is Literal:
        return Shape("choice", options=tuple(str(one) for one in get_args(found)))
    if found is bool:
        return Shape("switch")
    if found in (int, float):
        least, most = bounds.get(annotated_types.Ge), bounds.get(annotated_types.Le)
        ends = (least.ge if least else None, most.le if most else None)
        return Shape("number", whole=found is int, may_be_empty=optional, least=ends[0], most=ends[1])
    if found is str:
        return Shape("text")
    if get_origin(found) is tuple:
        inner, _optional = bare(get_args(found)[0])
        if inner in (str, int):
            return Shape("words")
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return Shape("items", of=inner)
        return Shape("parts")
    if isinstance(found, type) and issubclass(found, BaseModel):
        return Shape("group", of=found, may_be_empty=optional)
    return None


def bare(annotation: Any) -> tuple[Any, bool]:
    """A type without its constraints, and whether None is allowed."""
    if isinstance(annotation, TypeVar):
        return Any, False
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        some = [one for one in get_args(annotation) if one is not type(None)]
        if len(some) == 1 and len(some) < len(get_args(annotation)):
            return bare(some[0])[0], True
    return annotation, False


def asked_of(model: type[BaseModel], *, is_part: bool = False) -> dict[str, Shape]:
    """The fields of a class that people fill in, in its order; what stands on the whole comes last."""
    left_out = (*HIDDEN, *OF_THE_WHOLE) if is_part else HIDDEN
    shapes = {
        name: shape
        for name, info in model.model_fields.items()
        if name not in left_out and (shape := shape_of(info)) is not None
    }
    last = ["gold_share"] if "gold_share" in shapes else []
    return {name: shapes[name] for name in [*(name for name in shapes if name not in last), *last]}


def outline(model: type[BaseModel], tree: Mapping[str, Any], start: str = "", *, is_part: bool = False) -> list[Entry]:
    """The form of a class, filled with the values of a tree (JSON; what it does not say is empty)."""
    return [
        entry_of(f"{start}{own}", own, shape, tree.get(own, default_of(model, own, shape)))
        for own, shape in asked_of(model, is_part=is_part).items()
    ]


def default_of(model: type[BaseModel], own: str, shape: Shape) -> Any:
    """What a number or a choice says that JSON leaves out."""
    info = model.model_fields[own]
    return info.default if shape.looks in ("number", "choice") and not info.is_required() else None


def entry_of(name: str, own: str, shape: Shape, value: Any) -> Entry:
    entry = Entry(name, own, shape, value)
    if shape.looks == "words":
        return replace(entry, value=", ".join(map(str, value or ())))
    if shape.looks == "group":
        assert shape.of is not None, "a group has a class"
        inside = outline(shape.of, value, f"{name}.") if isinstance(value, Mapping) else []
        return replace(entry, inside=tuple(inside))
    if shape.looks == "items":
        assert shape.of is not None, "items have a class"
        one = Shape("group", of=shape.of)
        items = (entry_of(f"{name}.{n}", own, one, item) for n, item in enumerate(value or ()))
        return replace(entry, inside=tuple(items))
    if shape.looks == "parts":
        parts = tuple(part_of(f"{name}.{n}", part) for n, part in enumerate(value or ()))
        there = {part.kind for part in parts}
        return replace(entry, inside=parts, missing=tuple(kind for kind in PARTS if kind not in there))
    return entry


def part_of(name: str, part: Mapping[str, Any]) -> Entry:
    kind = str(part.get("kind"))
    model = PARTS.get(kind, Asked)
    inside = tuple(outline(model, part, f"{name}.", is_part=True))
    return Entry(name, "part", Shape("group", of=model), inside=inside, kind=kind)


# ---- the browser's fields ------------------------------------------------------------------------------------------


def tree_of(fields: Mapping[str, str], kind: str) -> Tree:
    """A protocol as the browser says it, for pydantic to judge. A switch that is not sent is off, a list empty."""
    nested: Tree = {}
    for name, value in fields.items():
        *outer, last = name.split(".")
        inner = nested
        for step in outer:
            found = inner.setdefault(step, {})
            if not isinstance(found, dict):
                break
            inner = found
        else:
            inner[last] = value
    tree = said_of(KINDS.get(kind, Asked), nested) | {"kind": kind}
    return tree | ({"preset": fields["preset"]} if fields.get("preset") else {})


def said_of(model: type[BaseModel], nested: Mapping[str, Any], *, is_part: bool = False) -> Tree:
    tree: Tree = {}
    for own, shape in asked_of(model, is_part=is_part).items():
        value = said(shape, nested.get(own))
        if value is not None:
            tree[own] = value
    return tree


def said(shape: Shape, value: Any) -> Any:
    """None: nothing was said, so that the default holds."""
    if shape.looks == "switch":
        return value == "true"
    if shape.looks == "words":
        return [word.strip() for word in str(value or "").split(",") if word.strip()]
    if shape.looks in ("items", "parts"):
        rows = in_order(value)
        if shape.looks == "parts":
            return [said_of(PARTS.get(str(row.get("kind")), Asked), row, is_part=True) | kind_of(row) for row in rows]
        assert shape.of is not None, "items have a class"
        return [said_of(shape.of, row) for row in rows]
    if shape.looks == "group":
        assert shape.of is not None, "a group has a class"
        return said_of(shape.of, value) if isinstance(value, Mapping) else None
    return None if value == "" and shape.looks == "number" else value


def kind_of(row: Mapping[str, Any]) -> Tree:
    return {"kind": row.get("kind", "")}


def in_order(value: Any) -> list[Mapping[str, Any]]:
    """Rows by their numbers: `criteria.0`, `criteria.1` …"""
    rows = value if isinstance(value, Mapping) else {}
    numbers = sorted(int(key) for key in rows if key.isascii() and key.isdigit() and len(key) < 4)
    return [row for number in numbers if isinstance(row := rows[str(number)], Mapping)]
