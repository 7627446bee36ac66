"""Colours for code: comments, strings, numbers and words of a language, found in one pass in linear time.

No grammar, on purpose: the code comes from checkpoints and strangers and is drawn when it is stored, so what colours it
must not be slowed by what it reads. A general lexer library was tried and took 72 s for a line of 3,000 letters in its
C grammar. Here every alternative begins with a sign of its own and never gives back what it has taken. Every character
of the code stays.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from app.signs import in_source

LONGEST = 100_000  # characters of one block; what is longer stays plain
CLASSES = frozenset(
    f"code-{name}" for name in ("comment", "keyword", "type", "name", "string", "number", "added", "removed")
)

Run = tuple[str, str | None]  # text, and the class that it is drawn in


class Language(NamedTuple):
    """comments: what begins one to the end of a line. blocks: what begins and ends one over lines. quotes: of strings,
    longer ones first. any_case: keywords count however they are written."""

    keywords: str
    types: str = ""
    constants: str = "true false null"
    comments: tuple[str, ...] = ("//",)
    blocks: tuple[tuple[str, str], ...] = (("/*", "*/"),)
    quotes: tuple[str, ...] = ('"', "'")
    any_case: bool = False


_C = (
    "if else for while do switch case default break continue return goto sizeof struct union enum typedef static const "
)
_C += "extern inline volatile #include #define #ifdef #ifndef #if #endif"
_C_TYPES = "void int char short long float double unsigned signed bool size_t uint8_t int32_t uint32_t int64_t uint64_t"
_JS = "if else for while do switch case default break continue return function class extends new delete typeof of in "
_JS += (
    "instanceof let const var import export from as async await yield try catch finally throw this super static get set"
)
_TS = (
    _JS + " interface type enum implements private public protected readonly declare namespace abstract keyof infer is"
)
_JAVA = (
    "if else for while do switch case default break continue return class interface enum extends implements new import "
)
_JAVA += (
    "package public private protected static final abstract try catch finally throw throws this super instanceof var"
)
_JAVA += " synchronized volatile record sealed permits"
_JAVA_TYPES = "void int long short byte char float double boolean"
HASH = ("#",)
LANGUAGES = {
    "bash sh shell zsh console": Language(
        "if then else elif fi for while until do done case esac in function return export local set exit echo cd",
        comments=HASH, blocks=(), quotes=('"', "'", "`"),
    ),
    "c h": Language(_C, _C_TYPES, "NULL true false"),
    "cpp c++ cc hpp": Language(
        _C + " class public private protected virtual override template typename namespace using new delete try catch "
        "throw auto constexpr noexcept friend operator this co_await co_return",
        _C_TYPES + " string vector map set", "nullptr NULL true false",
    ),
    "csharp c# cs": Language(
        _JAVA + " using namespace get set async await foreach in out ref override virtual readonly where yield",
        _JAVA_TYPES + " string object bool decimal dynamic",
    ),
    "go golang": Language(
        "break case chan const continue default defer else fallthrough for func go goto if import interface map "
        "package range return select struct switch type var",
        "bool byte error float32 float64 int int32 int64 rune string uint any", "nil true false iota",
        quotes=('"', "'", "`"),
    ),
    "haskell hs": Language(
        "case class data deriving do else if import in infix instance let module newtype of then type where",
        constants="True False", comments=("--",), blocks=(("{-", "-}"),), quotes=('"',),
    ),
    "java": Language(_JAVA, _JAVA_TYPES, quotes=('"""', '"', "'")),
    "javascript js jsx mjs": Language(_JS, constants="true false null undefined NaN", quotes=('"', "'", "`")),
    "typescript ts tsx": Language(
        _TS, "string number boolean any unknown never object symbol", "true false null undefined",
        quotes=('"', "'", "`"),
    ),
    "kotlin kt": Language(
        _JAVA + " fun val var when object companion data override open in is as by suspend init",
        quotes=('"""', '"', "'"),
    ),
    "lua": Language(
        "and break do else elseif end for function goto if in local not or repeat return then until while",
        constants="nil true false", comments=("--",), blocks=(("--[[", "]]"),),
    ),
    "php": Language(
        _JAVA + " function echo foreach as elseif use namespace fn match global", "array string int",
        comments=("//", "#"),
    ),
    "python py python3": Language(
        "and as assert async await break class continue def del elif else except finally for from global if import in "
        "is lambda nonlocal not or pass raise return try while with yield match case",
        "int float str bool bytes list dict set tuple object type range print len super self cls",
        "True False None", comments=HASH, blocks=(), quotes=('"""', "'''", '"', "'"),
    ),
    "r": Language(
        "if else for while repeat function return next break in library", constants="TRUE FALSE NULL NA Inf",
        comments=HASH, blocks=(),
    ),
    "ruby rb": Language(
        "alias and begin break case class def do else elsif end ensure for if in module next not or redo rescue retry "
        "return self super then undef unless until when while yield require attr_accessor",
        constants="nil true false", comments=HASH, blocks=(("=begin", "=end"),),
    ),
    "rust rs": Language(
        "as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut "
        "pub ref return self static struct super trait type unsafe use where while",
        "bool char f32 f64 i8 i16 i32 i64 isize str u8 u16 u32 u64 usize Self", "true false None", quotes=('"',),
    ),
    "scala": Language(
        _JAVA + " def val object trait match with lazy implicit given using then yield", quotes=('"""', '"'),
    ),
    "sql postgresql mysql sqlite": Language(
        "select from where and or not in is like between join left right inner outer full cross on as group by order "
        "having limit offset union all distinct insert into values update set delete create table index view alter add "
        "drop primary key foreign references unique default case when then else end with recursive over partition",
        "int integer bigint smallint text varchar char boolean date timestamp numeric decimal float json jsonb uuid",
        comments=("--",), any_case=True,
    ),
    "swift": Language(
        _JAVA + " func let guard struct protocol extension in inout where defer repeat mutating some async await",
        "Int Double String Bool Character Void", "true false nil", quotes=('"""', '"'),
    ),
    "css scss": Language("@media @import @keyframes @font-face @supports important"),
    "json jsonc": Language("", comments=("//",), quotes=('"',)),
    "yaml yml toml ini cfg": Language("", constants="true false null yes no on off", comments=("#", ";"), blocks=()),
    "dockerfile docker": Language(
        "FROM RUN CMD COPY ADD ENV ARG WORKDIR EXPOSE ENTRYPOINT USER VOLUME LABEL AS", comments=HASH, blocks=(),
    ),
    "makefile make": Language("ifeq ifneq ifdef endif else include export", comments=HASH, blocks=()),
    "latex tex": Language("", comments=("%",), blocks=(), quotes=()),
}  # fmt: skip
_BY_NAME = {name: language for names, language in LANGUAGES.items() for name in names.split()}
_MARKUP = frozenset({"html", "xml", "svg", "xhtml", "vue"})
_DIFF = frozenset({"diff", "patch"})
_KEYED = frozenset({"css", "scss", "json", "jsonc", "yaml", "yml", "toml", "ini", "cfg"})

_NUMBER = r"(?<![\w.])(?:0[xXbBoO][\da-fA-F_]++|\d[\d_]*+(?:\.\d[\d_]*+)?(?:[eE][+-]?\d++)?)\w*+"
_WORD = r"[@#$.\\]?[A-Za-z_][\w]*+"
_TAG = re.compile(
    r"(?P<comment><!--(?s:.*?)(?:-->|\Z))|(?P<keyword></?[A-Za-z!?][\w:.-]*+|/?>)"
    r"|(?P<name>(?<![\w:.-])[A-Za-z_:@][\w:.-]*+(?==))|(?P<string>(?<==)(?:\"[^\"]*+\"?|'[^']*+'?))|(?P<number>&#?\w{1,30}+;)"
)


def highlighted(code: str, language: str) -> str:
    """`code` escaped, its parts in `<span class="code-…">`; plain where the language is none of ours or it is long."""
    name = language.lower()
    if len(code) > LONGEST:
        return in_source(code)
    if name in _DIFF:
        found = _lines_of_diff(code)
    elif name in _MARKUP:
        found = _pieces(code, _TAG, lambda kind, _text, _end: kind)
    elif name in _BY_NAME:
        found = _pieces(code, *_reader(name))
    else:
        return in_source(code)
    return "".join(_span(text, kind) for text, kind in _joined(found))


@cache
def _reader(name: str) -> tuple[re.Pattern[str], Callable[[str, str, str], str | None]]:
    """What finds the parts of a language, and what class a part has: by its kind, its text and what follows."""
    language = _BY_NAME[name]
    blocks = [f"{re.escape(first)}(?s:.*?)(?:{re.escape(last)}|\\Z)" for first, last in language.blocks]
    comments = [f"{re.escape(start)}[^\\n]*+" for start in language.comments]
    alternatives = [f"(?P<comment>{'|'.join(blocks + comments)})", f"(?P<number>{_NUMBER})", f"(?P<word>{_WORD})"]
    if language.quotes:
        alternatives.insert(1, f"(?P<string>{'|'.join(map(_string, language.quotes))})")
    fold = str.lower if language.any_case else str
    keywords, types, constants = (frozenset(map(fold, words.split())) for words in language[:3])

    def kind_of(kind: str, text: str, following: str) -> str | None:
        is_key = name in _KEYED and following[:1] in (":", "=")
        if kind != "word":
            return "name" if kind == "string" and is_key else kind
        word = fold(text)
        for words, meant in ((keywords, "keyword"), (constants, "number"), (types, "type")):
            if word in words:
                return meant
        if is_key or text[0] in "@$\\" or following[:1] == "(":
            return "name"
        return "type" if text[:1].isupper() and any(map(str.islower, text)) else None

    return re.compile("|".join(alternatives)), kind_of


def _string(quote: str) -> str:
    mark = re.escape(quote)
    if len(quote) == 3:
        return f"{mark}(?s:.*?)(?:{mark}|\\Z)"
    inner = "" if quote == "`" else "\\n"
    return f"{mark}(?:[^{mark}\\\\{inner}]|\\\\.)*+{mark}?"


def _pieces(code: str, pattern: re.Pattern[str], kind_of: Callable[[str, str, str], str | None]) -> Iterator[Run]:
    at = 0
    for found in pattern.finditer(code):
        if found.start() > at:
            yield code[at : found.start()], None
        at = found.end()
        yield found.group(), kind_of(found.lastgroup or "", found.group(), code[at : at + 1])
    yield code[at:], None


def _lines_of_diff(code: str) -> Iterator[Run]:
    kinds = {"+": "added", "-": "removed", "@": "name"}
    for line in code.splitlines(keepends=True):
        told = line.startswith(("+++", "---", "diff ", "index "))
        yield line, "keyword" if told else kinds.get(line[:1])


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """Neighbours of one class together, space with what stands before it: hundreds of elements and not thousands."""
    kept, kind = "", None
    for text, found in runs:
        if found == kind or not text.strip():
            kept += text
            continue
        yield kept, kind
        kept, kind = text, found
    yield kept, kind


def _span(text: str, kind: str | None) -> str:
    return in_source(text) if kind is None or not text else f'<span class="code-{kind}">{in_source(text)}</span>'
