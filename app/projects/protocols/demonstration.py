"""Demonstration: a person writes the answer, or the next turn of a conversation."""

from typing import ClassVar, Literal

from pydantic import Field

from app.projects.protocols.asked import MOST, Asked
from app.translation import _


class DemonstrationProtocol(Asked):
    """completions: 0, and tasks are made of prompts alone; in a combined task, what its other parts show."""

    kind: Literal["demonstration"] = "demonstration"
    completions: int = Field(default=0, ge=0, le=MOST)
    name: ClassVar[str] = _("demonstration")
