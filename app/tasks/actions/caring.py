"""What prompts are sensitive for, and what people opt into: both decide who is shown which task.

A slot's lane repeats what its prompt is sensitive for. Whoever changes the one holds the prompt and its tasks until the
other has followed, so that no claim ever sees them differ.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Select, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.access import Access
from app.accounts.tables import Membership
from app.errors import DomainError
from app.projects.actions import locked
from app.projects.care import MOST, categories_of, mask_of, members_of
from app.projects.queries import get_project
from app.projects.tables import Project
from app.prompts.actions import note_care_sets
from app.prompts.tables import Prompt
from app.tasks.actions.claiming import lock_quota
from app.tasks.tables import Task

EVERY = (1 << MOST) - 1
MOST_AT_ONCE = 20_000  # prompts; their slots are walked in one statement
AT_LENGTH = text("SET LOCAL statement_timeout = '60s'")

FOLLOW = text("""
    UPDATE slots s
    SET lane = CASE WHEN s.lane < 0 THEN ~((p.care << 6) | (~s.lane & 63)) ELSE (p.care << 6) | (s.lane & 63) END
    FROM tasks t JOIN prompts p ON p.id = t.prompt_id
    WHERE s.task_id = t.id AND t.prompt_id = ANY(:prompts)
""").bindparams(bindparam("prompts", type_=ARRAY(BigInteger)))


async def categorise(
    session: AsyncSession,
    project_id: int,
    prompts: Sequence[int] | Select[int],
    *,
    add: int = 0,
    remove: int = 0,
    actor_id: int | None = None,
) -> int:
    """Say of prompts (inside ids) that they are sensitive for `add` and not for `remove`. Returns how many changed:
    MOST_AT_ONCE and no more, those that are left change when this is asked again.

    Their free tasks are only for those who opted in from here on; whoever holds one is asked at their next look.
    """
    await session.execute(AT_LENGTH)
    project = await locked(session, project_id)
    wanted = Prompt.care.bitwise_or(add).bitwise_and(~remove)
    differs = (Prompt.project_id == project_id, Prompt.id.in_(prompts), Prompt.care != wanted)
    asked = select(Prompt.id, Prompt.public_id).where(*differs).order_by(Prompt.id).limit(MOST_AT_ONCE)
    found = (await session.execute(asked.with_for_update(key_share=True))).all()
    if not found:
        return 0
    ids = [row.id for row in found]
    changed = update(Prompt).where(Prompt.id.in_(ids)).values(care=wanted)
    await session.execute(changed.execution_options(synchronize_session=False))
    await note_care_sets(session, project_id)
    tasks = select(Task.id).where(Task.prompt_id.in_(ids)).order_by(Task.id).with_for_update(key_share=True)
    await session.execute(tasks)
    await session.execute(FOLLOW, {"prompts": ids})
    categories = categories_of(project.care)
    said = {
        name: [one.key for one in members_of(mask, categories)] for name, mask in (("add", add), ("remove", remove))
    }
    subject = found[0].public_id if len(found) == 1 else project.public_id
    await events.record(
        session,
        "prompts.categorised",
        actor_id=actor_id,
        project_id=project_id,
        subject=subject,
        prompts=len(found),
        **said,
    )
    return len(found)


async def opt(session: AsyncSession, access: Access, care: int) -> None:
    """Be shown tasks of exactly these categories (a set) beside those that are not sensitive.

    Waits for a claim of the same person and is waited for by the next one, so that none is handed out after this. It
    leaves no event: nobody is told what somebody would rather not see.
    """
    await lock_quota(session, access.of_project(), access.person.id, access.daily_limit)
    mine = update(Membership).where(Membership.id == access.membership_id).values(care=care)
    await session.execute(mine)


async def opted(session: AsyncSession, access: Access) -> int:
    """The categories that this person has opted into."""
    return await session.scalar(select(Membership.care).where(Membership.id == access.membership_id)) or 0


def chosen_of(project: Project, keys: Iterable[str]) -> int:
    """The set of these categories.

    :raises DomainError: a key that is none of the project's.
    """
    try:
        return mask_of(keys, categories_of(project.care))
    except ValueError as wrong:
        raise DomainError.saying(422, "invalid", str(wrong)) from None


async def set_care(session: AsyncSession, prompt: Prompt, keys: Sequence[str], actor_id: int | None) -> None:
    """Make a prompt sensitive for exactly these categories of its project.

    :raises DomainError: a key that is none of them.
    """
    project = await get_project(session, prompt.project_id)
    care = chosen_of(project, keys)
    await categorise(session, project.id, [prompt.id], add=care, remove=~care & EVERY, actor_id=actor_id)
    await session.refresh(prompt)
