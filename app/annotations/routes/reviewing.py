"""Everybody's answers, under pseudonyms, for those who may read them; and what reviewers do about one."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Select

from app.accounts.access import Access, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.annotations.actions import reply, return_answer, set_aside
from app.annotations.forms import Reason, RemarkForm
from app.annotations.history import narrowed
from app.annotations.kinds import in_words, read_kept
from app.annotations.queries import everybodys, one_answer, pseudonym_of
from app.annotations.routes.answers import ROWS, shown_whole
from app.annotations.tables import Annotation
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.projects.care import categories_of, members_of
from app.projects.queries import get_project
from app.tasks.queries import protocol_body
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.annotation_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]


class Only(BaseModel):
    """Which answers a list shows; empty: all. Its address is a link that others can follow."""

    rater: str | None = Field(default=None, max_length=100)
    protocol: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    guidelines: int | None = Field(default=None, ge=1, le=1_000_000)
    tag: str | None = Field(default=None, max_length=100)
    batch: UUID | None = None
    cursor: Cursor = None

    @property
    def asked(self) -> dict[str, Any]:
        return self.model_dump(exclude={"cursor"}, exclude_none=True)

    def of(self, answers: Select[Any]) -> Select[Any]:
        versions = {"protocol": self.protocol, "guidelines": self.guidelines}
        return narrowed(answers, rater=self.rater, tag=self.tag, batch=self.batch, **versions)


@router.get("/projects/{project}/annotations")
async def everybodys_answers(
    request: Request, access: Reader, session: Session, only: Annotated[Only, Query()]
) -> Response:
    """What everybody said, newest first, under pseudonyms; of a person, protocol version, tag or round where asked."""
    project = await get_project(session, access.of_project())
    page = await page_of(session, only.of(everybodys(project.id)), Annotation.id, cursor=only.cursor, limit=ROWS)
    categories = categories_of(project.care)
    answers = [
        {
            "id": row[1],
            "words": in_words(row[3], row[6], await protocol_body(session, row[18])),
            "justification": row[3].get("justification", ""),
            "written": read_kept(row[3]).written(),
            "state": row[4],
            "version": row[5],
            "fast": row[7],
            "active_seconds": row[8],
            "submitted_at": row[10],
            "purpose": row[12],
            "rendered": row[14],
            "rater": row[16],
            "care": members_of(row[20], categories),
        }
        for row in page.rows
    ]
    return respond(
        request, "annotations/everybodys.html", "answers", project=project, answers=answers, next=page.next, only=only
    )


@router.post("/projects/{project}/annotations/{annotation}/set-aside")
async def put_aside(
    request: Request, annotation: UUID, form: Annotated[Reason, Form()], access: Reviewer, session: Session
) -> Response:
    await set_aside(session, access.of_project(), annotation, actor_id=access.person.id, reason=form.reason)
    return redirect(request, f"/projects/{access.project}/annotations", _("Set aside; somebody else is asked."))


@router.get("/projects/{project}/annotations/{annotation}")
async def one_of_all(request: Request, annotation: UUID, access: Reader, session: Session) -> Response:
    """Somebody's answer with all its versions and what was said about it, which is read by that."""
    project = await get_project(session, access.of_project())
    answer = await one_answer(session, project.id, annotation)
    await mark_read(session, access.person.id, annotation)
    page = await shown_whole(session, answer)
    rater = await pseudonym_of(session, project.id, answer.annotation.annotator_id)
    return respond(request, "annotations/review.html", None, project=project, rater=rater, **page)


@router.post("/projects/{project}/annotations/{annotation}/return")
async def give_back(
    request: Request,
    annotation: UUID,
    form: Annotated[RemarkForm, Form()],
    access: Reviewer,
    session: Session,
    task: UUID | None = None,
    queue: Annotated[str, Query(pattern="^[a-z]*$")] = "",
) -> Response:
    """Return an answer with a remark. task: whose page the reviewer is on; queue: that they go through."""
    await return_answer(session, access.of_project(), annotation, reviewer_id=access.person.id, text=form.text)
    base = f"/projects/{access.project}"
    address = f"{base}/tasks/{task}" if task else f"{base}/annotations/{annotation}"
    if task and queue:
        address = f"{base}/review/next?queue={queue}&after={task}"
    return redirect(request, address, _("Returned. Its author finds it in their inbox."))


@router.post("/projects/{project}/annotations/{annotation}/remarks")
async def say_to_author(
    request: Request, annotation: UUID, form: Annotated[RemarkForm, Form()], access: Reviewer, session: Session
) -> Response:
    await reply(session, access.of_project(), annotation, reviewer_id=access.person.id, text=form.text)
    return redirect(request, f"/projects/{access.project}/annotations/{annotation}", _("Said."))
