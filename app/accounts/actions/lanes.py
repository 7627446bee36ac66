"""Which audiences people are in, worked out into the lanes that the hand-out compares."""

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict
from app.translation import _


class TooManyAudiences(Conflict):
    code = "too-many-audiences"
    sentence = _("A project has at most 31 audiences.")


# Newcomers who have not been let in yet (later chapters' `projects.entrance` and `entrances`) take nothing but tasks
# with a known answer: class 32 is those that are mixed in among everybody's (`projects.care.GOLD`).
SETTLE = text("""
    UPDATE memberships m SET lanes = said.lanes
    FROM (
        SELECT p.id, CASE WHEN p.role = 'annotator'
            AND EXISTS (SELECT FROM projects o WHERE o.id = p.project_id AND o.entrance IS NOT NULL)
            AND NOT EXISTS (SELECT FROM entrances e WHERE e.project_id = p.project_id AND e.user_id = p.user_id
                            AND e.state IN ('passed', 'exempt'))
        THEN ARRAY[32] ELSE ARRAY[0] || ARRAY(
            SELECT CAST(a.number AS integer) FROM audiences a
            WHERE a.project_id = p.project_id AND a.retired_at IS NULL AND NOT p.user_id = ANY(a.without)
              AND (p.user_id = ANY(a.people)
                   OR ((a.people = '{}' OR a.cohorts <> '{}' OR a.skills <> '{}')
                       AND (a.cohorts = '{}' OR p.cohort = ANY(a.cohorts)) AND p.skills @> a.skills))
            ORDER BY a.number
        ) END AS lanes
        FROM memberships p WHERE p.project_id = :project AND (CAST(:member AS bigint) IS NULL OR p.id = :member)
        ORDER BY p.id
        FOR NO KEY UPDATE OF p
    ) said
    WHERE m.id = said.id AND m.lanes IS DISTINCT FROM CAST(said.lanes AS smallint[])
""").bindparams(bindparam("project", type_=BigInteger), bindparam("member", type_=BigInteger))


SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('hone.hand-out', :project))").bindparams(
    bindparam("project", type_=BigInteger)
)
HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended('hone.hand-out', :project))").bindparams(
    bindparam("project", type_=BigInteger)
)


async def settle_lanes(session: AsyncSession, project_id: int, member_id: int | None = None) -> None:
    """Work out which audiences people are in: one member, or all of the project.

    :raises TooManyAudiences: somebody would be in more than their lanes have room for.
    """
    try:
        async with session.begin_nested():
            await session.execute(SETTLE, {"project": project_id, "member": member_id})
    except IntegrityError as error:
        if "ck_memberships_lanes" in str(error.orig):
            raise TooManyAudiences from None
        raise


async def share_hand_out(session: AsyncSession, project_id: int) -> None:
    """Until the end of the transaction nobody changes who is asked and how much here; many may hold this at once.

    Asked for before any row is locked by those who join or change a member, so nobody waits for them in turn. It is an
    advisory lock, because the project's row is held for minutes by imports.
    """
    await session.execute(SHARE, {"project": project_id})


async def hold_hand_out(session: AsyncSession, project_id: int) -> None:
    """Until the end of the transaction nobody else makes tasks, joins, or changes who is asked and how much here."""
    await session.execute(HOLD, {"project": project_id})
