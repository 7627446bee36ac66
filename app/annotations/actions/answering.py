"""What every way of keeping an answer shares: what was shown, what is stored, what is told back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Float, LargeBinary, Text, Uuid, bindparam
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions.prompting import refuse_known_prompt
from app.annotations.conversations import led_by
from app.annotations.kinds import BodyForm, NotOneOfThese, to_keep
from app.annotations.rules import active_of, is_fast
from app.annotations.tables import AnnotationState
from app.errors import Conflict
from app.keys import key_for
from app.projects.protocols import ProtocolBody
from app.tasks.actions.hot import ME, PROJECT
from app.tasks.queries import protocol_asked, texts_of
from app.tasks.rules import handle_of
from app.translation import _


class KeyUsed(Conflict):
    code = "key-used"
    sentence = _("This key already carries another answer, which is kept. Change it by editing.")


class AlreadyAnswered(Conflict):
    """You have answered this task from another tab or device."""

    code = "already-answered"
    sentence = _("You have already answered this task. Your first answer is kept; you can still edit it.")


@dataclass(frozen=True, slots=True)
class Saved:
    """state surplus: kept and paid, but the task had its answers. at: of this version. is_repeat: it was there.
    is_training: the task has an argued answer that its author is told at once."""

    id: int
    public_id: UUID
    version: int
    state: AnnotationState
    at: datetime
    is_repeat: bool = False
    is_training: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What was on the screen that this answer speaks about. tags: of the prompt at that moment."""

    slot_id: int
    shown_at: datetime
    sides: Sequence[int]
    protocol_id: int
    guidelines_id: int | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it came. key: made when the task was shown. active_seconds: as the person's page measured them."""

    key: UUID
    body: BodyForm
    active_seconds: float | None = None


VALUES = (
    PROJECT,
    ME,
    bindparam("task_id", type_=BigInteger),
    bindparam("slot", type_=BigInteger),
    bindparam("key", type_=Uuid),
    bindparam("hash", type_=LargeBinary),
    bindparam("kind", type_=Text),
    bindparam("body", type_=JSONB),
    bindparam("fast", type_=Boolean),
    bindparam("active", type_=Float),
    bindparam("subject", type_=Text),
)


async def answer_of(
    session: AsyncSession, project_id: int, person_id: int, found: Any, shown: Shown, said: Said
) -> dict[str, Any]:
    """The values to store: the body under its protocol, its handles resolved to completions."""
    body = said.body
    if body.kind != found.kind:
        raise NotOneOfThese
    protocol = (await protocol_asked(session, shown.protocol_id, shown.tags)).protocol
    kept = await kept_body(
        session, body, protocol, [shown.slot_id], found.ids or (), task_id=found.task_id, person_id=person_id
    )
    await refuse_known_prompt(session, project_id, kept)
    seconds = (found.now - shown.shown_at).total_seconds()
    active = active_of(said.active_seconds, seconds)
    return {
        "project": project_id,
        "me": person_id,
        "task_id": found.task_id,
        "subject": str(found.public_id),
        "slot": shown.slot_id,
        "key": said.key,
        "hash": body.digest(),
        "kind": body.kind,
        "body": kept,
        "fast": is_fast(seconds if active is None else active, found.characters or 0),
        "active": active,
    }


async def kept_body(
    session: AsyncSession,
    body: BodyForm,
    protocol: ProtocolBody,
    slots: Collection[int],
    completions: Sequence[int],
    *,
    task_id: int,
    person_id: int,
) -> dict[str, Any]:
    """The body to store. slots: those whose handles count; completions: inside ids in the task's order."""
    secret = key_for("handles")
    numbers = {handle_of(secret, slot, one): number for slot in slots for number, one in enumerate(completions)}
    texts = await texts_of(session, completions) if protocol.needs_texts else ()
    led = await led_by(session, task_id, person_id, protocol) if protocol.needs_turns else None
    return to_keep(body, protocol, numbers, texts, led)


def saved(said: Any, *, is_training: bool = False) -> Saved:
    state = AnnotationState(said.state)
    return Saved(said.id, said.public_id, said.version, state, said.submitted_at, is_training=is_training)
