"""Splitting, summing up and rewriting the lines of a dataset. Torch-free and SQL-free."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

CHUNK = 1 << 19  # bytes of finished lines handed to the network at once

Line = dict[str, Any]


def split_of(component: str, heldout_share: float) -> Literal["train", "heldout"]:
    """The side on which roots of a component stand, from its key alone: adding data later moves nobody across, unless
    it joins two components, of which the younger one then goes where the older one is."""
    drawn = int.from_bytes(hashlib.sha256(b"split\0" + component.encode()).digest()[:8]) / 2**64
    return "heldout" if drawn < heldout_share else "train"


class Form(StrEnum):
    """native: our records. trl, trl_standard: TRL's preference types with explicit prompt. hh: two transcripts."""

    native = "native"
    trl = "trl"
    trl_standard = "trl_standard"
    hh = "hh"


def text_of(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n\n".join(part["text"] for part in parts)


def turns(prompt: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Messages as TRL's conversational type has them: role and content."""
    return [{"role": message["role"], "content": text_of(message["parts"])} for message in prompt]


def transcript(prompt: Iterable[Mapping[str, Any]], answer: str) -> str:
    """The conversation as Anthropic's HH files write it; a system turn stands before the first human one."""
    names = {"user": "\n\nHuman: ", "assistant": "\n\nAssistant: ", "system": ""}
    told = "".join(names[turn["role"]] + turn["content"] for turn in turns(prompt))
    return f"{told}\n\nAssistant: {answer}"


def signed_strength(votes: Iterable[Mapping[str, Any]]) -> float:
    """Mean of strength / levels over votes, a positive, b negative, everything else 0; see preferences.rules.lean."""
    leanings, total = [], 0.0
    for vote in votes:
        total += vote["weight"]
        if vote["outcome"] in ("a", "b"):
            sign = 1 if vote["outcome"] == "a" else -1
            leanings.append(sign * vote["weight"] * vote["strength"] / vote["levels"])
    return math.fsum(leanings) / total if total else 0.0


def chosen_and_rejected(line: Line) -> tuple[str, str, float] | None:
    """Texts of the better and the worse answer and the margin in [0, 1]; None where nothing was preferred.

    The margin is 0 where the fewer votes were so strong that strength leans to the other answer.
    """
    if line["conclusion"] not in ("a", "b"):
        return None
    leaning = signed_strength(line["votes"])
    better, worse, margin = (
        (line["a"], line["b"], leaning) if line["conclusion"] == "a" else (line["b"], line["a"], -leaning)
    )
    return text_of(better["parts"]), text_of(worse["parts"]), max(0.0, margin)


def as_trl(line: Line) -> Line | None:
    """TRL's conversational preference type with an explicit prompt, and the margin its RewardTrainer reads."""
    pair = chosen_and_rejected(line)
    if pair is None:
        return None
    chosen, rejected, margin = pair
    return {
        "prompt": turns(line["prompt"]),
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "margin": margin,
    }


def as_trl_standard(line: Line) -> Line | None:
    """TRL's standard preference type: three strings and the margin. A longer conversation becomes a transcript."""
    pair = chosen_and_rejected(line)
    if pair is None:
        return None
    said = turns(line["prompt"])
    prompt = (
        said[0]["content"] if len(said) == 1 else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in said)
    )
    return {"prompt": prompt, "chosen": pair[0], "rejected": pair[1], "margin": pair[2]}


def as_hh(line: Line) -> Line | None:
    pair = chosen_and_rejected(line)
    if pair is None:
        return None
    return {"chosen": transcript(line["prompt"], pair[0]), "rejected": transcript(line["prompt"], pair[1])}


REWRITES: dict[Form, Callable[[Line], Line | None]] = {
    Form.native: lambda line: line,
    Form.trl: as_trl,
    Form.trl_standard: as_trl_standard,
    Form.hh: as_hh,
}


class LinesChanged(Exception):
    """A frozen file does not hold the lines that were frozen."""


def rewritten(path: Path, sha256: str, form: Form, split: str | None = None) -> Iterator[bytes]:
    """The lines of a frozen file in another form, in pieces of about half a megabyte; memory does not grow with it.

    :raises LinesChanged: after the last piece, so that a download of other lines than the frozen ones never ends well.
    """
    with path.open("rb") as file:
        read = Hashed(file)
        if form is Form.native and split is None:  # as it stands
            yield from read.pieces()
        else:
            yield from gathered(told_lines(read.lines(), REWRITES[form], split))
        if read.hash.hexdigest() != sha256:
            raise LinesChanged(f"{path} does not hold what its name says")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def pieces(self) -> Iterator[bytes]:
        while piece := self.file.read(CHUNK):
            self.hash.update(piece)
            yield piece

    def lines(self) -> Iterator[bytes]:
        for line in self.file:
            self.hash.update(line)
            yield line


def gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces worth sending."""
    pieces, size = [], 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def told_lines(file: Iterable[bytes], rewrite: Callable[[Line], Line | None], split: str | None) -> Iterator[bytes]:
    """One line for each that stands on the wanted side of the split and has something to say in the wanted form."""
    for raw in file:
        line = orjson.loads(raw)
        if split is None or line["split"] == split:
            told = rewrite(line)
            if told is not None:
                yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


class Tally:
    """Sums up lines as they are written, for the manifest."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.votes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.conclusions: Counter[str] = Counter()
        self.raters: Counter[str] = Counter()
        self.groups: set[str] = set()
        self.agreement = 0.0
        self.shared = 0

    def add(self, line: Line, agreement: float) -> None:
        self.lines[line["split"]] += 1
        self.votes[line["split"]] += len(line["votes"])
        self.conclusions[line["conclusion"]] += 1
        self.groups.add(line["group"])
        for vote in line["votes"]:
            self.outcomes[vote["outcome"]] += 1
            self.raters[vote["rater"]] += 1
        if len(line["votes"]) > 1:
            self.agreement += agreement
            self.shared += 1

    def as_json(self) -> dict[str, Any]:
        """agreement: mean over lines with several votes, None where there is none."""
        return {
            "lines": dict(self.lines),
            "votes": dict(self.votes),
            "outcomes": dict(self.outcomes),
            "conclusions": dict(self.conclusions),
            "raters": dict(sorted(self.raters.items())),
            "prompt_groups": len(self.groups),
            "agreement": self.agreement / self.shared if self.shared else None,
            "lines_with_several_votes": self.shared,
        }
