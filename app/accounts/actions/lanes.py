"""Which audiences people are in, worked out into the lanes that the hand-out compares."""

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict
from app.translation import _


class TooManyAudiences(Conflict):
    code = "too-many-audiences"
    sentence = _("A project has at most 31 audiences.")


SETTLE = text("""
    UPDATE memberships m SET lanes = said.lanes
    FROM (
        SELECT p.id, ARRAY[0] || ARRAY(
            SELECT CAST(a.number AS integer) FROM audiences a
            WHERE a.project_id = p.project_id AND a.retired_at IS NULL AND NOT p.user_id = ANY(a.without)
              AND (p.user_id = ANY(a.people)
                   OR ((a.people = '{}' OR a.cohorts <> '{}' OR a.skills <> '{}')
                       AND (a.cohorts = '{}' OR p.cohort = ANY(a.cohorts)) AND p.skills @> a.skills))
            ORDER BY a.number
        ) AS lanes
        FROM memberships p WHERE p.project_id = :project AND (CAST(:member AS bigint) IS NULL OR p.id = :member)
        ORDER BY p.id
        FOR NO KEY UPDATE OF p
    ) said
    WHERE m.id = said.id AND m.lanes IS DISTINCT FROM CAST(said.lanes AS smallint[])
""").bindparams(bindparam("project", type_=BigInteger), bindparam("member", type_=BigInteger))


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
