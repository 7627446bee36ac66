"""Ranking: several answers in tiers, best first."""

from typing import ClassVar, Literal

from pydantic import Field

from app.projects.protocols.asked import MOST, Asked
from app.translation import _


class RankingProtocol(Asked):
    """ties: answers may stand in one tier. not_rankable: that they cannot be put in order may be said instead."""

    kind: Literal["ranking"] = "ranking"
    completions: int = Field(default=4, ge=2, le=MOST)
    ties: bool = True
    not_rankable: bool = True
    name: ClassVar[str] = _("ranking")
