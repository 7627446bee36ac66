"""Audiences: which people of a project its tasks may be kept for. What they say is worked out once, when somebody or
something of it changes, into the lanes of each person; the hand-out only compares numbers.

Whoever changes an audience holds the hand-out of the project, and whoever joins, changes a member or makes tasks shares
it, so that one of the two sees the other (`lanes.hold_hand_out`).
"""

from uuid import UUID

from sqlalchemy import BigInteger, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.actions.lanes import TooManyAudiences, hold_hand_out, settle_lanes
from app.accounts.forms import AudienceForm
from app.accounts.tables import Audience, Membership
from app.errors import Conflict, Invalid, NotFound
from app.events import record
from app.translation import _

MOST = 31  # a lane has five bits for the class of people, and class 0 is everybody's


class AudienceInUse(Conflict):
    code = "audience-in-use"
    sentence = _("Tasks, rounds or tags are still kept for this audience. Give them to another one first.")


class SameName(Conflict):
    code = "same-name"
    sentence = _("There is an audience of this name already.")


# Of later chapters, by name: what waits for a class of people, and what ever did. A lane below zero is held back.
WAITS_FOR = text("""
    SELECT EXISTS (SELECT FROM slots s WHERE s.project_id = :project AND s.state IN (-2, -1, 0, 1)
                   AND (CASE WHEN s.lane < 0 THEN ~s.lane ELSE s.lane END & 31) = :number)
        OR EXISTS (SELECT FROM batches b WHERE b.project_id = :project AND b.audience_id = :audience)
        OR EXISTS (SELECT FROM tag_rules r WHERE r.project_id = :project AND r.audience_id = :audience)
""").bindparams(bindparam("project", type_=BigInteger), bindparam("audience", type_=BigInteger))

EVER_USED = text("""
    SELECT EXISTS (SELECT FROM slots s WHERE s.project_id = :project
                   AND (CASE WHEN s.lane < 0 THEN ~s.lane ELSE s.lane END & 31) = :number)
""").bindparams(bindparam("project", type_=BigInteger))


async def make_audience(session: AsyncSession, access: Access, form: AudienceForm) -> Audience:
    """A new class of people.

    :raises TooManyAudiences: :raises SameName: :raises Invalid: a pseudonym is nobody's here.
    """
    project_id = access.of_project()
    await hold_hand_out(session, project_id)
    number = await _free_number(session, project_id)
    made = Audience(project_id=project_id, number=number)
    await _fill(session, made, form)
    session.add(made)
    await _settled(session, access, made, "audience.made")
    return made


async def edit_audience(session: AsyncSession, access: Access, audience: UUID, form: AudienceForm) -> Audience:
    """Who is in it changes at once; tasks in people's hands stay there.

    :raises NotFound: :raises SameName: :raises TooManyAudiences: :raises Invalid: a pseudonym is nobody's here.
    """
    await hold_hand_out(session, access.of_project())
    found = await audience_of(session, access.of_project(), audience)
    await _fill(session, found, form)
    await _settled(session, access, found, "audience.changed")
    return found


async def retire_audience(session: AsyncSession, access: Access, audience: UUID) -> None:
    """Nobody is in it any more.

    :raises NotFound: :raises AudienceInUse: something is kept for it.
    """
    await hold_hand_out(session, access.of_project())
    found = await audience_of(session, access.of_project(), audience)
    values = {"project": found.project_id, "number": found.number}
    if await session.scalar(WAITS_FOR, values | {"audience": found.id}):
        raise AudienceInUse
    found.retired_at = func.now()
    await _settled(session, access, found, "audience.retired")


async def audience_of(session: AsyncSession, project_id: int, audience: UUID) -> Audience:
    """:raises NotFound:"""
    asked = select(Audience).where(Audience.project_id == project_id, Audience.public_id == audience)
    found = await session.scalar(asked.where(Audience.retired_at.is_(None)))
    if found is None:
        raise NotFound
    return found


async def _free_number(session: AsyncSession, project_id: int) -> int:
    """One that no audience has had, else one of an audience that is gone and never had a task.

    :raises TooManyAudiences:
    """
    of_all = select(Audience.number).where(Audience.project_id == project_id)
    ever = set(await session.scalars(of_all))
    now = set(await session.scalars(of_all.where(Audience.retired_at.is_(None))))
    for number in sorted(set(range(1, MOST + 1)) - now, key=lambda one: (one in ever, one)):
        if number not in ever or not await session.scalar(EVER_USED, {"project": project_id, "number": number}):
            return number
    raise TooManyAudiences


async def _fill(session: AsyncSession, audience: Audience, form: AudienceForm) -> None:
    same = select(Audience.id).where(Audience.project_id == audience.project_id, Audience.name == form.name)
    if await session.scalar(same.where(Audience.retired_at.is_(None), Audience.id != (audience.id or 0))):
        raise SameName
    audience.name, audience.cohorts, audience.skills = form.name, form.cohorts, form.skills
    audience.people = await _ids_of(session, audience.project_id, "people", form.people)
    audience.without = await _ids_of(session, audience.project_id, "without", form.without)


async def _ids_of(session: AsyncSession, project_id: int, field: str, pseudonyms: list[str]) -> list[int]:
    asked = select(Membership.pseudonym, Membership.user_id).where(Membership.project_id == project_id)
    known = {
        row.pseudonym: row.user_id for row in await session.execute(asked.where(Membership.pseudonym.in_(pseudonyms)))
    }
    strange = next((one for one in pseudonyms if one not in known), None)
    if strange is not None:
        raise Invalid(field=field, reason=_("“{name}” is nobody's pseudonym here").format(name=strange))
    return [known[one] for one in pseudonyms]


async def _settled(session: AsyncSession, access: Access, audience: Audience, kind: str) -> None:
    await session.flush()
    await settle_lanes(session, audience.project_id)
    me, subject = access.person.id, audience.public_id
    await record(session, kind, actor_id=me, project_id=audience.project_id, subject=subject, name=audience.name)
