"""What may be asked of the datasets chapter."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.preferences.formula import LONGEST
from app.projects.forms import without_nul
from app.prompts.tables import Use
from app.tasks.tables import Purpose

LONGEST_NAME = 120
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"\S"), AfterValidator(without_nul)]


FormulaName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z][a-z0-9_-]{0,59}$")]


class NewFormula(BaseModel):
    """A reward formula over the project's criteria, flags and error counts, such as `0.6*accuracy - harmful`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: FormulaName
    expression: Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(without_nul)]


class TriedFormula(BaseModel):
    """A formula that is only tried. values: by name; those left out have the project's example."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    expression: Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(without_nul)]
    values: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default={}, max_length=200)


class FreezeForm(BaseModel):
    """Which answers a dataset takes. Every field narrows; the defaults take all answers collected for training. Answers
    to prompts that are retired stay out; the manifest counts them.

    protocol_versions: those below 0 are of imported datasets.
    minimum_agreement: share of agreeing vote pairs a line needs, 0 takes all. Prefer weights to dropping.
    formula: name of a reward formula whose value each rating gets as `score`; its newest version unless one is named.
    heldout_share: share of prompt roots kept for measuring; drawn from their component's key, the same each time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    batches: tuple[UUID, ...] = ()
    purposes: tuple[Purpose, ...] = (Purpose.collect, Purpose.calibration)
    uses: tuple[Use, ...] = (Use.label,)
    protocol_versions: tuple[int, ...] = ()
    checkpoints: tuple[UUID, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    formula: FormulaName | None = None
    formula_version: int | None = Field(default=None, ge=1)
    minimum_votes: int = Field(default=1, ge=1, le=50)
    minimum_agreement: float = Field(default=0.0, ge=0.0, le=1.0)
    heldout_share: float = Field(default=0.1, ge=0.0, le=0.9)
