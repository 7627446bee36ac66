"""What the kinds share whose judgement is a text."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, StringConstraints

from app.annotations.kinds.base import BodyForm, Fields, Kept, one, refuse
from app.projects.forms import without_nul
from app.translation import _

MOST_WRITTEN = 100_000  # characters: the longest text that is rendered as Markdown
Written = Annotated[str, StringConstraints(max_length=MOST_WRITTEN), AfterValidator(without_nul)]


def with_plain_breaks(text: str) -> str:
    """A browser's form sends line breaks as CR LF, its scripts as LF: stored is LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_blank(text: str) -> bool:
    return not text.strip()


def same_words(one: str, other: str) -> bool:
    """Whether nothing was changed but line endings and space at the ends."""
    return with_plain_breaks(one).strip() == with_plain_breaks(other).strip()


def counted(text: str) -> int:
    """How many words, as far as spaces tell."""
    return len(text.split())


class KeptText(Kept):
    """Of a kind whose whole judgement is one text. text: Markdown, as it was typed."""

    text: str

    def written(self) -> list[str]:
        return [self.text]

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        return {"text": [self.text]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json")


class TextForm(BodyForm):
    """What comes in for such a kind: the text alone."""

    text: Written

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        (kind,) = get_args(cls.model_fields["kind"].annotation)
        text = with_plain_breaks(one(fields, "text"))
        return {"kind": kind, "text": text, "justification": one(fields, "justification")}

    def refuse_nothing(self) -> None:
        """:raises AgainstTheProtocol: there is no word in it."""
        if is_blank(self.text):
            raise refuse("text", _("nothing is written yet"))
