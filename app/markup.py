"""Markdown to safe HTML, once, when a text is stored: what comes out may stand in a page as it is.

Texts are written by people we do not know and by checkpoints that anything may have trained, so the renderer passes
no raw HTML, and an allow-list goes over its output all the same.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from unicodedata import bidirectional

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from app import tex
from app.highlighting import CLASSES, highlighted
from app.signs import in_prose, in_source

LONGEST = 250_000  # characters (40,000 words); a longer text is shown as written, which costs next to nothing
MOST_DELIMITERS = 20_000  # characters that Markdown acts on; the parser's cost grows faster than their number
MOST_LINES = 10_000  # each may be a block of its own, which takes some 60 µs
DEEPEST = 20  # blocks inside blocks
ACTS = frozenset("*_~`[]()!<>&|\\$")

BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "hr", "br", "div"}
INLINE = {"em", "strong", "s", "code", "a", "bdi", "span", "img"}
HOLDS = {"ul", "ol", "li", "blockquote", "table"}
STRONG = {"L": "ltr", "R": "rtl", "AL": "rtl"}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
SPEAKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "table", "th", "td"}
ATTRIBUTES = {tag: {"dir"} for tag in SPEAKS} | {
    "a": {"href", "title", "target"},
    "bdi": {"class", "title"},
    "code": {"class", "dir"},
    "div": {"class", "dir"},
    "img": {"src", "alt", "width", "height", "loading"},
    "ol": {"dir", "start"},
    "pre": {"dir"},
    "span": {"class", "dir"},
    "th": {"dir", "align"},
    "td": {"dir", "align"},
}
CLASSES_OF = {
    "bdi": frozenset({"sign"}),
    "div": frozenset({"code", "wide", "math display"}),
    "span": CLASSES | {"math", "math display"},
}
SCHEMES = {"http", "https", "mailto"}
OURS = re.compile(r"/projects/[0-9a-f-]{36}/media/[0-9a-f]{64}")


class Picture(NamedTuple):
    """One of our own: where it is served, and its pixels (0 where they are not known)."""

    address: str
    width: int
    height: int


def render_markdown(text: str, pictures: Mapping[str, Picture] | None = None) -> str:
    """CommonMark with tables, strikethrough, coloured code and formulas as sanitised HTML.

    pictures: by SHA-256, for `![words](media:<sha256>)`. Other images become links, so nothing is fetched from
    elsewhere; no raw HTML, no attributes beyond the list; links open apart and tell nobody where they came from.
    Every block finds its own direction of writing; code and formulas run from left to right. What cannot be seen but
    steers its neighbours is marked (`app.signs`). Too long, of too many lines, too thick with delimiters, nested too
    deep or invisible once rendered: shown as written.
    """
    if len(text) > LONGEST or text.count("\n") > MOST_LINES or sum(map(text.count, ACTS)) > MOST_DELIMITERS:
        return render_plain(text)
    env: dict[str, Any] = {"pictures": pictures or {}}
    tokens = _parser.parse(text, env)
    if any(token.level >= DEEPEST - 1 for token in tokens):  # the parser drops what lies deeper
        return render_plain(text)
    rendered = _clean(_parser.renderer.render(tokens, _parser.options, env))
    return rendered if rendered.strip() or not text.strip() else render_plain(text)


def render_plain(text: str) -> str:
    """The text as written: escaped, with its line breaks."""
    return f'<p class="plain" dir="auto">{in_prose(text)}</p>'


def render_source(text: str) -> str:
    """The text exactly as it is, to be put into a <pre>: every character stays, what cannot be seen is marked."""
    return in_source(text)


class Block(NamedTuple):
    """A block of Markdown, or one entry of a list: its source, and the lines that it stands on (the end left out)."""

    text: str
    begin: int
    end: int


def blocks_of(text: str) -> list[Block]:
    """What a text is made of, from top to bottom, for comparing two versions of it."""
    lines = text.split("\n")
    tokens = [token for token in _parser.parse(text, {"pictures": {}}) if token.map and token.nesting >= 0]
    lists = {"bullet_list_open", "ordered_list_open"}
    found: list[Block] = []
    inside = 0  # up to this line the tokens are parts of a list
    for token in tokens:
        assert token.map is not None
        begin, end = token.map
        if token.level == 0 and token.type in lists:
            inside = end
        elif (token.level == 0 and begin >= inside) or (token.level == 1 and token.type == "list_item_open"):
            found.append(Block("\n".join(lines[begin:end]).rstrip(), begin, end))
    return found


def _clean(rendered: str) -> str:
    return nh3.clean(
        rendered,
        tags=BLOCKS | INLINE | TABLES,
        clean_content_tags={"script", "style"},
        attributes=ATTRIBUTES,
        attribute_filter=_allow,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow ugc",
        strip_comments=True,
    )


def _allow(tag: str, name: str, value: str) -> str | None:
    """The value an attribute may keep, or None to drop it."""
    if name == "class":
        return value if value in CLASSES_OF.get(tag, ()) or (tag == "code" and _names_language(value)) else None
    if name == "href":
        return value if value.lower().startswith(("http://", "https://", "mailto:")) else None
    if name == "dir":
        return value if value in {"auto", "ltr", "rtl"} else None
    if name == "src":
        return value if OURS.fullmatch(value) else None
    if name == "loading":
        return value if value == "lazy" else None
    if name == "target":
        return value if value == "_blank" else None
    if name == "align":
        return value if value in {"left", "center", "right"} else None
    return value


def _names_language(value: str) -> bool:
    language = value.removeprefix("language-")
    return language != value and 0 < len(language) <= 30 and language.isascii() and language.replace("+", "a").isalnum()


def _isolate(tokens: Sequence[Token]) -> None:
    """A block finds its direction by its first letter; one that holds blocks is told it, since `auto` skips those."""
    for place, token in enumerate(tokens):
        if token.nesting == 1 and token.tag in SPEAKS:
            token.attrSet("dir", _direction_of(tokens, place) if token.tag in HOLDS else "auto")
        if token.nesting == 1 and token.tag in {"th", "td"}:
            _align_by_attribute(token)


def _direction_of(tokens: Sequence[Token], place: int) -> str:
    """rtl where the first letter that has a direction runs from right to left, among the tokens up to the closing."""
    level = tokens[place].level
    for at in range(place + 1, len(tokens)):
        token = tokens[at]
        if token.level == level:
            break
        if token.type == "inline":
            found = next((side for side in map(bidirectional, token.content) if side in STRONG), None)
            if found:
                return STRONG[found]
    return "ltr"


def _align_by_attribute(token: Token) -> None:
    """A column's alignment as `align`, since inline style has no place here."""
    style = token.attrs.pop("style", None)
    if isinstance(style, str):
        token.attrSet("align", style.removeprefix("text-align:"))


def _image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Our own picture; a remote one would tell its host who looks, and its address as a link leaves that to the reader.

    Inside a link only a remote picture's words remain, since links cannot nest.
    """
    token = tokens[index]
    words = renderer.renderInlineAsText(token.children or [], options, env)
    address = str(token.attrGet("src") or "")
    if found := env["pictures"].get(address.removeprefix("media:")):
        size = f' width="{found.width}" height="{found.height}"' if found.width and found.height else ""
        return f'<img src="{found.address}" alt="{in_source(words)}"{size} loading="lazy">'
    depth = sum(other.nesting for other in tokens[:index] if other.tag == "a")
    if depth > 0 or not address:
        return in_prose(words)
    return f'<a href="{in_source(address)}" target="_blank">{in_prose(words or address)}</a>'


def _link_apart(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, env)


def _text(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return in_prose(tokens[index].content)


def _code(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return f'<code dir="ltr">{in_source(tokens[index].content)}</code>'


def _block_of_code(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    """In a box of its own, where a script may put a button; code runs from left to right whatever stands around it."""
    token = tokens[index]
    language = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
    named = f' class="language-{in_source(language)}"' if language else ""
    body = highlighted(token.content, language)
    return f'<div class="code"><pre dir="ltr"><code{named}>{body}</code></pre></div>\n'


def _formula(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """The source stands in the page; static/prose.js sets it where there is a browser that can."""
    token = tokens[index]
    kind = "math display" if token.meta["display"] else "math"
    return f'<{token.tag} class="{kind}" dir="ltr">{in_source(token.content)}</{token.tag}>'


def _open_wide(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """A table scrolls in a box around it; as a box itself it would be no table to those who hear the page."""
    return '<div class="wide">' + renderer.renderToken(tokens, index, options, env)


def _close_wide(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return renderer.renderToken(tokens, index, options, env) + "</div>\n"


RULES: dict[str, Callable[..., str]] = {
    "image": _image,
    "link_open": _link_apart,
    "text": _text,
    "code_inline": _code,
    "code_block": _block_of_code,
    "fence": _block_of_code,
    "math_inline": _formula,
    "math_block": _formula,
    "table_open": _open_wide,
    "table_close": _close_wide,
}


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": DEEPEST})
    parser.enable(["table", "strikethrough"])
    tex.add_to(parser)
    parser.core.ruler.push("isolate", lambda state: _isolate(state.tokens))
    for name, rule in RULES.items():
        parser.add_render_rule(name, rule)
    return parser


_parser = _build_parser()
