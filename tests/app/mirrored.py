"""A language for tests: every sentence of ours in brackets and turned round, on pages that run from right to left."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from gettext import ngettext
from typing import Any

from app import translation
from app.translation import Catalogue

TAG = "xx"


def mirrored(sentence: str) -> str:
    """The sign before it makes every letter strong from right to left, as letters of Arabic and Hebrew are."""
    return f"⟦\u202e{sentence}\u202c⟧"


class Mirrored(dict[str, str]):
    def get(self, sentence: str, default: Any = None) -> Any:  # type: ignore[override]
        return mirrored(sentence)


CATALOGUE = Catalogue(TAG, "rtl", Mirrored(), lambda one, many, count: mirrored(ngettext(one, many, count)))


@contextmanager
def speaking_mirrored() -> Iterator[None]:
    """Whoever asks for the language `xx` gets it."""
    kept: Mapping[str, str] = dict(translation.LANGUAGES)
    found = translation.catalogue_of
    translation.LANGUAGES[TAG] = "xx"
    translation.catalogue_of = lambda tag: CATALOGUE if tag == TAG else found(tag)  # type: ignore[assignment]
    forget()
    try:
        yield
    finally:
        translation.catalogue_of = found
        translation.LANGUAGES.clear()
        translation.LANGUAGES.update(kept)
        forget()


def forget() -> None:
    translation.reader_of.cache_clear()
    translation.reader_asked_for.cache_clear()
