"""Pages: asking about the task on the screen, one's own questions, answering them, and rulings for everybody."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.accounts.tables import Letter
from app.annotations.conversations import turns_shown
from app.annotations.kinds import LETTERS
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import NotFound
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.quality.forms import AnswerForm, QuestionForm, RulingForm
from app.quality.inquiries import answer, ask, listed, my_inquiries, order_seen, publish, retire, rulings_of, with_asker
from app.quality.tables import Inquiry
from app.tasks.queries import shown_task
from app.translation import _

router = APIRouter(prefix="/projects/{project}")
Annotator = Annotated[Access, may(Permission.annotate)]
Own = Annotated[Access, may(Permission.annotation_own)]
Reader = Annotated[Access, may(Permission.project_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Answerer = Annotated[Access, may(Permission.question_answer)]
ROWS = 20


@router.post("/annotate/{task}/question")
async def ask_about(
    request: Request, task: UUID, form: Annotated[QuestionForm, Form()], access: Annotator, session: Session
) -> Response:
    """The page keeps its task; without scripts it is drawn anew."""
    await ask(session, access, task, form.words)
    if "HX-Request" in request.headers:
        return Response(status_code=204)
    return redirect(request, f"/projects/{access.project}/annotate", _("Asked. The answer comes to your inbox."))


@router.get("/questions/mine")
async def my_questions(request: Request, access: Own, session: Session) -> Response:
    """What I asked here, and what was answered, which is read by that."""
    project = await get_project(session, access.of_project())
    await mark_read(session, access.person.id, project_id=project.id, kind=Letter.answered)
    mine = await my_inquiries(session, access.person.id, project.id)
    return respond(request, "oversight/my_questions.html", None, project=project, mine=mine)


@router.get("/questions")
async def questions(
    request: Request, access: Answerer, session: Session, answered: bool = False, cursor: Cursor = None
) -> Response:
    """What people ask: what waits for an answer, or what was answered; leads see their own cohort."""
    project = await get_project(session, access.of_project())
    page = await page_of(session, listed(access, is_open=not answered), Inquiry.id, cursor=cursor, limit=ROWS)
    rows = [_told(access, row) for row in page.rows]
    return respond(
        request, "oversight/questions.html", "questions", project=project, rows=rows, next=page.next, answered=answered
    )


@router.get("/questions/{inquiry}")
async def show_question(request: Request, inquiry: UUID, access: Answerer, session: Session) -> Response:
    """One question with what its task shows; nothing of what anybody said about it."""
    project = await get_project(session, access.of_project())
    row = (await session.execute(with_asker(access).where(Inquiry.public_id == inquiry))).one_or_none()
    if row is None:
        raise NotFound
    told = _told(access, row)
    found = await shown_task(session, project.id, told["task"])
    order = await order_seen(session, told["asked"])
    if order is None:  # then no letters: they would be others than the asker's as often as not
        answers = [{"letter": "", "html": html} for html in found.htmls]
    else:
        answers = [{"letter": letter, "html": found.htmls[n]} for letter, n in zip(LETTERS, order, strict=False)]
    talk = await turns_shown(session, told["asked"].task_id, told["asked"].asker_id, told["asked"].at)
    page: dict[str, Any] = {"project": project, "found": found, "answers": answers, "is_order_kept": order is not None}
    page["talk"] = talk
    return respond(request, "oversight/question.html", None, **page, **told)


@router.post("/questions/{inquiry}")
async def answer_question(
    request: Request, inquiry: UUID, form: Annotated[AnswerForm, Form()], access: Answerer, session: Session
) -> Response:
    await answer(session, access, inquiry, form.answer)
    address = f"/projects/{access.project}/questions"
    return redirect(request, address, _("Answered. Who asked finds it in their inbox."))


@router.post("/questions/{inquiry}/ruling")
async def publish_ruling(
    request: Request, inquiry: UUID, form: Annotated[RulingForm, Form()], access: Reviewer, session: Session
) -> Response:
    await publish(session, access, inquiry, form.question, form.answer)
    said = _("Published: everybody finds it beside the guidelines.")
    return redirect(request, f"/projects/{access.project}/rulings", said)


@router.get("/rulings")
async def rulings(request: Request, access: Reader, session: Session) -> Response:
    """What was answered for everybody; inside the annotate page beside the guidelines."""
    project = await get_project(session, access.of_project())
    found = await rulings_of(session, project.id)
    is_page = "HX-Request" not in request.headers
    return respond(request, "oversight/rulings.html", "rulings", project=project, rulings=found, is_page=is_page)


@router.post("/rulings/{ruling}/retire")
async def retire_ruling(request: Request, ruling: UUID, access: Reviewer, session: Session) -> Response:
    await retire(session, access, ruling)
    return redirect(request, f"/projects/{access.project}/rulings", _("The ruling is shown no more."))


def _told(access: Access, row: Any) -> dict[str, Any]:
    """A row of `with_asker` as pages draw it: the asker's name for those who may see names."""
    asked, task, pseudonym, name, ruling = row
    names = access.may(Permission.member_read) or access.may(Permission.cohort_read)
    who = name if names else pseudonym
    return {"asked": asked, "task": task, "who": who, "ruling": ruling, "is_mine": asked.asker_id == access.person.id}
