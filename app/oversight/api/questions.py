"""REST: questions about tasks, the answers to them, and rulings."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.quality.forms import AnswerForm, QuestionForm, RulingForm
from app.quality.inquiries import answer, ask, listed, publish, retire, rulings_of
from app.quality.tables import Inquiry, Ruling

router = APIRouter(tags=["questions"])
Annotator = Annotated[Access, may(Permission.annotate)]
Reader = Annotated[Access, may(Permission.project_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Answerer = Annotated[Access, may(Permission.question_answer)]


class QuestionView(BaseModel):
    """A question about a task. rater: the pseudonym of who asked."""

    id: UUID
    task: UUID
    rater: str | None
    words: str
    asked_at: datetime
    answer: str | None
    answered_at: datetime | None
    ruling: UUID | None


class QuestionPage(BaseModel):
    questions: list[QuestionView]
    next: str | None


class Kept(BaseModel):
    """id: of the question or ruling that is kept."""

    id: UUID


class RulingView(BaseModel):
    """An answer that holds for everybody. task: the one it was made about."""

    id: UUID
    task: UUID
    question: str
    answer: str
    at: datetime


def view(row: tuple[Inquiry, UUID, str | None, str, Ruling | None]) -> QuestionView:
    asked, task, rater, _name, ruling = row
    return QuestionView(
        id=asked.public_id,
        task=task,
        rater=rater,
        words=asked.words,
        asked_at=asked.at,
        answer=asked.answer,
        answered_at=asked.answered_at,
        ruling=ruling.public_id if ruling is not None and ruling.retired_at is None else None,
    )


@router.post("/tasks/{task}/question", status_code=201)
async def ask_about(task: UUID, form: QuestionForm, access: Annotator, session: Session) -> Kept:
    """Ask about a task that was shown to you; you can answer or skip it meanwhile."""
    return Kept(id=(await ask(session, access, task, form.words)).public_id)


@router.get("/projects/{project}/questions")
async def list_questions(
    project: UUID,
    access: Answerer,
    session: Session,
    *,
    answered: Annotated[bool, Query(description="those that are answered, in place of those that wait")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> QuestionPage:
    """What people ask, newest first; leads see their own cohort."""
    page = await page_of(session, listed(access, is_open=not answered), Inquiry.id, cursor=cursor, limit=limit)
    return QuestionPage(questions=[view(tuple(row)) for row in page.rows], next=page.next)


@router.post("/projects/{project}/questions/{inquiry}/answer")
async def answer_question(project: UUID, inquiry: UUID, form: AnswerForm, access: Answerer, session: Session) -> Kept:
    """Answer a question; who asked finds it in their inbox."""
    return Kept(id=(await answer(session, access, inquiry, form.answer)).public_id)


@router.post("/projects/{project}/questions/{inquiry}/ruling", status_code=201)
async def publish_ruling(project: UUID, inquiry: UUID, form: RulingForm, access: Reviewer, session: Session) -> Kept:
    """Publish an answer beside the guidelines, for everybody."""
    return Kept(id=(await publish(session, access, inquiry, form.question, form.answer)).public_id)


@router.get("/projects/{project}/rulings")
async def list_rulings(project: UUID, access: Reader, session: Session) -> list[RulingView]:
    """What is published beside the guidelines, newest first."""
    return [
        RulingView(
            id=one.ruling.public_id,
            task=one.task,
            question=one.ruling.question,
            answer=one.ruling.markdown,
            at=one.ruling.at,
        )
        for one in await rulings_of(session, access.of_project())
    ]


@router.delete("/projects/{project}/rulings/{ruling}", status_code=204)
async def retire_ruling(project: UUID, ruling: UUID, access: Reviewer, session: Session) -> None:
    """A ruling is shown no more."""
    await retire(session, access, ruling)
