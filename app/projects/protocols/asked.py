"""What all protocols share."""

from typing import ClassVar, Literal

from pydantic import Field

from app.projects.rules import Body
from app.translation import _

MOST = 9  # answers on one screen: one key each


class ProtocolSchema(Body):
    name: Literal["hone.protocol"] = "hone.protocol"
    version: Literal[1] = 1


class Asked(Body):
    """Base of every protocol. completions: how many a new task shows; None: whatever the other parts of it show.

    What a task shows decides on the screen and in the rules, never this number: a task that was made under another
    version keeps its completions.
    """

    schema_: ProtocolSchema = Field(default=ProtocolSchema(), alias="schema")
    kind: str
    completions: int | None = None
    name: ClassVar[str] = _("judgement")
