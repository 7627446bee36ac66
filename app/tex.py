"""Formulas in Markdown (TeX): where each begins and ends, decided once when a text is stored; money stays money.

Four ways of writing are known: `$…$`, `$$…$$`, `\\(…\\)` and `\\[…\\]`, and the environments that stand by themselves.
A dollar sign is a formula's only where the signs beside it fit and what is between reads as one; brackets with a
backslash are Markdown's own way to write brackets, so they too must hold what reads as a formula.
"""

import re
from string import ascii_uppercase

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST_INLINE = 1_000  # characters
LONGEST_BLOCK = 8_000
MOST_LINES = 200
MOST = 400  # of a text; setting one takes a browser about a millisecond
ENVIRONMENTS = "equation|align|gather|multline|alignat|CD"

_WORDS_OF_TEX = re.compile(r"\\(?:text|textbf|textit|mathrm|operatorname|mbox|tag|label)\*?\s*\{[^{}]*\}|\\[a-zA-Z]+")
_TWO_WORDS = re.compile(r"(?<![^\W_])[^\W\d_]{2,}[,;]?\s+[^\W\d_]{2,}(?![^\W_])")
_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,}(?![^\W_])")
_SIGNS = re.compile(r"\\[a-zA-Z]+|[\^_=+<>]|[^\W\d_]\s*\(|\d\s*[-*/]\s*\d")
_BEGIN = re.compile(rf"\\begin\{{((?:{ENVIRONMENTS})\*?)\}}")
_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}


def add_to(parser: MarkdownIt) -> None:
    """Teach `parser` formulas: spans and blocks of class math whose text is the source as it was written."""
    parser.inline.ruler.before("escape", "math", _inline)
    parser.block.ruler.before("fence", "math", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def reads_as_formula(tex: str, opening: str) -> bool:
    """Whether what stands between delimiters is TeX and no prose: "5 and then" between two prices is not."""
    if not tex.strip() or "`" in tex:
        return False
    rest = _WORDS_OF_TEX.sub(" 0 ", tex)
    if _TWO_WORDS.search(rest):
        return False
    if opening == "\\[":
        return _SIGNS.search(tex) is not None
    word = tex.strip()
    if word.isalpha() and len(word) > 3:  # $USER$ and $name$ stand in programs; ABCD is a figure's corners
        return word in ascii_uppercase
    return not (tex.lstrip()[:1].isdigit() and _WORD.search(rest))


def _inline(state: StateInline, silent: bool) -> bool:
    start, source = state.pos, state.src
    first = source[start]
    if first not in "$\\" or (opening := _opening(source, start)) is None:
        return False
    end = _close(source, start, opening, state.posMax)
    if end is None or not _room(state.env):
        return False
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content = source[start:end]
        token.meta = {"display": opening in ("$$", "\\[")}
        _take_room(state.env)
    state.pos = end
    return True


def _opening(source: str, start: int) -> str | None:
    two = source[start : start + 2]
    if two in _CLOSING:
        is_third = two == "$$" and (source[start + 2 : start + 3] == "$" or source[start - 1 : start] == "$")
        return None if is_third else two
    before = source[start - 1 : start] if start else ""
    if source[start] == "$" and not before.isalnum() and before not in ("$", "\\"):
        return None if source[start + 1 : start + 2].isspace() else "$"
    return None


def _close(source: str, start: int, opening: str, last: int) -> int | None:
    """Where the formula that opens at `start` ends, its closing delimiter included; None where there is none."""
    inner = start + len(opening)
    closing = _CLOSING.get(opening, "$")
    end = source.find(closing, inner, min(last, inner + LONGEST_INLINE))
    while opening == "$" and end > inner and source[end - 1] == "\\":
        end = source.find(closing, end + 1, min(last, inner + LONGEST_INLINE))
    if end <= inner or not reads_as_formula(source[inner:end], opening):
        return None
    after = source[end + len(closing) : end + len(closing) + 1]
    if opening == "$" and (source[end - 1].isspace() or "\n" in source[inner:end] or after.isalnum() or after == "$"):
        return None
    return end + len(closing)


def _block(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    """A formula that begins its line and is alone on its lines; it may hold what Markdown would take for its own."""
    if state.is_code_block(start):
        return False
    line = _line(state, start)
    if line[:2] not in ("$$", "\\[", "\\b") or (closing := _closing_of(line)) is None:
        return False
    found = (
        start if len(line) > len(closing) + 1 and line.endswith(closing) else _closing_line(state, start, last, closing)
    )
    if found is None or found >= start + MOST_LINES or state.eMarks[found] - state.bMarks[start] > LONGEST_BLOCK:
        return False
    content = "\n".join(_line(state, number) for number in range(start, found + 1))
    inner = content.removeprefix(line[:2]).removesuffix(closing)
    if (
        closing in inner
        or (f"\n{line[:2]}" in inner and line[:2] == "\\[")
        or (closing in _CLOSING.values() and not reads_as_formula(inner, line[:2]))
    ):
        return False
    if not _room(state.env):
        return False
    if not silent:
        token = state.push("math_block", "div", 0)
        token.content, token.map, token.meta = content, [start, found + 1], {"display": True}
        _take_room(state.env)
        state.line = found + 1
    return True


def _closing_line(state: StateBlock, start: int, last: int, closing: str) -> int | None:
    """The next line after `start` that ends with `closing`, before any that is empty or stands further out. Every line
    is looked at once, however many openings come before it: what was found is kept for the next one."""
    assert isinstance(state.env, dict)
    searched: dict[object, tuple[int, int, int | None]] = state.env.setdefault("maths_searched", {})
    begin, end, found = searched.get(place := (closing, state.level, state.blkIndent, last), (start, start, None))
    if not begin <= start < end:
        begin, end, found = start, start, None
        for end in range(start + 1, last):
            text = _line(state, end)
            if state.sCount[end] < state.blkIndent or not text:
                break
            if text.endswith(closing):
                found = end
                break
        else:
            end = last
        searched[place] = (begin, end, found)
    return found


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()


def _closing_of(line: str) -> str | None:
    if line.startswith("$$$"):
        return None
    if begin := _BEGIN.match(line):
        return f"\\end{{{begin.group(1)}}}"
    return _CLOSING.get(line[:2])


def _room(env: object) -> bool:
    return isinstance(env, dict) and env.get("maths", 0) < MOST


def _take_room(env: object) -> None:
    assert isinstance(env, dict)
    env["maths"] = env.get("maths", 0) + 1
