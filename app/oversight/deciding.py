"""What may need a decision. A provider asks one question, reads an index and stops early: none counts all answers.
It is asked only for those who may do what it proposes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import wording
from app.accounts.access import Access
from app.accounts.permissions import Permission
from app.annotations.queries import count_to_check
from app.annotations.tables import Annotation
from app.datasets.tables import Dataset, DatasetState
from app.oversight.capacity import first_short
from app.oversight.counting import spent_in
from app.oversight.rules import hours_of_work
from app.oversight.waiting import open_contests
from app.projects.care import GOLD
from app.projects.tables import Batch, BatchState, Project, ProjectState
from app.prompts.tables import Import
from app.quality.inquiries import count_open
from app.quality.queries import figures_of
from app.quality.tables import ArguedAnswer
from app.tasks.actions.making import GATHERS
from app.tasks.tables import Report, Slot, Task, TaskState
from app.training.tables import Run, RunState
from app.translation import _, retold

MOST = 100  # rows of one kind that are counted; beyond it says "100 and more"
RECENT = timedelta(days=7)  # what failed longer ago was seen or does not matter
SHORT = 4.0  # hours of work that are little
PACE = 200  # newest answers that tell how fast people are
LONGEST_QUEUE = 5000  # free slots that are counted
NEARLY = 0.9  # of the budget


@dataclass(frozen=True)
class Decision:
    """kind: the provider's word, which scripts read. evidence: what it rests on, as a sentence. address: of the page
    on which it is decided."""

    kind: str
    title: str
    evidence: str
    action: str
    address: str


Provider = Callable[[AsyncSession, Access, Project], Awaitable[Decision | None]]


async def runs_failed(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """One of the last days after which none of the same method succeeded."""
    later = aliased(Run)
    better = select(later.id).where(later.project_id == Run.project_id, later.method == Run.method, later.id > Run.id)
    better = better.where(later.state == RunState.succeeded)
    failed = select(Run).where(Run.project_id == project.id, Run.state == RunState.failed, ~better.exists())
    run = await session.scalar(failed.where(Run.finished_at > func.now() - RECENT).order_by(Run.id.desc()).limit(1))
    if run is None:
        return None
    reason = retold(run.reason) if run.reason else _("no reason is known")
    evidence = _("“{name}” ended {when}: {reason}").format(
        name=run.name, when=wording.day(run.finished_at), reason=reason
    )
    return Decision("run_failed", _("A training run failed"), evidence, _("Look at the run"), f"/runs/{run.public_id}")


async def imports_failed(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """The newest import, where lines of it were refused or disagree with what is there."""
    asked = select(Import).where(Import.project_id == project.id, Import.created_at > func.now() - RECENT)
    found = await session.scalar(asked.order_by(Import.id.desc()).limit(1))
    bad = 0 if found is None else found.report.get("refused", 0) + found.report.get("conflicting", 0)
    if found is None or not bad:
        return None
    evidence = _("“{name}”: {count} lines did not come in").format(name=found.name, count=wording.number(bad))
    address = below(project, f"/imports/{found.public_id}")
    return Decision("import_failed", _("Lines of an import were refused"), evidence, _("Read its report"), address)


async def freezes_failed(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    failed = select(Dataset).where(Dataset.project_id == project.id, Dataset.created_at > func.now() - RECENT)
    found = await session.scalar(failed.order_by(Dataset.id.desc()).limit(1))
    if found is None or found.state is not DatasetState.failed:
        return None
    title, action = _("A dataset could not be frozen"), _("Look at the dataset")
    evidence = f"“{found.name}”: {retold(found.reason or '')}"
    return Decision("freeze_failed", title, evidence, action, f"/datasets/{found.public_id}")


async def queue_short(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Less than four hours of work at the pace of the newest answers, where somebody has worked since yesterday."""
    if project.state is not ProjectState.open:
        return None
    newest = select(Annotation.submitted_at).where(Annotation.project_id == project.id)
    some = newest.order_by(Annotation.id.desc()).limit(PACE).subquery()
    at = some.c.submitted_at
    spoken = select(func.count(), func.min(at), func.max(at), func.now()).where(at > func.now() - timedelta(days=1))
    answers, first, last, now = (await session.execute(spoken)).one()
    asks = select(Task.id).join(Batch, Batch.id == Task.batch_id).where(Task.id == Slot.task_id)
    asks = asks.where(Batch.state.in_([state for state in BatchState if state.asks]))
    usual = (Slot.lane >= 0) & (Slot.lane.bitwise_and(GOLD) == 0)  # what waits for room in a limit is work as well
    work = select(Slot.id).where(Slot.project_id == project.id, usual, asks.exists()).limit(LONGEST_QUEUE)
    # each by its own partial index: of both states at once every slot of every project would be read
    waits = [work.where(Slot.state == literal_column(state)).subquery() for state in ("0", "-1")]
    each = union_all(*(select(one.c.id) for one in waits)).limit(LONGEST_QUEUE)
    waiting = await session.scalar(select(func.count()).select_from(each.subquery()))
    hours = hours_of_work(waiting or 0, answers, first, last, now)
    if hours is None or hours >= SHORT or waiting == LONGEST_QUEUE:
        return None
    evidence = _("{count} answers are still wanted; at the pace of the last ones that lasts {hours} hours").format(
        count=wording.number(waiting or 0), hours=wording.number(hours, 1)
    )
    return Decision(
        "queue_short", _("Little work is queued"), evidence, _("Bring in more prompts"), below(project, "/prompts")
    )


async def questions_open(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    count, oldest = await count_open(session, access, MOST)
    if not count or oldest is None:
        return None
    title, action = _("People wait for answers"), _("Answer their questions")
    return Decision("questions_open", title, waits(count, oldest), action, below(project, "/questions"))


async def reports_open(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    few = select(Report.at).where(Report.project_id == project.id, Report.closed_at.is_(None))
    count, oldest = await few_of(session, few.order_by(Report.id))
    if oldest is None:
        return None
    title = _("Tasks are reported as harmful")
    return Decision("reports_open", title, waits(count, oldest), _("Look at the reports"), below(project, "/reports"))


async def returned_unanswered(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Answers that were given back more than a day ago, with nothing from their authors since."""
    given_back = Annotation.returned_at
    few = select(given_back).where(Annotation.project_id == project.id, given_back < func.now() - timedelta(days=1))
    count, oldest = await few_of(session, few.order_by(given_back))
    if oldest is None:
        return None
    title = _("Returned answers stay unanswered")
    return Decision(
        "returned_unanswered", title, waits(count, oldest), _("Look at the answers"), below(project, "/annotations")
    )


async def gold_doubted(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Argued tasks that those who are usually right answer otherwise: one of them to begin with."""
    argued = aliased(Task)
    doubted = (
        select(ArguedAnswer.doubted_at, argued.public_id)
        .join(argued, argued.id == func.coalesce(ArguedAnswer.twin_of, ArguedAnswer.task_id))
        .where(ArguedAnswer.project_id == project.id, ArguedAnswer.doubted_at.is_not(None))
    )
    rows = (await session.execute(doubted.order_by(ArguedAnswer.doubted_at).limit(MOST))).all()
    if not rows or rows[0][0] is None:
        return None
    title, action = _("Known answers are doubted"), _("Argue the first anew")
    return Decision("gold_doubted", title, waits(len(rows), rows[0][0]), action, below(project, f"/tasks/{rows[0][1]}"))


async def contests_wait(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    count = await open_contests(session, project.id)
    if not count:
        return None
    evidence = _("{count} of them wait").format(count=wording.number(count))
    title, action = _("People say that a known answer is wrong"), _("Decide")
    return Decision("contests_open", title, evidence, action, below(project, "/review/contests"))


async def prompts_to_check(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    count = await count_to_check(session, project.id, access.person.id)
    if not count:
        return None
    evidence = _("{count} of them wait").format(count=wording.number(count))
    return Decision(
        "prompts_to_check", _("Prompts that people wrote wait"), evidence, _("Check them"), below(project, "/checks")
    )


async def budget_nearly_spent(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Of a large project by what was spent when it was counted last."""
    spent = await spent_in(session, project.id) if project.budget else None
    if not project.budget or spent is None or spent < NEARLY * project.budget:
        return None
    evidence = _("{spent} of {budget} {currency} are spent").format(
        spent=wording.number(spent / 100, 2), budget=wording.number(project.budget / 100, 2), currency=project.currency
    )
    title, action = _("The budget is nearly spent"), _("Change the budget")
    return Decision("budget_nearly_spent", title, evidence, action, below(project, "/settings/hand-out"))


async def pilots_done(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """A pilot of which no task is open: its report waits for a reader, and the round for being opened."""
    any_task = select(Task.id).where(Task.batch_id == Batch.id, Task.purpose.in_(GATHERS))
    open_task = any_task.where(Task.state == TaskState.open)
    pilots = select(Batch).where(Batch.project_id == project.id, Batch.state == BatchState.pilot)
    batch = await session.scalar(pilots.where(any_task.exists(), ~open_task.exists()).order_by(Batch.id).limit(1))
    if batch is None:
        return None
    evidence = _("All tasks of “{name}” are answered").format(name=batch.name)
    title = _("A pilot waits for its report to be read")
    return Decision(
        "pilot_done", title, evidence, _("Read the pilot's report"), below(project, f"/rounds/{batch.public_id}")
    )


async def people_drift(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Whose share of right answers to known tasks fell, as the figures about people say that a job keeps."""
    figures = await figures_of(session, project.id, "people")
    people = figures.body["people"].values() if figures else ()
    fallen = sum(1 for one in people if (one.get("drift") or {}).get("fell"))
    if not fallen:
        return None
    evidence = _("Fewer right answers to known tasks than before: {count}").format(count=wording.number(fallen))
    title, action = _("People's judgement drifts"), _("Look at them")
    return Decision("people_drift", title, evidence, action, below(project, "/annotators?fell=true"))


async def due_date_fails(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """A round with a date by which people's quotas do not allow all its answers, however diligent they are."""
    short = await first_short(session, project)
    if short is None:
        return None
    evidence = _(
        "“{name}” is due {when}. Answers that quotas allow on one day: {count}; wanted: more than {left}"
    ).format(
        name=short.batch.name,
        when=wording.day(short.batch.due_at),
        count=wording.number(short.a_day),
        left=wording.number(short.allowed),
    )
    title, action = _("Quotas are too low for a due date"), _("Change the quotas")
    return Decision("due_date_fails", title, evidence, action, below(project, "/annotators/quotas"))


# ---- what they share ------------------------------------------------------------------------------------------------


def below(project: Project, path: str) -> str:
    return f"/projects/{project.public_id}{path}"


async def few_of(session: AsyncSession, asked: Select[Any]) -> tuple[int, datetime | None]:
    """How many there are, up to MOST, and since when the first of them. asked: for moments."""
    some = asked.limit(MOST).subquery()
    count, oldest = (await session.execute(select(func.count(), func.min(some.c[0])))).one()
    return count, oldest


def waits(count: int, since: datetime) -> str:
    many = _("{count} and more").format(count=wording.number(MOST)) if count >= MOST else wording.number(count)
    return _("Waiting: {count}, the oldest since {when}").format(count=many, when=wording.day(since))


P = Permission
PROVIDERS: Sequence[tuple[Permission, Provider]] = (
    (P.run_edit, runs_failed),
    (P.prompt_edit, imports_failed),
    (P.dataset_edit, freezes_failed),
    (P.prompt_edit, queue_short),
    (P.annotation_review, reports_open),
    (P.question_answer, questions_open),
    (P.project_edit, pilots_done),
    (P.member_manage, due_date_fails),
    (P.pay_edit, budget_nearly_spent),
    (P.member_read, people_drift),
    (P.annotation_review, gold_doubted),
    (P.annotation_review, contests_wait),
    (P.annotation_review, returned_unanswered),
    (P.annotation_review, prompts_to_check),
)
