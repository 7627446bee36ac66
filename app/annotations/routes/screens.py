"""What stands on the annotate page: a task, an answer to be changed, or why nothing waits; and how it is sent."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.annotations.actions import AlreadyAnswered, EditedMeanwhile, KeyUsed, Saved
from app.annotations.conversations import shown_conversation
from app.annotations.forms import PostedForm
from app.annotations.kinds import OnScreen, blocks_of, fields_from, in_words
from app.annotations.queries import MyAnswer, arriving, my_answer, my_answer_to, on_screen
from app.annotations.tables import AnnotationState
from app.errors import DomainError
from app.pages import respond
from app.projects.care import categories_of, members_of, offered
from app.projects.protocols import ProtocolBody
from app.projects.queries import get_project, newest_guidelines
from app.shortcuts import helped, own_keys
from app.tasks.actions import Showing, Waiting, claim
from app.tasks.actions.claiming import Reason
from app.tasks.queries import guidelines_html, protocol_body
from app.translation import _

log = logging.getLogger("hone.annotate")
PAGE = "annotations/annotate.html"
Screen = dict[str, Any]


async def next_screen(session: AsyncSession, access: Access, *, may_ask_for_more: bool = True) -> Screen:
    """The task this person holds, or the next one, or why there is none."""
    shown = await claim(session, access, may_ask_for_more=may_ask_for_more)
    if isinstance(shown, Waiting):
        still = await arriving(session, access.of_project()) if shown.reason is Reason.nothing_free else 0
        figures = {"given": shown.used, "most": shown.most, "used_up": shown.used_up}
        return {"mode": "waiting", "reason": shown.reason, "arriving": still} | figures
    return await task_screen(session, access, shown)


async def task_screen(session: AsyncSession, access: Access, shown: Showing) -> Screen:
    protocol = (await protocol_body(session, shown.protocol_id)).of_prompt(shown.tags)
    completions = {one.number: (one.id, one.html, one.cut_off) for one in shown.completions}
    in_order = [completions[number] for number in sorted(completions)]
    answers = await on_screen(session, protocol, shown.slot_id, shown.sides, in_order)
    talk = None
    if protocol.needs_turns:
        talk = await shown_conversation(session, shown.task_id, access.person.id, protocol)
    address = f"/projects/{access.project}/annotate/{shown.task}"
    return asking(protocol, answers, fields_from(shown.draft), access.person.preferences) | {
        "mode": "task",
        "talk": talk,
        "address": address,
        "source": f"{address}/source",
        "key": shown.key,
        "turns": list(zip(shown.roles, shown.rendered, strict=True)),
        "rev": shown.draft_rev,
        "guidelines_id": shown.guidelines_id,
        "care": shown.care,
        "given": shown.used - 1,
        "most": shown.most,
    }


def asking(
    protocol: ProtocolBody, answers: list[OnScreen], said: dict[str, list[str]], preferences: Mapping[str, Any]
) -> Screen:
    """What every screen with a question on it needs. said: values of the form's fields. preferences: of the person;
    those who choose first and send with Enter are shown no button that does both."""
    title, blocks = blocks_of(protocol, answers)
    if preferences.get("confirms"):
        blocks = [block | {"decides": False, "decides_last": False} for block in blocks]
    return {
        "kind": protocol.kind,
        "title": title,
        "blocks": blocks,
        "answers": answers,
        "said": said,
        "typed": last(said, "justification"),
    } | words_of_page()


def words_of_page() -> Screen:
    """Words that stand in loops, translated once."""
    return {
        "answer_word": _("Answer"),
        "tie_word": _("tie"),
        "roles": {"user": _("Person"), "assistant": _("Assistant"), "system": _("Setting")},
    }


def last(said: dict[str, list[str]], name: str) -> str:
    return (said.get(name) or [""])[-1]


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
    version, html = await _guidelines(session, access, screen)
    page = {"project": project, "guidelines": {"version": version, "html": html}}
    page["categories"] = [(one.key, one.name) for one in offered(categories_of(project.care))]
    context = blank(access) | page | screen
    return respond(request, PAGE, None, **context)


async def fragment(request: Request, session: AsyncSession, access: Access, screen: Screen, seen: int) -> Response:
    """Only the task; with the guidelines when the page has others. A browser without htmx gets the whole page."""
    if "HX-Request" not in request.headers:
        return await whole_page(request, session, access, screen)
    version, html = await _guidelines(session, access, screen)
    guidelines = None if version == seen else {"version": version, "html": html}
    return respond(request, PAGE, "task", **(blank(access) | {"guidelines": guidelines} | screen))


def blank(access: Access) -> Screen:
    """What a template may ask about any screen, and most screens say nothing about."""
    nothing = ("saved", "guidelines", "refusal", "offer", "no_way_back", "source", "talk", "care", "used_up")
    page = {"base": f"/projects/{access.project}", "person": access.person.public_id}
    return page | dict.fromkeys(nothing) | {"own_keys": own_keys(access.person.preferences), "helped": helped}


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
        screen = await next_screen(session, access)
    except Exception:
        log.exception("the claim after an answer failed; the answer is kept")
        await session.rollback()
        return respond(request, PAGE, "task", **(blank(access) | {"mode": "failed", "saved": saved}))
    return await fragment(request, session, access, screen | {"saved": saved}, seen)


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
    screen = await next_screen(session, access, may_ask_for_more=False)
    said = {"said": form.fields, "typed": last(form.fields, "justification")}
    return await whole_page(request, session, access, screen | context | said)


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
