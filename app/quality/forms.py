"""What may come in about an argued answer."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.projects.forms import Form, without_nul
from app.quality.tables import Use


class Argument(Form):
    """use: what the answer is for. argument: why it is the answer, in Markdown."""

    use: Use = Use.training
    argument: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), AfterValidator(without_nul)
    ]
