"""My answers with every version of them and what was said about them; and how to find one again."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.annotations.actions import answer_back, withdraw
from app.annotations.asking import words_of_page
from app.annotations.conversations import shown_conversation
from app.annotations.forms import RemarkForm, Search
from app.annotations.history import kinds_of, searched, talk_about
from app.annotations.kinds import in_words, read_kept
from app.annotations.kinds.marked import marked_in
from app.annotations.queries import MyAnswer, mine, my_answer, my_answers, versions_of
from app.annotations.tables import Annotation
from app.cursors import page_of
from app.database import Session
from app.pages import redirect, respond
from app.projects.protocols import wording
from app.projects.queries import get_project
from app.quality.contesting import contest_about
from app.quality.queries import lesson_of
from app.translation import _

router = APIRouter()
Own = Annotated[Access, may(Permission.annotation_own)]
ROWS = 25


@router.get("/projects/{project}/answers")
async def my_history(request: Request, access: Own, session: Session, search: Annotated[Search, Query()]) -> Response:
    """My own answers, newest first: all, or those that are looked for."""
    project = await get_project(session, access.of_project())
    asked = searched(my_answers(project.id, access.person.id), search, access.person.zone)
    page = await page_of(session, asked, Annotation.id, cursor=search.cursor, limit=ROWS)
    looked_for = search.model_dump(mode="json", exclude={"cursor"}, exclude_defaults=True)
    return respond(
        request,
        "annotations/mine.html",
        "answers",
        project=project,
        answers=[await mine(session, *row) for row in page.rows],
        search=search,
        kinds=[(kind, wording.kind_name(kind)) for kind in await kinds_of(session, project.id, access.person.id)],
        next=urlencode(looked_for | {"cursor": page.next}) if page.next else None,
    )


@router.get("/projects/{project}/answers/{annotation}")
async def one_of_mine(request: Request, annotation: UUID, access: Own, session: Session) -> Response:
    """One answer of mine with all its versions and what was said about it, which is read by that."""
    project = await get_project(session, access.of_project())
    answer = await my_answer(session, project.id, access.person.id, annotation)
    await mark_read(session, access.person.id, annotation)
    page = await shown_whole(session, answer)
    said = answer.annotation
    lesson = await lesson_of(session, said.id, project.public_id)
    contest = await contest_about(session, said.id)
    return respond(request, "annotations/one.html", None, project=project, lesson=lesson, contest=contest, **page)


async def shown_whole(session: Session, answer: MyAnswer) -> dict[str, Any]:
    """What templates/annotations/_answer.html draws."""
    versions = [
        (
            number,
            in_words(body, answer.annotation.sides, answer.protocol),
            read_kept(body).written(),
            body.get("justification", ""),
            at,
        )
        for number, body, at in await versions_of(session, answer.annotation)
    ]
    talk = None
    if answer.protocol.needs_turns:
        said, protocol = answer.annotation, answer.protocol
        talk = await shown_conversation(session, said.task_id, said.annotator_id, protocol, is_over=True)
    return words_of_page() | {
        "answer": answer,
        "versions": versions,
        "marked": marked_in(answer.annotation.body, answer.annotation.sides, answer.shown, answer.protocol),
        "written": read_kept(answer.annotation.body).written(),
        "talk": talk,
        "remarks": await talk_about(session, answer.annotation),
    }


@router.post("/projects/{project}/answers/{annotation}/remarks")
async def say(
    request: Request, annotation: UUID, form: Annotated[RemarkForm, Form()], access: Own, session: Session
) -> Response:
    """Ask something about an answer of mine, or say what I think of its being returned."""
    await answer_back(session, access.of_project(), access.person.id, annotation, form.text)
    return redirect(request, f"/projects/{access.project}/answers/{annotation}", _("Said."))


@router.post("/projects/{project}/answers/{annotation}/withdraw")
async def take_back(request: Request, annotation: UUID, access: Own, session: Session) -> Response:
    await withdraw(session, access.of_project(), access.person.id, annotation)
    return redirect(
        request, f"/projects/{access.project}/answers", _("Your answer is withdrawn; somebody else is asked.")
    )
