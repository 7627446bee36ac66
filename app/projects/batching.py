"""What may come in about the hand-out of a project: its rounds, what tags ask for beside, limits, and what is paid."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from app.projects.care import Tag
from app.projects.forms import Form, Line, without_nul
from app.projects.rules import Body, Recipe
from app.projects.tables import BatchState, Ordering
from app.translation import _

K = Annotated[int, Field(ge=1, le=50)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Amount = Annotated[int, Field(ge=0, le=1_000_000_000_000)]  # hundredths of the currency
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
ORDERS = {
    Ordering.random: _("at random"),
    Ordering.oldest: _("oldest first"),
    Ordering.fewest: _("fewest answers first"),
    Ordering.informative: _("most informative first"),
}


def as_share(percent: str) -> str:
    """A share as forms have it of per cent as pages have them; what is no number is left for the form to name."""
    try:
        return str(float(percent) / 100)
    except ValueError:
        return percent


class HandOut(Form):
    """How a round's tasks are handed out. k: answers a task. most_k: up to so many, one at a time, as long as those
    that came disagree. calibration: share of tasks that everybody of the audience answers; empty: it is everybody's."""

    k: K = 1
    most_k: K | None = None
    calibration: float = Field(default=0.0, ge=0, le=0.5)
    ordering: Ordering = Ordering.random
    audience: UUID | None = None

    @model_validator(mode="after")
    def most_is_more(self) -> Self:
        if self.most_k is not None and self.most_k < self.k:
            raise ValueError(_("most_k: this must not be less than the answers that are wanted first"))
        return self


class HandOutEdit(HandOut):
    """version: of the round that the editor saw; empty: whatever it is by now."""

    version: int | None = None


class Selection(Body):
    """Which prompts a round asks about. tags: those that carry one of them; none: all for labelling. again: answers
    that stand in tasks of other rounds (or, where none are shown, prompts) are asked about once more."""

    tags: tuple[Tag, ...] = Field(default=(), max_length=100)
    again: bool = False


class RoundForm(HandOut):
    """A round of collection. target: tasks it makes at most; empty: as many as there are answers for. pilot: how many
    of them it makes while it is a pilot, drawn at random. due: the local day at whose end it should be done."""

    name: Line
    selection: Selection = Selection()
    recipe: Recipe = Recipe()
    target: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    pilot: int = Field(default=50, ge=1, le=10_000)
    due: date | None = None


SETTLED = (BatchState.accepted, BatchState.frozen)  # what such a round asks is said for good


class RoundEdit(RoundForm):
    """version: of the round that the editor saw. One that is accepted or frozen keeps all but its name and due day."""

    version: int


class TagWish(Form):
    """What a tag of prompts asks for beside what the round does. band: 0 … 15, the smallest is handed out first; 4 is
    where everything else stands. a_day, in_all: answers to such prompts that are handed out."""

    tag: Annotated[Tag, BeforeValidator(lambda tag: tag.strip() if isinstance(tag, str) else tag)]
    k: K | None = None
    audience: UUID | None = None
    band: int | None = Field(default=None, ge=0, le=15)
    a_day: Count | None = None
    in_all: Count | None = None


class LimitsEdit(Form):
    """How much is handed out at most; empty: without a bound. budget: in hundredths of the currency, which is left as
    it is where it is empty. version: of the project that the editor saw."""

    version: int
    answers_a_day: Count | None = None
    answers_in_all: Count | None = None
    budget: Amount | None = None
    currency: Currency | None = None
    tags: tuple[TagWish, ...] = Field(default=(), max_length=100)

    @model_validator(mode="after")
    def each_tag_once(self) -> Self:
        tags = [one.tag for one in self.tags]
        twice = next((tag for tag in tags if tags.count(tag) > 1), None)
        if twice is not None:
            raise ValueError(_("tags: “{tag}” stands there twice").format(tag=twice))
        return self


class RateForm(Form):
    """What answers are worth from `starts_at` on (empty: from now), in hundredths of the currency: `an_answer`, or
    `a_minute` of active time up to `most` an answer. For one person (rater: a pseudonym), a cohort, or everybody; for
    one kind of task, or all."""

    rater: Line | None = None
    cohort: Line | None = None
    kind: Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}$")] | None = None
    an_answer: Amount | None = None
    a_minute: Amount | None = None
    most: Amount | None = None
    starts_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def one_way(self) -> Self:
        if (self.an_answer is None) == (self.a_minute is None):
            raise ValueError(_("an_answer: say either what an answer is worth or what a minute is"))
        if (self.a_minute is None) != (self.most is None):
            raise ValueError(_("most: pay by the minute needs a cap for each answer, and no other pay has one"))
        if self.rater is not None and self.cohort is not None:
            raise ValueError(_("cohort: a rate is for one person or for a cohort, not for both"))
        return self


class Adjustment(Form):
    """A line that somebody adds to a person's ledger. amount: in hundredths of the currency; below zero takes away."""

    rater: Line
    amount: int = Field(ge=-1_000_000_000, le=1_000_000_000)
    remark: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(without_nul)
    ]
