"""The union of all protocols, and how one is read from JSON."""

from typing import Annotated, Any, cast

from pydantic import TypeAdapter

from app.projects.protocols.combined import CombinedProtocol
from app.projects.protocols.parts import Single
from app.unions import by_kind, tag

ProtocolBody = Annotated[Single | Annotated[CombinedProtocol, tag("combined")], by_kind(otherwise="comparison")]
READER: TypeAdapter[Any] = TypeAdapter(ProtocolBody)


def protocol_of(body: Any) -> ProtocolBody:
    """A protocol from JSON; :raises ValidationError: it is none."""
    return cast(ProtocolBody, READER.validate_python(body))
