"""What stands on the annotate page: a task, an answer to be changed, or why nothing waits; and how it is sent."""

import logging
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import wording
from app.accounts.access import Access
from app.annotations.actions import AlreadyAnswered, EditedMeanwhile, KeyUsed, Saved
from app.annotations.asking import Screen, asking
from app.annotations.conversations import shown_conversation
from app.annotations.emptiness import Cause, Why, why_nothing
from app.annotations.forms import PostedForm
from app.annotations.kinds import OnScreen, fields_from, in_words
from app.annotations.queries import MyAnswer, my_answer, my_answer_to, on_screen
from app.annotations.routes.stencils import PAGE, filled_task, is_like_most
from app.annotations.tables import AnnotationState
from app.errors import DomainError
from app.pages import part, respond, wants_part
from app.projects.care import categories_of, members_of, offered
from app.projects.queries import get_project, guidelines_shown, newest_consent, newest_guidelines
from app.quality.entering import Standing, standing_of
from app.quality.queries import lesson_of
from app.shortcuts import helped, own_keys
from app.tasks.actions import Reason, Showing, Waiting, claim
from app.tasks.actions.claiming import is_newcomer
from app.tasks.queries import Narrowed, guidelines_html, protocol_asked
from app.translation import _

log = logging.getLogger("hone.annotate")
NOTHING_SAID = (
    *("saved", "guidelines", "refusal", "offer", "no_way_back", "has_news"),
    *("remark", "reading", "talk", "care", "used_up", "source", "today", "entrance"),
)


async def next_screen(
    session: AsyncSession, access: Access, *, may_ask_for_more: bool = True, said: dict[str, list[str]] | None = None
) -> Screen:
    """The task this person holds, or the next one, or why there is none. said: instead of what their draft says."""
    if access.has_withdrawn:
        return {"mode": "waiting", "why": Why(Cause.withdrawn), "given": 0, "most": 0}
    if access.lacks_consent:
        text = await newest_consent(session, access.of_project())
        return {"mode": "waiting", "why": Why(Cause.consent), "consent": text, "given": 0, "most": 0}
    shown = await claim(session, access, may_ask_for_more=may_ask_for_more)
    if isinstance(shown, Waiting) and shown.reason is Reason.reading:
        newest = await newest_guidelines(session, access.of_project())
        reading = await guidelines_shown(session, access, newest.version, newest.html)
        return {"mode": "waiting", "why": Why(Cause.reading), "reading": reading} | of_today(shown.used, shown.most)
    if isinstance(shown, Waiting):
        why = await why_nothing(session, access, shown)
        figures = of_today(shown.used, shown.most) if shown.most else {"most": 0}
        return {
            "mode": "waiting",
            "why": why,
            "used_up": shown.used_up,
            "entrance": await entrance(session, access),
        } | figures
    return await task_screen(session, access, shown, fields_from(shown.draft) if said is None else said)


async def entrance(session: AsyncSession, access: Access) -> Standing | None:
    """How somebody stands who has not been let in yet."""
    if not is_newcomer(access):
        return None
    return await standing_of(session, await get_project(session, access.of_project()), access.person.id)


async def task_screen(session: AsyncSession, access: Access, shown: Showing, said: dict[str, list[str]]) -> Screen:
    asked = await protocol_asked(session, shown.protocol_id, shown.tags)
    protocol = asked.protocol
    completions = {one.number: (one.id, one.html, one.cut_off) for one in shown.completions}
    in_order = [completions[number] for number in sorted(completions)]
    answers = await on_screen(session, protocol, shown.slot_id, shown.sides, in_order)
    talk = None
    if protocol.needs_turns:
        talk = await shown_conversation(session, shown.task_id, access.person.id, protocol)
    address = f"/projects/{access.project}/annotate/{shown.task}"
    is_plain = not (said or protocol.needs_texts or protocol.needs_turns or shown.care)
    question = {"asked": asked, "answers": answers} if is_plain else in_full(access, asked, answers, said)
    return (
        question
        | {
            "mode": "task",
            "talk": talk,
            "address": address,
            "source": f"{address}/source",
            "key": shown.key,
            "turns": list(zip(shown.roles, shown.rendered, strict=True)),
            "rev": shown.draft_rev,
            "guidelines_id": shown.guidelines_id,
            "care": shown.care,
        }
        | of_today(shown.used - 1, shown.most)
    )


def in_full(access: Access, asked: Narrowed, answers: list[OnScreen], said: dict[str, list[str]]) -> Screen:
    return asking(asked.protocol, answers, said, access.person.preferences)


def of_today(given: int, most: int) -> Screen:
    words = _("%(given)s of %(most)s today") % {"given": wording.number(given), "most": wording.number(most)}
    return {"given": given, "most": most, "today": words}


async def editing(session: AsyncSession, access: Access, mine: MyAnswer) -> Screen:
    """An answer of one's own, whole, as a form that changes it, with what was typed there and not sent. other: the same
    of a version that the answer has left behind."""
    said, draft = mine.annotation, mine.draft
    is_of_now = draft is not None and draft.version == said.version
    typed = fields_from(draft.body) if draft is not None and is_of_now else mine.said
    talk = None
    if mine.protocol.needs_turns:
        talk = await shown_conversation(session, said.task_id, said.annotator_id, mine.protocol, is_over=True)
    asked = mine.protocol.of_prompt(mine.tags)
    return asking(asked, mine.shown, typed, access.person.preferences) | {
        "talk": talk,
        "rev": draft.rev if draft is not None and is_of_now else 0,
        "other": {"rev": draft.rev, "body": draft.body} if draft is not None and not is_of_now else None,
        "mode": "edit" if mine.is_open else "past",
        "address": f"/projects/{access.project}/annotate/answers/{said.public_id}",
        "source": f"/projects/{access.project}/annotate/{mine.task}/source",
        "annotation": said.public_id,
        "version": said.version,
        "turns": mine.turns,
        "words": mine.words,
        "submitted_at": said.submitted_at,
        "guidelines_id": said.guidelines_id,
        "care": members_of(mine.care, categories_of(mine.categories)),
    }


async def whole_page(request: Request, session: AsyncSession, access: Access, screen: Screen) -> Response:
    """The page with its navigation and the guidelines that the task is answered under."""
    project = await get_project(session, access.of_project())
    guidelines = await guidelines_shown(session, access, *await _guidelines(session, access, screen))
    page = {"project": project, "guidelines": guidelines, "has_news": guidelines["is_new"]}
    page["entrance"] = await entrance(session, access)
    page["categories"] = [(one.key, one.name) for one in offered(categories_of(project.care))]
    if "asked" in screen:
        screen = screen | in_full(access, screen["asked"], screen["answers"], {})
    return respond(request, PAGE, None, **(blank(access) | page | screen))


async def fragment(request: Request, session: AsyncSession, access: Access, screen: Screen, seen: int) -> Response:
    """Only the task; with the guidelines when the page has others. A browser without htmx gets the whole page."""
    if not wants_part(request):
        return await whole_page(request, session, access, screen)
    version, html = await _guidelines(session, access, screen)
    guidelines = None if version == seen else await guidelines_shown(session, access, version, html)
    has_news = bool(html) and (access.guidelines_read or 0) < version
    screen = blank(access) | {"guidelines": guidelines, "has_news": has_news} | screen
    if is_like_most(screen):
        return part(filled_task(access, screen))
    if "asked" in screen:
        screen |= in_full(access, screen["asked"], screen["answers"], {})
    return respond(request, PAGE, "task", **screen)


def blank(access: Access) -> Screen:
    """What a template may ask about any screen, and most screens say nothing about."""
    page = {"base": f"/projects/{access.project}", "person": access.person.public_id}
    return page | dict.fromkeys(NOTHING_SAID) | {"own_keys": own_keys(access.person.preferences), "helped": helped}


async def next_after(
    request: Request, session: AsyncSession, access: Access, kept: Saved | None, seen: int
) -> Response:
    """What was said is safe; show the next task. kept None: the last one was passed by."""
    saved = None
    if kept is not None:
        saved = {
            "at": clock(kept.at, access),
            "surplus": kept.state is AnnotationState.surplus,
            "version": kept.version,
        }
    try:
        lesson = await lesson_screen(session, access, kept) if kept is not None and kept.is_training else None
        screen = lesson or await next_screen(session, access)
    except Exception:
        log.exception("the claim after an answer failed; the answer is kept")
        await session.rollback()
        return respond(request, PAGE, "task", **(blank(access) | {"mode": "failed", "saved": saved}))
    return await fragment(request, session, access, screen | {"saved": saved}, seen)


async def lesson_screen(session: AsyncSession, access: Access, kept: Saved) -> Screen | None:
    """How one did on a training task, and why; the next task is a key away."""
    assert access.project is not None
    lesson = await lesson_of(session, kept.id, access.project)
    return None if lesson is None else {"mode": "lesson", "lesson": lesson}


async def refused(
    request: Request,
    session: AsyncSession,
    access: Access,
    form: PostedForm,
    refusal: DomainError,
    *,
    task: UUID | None = None,
    annotation: UUID | None = None,
) -> Response:
    """Why the answer was not taken, beside the form and never in its place; with the way on that keeps every word."""
    offer = await _offer(session, access, refusal, task, annotation)
    context: Screen = {"refusal": refusal, "offer": offer, "form": form}
    if "HX-Request" in request.headers:
        return respond(request, PAGE, "refused", refusal.status, into="refusal", **(blank(access) | context))
    screen = await next_screen(session, access, may_ask_for_more=False, said=form.fields)
    return await whole_page(request, session, access, screen | context)


async def _offer(
    session: AsyncSession, access: Access, refusal: DomainError, task: UUID | None, annotation: UUID | None
) -> Screen | None:
    """The answer that is kept, and the version that a change of it starts from."""
    project_id, me = access.of_project(), access.person.id
    if isinstance(refusal, KeyUsed | AlreadyAnswered) and task is not None:
        mine = await my_answer_to(session, project_id, me, task)
    elif isinstance(refusal, EditedMeanwhile) and annotation is not None:
        mine = await my_answer(session, project_id, me, annotation)
    else:
        return None
    if mine is None or not mine.is_open:
        return None
    said = mine.annotation
    return {
        "address": f"/projects/{access.project}/annotate/answers/{said.public_id}",
        "version": said.version,
        "there": in_words(said.body, said.sides, mine.protocol),
        "typed": said.body.get("justification", ""),
        "fits": not isinstance(refusal, AlreadyAnswered),
    }


async def _guidelines(session: AsyncSession, access: Access, screen: Screen) -> tuple[int, str]:
    guidelines_id = screen.get("guidelines_id")
    if guidelines_id is not None:
        return await guidelines_html(session, guidelines_id)
    newest = await newest_guidelines(session, access.of_project())
    return newest.version, newest.html


def clock(at: datetime, access: Access) -> str:
    """Time of day to the second, from the server's clock in this person's zone."""
    return at.astimezone(ZoneInfo(access.person.zone)).strftime("%H:%M:%S")
