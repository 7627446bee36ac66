"""What the fields of protocols are called in their editor. A field without words here is called by its name.

The words are marked here and translated when one is asked for.
"""

from app.projects.protocols.outline import KINDS
from app.translation import _

# by field, or by "kind.field" where one kind means something of its own
LABELS = {
    "scale": _("Points on the scale"),
    "completions": _("Answers a task shows"),
    "choose": _("Of more than two answers"),
    "ties": _("Answers may be about the same"),
    "both_bad": _("All may be bad"),
    "neither_valid": _("None may be valid, so that the task says nothing"),
    "not_rankable": _("They may be impossible to put in order"),
    "criteria": _("Criteria"),
    "flags": _("Flags"),
    "errors": _("Errors marked in the text"),
    "categories": _("Categories"),
    "severities": _("Severities"),
    "questions": _("Questions"),
    "options": _("Options"),
    "only_if": _("Only if"),
    "parts": _("Asked one after the other"),
    "cards": _("Cards"),
    "wanted": _("Prompts wanted in all"),
    "peer_check": _("Somebody else looks at each prompt before it is used"),
    "conversation.wanted": _("Conversations wanted in all"),
    "answers": _("Answers a turn shows"),
    "conversation.least": _("Turns at least"),
    "conversation.most": _("Turns at most"),
    "asks": _("About the answers of a turn"),
    "conversation.low": _("Words at 1, where each gets a score"),
    "conversation.high": _("Words at 100, where each gets a score"),
    "conversation.scale": _("Points on the scale, of two answers"),
    "checkpoints": _("Checkpoints that answer"),
    "mixed": _("Where none is named, every checkpoint of the project answers"),
    "later": _("After the first turn"),
    "system": _("What the assistant is told first"),
    "sampling": _("How answers are drawn"),
    "temperature": _("Temperature"),
    "top_p": _("Top p"),
    "max_tokens": _("Tokens at most"),
    "aim": _("Aim"),
    "rule": _("Rule to probe"),
    "key": _("Key in the data"),
    "label": _("Words on the page"),
    "hint": _("A sentence beside it"),
    "points": _("Points"),
    "low": _("Words at the low end"),
    "high": _("Words at the high end"),
    "required": _("Must be answered"),
    "tags": _("Only for prompts with one of these tags"),
    "type": _("Answered by"),
    "about": _("Asked about"),
    "least": _("Least"),
    "most": _("Most"),
    "whole": _("Whole numbers only"),
    "longest": _("Longest text"),
    "question": _("Key of the earlier question"),
    "values": _("was answered with one of"),
    "topic": _("Topic"),
    "intent": _("Intent"),
    "difficulty": _("Difficulty"),
    "gold_share": _("Share of tasks with a known answer"),
    "criteria.scale": _("Scale"),
}
HINTS = {
    "scale": _(
        "2 only asks which one. An odd number has a middle, which is the tie. Used where two answers are shown."
    ),
    "key": _("Small letters, digits and _, as it stands in exports."),
    "tags": _("Parted by commas; empty: for all."),
    "values": _("Keys of options, or yes and no, parted by commas."),
    "completions": _("New tasks; those that are there keep theirs."),
    "gold_share": _("0.1 is one in ten: so often people are shown a task whose answer is argued, while some are new."),
    "answers": _("Of the first turn, the second and so on, parted by commas; the last number holds for all others."),
    "checkpoints": _(
        "Their ids, as in the addresses of their pages, parted by commas; empty: whichever answers for the project."
    ),
    "system": _("People who talk do not see it."),
    "low": _("Of yes and no: what no is called."),
    "high": _("Of yes and no: what yes is called."),
}
OPTIONS = {
    "best": _("the best is chosen"),
    "best_and_worst": _("the best and the worst are chosen"),
    "likert": _("points from 1"),
    "grade": _("0 to 4"),
    "slider": _("a slider from 1 to 100"),
    "yes_no": _("yes or no"),
    "choice": _("one of several"),
    "choices": _("any of several"),
    "number": _("a number"),
    "scale": _("a scale"),
    "text": _("a text"),
    "preference": _("the best is chosen, of two with a strength"),
    "scores": _("each gets 1 to 100, and the highest goes on"),
    "anew": _("checkpoints are drawn anew each turn"),
    "winner": _("the one whose answer was chosen answers alone"),
    "answer": _("each answer"),
    "task": _("the task as a whole"),
}
ONE = {
    "criteria": _("Criterion"),
    "flags": _("Flag"),
    "categories": _("Category"),
    "severities": _("Severity"),
    "questions": _("Question"),
    "options": _("Option"),
    "only_if": _("Condition"),
    "cards": _("Card"),
}


def label_of(own: str, parent: str = "") -> str:
    found = LABELS.get(f"{parent}.{own}") or LABELS.get(own)
    return _(found) if found else plainly(own)


def hint_of(own: str, parent: str = "") -> str | None:
    return _(HINTS[own]) if own in HINTS and f"{parent}.{own}" not in LABELS else None


def option_of(value: str) -> str:
    return _(OPTIONS[value]) if value in OPTIONS else plainly(value)


def one_of(own: str) -> str:
    """What one row of a list is called."""
    return _(ONE[own]) if own in ONE else plainly(own)


def kind_name(kind: str) -> str:
    return _(KINDS[kind].name) if kind in KINDS else plainly(kind)


def plainly(word: str) -> str:
    return word.replace("_", " ").capitalize()
