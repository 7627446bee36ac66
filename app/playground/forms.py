"""What may come in at the playground."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.completions.rules import Sampling
from app.projects.forms import Form, without_nul
from app.translation import _

BEST_OF = 16
MOST_TOKENS = 1024  # somebody waits, and every token is read twice more
Words = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(without_nul)]


class PlayForm(Form):
    """One prompt for two to four checkpoints.

    prompt: one of the project's; else `text`, as a person would say it. reward: the model that scores the answers.
    best_of: each checkpoint answers 16 times and the answer with the highest reward is shown. seed empty: drawn.
    """

    prompt: UUID | None = None
    text: Words | None = None
    checkpoints: tuple[UUID, ...] = Field(min_length=2, max_length=4)
    reward: UUID | None = None
    best_of: bool = False
    sampling: Sampling = Sampling(max_tokens=128)
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    @model_validator(mode="after")
    def can_be_asked(self) -> Self:
        if (self.prompt is None) == (self.text is None):
            raise ValueError(_("text: write a prompt, or name one of the project’s"))
        if self.text is not None and not self.text.strip():
            raise ValueError(_("text: write a prompt, or name one of the project’s"))
        if len(set(self.checkpoints)) < len(self.checkpoints):
            raise ValueError(_("checkpoints: one stands there twice"))
        if self.best_of and self.reward is None:
            raise ValueError(_("reward: the best of several is chosen by a reward model"))
        if self.sampling.max_tokens > MOST_TOKENS:
            raise ValueError(_("sampling: at most {most} tokens here").format(most=MOST_TOKENS))
        return self


class SendForm(Form):
    """Which answers (by their place, from 0) people are to judge."""

    answers: tuple[Annotated[int, Field(ge=0, le=3)], ...] = Field(min_length=1, max_length=4)

    @model_validator(mode="after")
    def each_once(self) -> Self:
        if len(set(self.answers)) < len(self.answers):
            raise ValueError(_("answers: one stands there twice"))
        return self
