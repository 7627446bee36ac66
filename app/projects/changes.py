"""What changed between two versions of a text, block by block."""

from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal, NamedTuple

from app.markup import Block, blocks_of, render_markdown


class Piece(NamedTuple):
    """Blocks that stand together. html: rendered and sanitised."""

    state: Literal["same", "new", "gone"]
    html: str


@lru_cache(maxsize=32)
def changes(old: str, new: str) -> tuple[Piece, ...]:
    """The new text from top to bottom, and in their places the blocks of the old one that are gone (Markdown both)."""
    before, after = blocks_of(old), blocks_of(new)
    matcher = SequenceMatcher(None, [one.text for one in before], [one.text for one in after], autojunk=False)
    pieces = []
    for verb, begin, end, new_begin, new_end in matcher.get_opcodes():
        if verb in ("delete", "replace"):
            pieces.append(Piece("gone", _rendered(old, before[begin:end])))
        if verb in ("insert", "replace"):
            pieces.append(Piece("new", _rendered(new, after[new_begin:new_end])))
        if verb == "equal":
            pieces.append(Piece("same", _rendered(new, after[new_begin:new_end])))
    return tuple(pieces)


def _rendered(text: str, blocks: list[Block]) -> str:
    """Blocks that follow each other, with whatever stands between them."""
    return render_markdown("\n".join(text.split("\n")[blocks[0].begin : blocks[-1].end]))
