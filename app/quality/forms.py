"""What may come in about argued answers, and what is held against them; and about tasks that are settled."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.projects.forms import Form, without_nul
from app.quality.tables import Use

Words = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000), AfterValidator(without_nul)
]
MaybeWords = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000), AfterValidator(without_nul)]
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(without_nul)
]


class QuestionForm(Form):
    """What somebody asks about a task."""

    words: Question


class AnswerForm(Form):
    """What somebody answers, in plain words."""

    answer: Question


class RulingForm(Form):
    """An answer as it is published. question: what it answers; answer: in Markdown."""

    question: Question
    answer: Question


class Argument(Form):
    """use: what the answer is for. argument: why it is the answer, in Markdown."""

    use: Use = Use.training
    argument: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), AfterValidator(without_nul)
    ]


class ContestForm(Form):
    """Why somebody thinks that their answer is right and what is argued wrong, or not all."""

    words: Words


class Decision(Form):
    """What becomes of a contested answer. reply: to its author."""

    accepts: bool
    reply: MaybeWords = ""


class SettledBy(Form):
    """remark: why the task is settled so."""

    remark: MaybeWords = ""


class AcceptedBy(SettledBy):
    """version: of the answer, as it was seen; empty: whatever it says now."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
