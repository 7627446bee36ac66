"""What is said about an answer afterwards, line by line; and who hears of it."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.inbox import members_who_may, tell
from app.accounts.permissions import Permission
from app.accounts.tables import Letter
from app.annotations.kinds import prompt_in
from app.annotations.tables import Annotation, Remark, RemarkKind


async def add_remark(session: AsyncSession, about: Annotation, by_id: int, kind: RemarkKind, text: str) -> None:
    values = {"project_id": about.project_id, "annotation_id": about.id, "version": about.version}
    session.add(Remark(by_id=by_id, kind=kind, text=text, **values))
    await session.flush()


async def settle_return(session: AsyncSession, about: Annotation) -> None:
    """Its author changed an answer that had been returned: it is returned no longer, and whoever did it hears so."""
    if about.returned_at is None:
        return
    about.returned_at = None
    await add_remark(session, about, about.annotator_id, RemarkKind.changed, "")
    await tell_reviewers(session, about, Letter.changed)


async def tell_reviewers(session: AsyncSession, about: Annotation, kind: Letter) -> None:
    """A letter to the reviewer who spoke about an answer last; where none has, to all. A written prompt that a peer
    returned and its author changed needs none: it comes again to where prompts are checked."""
    reviewers = await members_who_may(session, about.project_id, Permission.annotation_review)
    spoken = select(Remark.by_id).where(Remark.annotation_id == about.id, Remark.by_id.in_(reviewers))
    spoken = spoken.where(Remark.by_id != about.annotator_id)
    last = await session.scalar(spoken.order_by(Remark.id.desc()).limit(1))
    if last is None and kind is Letter.changed and prompt_in(about.body) is not None:
        return
    others = [one for one in reviewers if one != about.annotator_id and last in (None, one)]
    await tell(session, others, about.project_id, kind, about.public_id)


async def count_of_remarks(session: AsyncSession, about: Annotation) -> int:
    counted = select(func.count()).select_from(Remark).where(Remark.annotation_id == about.id)
    return await session.scalar(counted) or 0
