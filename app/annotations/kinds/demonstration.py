"""Demonstration: an answer that a person writes from nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from app.annotations.kinds.base import BodyForm, Fields, Kept, OnScreen, Schema, one, refuse
from app.annotations.kinds.writing import Written, counted, is_blank, with_plain_breaks
from app.projects.protocols import DemonstrationProtocol
from app.translation import _, ngettext


class DemonstrationSchema(Schema):
    name: Literal["hone.demonstration"] = "hone.demonstration"
    version: Literal[1] = 1


class KeptDemonstration(Kept):
    """text: Markdown, as it was typed."""

    schema_: DemonstrationSchema = Field(default=DemonstrationSchema(), alias="schema")
    kind: Literal["demonstration"] = "demonstration"
    text: str

    def words(self, letters: Sequence[str], protocol: DemonstrationProtocol) -> str:
        count = counted(self.text)
        return ngettext("An answer of {words} word", "An answer of {words} words", count).format(words=count)

    def written(self) -> list[str]:
        return [self.text]

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        return {"text": [self.text]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json")


class DemonstrationForm(BodyForm):
    """text: the answer, in Markdown."""

    keeps: ClassVar[type[Kept]] = KeptDemonstration
    kind: Literal["demonstration"]
    text: Written = Field(description="the answer, or the assistant's next turn, in Markdown")

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        text = with_plain_breaks(one(fields, "text"))
        return {"kind": "demonstration", "text": text, "justification": one(fields, "justification")}

    def kept(self, protocol: DemonstrationProtocol, numbers: Mapping[str, int]) -> KeptDemonstration:
        if is_blank(self.text):
            raise refuse("text", _("nothing is written yet"))
        return KeptDemonstration(text=self.text, justification=self.justification)

    @classmethod
    def screen(cls, protocol: DemonstrationProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        return {"title": _("Write the answer"), "label": _("Your answer"), "empty": _("Nothing is written yet.")}
