"""REST: settle tasks, decide what is contested, argue many tasks, and what newcomers answer first."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.kinds import Body, read_kept, to_keep
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.errors import NotFound
from app.projects.protocols import protocol_of
from app.projects.queries import get_project, protocol_of_kind
from app.quality.adjudicating import accept_answer, adjudicate, adjudications, open_again
from app.quality.contesting import close_contest, contests
from app.quality.entering import EntranceForm, let_in, set_entrance
from app.quality.forms import AcceptedBy, Decision, MaybeWords
from app.quality.knowing import ManyArguments, argue_many
from app.quality.tables import Adjudication, Contest
from app.tasks.queries import public_ids_of, shown_task, texts_of

router = APIRouter(tags=["quality"])
Reader = Annotated[Access, may(Permission.annotation_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Editor = Annotated[Access, may(Permission.project_edit)]
Manager = Annotated[Access, may(Permission.member_manage)]


class SettledView(BaseModel):
    """What a reviewer settled about a task. body: as an answer's, completions named by their ids. annotation: that was
    accepted as it stands; null: it is the reviewer's own."""

    task: UUID
    annotation: UUID | None
    body: dict[str, Any]
    remark: str
    at: datetime


class SettledPage(BaseModel):
    rows: list[SettledView]
    next: str | None


class OwnAnswer(BaseModel):
    """body: as an answer's, with the ids of completions in the place of handles."""

    model_config = ConfigDict(extra="forbid")
    body: Body
    remark: MaybeWords = ""


class ContestView(BaseModel):
    """accepted: null while it is open. rater: a pseudonym."""

    id: UUID
    annotation: UUID
    task: UUID
    rater: str | None
    words: str
    at: datetime
    accepted: bool | None
    reply: str
    closed_at: datetime | None


class ContestPage(BaseModel):
    rows: list[ContestView]
    next: str | None


class Argued(BaseModel):
    tasks: int


class LetIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rater: str = Field(max_length=100, description="a pseudonym")


@router.get("/projects/{project}/adjudications")
async def list_settled(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> SettledPage:
    """What reviewers settled, by task, the newest task first. What people said is in the project's annotations."""
    asked = adjudications(access.of_project())
    page = await page_of(session, asked, Adjudication.task_id, cursor=cursor, limit=limit)
    return SettledPage(rows=[_settled(*row) for row in page.rows], next=page.next)


@router.put("/tasks/{task}/adjudication")
async def put_settled(task: UUID, form: OwnAnswer, access: Reviewer, session: Session) -> SettledView:
    """Settle a task by an answer of your own; what people said stays."""
    found = await shown_task(session, access.of_project(), task)
    newest = await protocol_of_kind(session, access.of_project(), found.task.kind)
    if newest is None:
        raise NotFound
    protocol = protocol_of(newest.body).of_prompt(found.tags)
    ids = [str(one) for one in await public_ids_of(session, found.task.id)]
    texts = await texts_of(session, found.ids) if protocol.needs_texts else ()
    body = to_keep(form.body, protocol, {one: number for number, one in enumerate(ids)}, texts)
    kept = await adjudicate(session, found.task, newest.id, body, access.person.id, remark=form.remark)
    return _settled(kept, found.task.public_id, None, ids)


@router.delete("/tasks/{task}/adjudication", status_code=204)
async def delete_settled(task: UUID, access: Reviewer, session: Session) -> None:
    """Nothing is settled about it any more."""
    await open_again(session, (await shown_task(session, access.of_project(), task)).task, access.person.id)


@router.post("/annotations/{annotation}/accept")
async def accept(annotation: UUID, form: AcceptedBy, access: Reviewer, session: Session) -> SettledView:
    """Settle a task by this answer as it stands."""
    kept = await accept_answer(session, access.of_project(), annotation, access.person.id, **form.model_dump())
    asked = adjudications(access.of_project()).where(Adjudication.task_id == kept.task_id)
    return _settled(*(await session.execute(asked)).one())


def _settled(kept: Adjudication, task: UUID, annotation: UUID | None, ids: list[Any] | None) -> SettledView:
    body = read_kept(kept.body).told([str(one) for one in ids or ()])
    return SettledView(task=task, annotation=annotation, body=body, remark=kept.remark, at=kept.at)


@router.get("/projects/{project}/contests")
async def list_contests(
    project: UUID,
    access: Reviewer,
    session: Session,
    state: Annotated[str, Query(pattern="^(open|closed)$")] = "open",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ContestPage:
    """What people say against argued answers, the newest first."""
    asked = contests(access.of_project(), is_open=state == "open")
    page = await page_of(session, asked, Contest.id, cursor=cursor, limit=limit)
    return ContestPage(rows=[_contest(*row) for row in page.rows], next=page.next)


def _contest(held: Contest, said: Any, _body: Any, _argued: Any, task: UUID, rater: str | None) -> ContestView:
    return ContestView(
        id=held.public_id,
        annotation=said.public_id,
        task=task,
        rater=rater,
        words=held.words,
        at=held.at,
        accepted=held.is_accepted,
        reply=held.reply,
        closed_at=held.closed_at,
    )


@router.post("/projects/{project}/contests/{contest}", status_code=204)
async def decide(project: UUID, contest: UUID, form: Decision, access: Reviewer, session: Session) -> None:
    """Accept the contested answer as well, or uphold what is argued. Its author is told."""
    me = access.person.id
    await close_contest(session, access.of_project(), contest, me, accepts=form.accepts, reply=form.reply)


@router.post("/projects/{project}/known-answers")
async def argue_all(project: UUID, form: ManyArguments, access: Reviewer, session: Session) -> Argued:
    """Argue many tasks at once, in the same words: those that a reviewer settled, or that all answered alike."""
    found = await get_project(session, access.of_project())
    return Argued(tasks=await argue_many(session, found, form, access.person.id))


@router.get("/projects/{project}/entrance")
async def show_entrance(project: UUID, access: Reviewer, session: Session) -> EntranceForm | None:
    """What newcomers answer first; null: nothing."""
    asked = (await get_project(session, access.of_project())).entrance
    return None if asked is None else EntranceForm.model_validate(asked)


@router.put("/projects/{project}/entrance")
async def put_entrance(project: UUID, form: EntranceForm, access: Editor, session: Session) -> EntranceForm:
    """Whoever joins from now on answers tasks with a known answer first, and gets the usual ones when enough are
    right."""
    await set_entrance(session, await get_project(session, access.of_project()), form, access.person.id)
    return form


@router.delete("/projects/{project}/entrance", status_code=204)
async def delete_entrance(project: UUID, access: Editor, session: Session) -> None:
    """Newcomers get the usual tasks at once."""
    await set_entrance(session, await get_project(session, access.of_project()), None, access.person.id)


@router.post("/projects/{project}/entrance/let-in", status_code=204)
async def post_let_in(project: UUID, form: LetIn, access: Manager, session: Session) -> None:
    """Somebody gets the usual tasks, whatever they answered."""
    await let_in(session, access.of_project(), form.rater, access.person.id)
