"""What may come in as a prompt, and the report on a file: what became of each of its lines."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.media.forms import KINDS, medium_part
from app.projects.forms import Form, without_nul
from app.prompts.tables import Use
from app.translation import _

LONGEST_ID = 500
MOST_REPORTED = 2000  # lines spoken of one by one; the counts are always complete
OURS = {"prompt", "messages", "id", "split", "use", "group", "tags", "care", "metadata"}
ROLES = ("system", "user", "assistant")
USES = {
    "label": Use.label,
    "train": Use.train,
    "heldout": Use.heldout,
    "held-out": Use.heldout,
    "held_out": Use.heldout,
    "test": Use.heldout,
    "validation": Use.heldout,
    "eval": Use.heldout,
}


class NewPrompt(BaseModel):
    """A prompt as it will be stored. messages: [{role, parts: [{type, text}]}], the last one a user's.

    care: keys of the project's categories, beside those that its tags stand for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: list[dict[str, Any]]
    external_id: str | None = None
    use: Use | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    care: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


def as_prompt(value: dict[str, Any]) -> NewPrompt:
    """One line of a file. Fields we do not know are kept in the metadata.

    :raises ValueError: a sentence that names the field.
    """
    if ("prompt" in value) == ("messages" in value):
        raise ValueError(_("a line has either “prompt” or “messages”"))
    if "prompt" in value:
        messages = [{"role": "user", "parts": parts_of(value["prompt"], "prompt")}]
    else:
        messages = _messages(value["messages"])
    metadata = value.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ValueError(_("metadata: this is not an object in braces"))
    unknown = {name: found for name, found in value.items() if name not in OURS}
    return NewPrompt(
        messages=messages,
        external_id=short_text(value.get("id"), "id"),
        use=_use(value),
        group=short_text(value.get("group"), "group"),
        tags=_words(value.get("tags"), "tags"),
        care=_words(value.get("care"), "care"),
        metadata=unknown | metadata,
    )


def parts_of(content: object, field: str) -> list[dict[str, Any]]:
    """Text, or a list of {type: text, text} and media (`app.media.forms.medium_part`), as parts.

    :raises ValueError: neither, or nothing but space.
    """
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise ValueError(_("{field}: this is not text").format(field=field))
    parts = [_part(part, f"{field}[{place}]" if len(content) > 1 else field) for place, part in enumerate(content)]
    if not any(part["type"] != "text" or part["text"].strip() for part in parts):
        raise ValueError(_("{field}: it is empty").format(field=field))
    return parts


def _part(part: object, field: str) -> dict[str, Any]:
    if isinstance(part, dict) and part.get("type") in (*KINDS, "image_url"):
        return medium_part(part, field)
    if not isinstance(part, dict) or set(part) != {"type", "text"} or part["type"] != "text":
        raise ValueError(
            _("{field}: only parts of type “text”, “image”, “audio” and “video” are read").format(field=field)
        )
    if not isinstance(part["text"], str):
        raise ValueError(_("{field}: this is not text").format(field=field))
    return part


def short_text(value: object, field: str) -> str | None:
    """An id or a name: text, or a whole number written out.

    :raises ValueError: neither, or too long.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(_("{field}: this is not text").format(field=field))
    if not 1 <= len(value) <= LONGEST_ID:
        raise ValueError(_("{field}: it must have 1 to {most} characters").format(field=field, most=LONGEST_ID))
    return value


def _messages(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise ValueError(_("messages: this is not a list of messages"))
    messages = [_message(place, found) for place, found in enumerate(value)]
    if messages[-1]["role"] != "user":
        raise ValueError(_("messages: the last one must be the user's, since it is the one to answer"))
    if any(message["role"] == "system" for message in messages[1:]):
        raise ValueError(_("messages: a system message can only be the first"))
    return messages


def _message(place: int, value: object) -> dict[str, Any]:
    field = f"messages[{place}]"
    if not isinstance(value, dict) or "role" not in value or ("content" in value) == ("parts" in value):
        raise ValueError(_("{field}: it needs “role” and “content”").format(field=field))
    if value["role"] not in ROLES:
        raise ValueError(
            _("{field}.role: “{role}” is none of {roles}").format(
                field=field, role=value["role"], roles=", ".join(ROLES)
            )
        )
    name = "content" if "content" in value else "parts"
    return {"role": value["role"], "parts": parts_of(value[name], f"{field}.{name}")}


def _use(value: dict[str, Any]) -> Use | None:
    said = {field: value[field] for field in ("use", "split") if value.get(field) is not None}
    for field, word in said.items():
        if not isinstance(word, str) or word.lower() not in USES:
            raise ValueError(
                _("{field}: “{word}” is none of {uses}").format(field=field, word=word, uses=", ".join(Use))
            )
    uses = {USES[word.lower()] for word in said.values()}
    if len(uses) > 1:
        raise ValueError(_("use and split contradict each other"))
    return uses.pop() if uses else None


def _words(value: object, field: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(tag, str) and 1 <= len(tag) <= 100 for tag in value):
        raise ValueError(_("{field}: this is not a list of short texts").format(field=field))
    if len(value) > 50:
        raise ValueError(_("{field}: at most 50 of them").format(field=field))
    return tuple(dict.fromkeys(value))


class Outcome(StrEnum):
    new = _("new")
    identical = _("identical")  # here already, word for word
    conflicting = _("conflicting")  # the same id or root says something else; what was first is kept
    refused = _("refused")
    waiting = _("waiting")  # until its media are here; then it is one of the above


class LineReport(BaseModel):
    """line: of a JSONL file, or the entry's number in an array."""

    line: int
    outcome: Outcome
    id: str | None = None
    reason: str | None = None


class Report(BaseModel):
    """What became of a file. lines: every line that was not simply new, the first 2000. uses: of the new ones.

    id: where the report is kept; empty for a dry run. waiting: lines whose media are still to come; the report grows.
    """

    schema_version: Literal[1] = 1
    id: UUID | None = None
    name: str = ""
    dry_run: bool = False
    new: int = 0
    identical: int = 0
    conflicting: int = 0
    refused: int = 0
    waiting: int = 0
    uses: dict[str, int] = {}
    lines: list[LineReport] = Field(default_factory=list)

    @property
    def total(self) -> int:
        return self.new + self.identical + self.conflicting + self.refused + self.waiting

    @property
    def sentence(self) -> str:
        said = _("{new} new, {identical} identical, {conflicting} conflicting, {refused} refused")
        if self.waiting:
            said = _(
                "{new} new, {identical} identical, {conflicting} conflicting, {refused} refused, {waiting} waiting"
            )
        return said.format(**self.model_dump(include={outcome.value for outcome in Outcome}))

    def note(self, line: int, outcome: Outcome, reason: str | None = None, identifier: str | None = None) -> None:
        """Count a line, and keep what there is to say about it."""
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)
        if outcome is not Outcome.new and len(self.lines) < MOST_REPORTED:
            self.lines.append(LineReport(line=line, outcome=outcome, id=identifier, reason=reason))

    def settle(self, numbers: set[int]) -> None:
        """These lines wait no longer: what became of them is noted anew."""
        self.waiting -= len(numbers)
        self.lines = [said for said in self.lines if said.outcome is not Outcome.waiting or said.line not in numbers]


class PromptEdit(Form):
    """Content never changes; what is left out stays as it is."""

    tags: list[Annotated[str, Field(min_length=1, max_length=100), AfterValidator(without_nul)]] | None = Field(
        default=None, max_length=50
    )
    care: list[Annotated[str, Field(max_length=40)]] | None = Field(default=None, max_length=50)
    retired: bool | None = None
