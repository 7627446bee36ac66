"""Demonstration: an answer that a person writes from nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from app.annotations.kinds.base import Kept, OnScreen, Schema
from app.annotations.kinds.writing import KeptText, TextForm, Written, counted
from app.projects.protocols import DemonstrationProtocol
from app.translation import _, ngettext


class DemonstrationSchema(Schema):
    name: Literal["hone.demonstration"] = "hone.demonstration"
    version: Literal[1] = 1


class KeptDemonstration(KeptText):
    schema_: DemonstrationSchema = Field(default=DemonstrationSchema(), alias="schema")
    kind: Literal["demonstration"] = "demonstration"

    def words(self, letters: Sequence[str], protocol: DemonstrationProtocol) -> str:
        count = counted(self.text)
        return ngettext("An answer of {words} word", "An answer of {words} words", count).format(words=count)


class DemonstrationForm(TextForm):
    """text: the answer, in Markdown."""

    keeps: ClassVar[type[Kept]] = KeptDemonstration
    kind: Literal["demonstration"]
    text: Written = Field(description="the answer, or the assistant's next turn, in Markdown")

    def kept(self, protocol: DemonstrationProtocol, numbers: Mapping[str, int]) -> KeptDemonstration:
        self.refuse_nothing()
        return KeptDemonstration(text=self.text, justification=self.justification)

    @classmethod
    def screen(cls, protocol: DemonstrationProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        return {"title": _("Write the answer"), "label": _("Your answer"), "empty": _("Nothing is written yet.")}
