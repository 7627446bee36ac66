"""What the buttons of the protocol editor do to a protocol that is not saved: add, remove, move, turn to a kind."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.projects.protocols.asked import Asked
from app.projects.protocols.outline import KINDS, PARTS, Tree, asked_of

FIRST_PARTS = ("rating", "comparison")


def beginning(kind: str, completions: int | None = None) -> Tree:
    """A protocol of this kind as it begins, with so many answers where that is possible."""
    model = KINDS[kind]
    if kind != "combined":
        tree = model.model_validate({}).as_json()
    else:
        shown = max(completions or 2, 2)
        parts = [PARTS[part].model_validate({"completions": shown}).as_json() for part in FIRST_PARTS]
        tree = {"kind": kind, "completions": shown, "parts": parts}
    if completions and tree.get("completions"):
        tree["completions"] = completions
    return tree


def done(tree: Tree, deed: str) -> tuple[Tree, str]:
    """The tree after a button's deed (`add:criteria`, `add:parts:ranking`, `remove:flags.2`, `up:parts.1`,
    `on:errors`, `off:errors`), and the field that the hand goes to. A deed that fits nothing changes nothing."""
    verb, _colon, rest = deed.partition(":")
    path, _colon, kind = rest.partition(":")
    holder, last = reached(tree, path)
    if holder is None:
        return tree, ""
    if verb == "on" and isinstance(holder, dict):
        model = model_at(tree, path)
        holder[last] = blank(model) if model else {}
        return tree, path
    if verb == "off" and isinstance(holder, dict):
        holder.pop(last, None)
        return tree, ""
    if verb == "add" and isinstance(holder, dict):
        rows = holder.setdefault(last, [])
        rows.append(new_part(kind, tree) if last == "parts" else blank(model_at(tree, path)))
        return tree, f"{path}.{len(rows) - 1}"
    if isinstance(holder, list) and last.isdigit() and int(last) < len(holder):
        number = int(last)
        if verb == "remove":
            holder.pop(number)
        elif verb == "up" and number:
            holder.insert(number - 1, holder.pop(number))
    return tree, ""


def reached(tree: Tree, path: str) -> tuple[Any, str]:
    """What holds the last step of a path; None: there is no such place."""
    *outer, last = path.split(".")
    found: Any = tree
    for step in outer:
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return None, last
    return found, last


def model_at(tree: Tree, path: str) -> type[BaseModel] | None:
    """The class of what stands at a path, following lists, groups and parts."""
    model: type[BaseModel] | None = KINDS.get(str(tree.get("kind")), Asked)
    found: Any = tree
    for step in path.split("."):
        if step.isdigit():
            found = found[int(step)] if isinstance(found, list) and int(step) < len(found) else {}
            if isinstance(found, dict) and found.get("kind") in PARTS:
                model = PARTS[found["kind"]]
            continue
        shape = asked_of(model).get(step) if model else None
        found = found.get(step, {}) if isinstance(found, dict) else {}
        model = shape.of if shape else None
    return model


def blank(model: type[BaseModel] | None) -> Tree:
    """A row to be filled in: the class's defaults, nothing where it has none, and one row where one is needed."""
    if model is None:
        return {}
    row: Tree = {}
    for own, shape in asked_of(model).items():
        info = model.model_fields[own]
        if not info.is_required():
            default = info.get_default(call_default_factory=True)
            row[own] = plain(default)
        elif shape.looks == "items":
            row[own] = [blank(shape.of)]
        else:
            row[own] = ""
    return row


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def new_part(kind: str, tree: Mapping[str, Any]) -> Tree:
    part = (PARTS.get(kind) or PARTS["comparison"]).model_validate({}).as_json()
    return part | {"completions": tree.get("completions") or part.get("completions")}
