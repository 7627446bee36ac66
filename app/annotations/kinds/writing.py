"""What the kinds share whose judgement is a text."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.projects.forms import without_nul

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
