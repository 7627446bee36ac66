"""What a person tells a project about themselves: kept apart from every answer, and theirs to change and delete."""

from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.annotations.kinds import BodyForm
from app.annotations.tables import OwnAccount
from app.projects.protocols import QuestionsProtocol


async def told_by(session: AsyncSession, project_id: int, person_id: int) -> OwnAccount | None:
    asked = select(OwnAccount).where(OwnAccount.project_id == project_id, OwnAccount.user_id == person_id)
    return (await session.scalars(asked, execution_options={"populate_existing": True})).one_or_none()


async def tell_about_me(
    session: AsyncSession, project_id: int, person_id: int, version: int, form: QuestionsProtocol, body: BodyForm
) -> None:
    """Keep it in the place of what was told before. The event says that it happened and nothing of what was told.

    :raises AgainstTheProtocol: it says what the form does not offer.
    """
    kept = body.kept(form, {}).model_dump(mode="json")
    told: dict[str, Any] = {"form_version": version, "body": kept}
    keep = insert(OwnAccount).values(told | {"project_id": project_id, "user_id": person_id})
    again = told | {"saved_at": func.now()}
    await session.execute(keep.on_conflict_do_update(index_elements=["project_id", "user_id"], set_=again))
    await events.record(session, "about_me.told", actor_id=person_id, project_id=project_id)


async def forget_about_me(session: AsyncSession, project_id: int, person_id: int) -> None:
    """It is gone for good, also from later exports."""
    gone = delete(OwnAccount).where(OwnAccount.project_id == project_id, OwnAccount.user_id == person_id)
    if await session.scalar(gone.returning(OwnAccount.id)) is not None:
        await events.record(session, "about_me.deleted", actor_id=person_id, project_id=project_id)
