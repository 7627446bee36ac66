"""What may come in about an argued answer."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.projects.forms import Form, without_nul
from app.quality.tables import Use

Words = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(without_nul)
]


class QuestionForm(Form):
    """What somebody asks about a task."""

    words: Words


class AnswerForm(Form):
    """What somebody answers, in plain words."""

    answer: Words


class RulingForm(Form):
    """An answer as it is published. question: what it answers; answer: in Markdown."""

    question: Words
    answer: Words


class Argument(Form):
    """use: what the answer is for. argument: why it is the answer, in Markdown."""

    use: Use = Use.training
    argument: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), AfterValidator(without_nul)
    ]
