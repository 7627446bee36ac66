"""What a protocol preset is: the values of a published study, each with the place it was read in."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.projects.protocols import (
    CombinedProtocol,
    ComparisonProtocol,
    ConversationProtocol,
    ProtocolBody,
    QuestionsProtocol,
    RankingProtocol,
    RatingProtocol,
)
from app.projects.protocols.questions import Question
from app.projects.protocols.rating import Criterion
from app.projects.rules import Body

STARTS_ANEW = re.compile(r"\s*([-*>#]|\d+\.)\s")  # a line of Markdown that continues no paragraph


def flowing(markdown: str) -> str:
    """Markdown without the line breaks of this file: each paragraph and each point of a list is one line."""
    told: list[str] = []
    for line in markdown.splitlines():
        if told and told[-1] and line.strip() and not STARTS_ANEW.match(line):
            told[-1] += " " + line.strip()
        else:
            told.append(line)
    return "\n".join(told) + "\n"


OURS = "ours: the study does not report it"


class Preset(Body):
    """The practice of one study, as far as the kinds of judgement that exist can ask it.

    k: answers wanted a task (overlap). mixed: answers of different checkpoints face each other.
    sources: by the name of a value (see `values_of`), the place in the paper; section numbers are from memory.
    checked: names of the values that were compared with notes taken from the papers, and agree. What is not named here
    is ours, or is from memory.
    departs: what the study does that this preset does not, and what stands in its place.
    """

    key: str
    name: str
    study: str
    about: str
    protocol: ProtocolBody
    k: int = Field(default=1, ge=1, le=50)
    mixed: bool = False
    guidelines: Annotated[str, AfterValidator(flowing)]
    sources: dict[str, str]
    checked: tuple[str, ...] = ()
    departs: tuple[str, ...] = ()


def values_of(preset: Preset) -> dict[str, str]:
    """What a preset sets, in words: one entry for each value that needs a source."""
    protocol = preset.protocol
    parts: tuple[Any, ...] = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    said = {"asked": ", then ".join(str(part.kind) for part in parts), "completions": str(protocol.completions)}
    for part in parts:
        if isinstance(part, ComparisonProtocol):
            said |= values_of_comparison(part)
        elif isinstance(part, RankingProtocol):
            said["order"] = "tiers, with ties" if part.ties else "without ties"
        elif isinstance(part, RatingProtocol):
            said |= values_of_rating(part)
        elif isinstance(part, ConversationProtocol):
            said |= values_of_conversation(part)
        elif isinstance(part, QuestionsProtocol):
            said |= values_of_questions(part)
    said["overlap"] = str(preset.k)
    said["gold_share"] = f"{protocol.gold_share:.0%}"
    if preset.mixed:
        said["pairing"] = "different checkpoints face each other"
    return said | {"guidelines": "in our words"}


def values_of_conversation(part: ConversationProtocol) -> dict[str, str]:
    said = {"completions": ", then ".join(map(str, part.answers)) + " a turn"}
    if part.asks == "scores":
        said["scale"] = "1–100 of each answer"
    else:
        said |= values_of_comparison(part)
    said |= {"turns": f"{part.least} to {part.most}", "cards": str(len(part.cards))}
    who = {"anew": "checkpoints are drawn anew", "winner": "the one whose answer went on answers alone"}
    return said | {"later": who[part.later]}


def values_of_questions(part: QuestionsProtocol) -> dict[str, str]:
    return {"closing": ", ".join(f"{one.key} ({range_of(one)})" for one in part.questions)}


def range_of(question: Question) -> str:
    how = f"{question.least:g}–{question.most:g}" if question.type == "number" else question.type
    return how if question.required else f"{how}, optional"


def values_of_comparison(part: ComparisonProtocol | ConversationProtocol) -> dict[str, str]:
    offered = {"tie": part.ties, "both bad": part.both_bad, "neither valid": part.neither_valid}
    beside = [word for word, is_offered in offered.items() if is_offered]
    return {"scale": f"{part.scale} points", "outcomes": ", ".join(beside) or "forced choice"}


def values_of_rating(part: RatingProtocol) -> dict[str, str]:
    said = {}
    if part.criteria:
        said["criteria"] = ", ".join(f"{one.key} {span_of(one)}" for one in part.criteria)
    if part.flags:
        said["flags"] = ", ".join(flag.key for flag in part.flags)
    return said


def span_of(criterion: Criterion) -> str:
    optional = "" if criterion.required else ", optional"
    if criterion.scale == "yes_no":
        return f"(yes/no{optional})"
    return f"({criterion.least}–{criterion.most}{optional})"


UNREPORTED_GOLD = "no share of known answers is reported; 0 until tasks with argued answers are written"
GUIDELINES = "ours, after the study's"
