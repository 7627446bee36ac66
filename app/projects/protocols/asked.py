"""What all protocols share."""

from collections.abc import Collection
from typing import ClassVar, Literal, Self

from pydantic import Field

from app.projects.rules import Body
from app.translation import _

MOST = 9  # answers on one screen: one key each


def is_empty(value: object) -> bool:
    return not value


class ProtocolSchema(Body):
    name: Literal["hone.protocol"] = "hone.protocol"
    version: Literal[1] = 1


class Asked(Body):
    """Base of every protocol. completions: how many a new task shows; None: whatever the other parts of it show,
    and one where none says.

    What a task shows decides on the screen and in the rules, never this number: a task that was made under another
    version keeps its completions.
    """

    schema_: ProtocolSchema = Field(default=ProtocolSchema(), alias="schema")
    kind: str
    completions: int | None = None
    preset: str = Field(default="", max_length=40, exclude_if=is_empty)
    gold_share: float = Field(default=0, ge=0, le=1, exclude_if=is_empty)
    name: ClassVar[str] = _("judgement")

    @property
    def needs_texts(self) -> bool:
        """Whether the screen and the rule ask for the answers' texts as they were written, not only as HTML."""
        return False

    @property
    def needs_turns(self) -> bool:
        """Whether what is judged came about in turns between the person and a checkpoint, kept by themselves."""
        return False

    @property
    def checks_prompts(self) -> bool:
        """Whether somebody else looks at a written prompt before it is used."""
        return False

    def for_people(self) -> Self:
        """The same as those are told it who answer: what would say who wrote the answers is as if nothing were set."""
        return self

    @property
    def tags_that_tell(self) -> frozenset[str]:
        """Tags of prompts that decide what is asked of them."""
        return frozenset()

    def of_prompt(self, tags: Collection[str]) -> Self:
        """What is asked about a prompt that carries these tags: questions that are limited to other tags are left out.
        What it asks and what an answer must hold are decided under this one; words are read under the whole."""
        return self
