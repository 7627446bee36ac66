"""What answers earn: a line in the ledger with every answer of a project that has rates."""

from sqlalchemy import BigInteger, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.tables import Membership
from app.annotations.tables import LedgerLine
from app.errors import Invalid
from app.events import record
from app.projects.actions import locked
from app.projects.batching import Adjustment, RateForm
from app.projects.tables import Rate
from app.tasks.actions import release_slots
from app.tasks.limits import RUNS_OUT_FOR
from app.translation import _

# The rate that was in force when the task was shown; a minute's share is rounded half up. Where nothing measured how
# long the person was at it, the time that it was on their screen counts; the rate's cap bounds both. What comes after
# its showing was given back, or ran out so long ago that no money is kept for it any more, has a line of nothing.
PAY = text(f"""
    INSERT INTO ledger (project_id, annotator_id, annotation_id, rate_id, amount, remark)
    SELECT a.project_id, a.annotator_id, a.id, r.id, CASE WHEN l.is_over THEN 0 ELSE coalesce(
        r.an_answer,
        least(r.most, floor(r.a_minute * greatest(0, coalesce(
            a.active_seconds, extract(epoch FROM a.submitted_at - a.shown_at))) / 60.0 + 0.5)),
        0) END, CASE WHEN l.is_over THEN 'late' ELSE '' END
    FROM annotations a
    LEFT JOIN LATERAL (
        SELECT NOT x.ran_out OR x.at < now() - interval '{RUNS_OUT_FOR}' AS is_over
        FROM lapses x WHERE x.shown_key = a.idempotency_key AND x.annotator_id = a.annotator_id
    ) l ON true
    LEFT JOIN memberships m ON m.project_id = a.project_id AND m.user_id = a.annotator_id
    LEFT JOIN LATERAL (
        SELECT r.* FROM rates r
        WHERE r.project_id = a.project_id AND r.starts_at <= coalesce(a.shown_at, a.submitted_at)
          AND (r.annotator_id IS NULL OR r.annotator_id = a.annotator_id)
          AND (r.cohort IS NULL OR r.cohort = m.cohort) AND (r.kind IS NULL OR r.kind = a.kind)
        ORDER BY r.annotator_id IS NULL, r.cohort IS NULL, r.kind IS NULL, r.starts_at DESC, r.id DESC
        LIMIT 1
    ) r ON true
    WHERE a.id = :annotation
    ON CONFLICT (annotation_id) DO NOTHING
""").bindparams(  # noqa: S608  (our own words)
    bindparam("annotation", type_=BigInteger)
)


async def pay(session: AsyncSession, annotation_id: int) -> None:
    """Write down what this answer earns; once, however often it is asked."""
    await session.execute(PAY, {"annotation": annotation_id})


async def set_rate(session: AsyncSession, access: Access, form: RateForm) -> Rate:
    """What answers are worth from a moment on. It never changes what is paid for tasks that were shown before.

    :raises Invalid: it would begin in the past, or is for somebody who is not here.
    """
    project = await locked(session, access.of_project())
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()  # not before the lock was given
    if form.starts_at is not None and form.starts_at < now:
        raise Invalid(field="starts_at", reason=_("a rate cannot begin in the past"))
    person = None if form.rater is None else await _person(session, project.id, form.rater)
    plain = form.model_dump(include={"cohort", "kind", "an_answer", "a_minute", "most"})
    made = Rate(project_id=project.id, annotator_id=person, created_by_id=access.person.id, **plain)
    made.starts_at = form.starts_at or now
    project.pays = True
    session.add(made)
    await session.flush()
    await session.refresh(made)
    me, told = access.person.id, form.model_dump(mode="json")
    await record(session, "rate.set", actor_id=me, project_id=project.id, subject=made.public_id, rate=told)
    await release_slots(session, project.id)  # a dearer answer leaves room for fewer
    return made


async def adjust(session: AsyncSession, access: Access, form: Adjustment) -> LedgerLine:
    """Add a line to somebody's ledger: a bonus, or what was paid too much.

    :raises Invalid: it is for somebody who is not here.
    """
    project = await locked(session, access.of_project())
    person = await _person(session, project.id, form.rater)
    line = LedgerLine(project_id=project.id, annotator_id=person, amount=form.amount, remark=form.remark)
    line.by_id = access.person.id
    session.add(line)
    await session.flush()
    await session.refresh(line)
    me, told = access.person.id, form.model_dump(mode="json")
    await record(session, "ledger.adjusted", actor_id=me, project_id=project.id, subject=line.public_id, line=told)
    await release_slots(session, project.id)
    return line


async def _person(session: AsyncSession, project_id: int, rater: str) -> int:
    asked = select(Membership.user_id).where(Membership.project_id == project_id, Membership.pseudonym == rater)
    found = await session.scalar(asked)
    if found is None:
        raise Invalid(field="rater", reason=_("“{name}” is nobody's pseudonym here").format(name=rater))
    return found
