"""Who reads, and sentences in their language.

`_` translates at the moment it is called, for the reader of the request at hand. While modules are imported nobody
reads: there `_` gives a sentence back as it is, and thereby marks it for the catalogues; whoever shows it says `_(…)`
again. Catalogues are the `.po` files below locale/, read when the first reader needs one.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache, wraps
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import ParamSpec, TypeVar

from babel import Locale
from babel.messages import mofile, pofile

P = ParamSpec("P")
T = TypeVar("T")
FOLDER = Path(__file__).resolve().parent.parent / "locale"
SOURCE = "en"
# each in its own words: whoever looks for their language reads that one
LANGUAGES = {"en": "English", "de": "Deutsch"}
ASKED = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?)\s*)?")

HOLE = re.compile(r"\{(\w+)(?:[:!][^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Sentences by their English; `plural` picks among the forms of a sentence with a count."""

    language: str = SOURCE
    direction: str = "ltr"
    sentences: Mapping[str, str] = field(default_factory=dict)
    plural: Callable[[str, str, int], str] = NullTranslations().ngettext


ENGLISH = Catalogue()


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom something is said: in which words, with which signs in numbers, and at which clock (an IANA zone)."""

    catalogue: Catalogue = ENGLISH
    locale: str = SOURCE
    zone: str = "UTC"


NOBODY = Reader()
reader: ContextVar[Reader] = ContextVar("reader", default=NOBODY)


def _(sentence: str) -> str:
    """Return `sentence` in the reader's language; English is the source language."""
    return reader.get().catalogue.sentences.get(sentence, sentence)


def ngettext(one: str, many: str, count: int) -> str:
    """The form of a sentence that this count asks for, in the reader's language."""
    return reader.get().catalogue.plural(one, many, count)


@contextmanager
def reading(locale: str, zone: str = "UTC") -> Iterator[None]:
    """Everything said inside is for this language and zone."""
    token = reader.set(reader_of(locale, zone))
    try:
        yield
    finally:
        reader.reset(token)


@lru_cache(4096)
def reader_of(locale: str, zone: str = "UTC") -> Reader:
    """locale: a language tag such as `de-AT`. A language without a catalogue reads English, with its own numbers."""
    language = locale.partition("-")[0].lower()
    return Reader(catalogue_of(language if language in LANGUAGES else SOURCE), locale, zone)


@cache
def catalogue_of(language: str) -> Catalogue:
    """A language's sentences; what is marked as fuzzy or not translated yet stays English."""
    if language == SOURCE:
        return ENGLISH
    with po_file(language).open("rb") as file:
        read = pofile.read_po(file, locale=language)
    compiled = BytesIO()
    mofile.write_mo(compiled, read)
    compiled.seek(0)
    told = GNUTranslations(compiled)
    sentences = {said.id: str(said.string) for said in read if said.id and isinstance(said.id, str) and said.string}
    return Catalogue(language, Locale.parse(language).text_direction, sentences, told.ngettext)


def retold(sentence: str) -> str:
    """A sentence that was stored in English, with its values in it, in the reader's language: known by its pattern."""
    language = reader.get().catalogue.language
    if language == SOURCE or (whole := _(sentence)) != sentence:
        return sentence if language == SOURCE else whole
    for pattern, told in patterns_of(language):
        found = pattern.fullmatch(sentence)
        if found:
            return told.format(**{name: retold(value) for name, value in found.groupdict().items()})
    return sentence


@cache
def patterns_of(language: str) -> list[tuple[re.Pattern[str], str]]:
    """What sentences with `{values}` look like when they are filled in, those that say most in their own words first;
    and what they are in the other language. Sentences of hardly any words of their own would match everything."""
    patterns = []
    for english, told in catalogue_of(language).sentences.items():
        own = HOLE.sub("", english)
        names = HOLE.findall(english)
        if names and len(own) >= 8 and len(names) == len(set(names)):
            shape = "(.+?)".join(re.escape(part) for part in HOLE.split(english)[::2])
            for name in names:
                shape = shape.replace("(.+?)", f"(?P<{name}>.+)", 1)
            patterns.append((len(own), re.compile(shape, re.DOTALL), HOLE.sub(r"{\1}", told)))
    return [(pattern, told) for _own, pattern, told in sorted(patterns, key=lambda one: -one[0])]


def stored_in_english(act: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """For actions that keep sentences others will read later: `retold` says them in each reader's language."""

    @wraps(act)
    async def in_english(*args: P.args, **kwargs: P.kwargs) -> T:
        with reading(SOURCE):
            return await act(*args, **kwargs)

    return in_english


def language_of(environment: Mapping[str, str]) -> str:
    """The language of whoever sits at a terminal, as gettext finds it: LC_ALL, LC_MESSAGES, LANG."""
    named = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), SOURCE)
    return named.partition(".")[0].replace("_", "-")


def po_file(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / "hone.po"


@lru_cache(1024)
def reader_asked_for(accept: bytes) -> Reader:
    """Who reads, as far as an Accept-Language says."""
    return reader_of(asked_for(accept.decode("latin-1")))


def asked_for(accept: str) -> str:
    """The language that a browser's Accept-Language likes best among those we speak; English when it names none."""
    liked: dict[str, float] = {}
    for part in accept.split(",")[:20]:
        found = ASKED.fullmatch(part)
        if found and found[1].lower() in LANGUAGES:
            liked.setdefault(found[1].lower(), float(found[2] or 1))
    best = max(liked, key=liked.__getitem__, default=SOURCE)
    return best if liked.get(best) else SOURCE
