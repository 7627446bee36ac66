"""Characters that cannot be seen: which of them are marked in what people read, and how.

A mark is an element around the character, so the text stays what it was to the last character; a style sheet writes
the code beside it. The element isolates its direction, so an override ends where it begins.
"""

import html
import re

_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_TURNS = "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides, isolates
_BREAKS = "\u2028\u2029"
_NOTES = "\ufff9-\ufffb"
_TAGS = "\U000e0000-\U000e007f"
_WIDTHLESS = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0"
)
_FLAG = "\U0001f3f4[\U000e0020-\U000e007f]+"  # the flags of England, Scotland and Wales are written with tags

# Joiners are letters' business (Persian, Hindi, emoji), so only one beside ASCII or an end is told of.
_JOINERS = "(?:(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f]))"
_IN_PROSE = re.compile(f"{_FLAG}|[{_CONTROLS}{_TURNS}{_BREAKS}{_NOTES}{_TAGS}]+")
_IN_SOURCE = re.compile(f"{_FLAG}|(?:{_JOINERS}|[{_CONTROLS}{_TURNS}{_BREAKS}{_NOTES}{_TAGS}{_WIDTHLESS}])+")
MOST_NAMED = 4  # codes told of a run of them


def in_prose(text: str) -> str:
    """`text` escaped, with a mark on each character that could steer what stands beside it.

    Left alone: what merely has no width, since scripts without spaces and soft hyphens need it.
    """
    return _IN_PROSE.sub(_marked, html.escape(text.replace("\0", "\N{REPLACEMENT CHARACTER}")))


def in_source(text: str) -> str:
    """`text` escaped, with a mark on everything that cannot be seen: for code, and for a text as it was written."""
    escaped = html.escape(text.replace("\0", "\N{REPLACEMENT CHARACTER}")).replace("\r", "&#13;")  # as LF otherwise
    return _IN_SOURCE.sub(_marked, escaped)


def _marked(found: re.Match[str]) -> str:
    signs = found.group()
    if signs[0] == "\U0001f3f4":
        return signs
    named = " ".join(f"U+{ord(sign):04X}" for sign in signs[:MOST_NAMED])
    more = f" +{len(signs) - MOST_NAMED}" if len(signs) > MOST_NAMED else ""
    return f'<bdi class="sign" title="{named}{more}">{signs}</bdi>'
