"""Prompt writing: a person writes a prompt as a card asks for it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from app.projects.protocols.asked import Asked, is_empty
from app.projects.rules import Body
from app.translation import _

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class Card(Body):
    """What a prompt shall be about, what its writer wants from the answer, and how hard it shall be."""

    topic: Annotated[Line, StringConstraints(min_length=1)]
    intent: Line = ""
    difficulty: Line = ""

    @property
    def markdown(self) -> str:
        """A line for each that says something."""
        said = ((_("Topic"), self.topic), (_("Intent"), self.intent), (_("Difficulty"), self.difficulty))
        return "\n".join(f"- **{name}:** {value}" for name, value in said if value)


class PromptProtocol(Asked):
    """cards are drawn in turn. wanted: tasks of a round that has no target of its own. peer_check: a prompt is used
    only after another annotator has let it through."""

    kind: Literal["prompt"] = "prompt"
    completions: int = Field(default=0, ge=0, le=0)
    cards: tuple[Card, ...] = Field(
        default=(Card(topic=_("anything you would ask"), intent=_("your own")),), min_length=1, max_length=500
    )
    wanted: int = Field(default=100, ge=1, le=100_000)
    peer_check: bool = Field(default=False, exclude_if=is_empty)
    name: ClassVar[str] = _("prompt writing")

    @property
    def checks_prompts(self) -> bool:
        return self.peer_check
