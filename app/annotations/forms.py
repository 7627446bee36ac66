"""What may come in about an answer: from programs, from the browser's form, and drafts of either."""

from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictInt, StringConstraints

from app.annotations.kinds import Body, BodyForm, from_fields
from app.annotations.kinds.base import Form
from app.errors import Invalid
from app.projects.forms import without_nul
from app.tasks.tables import PassedBy
from app.translation import _

MOST_SPOKEN = 20_000  # characters of one message
Spoken = Annotated[str, StringConstraints(max_length=MOST_SPOKEN), AfterValidator(without_nul)]


class NewAnnotation(Form):
    """An answer. key: the one that came with the task; sending it again with the same body changes nothing."""

    key: UUID
    body: Body


class EditedAnnotation(Form):
    """version: of the answer that is being edited, as it was seen."""

    version: StrictInt = Field(ge=1)
    body: Body


class Message(Form):
    """key: the one that came with the task. number: of the turn, which makes sending it again harmless."""

    key: UUID
    number: StrictInt = Field(ge=1, le=1000)
    words: Spoken


class TurnJudgement(Form):
    """body: a comparison or a rating, as the conversation's `asked` says; it names the turn's answers by handle."""

    key: UUID
    body: Body


class TaskKey(Form):
    key: UUID


def storable(value: Any) -> Any:
    """Any JSON whose texts the database can hold; :raises ValueError: naming the character that it cannot."""
    if isinstance(value, str):
        without_nul(value)
    elif isinstance(value, dict):
        storable([*value, *value.values()])
    elif isinstance(value, list):
        for part in value:
            storable(part)
    return value


Revs = Annotated[list[Annotated[int, Field(ge=0, le=2**53)]], Field(max_length=100)]


class NewDraft(Form):
    """What was typed so far. rev rises with each change; a late packet never overwrites newer words.

    over: revs of the drafts that these words grew out of. Any other draft that is there was typed elsewhere, and stays.
    """

    key: UUID
    rev: StrictInt = Field(ge=1, le=2**53)
    over: Annotated[list[Annotated[StrictInt, Field(ge=0, le=2**53)]], Field(max_length=100)] | None = None
    body: Annotated[dict[str, Any], AfterValidator(storable)]


def measured(value: Any) -> float | None:
    """Seconds that a page measured; whatever is no such number was not measured. An answer is not lost for it."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < LONGEST else None


LONGEST = 10**7
Seconds = Annotated[float | None, BeforeValidator(measured)]


class NewEditDraft(Form):
    """The same for an answer that is opened again. version: of the answer, as it was seen."""

    version: StrictInt = Field(ge=1, le=2**31)
    rev: StrictInt = Field(ge=1, le=2**53)
    over: Revs
    body: Annotated[dict[str, Any], AfterValidator(storable)]


class PostedForm(Form):
    """The browser's form: what goes along with an answer, and the fields that its kind reads.

    key: of a first answer. version: of the answer that an edit was made from. over: revs of the drafts that an edit
    grew out of, which it ends. seen: version of the guidelines that stand on the page. active: seconds that the person
    was at this task, as their page measured them.
    """

    kind: str = "comparison"
    key: UUID | None = None
    version: int | None = None
    over: Annotated[Revs, BeforeValidator(lambda said: said.split(",") if said else [])] = Field(default_factory=list)
    seen: int = 0
    active: Seconds = None
    fields: dict[str, list[Annotated[str, StringConstraints(max_length=100_000)]]]

    @classmethod
    def from_raw(cls, raw: bytes) -> Self:
        """:raises ValidationError: naming the field."""
        fields: dict[str, list[str]] = {}
        for name, value in parse_qsl(raw.decode(errors="replace"), keep_blank_values=True):
            fields.setdefault(name, []).append(value)
        beside = {name: fields.pop(name)[-1] for name in BESIDE if name in fields}
        return cls.model_validate(beside | {"fields": fields})

    def number(self) -> int:
        """Of the turn that a message is.

        :raises Invalid: it is none.
        """
        number = (self.fields.get("number") or [""])[-1]
        if not (number.isascii() and number.isdigit() and len(number) < 5):
            raise Invalid(field="number", reason=_("it is the number of a turn"))
        return int(number)

    def message(self) -> str:
        """What is said in a conversation.

        :raises Invalid: it is too long.
        """
        words = (self.fields.get("words") or [""])[-1]
        if len(words) > MOST_SPOKEN:
            reason = _("a message holds {most} characters, not {length}")
            raise Invalid(field="words", reason=reason.format(most=MOST_SPOKEN, length=len(words)))
        return without_nul(words)

    def the_key(self) -> UUID:
        """:raises Invalid: it is not there."""
        if self.key is None:
            raise Invalid(field="key", reason=_("the key that came with the task is missing"))
        return self.key

    def body(self) -> BodyForm:
        """:raises Invalid: it contradicts itself."""
        return from_fields(self.kind, self.fields)


BESIDE = ("kind", "key", "version", "over", "seen", "active")


class Reason(Form):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(without_nul)]


class RemarkForm(Form):
    """What is said about an answer afterwards, with its line breaks."""

    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000), AfterValidator(without_nul)
    ]


def blank_is_none(value: Any) -> Any:
    """A browser sends a field that was left empty as an empty text."""
    return None if value == "" else value


Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2999, 12, 31))]  # a day later and in any zone still a date


class Search(Form):
    """What is looked for among one's own answers. q: words that all occur in it: in the prompt, in the answers that
    were judged, in what one wrote, in remarks. since, until: local days. returned: only those that ever were."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(without_nul)] = ""
    kind: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    since: Annotated[Day | None, BeforeValidator(blank_is_none)] = None
    until: Annotated[Day | None, BeforeValidator(blank_is_none)] = None
    returned: bool = False
    cursor: Annotated[str | None, Field(max_length=500)] = None

    @property
    def is_narrow(self) -> bool:
        """Whether anything is looked for at all."""
        return bool(self.q or self.kind or self.since or self.until or self.returned)


class SkipForm(Form):
    """Comes from the same form as an answer. What was typed there as a reason is the reason of the skip."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    key: UUID
    seen: int = 0
    why: Literal[PassedBy.skipped, PassedBy.not_known, PassedBy.not_this_one] = PassedBy.skipped
    justification: Annotated[str, StringConstraints(max_length=20_000), AfterValidator(without_nul)] = ""


class ReportForm(Form):
    """category: a key of the project's; empty for something else."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    key: UUID
    seen: int = 0
    category: Annotated[str, StringConstraints(max_length=40), AfterValidator(without_nul)] = ""
    words: Annotated[str, StringConstraints(max_length=2000), AfterValidator(without_nul)] = ""
