"""Parts as HTML: texts as Markdown, media as elements whose addresses lie below the project's own."""

import html
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from app.markup import Picture, render_markdown
from app.media.rules import Known, is_medium


def draw_parts(parts: Sequence[Mapping[str, Any]], known: Mapping[str, Known], address: str) -> str:
    """Safe HTML of a message or a completion. address: of the project's media, with a slash at its end.

    Sizes are written beside pictures, so that nothing moves when they arrive.
    """
    pictures = {
        name: Picture(address + found.sha256, found.width or 0, found.height or 0)
        for name, found in known.items()
        if found.ready and found.kind == "image" and found.sha256
    }
    drawn = []
    for are_media, some in groupby(parts, is_medium):
        if are_media:
            drawn += [draw_medium(part, known[part["sha256"]], address) for part in some]
        else:
            drawn.append(render_markdown("\n\n".join(part["text"] for part in some), pictures))
    return "".join(drawn)


def draw_medium(part: Mapping[str, Any], found: Known, address: str) -> str:
    """One medium with its words. Nothing plays or loads by itself but what a player needs to show its length."""
    source = html.escape(f"{address}{found.sha256}")
    words = html.escape(str(part.get("alt", "")))
    size = f' width="{found.width}" height="{found.height}"' if found.width and found.height else ""
    if found.kind == "image":
        drawn = f'<img src="{source}" alt="{words}"{size} loading="lazy" decoding="async">'
        return f'<figure class="medium image">{drawn}</figure>'
    named = f' aria-label="{words}"' if words else ""
    player = f'<{found.kind} src="{source}"{size} controls preload="metadata"{named}></{found.kind}>'
    below = f'<figcaption dir="auto">{words}</figcaption>' if words else ""
    return f'<figure class="medium {found.kind}">{player}{below}</figure>'
