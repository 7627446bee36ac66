"""Questions about checkpoints."""

from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.errors import Conflict, Invalid, NotFound
from app.projects.tables import Project
from app.settings import get_settings
from app.translation import _

IS_READY = Checkpoint.state == CheckpointState.ready
WRITES = (Checkpoint.kind != CheckpointKind.reward, IS_READY)
WRITES_HERE = (*WRITES, Checkpoint.place != Place.endpoint)
BUNDLED = Path(__file__).resolve().parent.parent.parent / "workers" / "demo" / "checkpoint"


class NoFolder(Conflict):
    code = "no-folder"
    sentence = _("The checkpoint “{name}” has no folder on this machine.")


def location_of(checkpoint: Checkpoint) -> Path:
    """The folder with its weights: ours beside the code, a person's own, or below home.

    :raises NoFolder: an endpoint, or a location that points out of home.
    """
    if checkpoint.place is Place.bundled:
        return BUNDLED
    if checkpoint.place is Place.folder:
        return Path(checkpoint.location)
    home = get_settings().home.absolute()
    if checkpoint.place is Place.hub:
        return home / "checkpoints" / str(checkpoint.public_id)
    folder = (home / checkpoint.location).resolve()
    if checkpoint.place is Place.run and folder.is_relative_to(home.resolve()):
        return folder
    raise NoFolder(name=checkpoint.name)


def usable_in(project_id: int | None) -> Select[Checkpoint]:
    """Checkpoints of this project, where one is meant, and those of all."""
    return select(Checkpoint).where(or_(Checkpoint.project_id.is_(None), Checkpoint.project_id == project_id))


async def checkpoint_of(session: AsyncSession, project_id: int, public_id: UUID) -> Checkpoint:
    """:raises NotFound: no such checkpoint that this project may use."""
    found = (await session.scalars(usable_in(project_id).where(Checkpoint.public_id == public_id))).one_or_none()
    if found is None:
        raise NotFound
    return found


def with_parents(project_id: int) -> Select[Any]:
    """Rows (checkpoint that the project may use, outside id of its parent or None)."""
    parent = aliased(Checkpoint)
    asked = usable_in(project_id).outerjoin(parent, parent.id == Checkpoint.parent_id)
    return asked.add_columns(parent.public_id)


async def checkpoints_of(session: AsyncSession, project_id: int) -> list[Checkpoint]:
    """All that the project may use, newest first."""
    return list(await session.scalars(usable_in(project_id).order_by(Checkpoint.id.desc())))


async def writers_of(session: AsyncSession, project_id: int | None, *, here: bool = False) -> list[Checkpoint]:
    """Ready ones that can answer prompts, newest first. project_id None: only those of all projects. here: only those
    whose weights are on this machine."""
    asked = select(Checkpoint).where(Checkpoint.project_id.is_(None)) if project_id is None else usable_in(project_id)
    asked = asked.where(*(WRITES_HERE if here else WRITES)).order_by(Checkpoint.id.desc())
    return list(await session.scalars(asked))


async def scorers_of(session: AsyncSession, project_id: int) -> list[Checkpoint]:
    """Ready ones that score answers, newest first."""
    asked = usable_in(project_id).where(Checkpoint.kind == CheckpointKind.reward, IS_READY)
    return list(await session.scalars(asked.order_by(Checkpoint.id.desc())))


async def base_of(session: AsyncSession, project_id: int | None, reward: Checkpoint) -> Checkpoint | None:
    """What a reward model stands on: its parent, else a checkpoint of the weights that its record names."""
    if reward.parent_id is not None:
        return await session.get(Checkpoint, reward.parent_id)
    digest = reward.record.get("base_sha256")
    same = usable_in(project_id).where(Checkpoint.weights_sha256 == digest, IS_READY).order_by(Checkpoint.id)
    return (await session.scalars(same.limit(1))).first() if digest else None


async def ready_checkpoint(session: AsyncSession, project_id: int, public_id: UUID, field: str) -> Checkpoint:
    """A ready checkpoint that this project may use.

    :raises Invalid: naming `field`, when there is none.
    """
    found = await session.scalar(usable_in(project_id).where(Checkpoint.public_id == public_id, IS_READY))
    if found is None:
        raise Invalid(field=field, reason=_("there is no such checkpoint that is ready"))
    return found


def writers_here() -> Select[Checkpoint]:
    """Every checkpoint, of whichever project, that can answer from this machine."""
    return select(Checkpoint).where(*WRITES_HERE)


async def bundled(session: AsyncSession) -> Checkpoint | None:
    return (await session.scalars(select(Checkpoint).where(Checkpoint.place == Place.bundled))).one_or_none()


async def ancestors_of(session: AsyncSession, checkpoint: Checkpoint) -> list[Checkpoint]:
    """The parent, its parent, and so on to the base."""
    line: list[Checkpoint] = []
    here: Checkpoint | None = checkpoint
    while here is not None and here.parent_id is not None and len(line) < 100:
        here = await session.get(Checkpoint, here.parent_id)
        if here is not None:
            line.append(here)
    return line


async def children_of(session: AsyncSession, checkpoint: Checkpoint, project_id: int) -> list[Checkpoint]:
    """What was trained from it, as far as this project may see."""
    asked = usable_in(project_id).where(Checkpoint.parent_id == checkpoint.id).order_by(Checkpoint.id)
    return list(await session.scalars(asked))


async def serving(session: AsyncSession, project_id: int) -> Checkpoint | None:
    """The checkpoint that answers for the project now."""
    chosen = select(Checkpoint).join(Project, Project.checkpoint_id == Checkpoint.id).where(Project.id == project_id)
    return (await session.scalars(chosen)).one_or_none()
