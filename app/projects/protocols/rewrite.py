"""Rewrite: one of the answers shown is made better."""

from typing import ClassVar, Literal

from pydantic import Field

from app.projects.protocols.asked import MOST, Asked
from app.translation import _


class RewriteProtocol(Asked):
    """Of several answers the better one is chosen first; its text is then changed."""

    kind: Literal["rewrite"] = "rewrite"
    completions: int = Field(default=2, ge=1, le=MOST)
    name: ClassVar[str] = _("rewrite")

    @property
    def needs_texts(self) -> bool:
        return True
