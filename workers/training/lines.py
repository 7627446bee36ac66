"""Files of lines → records: our own, whatever their kind, and the plain types that others write (TRL's, HH's)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.datasets.records import Message
from app.training.configs import RunRefused, first_complaint

Line = TypeVar("Line", bound=BaseModel)
Plain = dict[str, Any]
KIND = re.compile(rb'\s*\{\s*"kind"\s*:\s*"([a-z_]{1,40})"')
SPEAKER = re.compile(r"\n\n(Human|Assistant):")
UNPAIRED = "liked"  # key of the criterion that an unpaired line's label becomes


def turns(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


def read_lines(file: Path, kind: type[Line]) -> list[Line]:
    """Every line as a record. Raises RunRefused naming file, line and field."""
    return [_record(kind, line, f"{file.name} line {number}") for number, line in _raw_lines(file)]


def read_records(
    file: Path, kinds: Sequence[type[Line]], others: Counter[str], heldout_share: float = 0.1
) -> Iterator[Line]:
    """Lines of these kinds from a file that may hold several; those of other kinds are counted in `others`.

    A plain line becomes the record that says the same; heldout_share of the plain lines' prompts are held out.
    Raises RunRefused naming file, line and field.
    """
    wanted = {kind.model_fields["kind"].default: kind for kind in kinds}
    for number, line in _raw_lines(file):
        place = f"{file.name} line {number}"
        named = KIND.match(line)  # our own writer puts the kind first
        told = named[1].decode() if named else None
        if told in wanted:
            yield _record(wanted[told], line, place)
        elif told is not None:
            others[told] += 1
        else:
            for record in _records_of(_parsed(line, place), number, heldout_share, place):
                if record["kind"] in wanted:
                    yield _record(wanted[record["kind"]], json.dumps(record).encode(), place)
                else:
                    others[str(record["kind"])] += 1


def _raw_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that hold something, with their numbers."""
    try:
        with file.open("rb") as stream:
            yield from ((number, line) for number, line in enumerate(stream, 1) if line.strip())
    except OSError as error:
        raise RunRefused(f"{file} cannot be read: {error.strerror}.") from None


def _record(kind: type[Line], line: bytes, place: str) -> Line:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise RunRefused(f"{place}: {first_complaint(error)}") from None


def _parsed(line: bytes, place: str) -> Plain:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise RunRefused(f"{place} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise RunRefused(f"{place} is no object.")
    return content


def _records_of(line: Plain, number: int, heldout_share: float, place: str) -> list[Plain]:
    """What a line says, as records. One with a kind that stands elsewhere than first is our own all the same."""
    if "kind" in line:
        return [line]
    for needed, told in PLAIN.items():
        if needed <= line.keys():
            try:
                said = told(line)
            except (TypeError, KeyError, ValueError, AttributeError, IndexError):
                raise RunRefused(f"{place}: {', '.join(sorted(needed))} are not as TRL's type has them.") from None
            return [_whole(one, line, f"{number}.{part}", heldout_share) for part, one in enumerate(said)]
    fields = ", ".join(sorted(line)) or "none"
    raise RunRefused(f"{place}: no type of line has these fields: {fields}.")


def _whole(said: Plain, line: Plain, name: str, heldout_share: float) -> Plain:
    """The fields that every record has. Lines of one prompt, or of one `group`, stand on one side of the split."""
    about = json.dumps(said["prompt"], sort_keys=True)
    group = str(line.get("group") or sha256(about.encode()).hexdigest()[:16])
    drawn = int.from_bytes(sha256(b"split\0" + group.encode()).digest()[:8]) / 2**64
    split = line.get("split") or ("heldout" if drawn < heldout_share else "train")
    return {"id": name, "group": group, "split": split, **said}


def _message(role: str, text: str) -> Plain:
    return {"role": role, "parts": [{"type": "text", "text": text}]}


def _answer(name: str, text: str) -> Plain:
    return {"id": name, "parts": [{"type": "text", "text": text}]}


def _messages(told: str | Sequence[Mapping[str, str]]) -> list[Plain]:
    """A prompt in either of TRL's forms."""
    if isinstance(told, str):
        return [_message("user", told)]
    return [_message(one["role"], one["content"]) for one in told]


def _text(told: str | Sequence[Mapping[str, str]]) -> str:
    """An answer in either of TRL's forms. :raises ValueError: it is more than one message of the assistant."""
    if isinstance(told, str):
        return told
    (only,) = told
    return only["content"]


def _chat(line: Plain) -> list[Plain]:
    """Each turn of the assistant is an answer to all that stands before it."""
    said = [(one["role"], one["content"]) for one in line["messages"]]
    return [
        _demonstration([_message(*one) for one in said[:place]], text)
        for place, (role, text) in enumerate(said)
        if role == "assistant" and place
    ]


def _completion(line: Plain) -> list[Plain]:
    return [_demonstration(_messages(line["prompt"]), _text(line["completion"]))]


def _demonstration(prompt: list[Plain], text: str) -> Plain:
    return {"kind": "demonstration", "prompt": prompt, "answer": _answer("completion", text), "writer": "file"}


def _unpaired(line: Plain) -> list[Plain]:
    """A label becomes a rating of one criterion that is 0 or 1."""
    scale = {"key": UNPAIRED, "label": UNPAIRED, "scale": "numbers", "least": 0, "most": 1}
    rated = {"answer": 0, "criteria": {UNPAIRED: int(bool(line["label"]))}}
    vote = {"rater": "file", "ratings": [rated], "shown": [0]}
    answers = [_answer("completion", _text(line["completion"]))]
    prompt = _messages(line["prompt"])
    return [{"kind": "rating", "prompt": prompt, "answers": answers, "criteria": [scale], "votes": [vote]}]


def _pair(line: Plain) -> list[Plain]:
    return [_comparison(_messages(line["prompt"]), _text(line["chosen"]), _text(line["rejected"]))]


def _whole_pair(line: Plain) -> list[Plain]:
    """Chosen and rejected as whole conversations, in messages or as a transcript: what they share is the prompt."""
    sides = [line["chosen"], line["rejected"]]
    chosen, rejected = (_transcript(side) if isinstance(side, str) else _messages(side) for side in sides)
    if len(chosen) < 2 or chosen[:-1] != rejected[:-1]:
        raise ValueError
    return [_comparison(chosen[:-1], *(side[-1]["parts"][0]["text"] for side in (chosen, rejected)))]


def _transcript(told: str) -> list[Plain]:
    before, *said = SPEAKER.split(told)
    roles = {"Human": "user", "Assistant": "assistant"}
    opening = [_message("system", before.strip())] if before.strip() else []
    spoken = zip(said[::2], said[1::2], strict=True)
    return opening + [_message(roles[who], text.strip()) for who, text in spoken]


def _comparison(prompt: list[Plain], chosen: str, rejected: str) -> Plain:
    """Nobody knows which stood first on the screen, so it takes turns, and explains nothing: each place has won as
    often. Which side is called a follows it, for the same reason."""
    turn = sha256(f"{chosen}\0{rejected}".encode()).digest()[0]
    outcome, other = ("a", "b") if turn & 1 else ("b", "a")
    vote = {"rater": "file", "outcome": outcome, "strength": 1, "levels": 1, "shown_first": "ab"[turn >> 1 & 1]}
    said = {outcome: _answer("chosen", chosen), other: _answer("rejected", rejected)}
    return {"kind": "comparison", "prompt": prompt, **said, "conclusion": outcome, "votes": [vote]}


# What a line must have to be of a type; the first that fits is it.
PLAIN: dict[frozenset[str], Callable[[Plain], list[Plain]]] = {
    frozenset({"prompt", "chosen", "rejected"}): _pair,
    frozenset({"chosen", "rejected"}): _whole_pair,
    frozenset({"prompt", "completion", "label"}): _unpaired,
    frozenset({"prompt", "completion"}): _completion,
    frozenset({"messages"}): _chat,
}
