"""REST: answer a task, change an answer; and everybody's answers for those who may read them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import (
    Saved,
    ask_again,
    edit,
    judge_anew,
    judge_turn,
    return_answer,
    send_message,
    set_aside,
    submit,
    withdraw,
)
from app.annotations.conversations import ShownConversation, conversation_shown
from app.annotations.forms import (
    EditedAnnotation,
    Message,
    NewAnnotation,
    Reason,
    RemarkForm,
    TaskKey,
    TurnJudgement,
)
from app.annotations.kinds import read_kept
from app.annotations.queries import about_raters, everybodys, streamed
from app.annotations.tables import Annotation, AnnotationState
from app.cursors import Cursor, Limit, page_of
from app.database import Session, snapshot
from app.projects.protocols import ProtocolBody
from app.tasks.actions.claiming import ConsentTakenBack
from app.tasks.tables import Purpose

router = APIRouter(tags=["annotations"])
Annotator = Annotated[Access, may(Permission.annotate)]
Reader = Annotated[Access, may(Permission.annotation_read)]
TurnNumber = Annotated[int, Path(ge=1, le=1000)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Manager = Annotated[Access, may(Permission.member_manage)]


class SavedView(BaseModel):
    """Your answer is kept. state `surplus`: the task had all its answers by then; yours is kept beside them."""

    id: UUID
    version: int
    state: AnnotationState
    saved_at: datetime


class AnnotationView(BaseModel):
    """One answer. rater: a pseudonym that means the same person throughout this project and nowhere else.

    Completions in the body are named by their ids. shown: these ids in the order of the rater's screen.
    fast: given quicker than the texts can be read. active_seconds: that the rater was at it, idle time left out, as
    their page measured; null where nothing did.
    """

    model_config = ConfigDict(extra="forbid")
    id: UUID
    task: UUID
    prompt: UUID
    purpose: Purpose
    rater: str | None
    kind: str
    body: dict[str, Any]
    shown: list[UUID]
    state: AnnotationState
    version: int
    protocol: int = Field(description="version of the protocol it was made under")
    guidelines: int | None
    fast: bool
    active_seconds: float | None
    shown_at: datetime | None
    submitted_at: datetime


class AboutRater(BaseModel):
    """What one person told about themselves, apart from what they answered. rater: the pseudonym of their answers.
    told: by the question's key; what they skipped is not there. form: version of the form they saw."""

    rater: str
    form: int
    told: dict[str, Any]
    saved_at: datetime


class AnnotationPage(BaseModel):
    annotations: list[AnnotationView]
    next: str | None


class ReplyView(BaseModel):
    """One answer under the name it has in this conversation."""

    handle: str = Field(description="names this answer in the judgement that you give")
    text: str


class TurnView(BaseModel):
    """One turn. answers: in the order drawn for you, once all of them are there. chosen: handle of the answer that went
    on; null while nothing is said about them, and where none was good."""

    number: int
    words: str
    wanted: int = Field(description="how many answers it shows")
    answers: list[ReplyView]
    is_judged: bool
    chosen: str | None


class ConversationView(BaseModel):
    """Your conversation about a task. state: `write`, send the message `number`; `waiting`, answers are on their way
    (ask again in a second); `choose`, judge the turn `number`; `stuck`, nobody asks for its answers any more before you
    do; `full`, it has all its turns. trouble: what is the matter, as a sentence. judged: send it as `turns` when you
    finish, which may be done from `least` on. asked: what is asked about the answers of the turn in `choose`."""

    state: str
    number: int
    judged: int
    least: int
    most: int
    trouble: str
    asked: ProtocolBody | None
    turns: list[TurnView]


def kept(saved: Saved) -> SavedView:
    return SavedView(id=saved.public_id, version=saved.version, state=saved.state, saved_at=saved.at)


@router.post("/tasks/{task}/annotations")
async def answer(task: UUID, form: NewAnnotation, access: Annotator, session: Session) -> SavedView:
    """Answer a task that was handed to you. Sending the same again gives the same response; another body under the
    same key is refused and the first one stays."""
    if access.has_withdrawn:
        raise ConsentTakenBack
    return kept(await submit(session, access.of_project(), access.person.id, task, form.key, form.body))


@router.get("/tasks/{task}/conversation")
async def conversation(task: UUID, access: Annotator, session: Session) -> ConversationView:
    """Your conversation about a task of that kind, as it stands."""
    shown = await conversation_shown(session, access.of_project(), access.person.id, task)
    return conversation_view(shown)


@router.post("/tasks/{task}/turns")
async def say(task: UUID, form: Message, access: Annotator, session: Session) -> ConversationView:
    """Send a message; its answers are written meanwhile. A conversation is finished as any task is answered."""
    who = (access.of_project(), access.person.id, task)
    await send_message(session, *who, form.key, form.number, form.words)
    return conversation_view(await conversation_shown(session, *who))


@router.post("/tasks/{task}/turns/{number}/judgement")
async def judge(
    task: UUID, number: TurnNumber, form: TurnJudgement, access: Annotator, session: Session
) -> ConversationView:
    """Say which answer of a turn is the best, or what each is worth. The conversation goes on with the best one."""
    who = (access.of_project(), access.person.id, task)
    await judge_turn(session, *who, form.key, number, form.body)
    return conversation_view(await conversation_shown(session, *who))


@router.post("/tasks/{task}/turns/{number}/again")
async def once_more(
    task: UUID, number: TurnNumber, form: TaskKey, access: Annotator, session: Session
) -> ConversationView:
    """Ask for the answers of a turn that have not come."""
    who = (access.of_project(), access.person.id, task)
    await ask_again(session, *who, form.key, number)
    return conversation_view(await conversation_shown(session, *who))


@router.post("/tasks/{task}/turns/{number}/anew")
async def choose_anew(
    task: UUID, number: TurnNumber, form: TaskKey, access: Annotator, session: Session
) -> ConversationView:
    """Take back your judgement of the last turn, before you send another message, and judge it again."""
    who = (access.of_project(), access.person.id, task)
    await judge_anew(session, *who, form.key, number)
    return conversation_view(await conversation_shown(session, *who))


def conversation_view(shown: ShownConversation) -> ConversationView:
    counted = ("state", "number", "judged", "least", "most", "trouble")
    turns = [
        TurnView(
            number=turn.number,
            words=turn.words,
            wanted=turn.wanted,
            answers=[ReplyView(handle=one.handle, text=one.blinded) for one in turn.answers],
            is_judged=turn.said != "",
            chosen=None if turn.chosen is None else turn.answers[turn.chosen].handle,
        )
        for turn in shown.turns
    ]
    asked = shown.block["protocol"] if shown.block else None
    return ConversationView(asked=asked, turns=turns, **{name: getattr(shown, name) for name in counted})


@router.put("/annotations/{annotation}")
async def change(annotation: UUID, form: EditedAnnotation, access: Annotator, session: Session) -> SavedView:
    """Replace your answer while the project allows it. `preferred` is one of the handles that the task was handed out
    with, also if the answer came late."""
    return kept(await edit(session, access.of_project(), access.person.id, annotation, form.version, form.body))


@router.delete("/annotations/{annotation}")
async def take_back(annotation: UUID, access: Annotator, session: Session) -> SavedView:
    """Take your answer back; somebody else is asked instead."""
    return kept(await withdraw(session, access.of_project(), access.person.id, annotation))


@router.post("/annotations/{annotation}/set-aside")
async def put_aside(annotation: UUID, form: Reason, access: Reviewer, session: Session) -> SavedView:
    """Take an answer out of what is concluded; it stays readable and somebody else is asked instead."""
    person = access.person.id
    return kept(await set_aside(session, access.of_project(), annotation, actor_id=person, reason=form.reason))


@router.post("/annotations/{annotation}/return")
async def give_back(annotation: UUID, form: RemarkForm, access: Reviewer, session: Session) -> SavedView:
    """Give an answer back to its author with a remark. It counts as before until they change it."""
    found = await return_answer(session, access.of_project(), annotation, reviewer_id=access.person.id, text=form.text)
    return SavedView(id=found.public_id, version=found.version, state=found.state, saved_at=found.submitted_at)


@router.get("/projects/{project}/annotations")
async def list_annotations(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> AnnotationPage:
    """The project's answers in the order they came, a page at a time."""
    page = await page_of(
        session, everybodys(access.of_project()), Annotation.id, cursor=cursor, limit=limit, newest_first=False
    )
    return AnnotationPage(annotations=[view(row) for row in page.rows], next=page.next)


@router.get("/projects/{project}/about-raters")
async def list_about_raters(project: UUID, access: Manager, session: Session) -> list[AboutRater]:
    """What people told about themselves, of those who did and have not deleted it: at most 10,000 rows."""
    rows = await about_raters(session, access.of_project())
    return [
        AboutRater(rater=rater, form=one.form_version, told=one.body.get("task", {}), saved_at=one.saved_at)
        for one, rater in rows
    ]


@router.get("/projects/{project}/annotations.jsonl", response_class=StreamingResponse)
async def stream_annotations(project: UUID, access: Reader) -> StreamingResponse:
    """All of the project's answers as they are at this moment, one JSON object a line (`AnnotationView`)."""
    return StreamingResponse(lines(access.of_project()), media_type="application/x-ndjson")


async def lines(project_id: int) -> AsyncIterator[bytes]:
    async with snapshot() as connection:
        async for row in streamed(connection, project_id):
            yield view(row).model_dump_json().encode() + b"\n"


def view(row: Any) -> AnnotationView:
    """A row of `everybodys`: completions are named by their ids instead of their numbers."""
    (_id, public_id, kind, body, state, version, sides, fast, active, shown_at, submitted_at, task) = row[:12]
    (purpose, prompt, _rendered, completions, rater, protocol, _protocol_id, guidelines, _care) = row[12:]
    return AnnotationView(
        id=public_id,
        task=task,
        prompt=prompt,
        purpose=purpose,
        rater=rater,
        kind=kind,
        body=read_kept(body).told([str(one) for one in completions or ()]),
        shown=[completions[number] for number in sides],
        state=state,
        version=version,
        protocol=protocol,
        guidelines=guidelines,
        fast=fast,
        active_seconds=active,
        shown_at=shown_at,
        submitted_at=submitted_at,
    )
