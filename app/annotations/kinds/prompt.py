"""Prompt: a question that a person writes from a card. It becomes a prompt of the project."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from app.annotations.kinds.base import Kept, OnScreen, Schema
from app.annotations.kinds.writing import KeptText, TextForm, Written, counted
from app.projects.protocols import PromptProtocol
from app.translation import _, ngettext


class PromptSchema(Schema):
    name: Literal["hone.prompt"] = "hone.prompt"
    version: Literal[1] = 1


class KeptPrompt(KeptText):
    schema_: PromptSchema = Field(default=PromptSchema(), alias="schema")
    kind: Literal["prompt"] = "prompt"

    def words(self, letters: Sequence[str], protocol: PromptProtocol) -> str:
        count = counted(self.text)
        return ngettext("A prompt of {words} word", "A prompt of {words} words", count).format(words=count)


class PromptForm(TextForm):
    """text: the prompt, in Markdown."""

    keeps: ClassVar[type[Kept]] = KeptPrompt
    kind: Literal["prompt"]
    text: Written = Field(description="the prompt, in Markdown")

    def kept(self, protocol: PromptProtocol, numbers: Mapping[str, int]) -> KeptPrompt:
        self.refuse_nothing()
        return KeptPrompt(text=self.text.strip(), justification=self.justification)

    @classmethod
    def screen(cls, protocol: PromptProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        told = {"label": _("Your prompt"), "empty": _("Nothing is written yet."), "near": True}
        told |= {"is_checked": protocol.peer_check}
        return {"title": _("Write a prompt")} | told


def prompt_in(body: Mapping[str, Any]) -> str | None:
    """The prompt that a stored body holds, in whatever part of it."""
    if body["kind"] == "prompt":
        return str(body["text"])
    return next((str(part["text"]) for part in body.get("parts", ()) if part["kind"] == "prompt"), None)
