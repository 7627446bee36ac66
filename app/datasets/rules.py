"""Splitting, summing up and rewriting the lines of a dataset. Torch-free and SQL-free."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from app.datasets.flat import FLAT, as_flat
from app.preferences.groups import concluded_pairs, tiers_of_choice

CHUNK = 1 << 19  # bytes of finished lines handed to the network at once

Line = dict[str, Any]


def split_of(component: str, heldout_share: float) -> Literal["train", "heldout"]:
    """The side on which roots of a component stand, from its key alone: adding data later moves nobody across, unless
    it joins two components, of which the younger one then goes where the older one is."""
    drawn = int.from_bytes(hashlib.sha256(b"split\0" + component.encode()).digest()[:8]) / 2**64
    return "heldout" if drawn < heldout_share else "train"


class Form(StrEnum):
    """native: our records. trl, trl_standard: TRL's preference types with explicit prompt. hh: two transcripts.
    flat: ratings, questions and comparisons, a row for each rater and answer or rater (`datasets.flat`).
    trl_demonstrations: TRL's conversational prompt-completion type, for supervised fine-tuning.
    """

    native = "native"
    trl = "trl"
    trl_standard = "trl_standard"
    hh = "hh"
    flat = "flat"
    trl_demonstrations = "trl_demonstrations"


def text_of(parts: Iterable[Mapping[str, Any]]) -> str:
    """What parts of a line without media say (`holds_media`): one that is no text has no words to leave out quietly."""
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


@dataclass(frozen=True)
class Preferred:
    """Texts of a better and a worse answer to one prompt, and by how much (0 … 1)."""

    chosen: str
    rejected: str
    margin: float


def preferred_in(line: Line) -> list[Preferred]:
    """Every pair that a line concludes; none where nothing was, or it is of another kind or of media."""
    return PAIRS[line["kind"]](line) if line["kind"] in PAIRS and not holds_media(line) else []


def holds_media(line: Line) -> bool:
    """Whether a prompt or an answer shows what no text says: without it the line would tell something else."""
    told = [*line["prompt"], *(line[name] for name in ("a", "b", "answer") if name in line), *line.get("answers", ())]
    return any(part["type"] != "text" for one in told for part in one["parts"])


def of_comparison(line: Line) -> list[Preferred]:
    """The margin is 0 where the fewer votes were so strong that strength leans to the other answer."""
    if line["conclusion"] not in ("a", "b"):
        return []
    leaning = signed_strength(line["votes"])
    better, worse, margin = (
        (line["a"], line["b"], leaning) if line["conclusion"] == "a" else (line["b"], line["a"], -leaning)
    )
    return [Preferred(text_of(better["parts"]), text_of(worse["parts"]), max(0.0, margin))]


def of_ranking(line: Line) -> list[Preferred]:
    return of_orders(line, [(vote["tiers"], vote["weight"]) for vote in line["votes"]])


def of_choice(line: Line) -> list[Preferred]:
    answers = len(line["answers"])
    orders = [
        ([] if vote["best"] is None else tiers_of_choice(vote["best"], vote["worst"], answers), vote["weight"])
        for vote in line["votes"]
    ]
    return of_orders(line, orders)


def of_orders(line: Line, orders: Sequence[tuple[Sequence[Sequence[int]], float]]) -> list[Preferred]:
    texts = [text_of(answer["parts"]) for answer in line["answers"]]
    return [Preferred(texts[better], texts[worse], margin) for (better, worse), margin in concluded_pairs(orders)]


# Kinds of lines that conclude pairs; exports as pairs leave out all others.
PAIRS: dict[str, Callable[[Line], list[Preferred]]] = {
    "comparison": of_comparison,
    "ranking": of_ranking,
    "choice": of_choice,
}
DEMONSTRATIONS = ("demonstration",)  # kinds of lines that show how it is done


def as_trl(line: Line) -> list[Line]:
    """TRL's conversational preference type with an explicit prompt, and the margin its RewardTrainer reads.

    group: the same for all pairs of one line, so that they can be kept in one batch element and one side of a split.
    """
    return [
        {
            "prompt": turns(line["prompt"]),
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
            "margin": pair.margin,
            "group": line["id"],
        }
        for pair in preferred_in(line)
    ]


def as_trl_standard(line: Line) -> list[Line]:
    """TRL's standard preference type: three strings, the margin and the group. A longer conversation becomes a
    transcript."""
    if not (pairs := preferred_in(line)):
        return []
    said = turns(line["prompt"])
    prompt = (
        said[0]["content"] if len(said) == 1 else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in said)
    )
    return [
        {
            "prompt": prompt,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
            "margin": pair.margin,
            "group": line["id"],
        }
        for pair in pairs
    ]


def as_hh(line: Line) -> list[Line]:
    return [
        {"chosen": transcript(line["prompt"], pair.chosen), "rejected": transcript(line["prompt"], pair.rejected)}
        for pair in preferred_in(line)
    ]


def as_demonstration(line: Line) -> list[Line]:
    """TRL's conversational prompt-completion type; lines of other kinds show nothing that a person wrote."""
    if line["kind"] not in DEMONSTRATIONS or holds_media(line):
        return []
    written = {"role": "assistant", "content": text_of(line["answer"]["parts"])}
    return [{"prompt": turns(line["prompt"]), "completion": [written]}]


REWRITES: dict[Form, Callable[[Line], list[Line]]] = {
    Form.native: lambda line: [line],
    Form.trl: as_trl,
    Form.trl_standard: as_trl_standard,
    Form.hh: as_hh,
    Form.flat: as_flat,
    Form.trl_demonstrations: as_demonstration,
}


HOLD = {Form.trl_demonstrations: DEMONSTRATIONS, Form.flat: tuple(FLAT)}  # kinds; other forms hold pairs


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


def told_lines(file: Iterable[bytes], rewrite: Callable[[Line], list[Line]], split: str | None) -> Iterator[bytes]:
    """What each line that stands on the wanted side of the split has to say in the wanted form."""
    for raw in file:
        line = orjson.loads(raw)
        if split is None or line["split"] == split:
            for told in rewrite(line):
                yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def left_out_of(form: Form, manifest: Line) -> dict[str, int]:
    """Lines that an export in this form leaves out: how many of each kind that it does not take, and under `media`
    those of its kinds that no text alone can tell. Manifests from before media came count none."""
    counts = manifest.get("counts", {})
    if form is Form.native:
        return {}
    taken = HOLD.get(form, tuple(PAIRS))
    left_out = {kind: lines for kind, lines in counts.get("kinds", {}).items() if kind not in taken}
    shown = sum(counts.get("media", {}).get(kind, 0) for kind in taken)
    return left_out | {"media": shown} if shown and form is not Form.flat else left_out
