"""Sentences for people. `_` marks and translates; catalogues join when a second language does."""


def _(sentence: str) -> str:
    """Return `sentence` in the reader's language; English is the source language."""
    return sentence
