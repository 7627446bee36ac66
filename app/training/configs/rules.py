"""Rules that an answer is paid by beside the reward network's score: which there are, and what each is told.

Every rule gives an answer one number; `weight` says what a unit of it is worth, in standard deviations of the
reference's scores. A negative weight is a penalty, so a set of broken rules costs as in Sparrow (Glaese et al. 2022).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.translation import _


class RuleConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    name: str = Field(default="", pattern=r"^[a-z0-9_]{0,40}$", description="What curves call it; empty is its kind.")
    weight: float = Field(default=1.0, description="Standard deviations of score for a unit; below 0 it costs.")

    @property
    def title(self) -> str:
        return self.name or self.kind


class LengthRule(RuleConfig):
    """1 where the answer has from `least` to `most` words, else 0."""

    kind: Literal["length"] = "length"
    least: int = Field(default=0, ge=0, description="Fewest words.")
    most: int = Field(default=1_000_000, ge=1, description="Most words.")


class FormatRule(RuleConfig):
    """1 where the answer has that form, else 0."""

    kind: Literal["format"] = "format"
    form: Literal["json", "list", "code", "paragraph"] = Field(
        description="A JSON value; two or more list items; a fenced block of code; one paragraph and no mark-up."
    )


class WordsRule(RuleConfig):
    """How many of these words the answer says, each counted once; case does not matter."""

    kind: Literal["words"] = "words"
    words: tuple[str, ...] = Field(min_length=1, description="Single words.")


class PatternRule(RuleConfig):
    """1 where the regular expression is found in the answer, else 0."""

    kind: Literal["pattern"] = "pattern"
    pattern: str = Field(min_length=1, max_length=1000, description="A regular expression of Python.")

    @model_validator(mode="after")
    def can_be_read(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                _("{pattern} is no regular expression: {error}").format(pattern=self.pattern, error=error)
            ) from None
        return self


class TextMetricRule(RuleConfig):
    """A measure of the answer's text alone, from 0 to 1.

    distinct: different pairs of words among all pairs. repetition: share of the runs of five words that stood before.
    readability: Flesch's reading ease over 100, cut to 0 … 1; English.
    """

    kind: Literal["distinct", "repetition", "readability"]


class ReferenceMetricRule(RuleConfig):
    """Likeness to the best of the prompt's reference answers, from 0 to 1; 0 where it has none.

    bleu and chrf by sacrebleu, per sentence; rouge: F-measure of the longest common run of words in order (ROUGE-L);
    meteor by nltk (extra `meteor`), words alike or of one stem, no synonyms; English.
    """

    kind: Literal["bleu", "chrf", "rouge", "meteor"]


class FunctionRule(RuleConfig):
    """A function of yours: (prompts, answers), two lists of texts, to a list of numbers."""

    kind: Literal["function"] = "function"
    path: str = Field(pattern=r"^[\w.]+:\w+$", description="Where it is imported from: package.module:function.")


class RemoteRule(RuleConfig):
    """A server of yours: POST {"prompts": […], "answers": […]}, answered by {"rewards": […]}."""

    kind: Literal["remote"] = "remote"
    url: str = Field(pattern=r"^https?://", description="Its address.")
    timeout: float = Field(default=30.0, gt=0, le=600, description="Seconds for one request; it is tried three times.")


Rule = Annotated[
    LengthRule | FormatRule | WordsRule | PatternRule | TextMetricRule | ReferenceMetricRule,
    Field(discriminator="kind"),
]
# These run code and reach servers, so only a run file names them, never a form: who may start a run may not do that.
OutsideRule = Annotated[FunctionRule | RemoteRule, Field(discriminator="kind")]
