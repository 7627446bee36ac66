"""What is said of a file that was looked at."""

from dataclasses import dataclass
from typing import Literal


class Unfit(ValueError):
    """A file that will not be shown; the text is a sentence that says why."""


@dataclass(frozen=True)
class Found:
    """kind and media_type by the content. width, height: of pictures and films, in pixels; 0 where not known."""

    kind: Literal["image", "audio", "video"]
    media_type: str
    width: int = 0
    height: int = 0
