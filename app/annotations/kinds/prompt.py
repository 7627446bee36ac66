"""Prompt: a question that a person writes from a card. It becomes a prompt of the project."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from app.annotations.kinds.base import BodyForm, Fields, Kept, OnScreen, Schema, one, refuse
from app.annotations.kinds.writing import Written, counted, is_blank, with_plain_breaks
from app.projects.protocols import PromptProtocol
from app.translation import _, ngettext


class PromptSchema(Schema):
    name: Literal["hone.prompt"] = "hone.prompt"
    version: Literal[1] = 1


class KeptPrompt(Kept):
    schema_: PromptSchema = Field(default=PromptSchema(), alias="schema")
    kind: Literal["prompt"] = "prompt"
    text: str

    def words(self, letters: Sequence[str], protocol: PromptProtocol) -> str:
        count = counted(self.text)
        return ngettext("A prompt of {words} word", "A prompt of {words} words", count).format(words=count)

    def written(self) -> list[str]:
        return [self.text]

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        return {"text": [self.text]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json")


class PromptForm(BodyForm):
    """text: the prompt, in Markdown."""

    keeps: ClassVar[type[Kept]] = KeptPrompt
    kind: Literal["prompt"]
    text: Written = Field(description="the prompt, in Markdown")

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        text = with_plain_breaks(one(fields, "text"))
        return {"kind": "prompt", "text": text, "justification": one(fields, "justification")}

    def kept(self, protocol: PromptProtocol, numbers: Mapping[str, int]) -> KeptPrompt:
        if is_blank(self.text):
            raise refuse("text", _("nothing is written yet"))
        return KeptPrompt(text=self.text.strip(), justification=self.justification)

    @classmethod
    def screen(cls, protocol: PromptProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        told = {"label": _("Your prompt"), "empty": _("Nothing is written yet."), "near": True}
        return {"title": _("Write a prompt")} | told


def prompt_in(body: Mapping[str, Any]) -> str | None:
    """The prompt that a stored body holds, in whatever part of it."""
    if body["kind"] == "prompt":
        return str(body["text"])
    return next((str(part["text"]) for part in body.get("parts", ()) if part["kind"] == "prompt"), None)
