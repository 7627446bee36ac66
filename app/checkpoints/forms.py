"""What may come in about a checkpoint."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, StringConstraints, model_validator

from app.checkpoints.tables import Place
from app.projects.forms import Form, Line, without_nul
from app.translation import _

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(without_nul)]


class NewCheckpoint(Form):
    """A checkpoint that is somewhere else so far.

    location: a folder on this machine, a hub name (`owner/name`), or an endpoint's address (`http://host:8000/v1`).
    revision: of a hub, its branch or commit; of an endpoint, the name that its server knows.
    api_key_variable: the environment variable of the sampler that holds an endpoint's key.
    """

    name: Line
    place: Literal[Place.folder, Place.hub, Place.endpoint]
    location: Annotated[Short, Field(min_length=1)]
    revision: Short | None = None
    api_key_variable: Short | None = None
    kind: Literal["base", "sft", "policy", "reward"] = "base"

    @model_validator(mode="after")
    def location_fits_the_place(self) -> Self:
        if self.place is Place.hub and not HUB_NAME.fullmatch(self.location):
            raise ValueError(
                _("location: “{location}” is not a hub name such as owner/name").format(location=self.location)
            )
        if self.place is Place.endpoint:
            _must_be_endpoint(self)
        if self.place is Place.folder and not self.location.startswith("/"):
            raise ValueError(_("location: write the whole path of the folder, from / on"))
        return self


def _must_be_endpoint(form: NewCheckpoint) -> None:
    address = AnyHttpUrl(form.location)
    if address.username or address.password or address.query:
        raise ValueError(_("location: leave names, passwords and parameters out of the address"))
    if form.kind == "reward":
        raise ValueError(_("kind: an endpoint writes answers; a reward checkpoint must be on this machine"))
    if not form.revision:
        raise ValueError(_("revision: write the name that the endpoint's server knows"))
    variable = form.api_key_variable
    if variable and (not VARIABLE.fullmatch(variable) or variable.startswith("HONE_")):
        raise ValueError(_("api_key_variable: “{name}” cannot be the variable of a key").format(name=variable))
