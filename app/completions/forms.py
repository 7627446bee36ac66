"""What may come in about completions: requests for answers, and answers that others have made."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from app.completions.rules import Sampling
from app.projects.forms import Form
from app.prompts.forms import parts_of, short_text
from app.prompts.tables import Use
from app.translation import _

MOST_WANTED = 200_000  # completions of one request


class GenerationForm(Form):
    """n answers each to some prompts: those named, else up to `most` of a use, with any of the tags, that have the
    fewest answers.

    checkpoint empty: the one that answers for the project. batch: whose tasks the answers become; empty: the default
    one. seed empty: drawn. prompts: ids.
    """

    checkpoint: UUID | None = None
    prompts: tuple[UUID, ...] | None = Field(default=None, min_length=1, max_length=20_000)
    use: Use = Use.label
    tags: tuple[str, ...] = Field(default=(), max_length=50)
    most: int = Field(default=100, ge=1, le=20_000)
    batch: UUID | None = None
    n: int = Field(default=2, ge=1, le=64)
    sampling: Sampling = Sampling()
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    @model_validator(mode="after")
    def not_too_many(self) -> Self:
        wanted = self.n * (len(self.prompts) if self.prompts else self.most)
        if wanted > MOST_WANTED:
            raise ValueError(
                _("that is {wanted} completions; one request may ask for {most}").format(
                    wanted=wanted, most=MOST_WANTED
                )
            )
        return self


class NewCompletion(BaseModel):
    """An answer from a file. prompt: the external id of its prompt, or ours. author: what made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    parts: list[dict[str, Any]]
    author: str | None = None


def as_completion(value: dict[str, Any]) -> NewCompletion:
    """One line of a file: {prompt_id, text, model}; `completion` is read for text, `author` for model.

    :raises ValueError: a sentence that names the field.
    """
    prompt = short_text(value.get("prompt_id"), "prompt_id")
    if prompt is None:
        raise ValueError(_("prompt_id: it is missing"))
    given = [field for field in ("text", "completion", "parts") if field in value]
    if len(given) != 1:
        raise ValueError(_("a line has either “text”, “completion” or “parts”"))
    author = short_text(value.get("model", value.get("author")), "model")
    return NewCompletion(prompt=prompt, parts=parts_of(value[given[0]], given[0]), author=author)


class SentScore(BaseModel):
    """A reward model's number for one completion. uncertainty: the spread of its ensemble, in the same units. members:
    what each of the ensemble says, in log-odds; by these a round asks the most informative first."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    completion: UUID
    value: Annotated[float, Field(allow_inf_nan=False)]
    uncertainty: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    members: Annotated[list[FiniteFloat], Field(min_length=2, max_length=16)] | None = None


class SentScores(BaseModel):
    """checkpoint: the reward model. scores: at most 5,000 at once; those that are there are replaced."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    checkpoint: UUID
    scores: Annotated[list[SentScore], Field(min_length=1, max_length=5000)]
