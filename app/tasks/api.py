"""REST: take the next task, pass one by; and for those who run a project: see tasks, want more or fewer answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.completions.blinding import blinded_parts
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.keys import key_for
from app.projects.forms import without_nul
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, ProtocolBody, RewriteProtocol
from app.tasks.actions import Showing, Waiting, cancel_tasks, change_k, claim, close_report, release, report, skip
from app.tasks.actions.claiming import ReadingNeeded, Reason
from app.tasks.queries import counted_tasks, guidelines_html, names_of, protocol_body, report_of, reports, task_id_of
from app.tasks.rules import handle_of
from app.tasks.tables import PassedBy, Purpose, Report, Task, TaskState, Verdict

router = APIRouter(tags=["tasks"])
Annotator = Annotated[Access, may(Permission.annotate)]
Reader = Annotated[Access, may(Permission.task_read)]
Editor = Annotated[Access, may(Permission.task_edit)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]


class AnswerShown(BaseModel):
    """One completion under the name it has in this task and for this person only."""

    handle: str = Field(description="names this completion in the answer that you give")
    text: str = Field(
        description="its text parts, joined by blank lines. Names by which it says who wrote it are covered, letter by "
        "letter, so that places in the text stay what they are; where the task is to rewrite it, it is whole"
    )
    parts: list[dict[str, Any]] = Field(description="its parts: [{type, text}], covered alike")


class Message(BaseModel):
    role: str
    text: str
    parts: list[dict[str, Any]]


class Guide(BaseModel):
    version: int
    html: str = Field(description="rendered and sanitised")


class Quota(BaseModel):
    """used: answers given today and the task being held."""

    used: int
    most: int


class NextTask(BaseModel):
    """A task that is now yours until the lease runs out. Send `key` back with the answer: it makes sending safe to
    repeat. Which checkpoint wrote an answer, what others said and why the task is asked are never part of this."""

    task: UUID
    key: UUID
    kind: str = Field(description="kind of the judgement that is asked for: of the protocol, and of the body to send")
    care: list[str] = Field(description="keys of what the prompt is sensitive for; you opted into all of them")
    prompt: list[Message]
    answers: list[AnswerShown] = Field(description="in the order drawn for you")
    protocol: ProtocolBody = Field(description="what is asked about this prompt: scale, ties, questions and so on")
    levels: int | None = Field(description="comparisons of two: strengths a preference can have, 1 … levels")
    guidelines: Guide | None
    shown_at: datetime
    draft: dict[str, Any] | None
    quota: Quota


class NothingWaits(BaseModel):
    """There is no task for you now, and why."""

    task: None = None
    reason: Reason
    sentence: str
    quota: Quota


class SkipForm(BaseModel):
    """key: the one that came with the task."""

    model_config = ConfigDict(extra="forbid")
    key: UUID
    reason: Annotated[str, Field(max_length=500), AfterValidator(without_nul)] | None = None
    why: Literal[PassedBy.skipped, PassedBy.not_known, PassedBy.not_this_one] = Field(
        default=PassedBy.skipped,
        description="`not_known`: I know too little about this. `not_this_one`: of a sensitive task, without a reason; "
        "it is counted nowhere",
    )


class NewReport(BaseModel):
    """key: the one that came with the task. category: a key of the project's, or none for something else."""

    model_config = ConfigDict(extra="forbid")
    key: UUID
    category: Annotated[str, Field(max_length=40), AfterValidator(without_nul)] | None = None
    words: Annotated[str, Field(max_length=2000), AfterValidator(without_nul)] = ""


class ReportView(BaseModel):
    """A report of harmful content. rater, closed_by: pseudonyms. verdict: empty while it is open."""

    id: UUID
    task: UUID
    prompt: UUID
    rater: str | None
    category: str | None
    words: str
    at: datetime
    verdict: Verdict | None
    closed_by: str | None
    closed_at: datetime | None


class ReportPage(BaseModel):
    rows: list[ReportView]
    next: str | None


class Decision(BaseModel):
    """categories: keys that the prompt gets, with the verdict `categorised`."""

    model_config = ConfigDict(extra="forbid")
    verdict: Verdict
    categories: list[Annotated[str, Field(max_length=40)]] = Field(default=[], max_length=9)


class TaskView(BaseModel):
    """A task as those see it who run the project. answers: slots that are done; free: that nobody holds."""

    id: UUID
    batch: UUID
    prompt: UUID
    kind: str
    purpose: Purpose
    state: TaskState
    k: int
    recipe_entry: dict[str, Any]
    answers: int
    free: int
    created_at: datetime


class TaskPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[TaskView]
    next: str | None


class WantedAnswers(BaseModel):
    model_config = ConfigDict(extra="forbid")
    k: int = Field(ge=1, le=50, description="different people who shall answer")


@router.post("/projects/{project}/tasks/next")
async def next_task(project: UUID, access: Annotator, session: Session) -> NextTask | NothingWaits:
    """The task you hold, or else the next one for you. Asking again before answering gives the same task. A
    conversation's protocol does not say who answers, nor how they are asked. Where a change of the rules is to be read
    first it is refused with 409 `reading-needed`, unless the token was made with `skips_reading`."""
    shown = await claim(session, access, with_texts=True)
    if isinstance(shown, Waiting):
        if shown.reason is Reason.reading:
            raise ReadingNeeded(version=shown.rules, project=project)
        quota = Quota(used=shown.used, most=shown.most)
        return NothingWaits(reason=shown.reason, sentence=shown.reason.sentence, quota=quota)
    return await handed_out(session, shown)


async def handed_out(session: Session, shown: Showing) -> NextTask:
    protocol = (await protocol_body(session, shown.protocol_id)).of_prompt(shown.tags)
    guidelines = None
    if shown.guidelines_id is not None:
        version, html = await guidelines_html(session, shown.guidelines_id)
        guidelines = Guide(version=version, html=html)
    secret = key_for("handles")
    answers = await answers_shown(session, shown, protocol)
    return NextTask(
        task=shown.task,
        key=shown.key,
        kind=shown.kind,
        care=[one.key for one in shown.care],
        prompt=[
            Message(role=one["role"], text=text_of(one["parts"]), parts=one["parts"]) for one in shown.messages or []
        ],
        answers=[
            AnswerShown(handle=handle_of(secret, shown.slot_id, one), text=text_of(parts), parts=parts)
            for one, parts in answers
        ],
        protocol=protocol.for_people(),
        levels=protocol.levels if isinstance(protocol, ComparisonProtocol) else None,
        guidelines=guidelines,
        shown_at=shown.shown_at,
        draft=shown.draft,
        quota=Quota(used=shown.used, most=shown.most),
    )


async def answers_shown(
    session: Session, shown: Showing, protocol: ProtocolBody
) -> list[tuple[int, list[dict[str, Any]]]]:
    """Parts of each completion (inside id), without names that say who wrote it; whoever edits one has it whole."""
    asked = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    if any(isinstance(part, RewriteProtocol) for part in asked):
        return [(one.id, one.parts or []) for one in shown.completions]
    names = await names_of(session, [one.id for one in shown.completions])
    return [(one.id, blinded_parts(one.parts or [], names[one.id])) for one in shown.completions]


def text_of(parts: list[dict[str, Any]]) -> str:
    return "\n\n".join(part["text"] for part in parts if part.get("type") == "text")


@router.post("/tasks/{task}/skip", status_code=204)
async def pass_by(task: UUID, form: SkipForm, access: Annotator, session: Session) -> None:
    """Leave this task to others; you are not shown it again."""
    await skip(session, access.of_project(), access.person.id, task, form.key, form.reason, form.why)


@router.post("/tasks/{task}/report", status_code=204)
async def report_harm(task: UUID, form: NewReport, access: Annotator, session: Session) -> None:
    """Say that this task is harmful: you are not shown it again, and others only when somebody has looked at it."""
    me = access.person.id
    await report(session, access.of_project(), me, task, form.key, category=form.category, words=form.words)


@router.get("/projects/{project}/reports")
async def list_reports(
    project: UUID, access: Reviewer, session: Session, closed: bool = False, cursor: Cursor = None, limit: Limit = 50
) -> ReportPage:
    """Reports of harmful content, newest first: the open ones, or those that are closed."""
    asked = reports(access.of_project(), is_open=not closed)
    page = await page_of(session, asked, Report.id, cursor=cursor, limit=limit)
    return ReportPage(rows=[report_view(row) for row in page.rows], next=page.next)


@router.post("/reports/{report}/close")
async def decide(report: UUID, form: Decision, access: Reviewer, session: Session) -> ReportView:
    """Close a report: the task is harmless and asked again, its prompt becomes sensitive, or it is retired."""
    me = access.person.id
    await close_report(session, access.of_project(), report, form.verdict, me, categories=form.categories)
    return report_view(await report_of(session, access.of_project(), report))


def report_view(row: Any) -> ReportView:
    said, task, prompt, reporter, closer = row
    plain = {name: getattr(said, name) for name in ("category", "words", "at", "verdict", "closed_at")}
    return ReportView(id=said.public_id, task=task, prompt=prompt.public_id, rater=reporter, closed_by=closer, **plain)


@router.post("/tasks/{task}/release", status_code=204)
async def give_back(task: UUID, form: SkipForm, access: Annotator, session: Session) -> None:
    """Give this task back; you may be shown it again."""
    await release(session, access.of_project(), access.person.id, task, form.key)


@router.get("/projects/{project}/tasks")
async def list_tasks(
    project: UUID,
    access: Reader,
    session: Session,
    state: TaskState | None = None,
    purpose: Purpose | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> TaskPage:
    """The project's tasks, newest first."""
    page = await page_of(
        session, counted_tasks(access.of_project(), state, purpose), Task.id, cursor=cursor, limit=limit
    )
    return TaskPage(rows=[view(*row) for row in page.rows], next=page.next)


def view(task: Task, batch: UUID, prompt: UUID, answers: int, free: int) -> TaskView:
    shown = {name: getattr(task, name) for name in ("kind", "purpose", "state", "k", "recipe_entry", "created_at")}
    return TaskView(id=task.public_id, batch=batch, prompt=prompt, answers=answers, free=free, **shown)


@router.put("/tasks/{task}/k", status_code=204)
async def want_answers(task: UUID, form: WantedAnswers, access: Editor, session: Session) -> None:
    """Want this many answers. Those that are given or being given stay, also when they are more."""
    task_id = await task_id_of(session, access.of_project(), task)
    await change_k(session, access.of_project(), task_id, form.k, actor_id=access.person.id)


@router.post("/tasks/{task}/cancel", status_code=204)
async def cancel(task: UUID, access: Editor, session: Session) -> None:
    """Ask nobody else; whoever holds the task may finish it."""
    task_id = await task_id_of(session, access.of_project(), task)
    await cancel_tasks(session, access.of_project(), [task_id], actor_id=access.person.id)
