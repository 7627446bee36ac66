"""Questions about media."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.media.rules import Known
from app.media.tables import Medium, MediumState


async def known_media(session: AsyncSession, project_id: int, names: Iterable[str]) -> dict[str, Known]:
    """Media by the names that lines use: address, hash of the file as it came, hash of what is kept."""
    wanted = list(set(names))
    if not wanted:
        return {}
    named = (Medium.source_url, Medium.source_sha256, Medium.sha256)
    asked = select(Medium).where(Medium.project_id == project_id, or_(*(column.in_(wanted) for column in named)))
    found: dict[str, Known] = {}
    # of several media with one hash a ready one counts; an upload was refused only where no fetch succeeded
    for medium in await session.scalars(asked.order_by(Medium.state == MediumState.ready, Medium.id)):
        told = known(medium)
        found |= {name: told for name in (medium.source_url, medium.source_sha256, medium.sha256) if name}
    return {name: found[name] for name in wanted if name in found}


def known(medium: Medium) -> Known:
    return Known(
        id=medium.id,
        kind=medium.kind,
        sha256=medium.sha256,
        media_type=medium.media_type,
        width=medium.width,
        height=medium.height,
        ready=medium.state is MediumState.ready,
        reason=medium.reason if medium.state is MediumState.refused else None,
    )


async def kept_file(session: AsyncSession, project_id: int, sha256: str) -> Medium:
    """:raises NotFound: nothing with this hash may be shown in this project."""
    asked = select(Medium).where(
        Medium.project_id == project_id, Medium.sha256 == sha256, Medium.state == MediumState.ready
    )
    found = (await session.scalars(asked.limit(1))).one_or_none()
    if found is None:
        raise NotFound
    return found


async def medium_of(session: AsyncSession, project_id: int, public_id: UUID) -> Medium:
    """:raises NotFound: no such medium in this project."""
    asked = select(Medium).where(Medium.project_id == project_id, Medium.public_id == public_id)
    found = (await session.scalars(asked)).one_or_none()
    if found is None:
        raise NotFound
    return found


def media_of(project_id: int, state: MediumState | None = None) -> Select[Medium]:
    """The media of a project, unordered."""
    asked = select(Medium).where(Medium.project_id == project_id)
    return asked if state is None else asked.where(Medium.state == state)
