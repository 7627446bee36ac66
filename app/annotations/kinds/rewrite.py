"""Rewrite: one of the answers shown, made better: a demonstration, and better than what it was made from."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from app.annotations.kinds.base import BodyForm, Fields, Handle, Kept, OnScreen, Schema, number_of, one, refuse
from app.annotations.kinds.writing import Written, is_blank, same_words, with_plain_breaks
from app.projects.protocols import RewriteProtocol
from app.translation import _

OF, TEXT = "of", "text."  # of=<handle>, text.<handle>=… in the browser's form


class RewriteSchema(Schema):
    name: Literal["hone.rewrite"] = "hone.rewrite"
    version: Literal[1] = 1


class KeptRewrite(Kept):
    """completion: number of the answer that was changed. text: what it has become."""

    schema_: RewriteSchema = Field(default=RewriteSchema(), alias="schema")
    kind: Literal["rewrite"] = "rewrite"
    completion: int
    text: str

    def check(self, texts: Sequence[str]) -> None:
        if same_words(self.text, texts[self.completion]):
            raise refuse("text", _("the text is as it was: change it, or skip the task"))

    def words(self, letters: Sequence[str], protocol: RewriteProtocol) -> str:
        return _("{letter} rewritten").format(letter=letters[self.completion])

    def written(self) -> list[str]:
        return [self.text]

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        handle = handles[self.completion]
        return {OF: [handle], TEXT + handle: [self.text]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json") | {"completion": ids[self.completion]}


class RewriteForm(BodyForm):
    """completion: handle of the answer that is made better. text: all of it, as it shall be."""

    keeps: ClassVar[type[Kept]] = KeptRewrite
    kind: Literal["rewrite"]
    completion: Handle = Field(description="handle of the answer that is made better")
    text: Written = Field(description="the whole of the better answer")

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        """A page that shows one answer need not say which one."""
        texts = [name.removeprefix(TEXT) for name in fields if name.startswith(TEXT)]
        handle = one(fields, OF, texts[0] if len(texts) == 1 else "")
        said = {"kind": "rewrite", "justification": one(fields, "justification")}
        return said | ({"completion": handle, "text": with_plain_breaks(one(fields, TEXT + handle))} if handle else {})

    def kept(self, protocol: RewriteProtocol, numbers: Mapping[str, int]) -> KeptRewrite:
        if is_blank(self.text):
            raise refuse("text", _("nothing is left of the text"))
        number = number_of(self.completion, numbers)
        return KeptRewrite(completion=number, text=self.text, justification=self.justification)

    @classmethod
    def screen(cls, protocol: RewriteProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        return {"title": _("Rewrite the better one") if len(shown) > 1 else _("Rewrite the answer")}
