"""Combined: several protocols asked in one task, in their order, as the studies have it."""

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from app.projects.protocols.asked import Asked
from app.projects.protocols.parts import PartProtocol
from app.projects.protocols.rating import repeated
from app.translation import _


class CombinedProtocol(Asked):
    """parts: each kind at most once. All that speak about completions speak about the same number of them."""

    kind: Literal["combined"] = "combined"
    completions: int | None = None
    parts: tuple[PartProtocol, ...] = Field(min_length=2, max_length=6)
    name: ClassVar[str] = _("several questions")

    @property
    def needs_texts(self) -> bool:
        return any(part.needs_texts for part in self.parts)

    @property
    def needs_turns(self) -> bool:
        return any(part.needs_turns for part in self.parts)

    @property
    def checks_prompts(self) -> bool:
        return any(part.checks_prompts for part in self.parts)

    @model_validator(mode="before")
    @classmethod
    def number_of_the_parts(cls, given: Any) -> Any:
        """`completions` is what the parts say; given alone, it holds for the parts that do not say it."""
        if not isinstance(given, dict) or not isinstance(given.get("parts"), list | tuple):
            return given
        wanted = given.get("completions")
        if wanted is None:
            return given
        parts = [
            {"completions": wanted} | part if isinstance(part, dict) and part.get("completions") is None else part
            for part in given["parts"]
        ]
        return given | {"parts": parts}

    @model_validator(mode="after")
    def parts_fit_together(self) -> Self:
        if twice := repeated([part.kind for part in self.parts]):
            raise ValueError(_("“{key}” is there twice").format(key=twice))
        numbers = {part.completions for part in self.parts if part.completions is not None}
        if len(numbers) > 1 or (self.completions is not None and numbers - {self.completions}):
            raise ValueError(_("all parts are about the same answers: give each the same number of completions"))
        if self.completions is None and numbers:
            object.__setattr__(self, "completions", numbers.pop())
        return self

    def for_people(self) -> Self:
        return self.model_copy(update={"parts": tuple(part.for_people() for part in self.parts)})

    @property
    def tags_that_tell(self) -> frozenset[str]:
        return frozenset().union(*(part.tags_that_tell for part in self.parts))

    def of_prompt(self, tags: Collection[str]) -> Self:
        return self.model_copy(update={"parts": tuple(part.of_prompt(tags) for part in self.parts)})
