"""Measures of texts that need no network, from 0 to 1.

BLEU and chrF are sacrebleu's, so that a figure here is the figure that papers print. ROUGE-L is a dozen lines of our
own: its usual package stands still since 2022. METEOR is nltk's, which comes with the extra `meteor` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from app.training.configs import RunRefused

SENTENCE_BLEU, CHARACTERS = BLEU(effective_order=True), CHRF()


def words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold())


def runs(text: str, length: int) -> list[tuple[str, ...]]:
    said = words(text)
    return [tuple(said[start : start + length]) for start in range(len(said) - length + 1)]


def distinct(text: str) -> float:
    """Different pairs of words among all pairs (Li et al. 2016); 1 where there is none."""
    pairs = runs(text, 2)
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def repetition(text: str) -> float:
    """Share of the runs of five words that the text has said before."""
    fives = runs(text, 5)
    return 1 - len(set(fives)) / len(fives) if fives else 0.0


def readability(text: str) -> float:
    """Flesch's reading ease of English, over 100 and held to 0 … 1; syllables are counted as groups of vowels."""
    said, sentences = words(text), max(1, len(re.findall(r"[.!?]+(?:\s|$)", text)))
    if not said:
        return 0.0
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word.removesuffix("e")))) for word in said)
    ease = 206.835 - 1.015 * len(said) / sentences - 84.6 * syllables / len(said)
    return min(1.0, max(0.0, ease / 100))


def bleu(answer: str, reference: str) -> float:
    return float(SENTENCE_BLEU.sentence_score(answer, [reference]).score) / 100


def chrf(answer: str, reference: str) -> float:
    return float(CHARACTERS.sentence_score(answer, [reference]).score) / 100


def rouge(answer: str, reference: str) -> float:
    """ROUGE-L (Lin 2004): harmonic mean of the shares of both texts that their longest common subsequence is."""
    mine, theirs = words(answer), words(reference)
    row = [0] * (len(theirs) + 1)
    for word in mine:
        before = row
        row = [0]
        for place, other in enumerate(theirs):
            row.append(before[place] + 1 if word == other else max(before[place + 1], row[place]))
    common = row[-1]
    return 2 * common / (len(mine) + len(theirs)) if common else 0.0


class NoSynonyms:
    """In place of the word net, which nltk would have to fetch: words are alike by letters or by stem."""

    @staticmethod
    def synsets(_word: str) -> list[object]:
        return []


@cache
def scorer() -> tuple[Callable[..., float], object]:
    """nltk's METEOR and its stemmer, English. Raises RunRefused without the package."""
    try:
        found, stems = import_module("nltk.translate.meteor_score"), import_module("nltk.stem.porter")
    except ImportError:
        raise RunRefused("A rule of the kind meteor needs nltk: pip install 'hone[meteor]'.") from None
    return found.single_meteor_score, stems.PorterStemmer()


def meteor(answer: str, reference: str) -> float:
    """METEOR (Banerjee and Lavie 2005) by words and Porter's stems: recall before precision, less disorder."""
    score, stemmer = scorer()
    return float(score(words(reference), words(answer), stemmer=stemmer, wordnet=NoSynonyms))


TEXT: dict[str, Callable[[str], float]] = {
    "distinct": distinct,
    "repetition": repetition,
    "readability": readability,
}
LIKENESS: dict[str, Callable[[str, str], float]] = {"bleu": bleu, "chrf": chrf, "rouge": rouge, "meteor": meteor}
