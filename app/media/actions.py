"""What happens to media: they come in, are looked at by a worker, and may be shown or not."""

import asyncio
from collections.abc import Iterable
from typing import BinaryIO

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.errors import Invalid
from app.jobs.queue import enqueue
from app.media.files import came_at, put_down
from app.media.jobs import ExamineMedium
from app.media.queries import known_media
from app.media.rules import Known
from app.media.tables import Medium, MediumKind, MediumState
from app.translation import _


async def take_upload(
    session: AsyncSession, project_id: int, name: str, stream: BinaryIO, actor_id: int | None
) -> Medium:
    """Put a file down and have a worker look at it. A file that was sent before is the medium that it was; one that was
    refused is looked at again, since the reason may have passed.

    :raises Invalid: nothing was sent.
    """
    path, sha256, size = await asyncio.to_thread(put_down, stream)
    if not size:
        path.unlink()
        raise Invalid(field="file", reason=_("it is empty"))
    values = {"project_id": project_id, "name": name, "source_sha256": sha256, "created_by_id": actor_id}
    mine = (
        insert(Medium)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["project_id", "source_sha256"], index_where=Medium.source_url.is_(None))
    )
    made = await session.scalar(mine.returning(Medium.id))
    same = select(Medium).where(
        Medium.project_id == project_id, Medium.source_sha256 == sha256, Medium.source_url.is_(None)
    )
    medium = (await session.scalars(same.with_for_update())).one()
    if made is None and medium.state is not MediumState.refused:
        path.unlink()
        return medium
    path.rename(came_at(medium.public_id))
    medium.state, medium.reason, medium.settled_at = MediumState.waiting, None, None
    await session.flush()
    await events.record(
        session, "medium.uploaded", actor_id=actor_id, project_id=project_id, subject=medium.public_id, name=name
    )
    await enqueue(session, ExamineMedium(medium_id=medium.id))
    return medium


async def look_for(
    session: AsyncSession, project_id: int, names: Iterable[str], actor_id: int | None
) -> dict[str, Known]:
    """The media that lines name; addresses nobody named before are going to be fetched. Hashes may stay unknown."""
    wanted = set(names)
    known = await known_media(session, project_id, wanted)
    for address in sorted(name for name in wanted - known.keys() if ":" in name):
        values = {"project_id": project_id, "source_url": address, "name": address, "created_by_id": actor_id}
        mine = insert(Medium).values(**values).on_conflict_do_nothing(index_elements=["project_id", "source_url"])
        made = await session.scalar(mine.returning(Medium.id))
        if made is not None:
            await enqueue(session, ExamineMedium(medium_id=made))
    return known | await known_media(session, project_id, wanted - known.keys())


async def accept_medium(
    session: AsyncSession,
    medium: Medium,
    *,
    kind: MediumKind,
    media_type: str,
    sha256: str,
    size: int,
    width: int | None,
    height: int | None,
    source_sha256: str,
) -> None:
    """It was looked at and lies in its place; from now on it may be shown."""
    medium.kind, medium.media_type, medium.sha256, medium.size = kind, media_type, sha256, size
    medium.width, medium.height, medium.source_sha256 = width, height, source_sha256
    medium.state, medium.settled_at = MediumState.ready, func.now()
    await session.flush()


async def refuse_medium(session: AsyncSession, medium: Medium, reason: str) -> None:
    """It will not be shown, and why: a sentence."""
    medium.state, medium.reason, medium.settled_at = MediumState.refused, reason[:2000], func.now()
    await session.flush()
    await events.record(
        session, "medium.refused", project_id=medium.project_id, subject=medium.public_id, reason=medium.reason
    )


async def held_medium(session: AsyncSession, medium_id: int) -> Medium | None:
    """The row, locked, if it still waits."""
    asked = select(Medium).where(Medium.id == medium_id, Medium.state == MediumState.waiting).with_for_update()
    return (await session.scalars(asked)).one_or_none()


async def look_again(session: AsyncSession, medium: Medium) -> None:
    """Fetch an address anew that was refused; other media stay as they are, since what is ready never changes."""
    if medium.state is not MediumState.refused or medium.source_url is None:
        return
    medium.state, medium.reason, medium.settled_at = MediumState.waiting, None, None
    await session.flush()
    await enqueue(session, ExamineMedium(medium_id=medium.id))
