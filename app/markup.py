"""Markdown to safe HTML, once, when a text is stored: what comes out may stand in a page as it is.

Texts are written by people we do not know and by checkpoints that anything may have trained, so the renderer passes
no raw HTML, and an allow-list goes over its output all the same.
"""

import html
from collections.abc import Callable, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

RENDERER_VERSION = 1  # stored beside the HTML; raised whenever the same text would render differently
LONGEST = 100_000  # characters; a longer text is shown as written, which costs next to nothing
MOST_DELIMITERS = 20_000  # characters that Markdown acts on; the parser's cost grows faster than their number
DEEPEST = 20  # blocks inside blocks
ACTS = frozenset("*_~`[]()!<>&|\\")

BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "hr", "br"}
INLINE = {"em", "strong", "s", "code", "a", "bdi"}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
SPEAKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "table", "th", "td"}
ATTRIBUTES = {tag: {"dir"} for tag in SPEAKS} | {
    "a": {"href", "title", "target"},
    "code": {"class"},
    "ol": {"dir", "start"},
    "th": {"dir", "align"},
    "td": {"dir", "align"},
}
SCHEMES = {"http", "https", "mailto"}


def render_markdown(text: str) -> str:
    """CommonMark with tables and strikethrough as sanitised HTML.

    No images (a link stands for one, so nothing is fetched from elsewhere), no raw HTML, no attributes beyond the
    list; links open apart and tell nobody where they came from. Every block finds its own direction of writing.
    Too long, too thick with delimiters, nested too deep or invisible once rendered: shown as written.
    """
    if len(text) > LONGEST or sum(map(text.count, ACTS)) > MOST_DELIMITERS:
        return render_plain(text)
    tokens = _parser.parse(text)
    if any(token.level >= DEEPEST - 1 for token in tokens):  # the parser drops what lies deeper
        return render_plain(text)
    rendered = _clean(_parser.renderer.render(tokens, _parser.options, {}))
    return rendered if rendered.strip() or not text.strip() else render_plain(text)


def render_plain(text: str) -> str:
    """The text as written: escaped, with its line breaks."""
    return f'<p class="plain" dir="auto">{html.escape(text.replace(chr(0), chr(0xFFFD)))}</p>'


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
        return value if _names_language(value) else None
    if name == "href":
        return value if value.lower().startswith(("http://", "https://", "mailto:")) else None
    if name == "dir":
        return value if value == "auto" else None
    if name == "target":
        return value if value == "_blank" else None
    if name == "align":
        return value if value in {"left", "center", "right"} else None
    return value


def _names_language(value: str) -> bool:
    language = value.removeprefix("language-")
    return language != value and 0 < len(language) <= 30 and language.isascii() and language.replace("+", "a").isalnum()


def _isolate(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.nesting == 1 and token.tag in SPEAKS:
            token.attrSet("dir", "auto")
        if token.nesting == 1 and token.tag in {"th", "td"}:
            _align_by_attribute(token)


def _align_by_attribute(token: Token) -> None:
    """A column's alignment as `align`, since inline style has no place here."""
    style = token.attrs.pop("style", None)
    if isinstance(style, str):
        token.attrSet("align", style.removeprefix("text-align:"))


def _image_as_link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    """A remote picture would tell its host who looks; its address as a link leaves that to the reader.

    Inside a link only the picture's words remain, since links cannot nest.
    """
    token = tokens[index]
    words = renderer.renderInlineAsText(token.children or [], options, env)
    address = str(token.attrGet("src") or "")
    depth = sum(other.nesting for other in tokens[:index] if other.tag == "a")
    if depth > 0 or not address:
        return html.escape(words)
    return f'<a href="{html.escape(address)}" target="_blank">{html.escape(words or address)}</a>'


def _link_apart(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, env)


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": DEEPEST})
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.push("isolate", lambda state: _isolate(state.tokens))
    rules: dict[str, Callable[..., Any]] = {"image": _image_as_link, "link_open": _link_apart}
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


_parser = _build_parser()
