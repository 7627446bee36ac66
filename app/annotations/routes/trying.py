"""The annotate page with throw-away answers: what is asked can be tried before anybody else sees it.

The page, its keys and its rules are the real ones. What is said is checked and told back in words; no task, no draft
and no answer is stored, which is why the texts are made up as long as there are none of the project's own.
"""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.asking import Screen, asking
from app.annotations.forms import PostedForm
from app.annotations.kinds import LETTERS, OnScreen, in_words, to_keep
from app.annotations.kinds.samples import sample_answers, sample_conversation, sample_led, sample_prompt
from app.annotations.routes.screens import blank
from app.annotations.routes.stencils import PAGE
from app.annotations.routes.workspace import posted
from app.completions.queries import answered_prompt
from app.database import Session
from app.errors import Invalid, NotFound
from app.markup import render_markdown
from app.pages import respond
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.purposes import Example, start_of
from app.projects.queries import get_project, newest_guidelines, newest_protocol
from app.projects.sitting import FIRST
from app.translation import _

router = APIRouter()
Posted = Annotated[PostedForm, Depends(posted)]
Maker = Annotated[Access, may(Permission.project_create)]
Editor = Annotated[Access, may(Permission.project_edit)]


@router.get("/projects/new/try")
async def try_purpose(request: Request, access: Maker, purpose: str = FIRST) -> Response:
    """A task of a project that is not there yet."""
    return whole(request, access, of_purpose(purpose))


@router.post("/projects/new/try")
async def answer_purpose(request: Request, access: Maker, form: Posted, purpose: str = FIRST) -> Response:
    return answered(request, access, of_purpose(purpose), form)


@router.get("/projects/{project}/try")
async def try_project(request: Request, access: Editor, session: Session) -> Response:
    """A task under the project's newest protocol."""
    return whole(request, access, await of_project(session, access))


@router.post("/projects/{project}/try")
async def answer_project(request: Request, access: Editor, form: Posted, session: Session) -> Response:
    return answered(request, access, await of_project(session, access), form)


def of_purpose(purpose: str) -> Screen:
    """:raises NotFound: there is no such purpose or preset."""
    found = start_of(purpose)
    if found is None:
        raise NotFound
    preset, example = found
    page = {
        "project": {"name": _("New project")},
        "guidelines": {"version": 1, "html": render_markdown(preset.guidelines)},
    }
    made_up = sample_answers(preset.protocol, example)
    address = f"/projects/new/try?purpose={purpose}"
    return page | trial(
        preset.protocol, example, address, made_up_turns(preset.protocol, example), made_up, is_made_up=True, back=None
    )


async def of_project(session: Session, access: Access) -> Screen:
    project_id = access.of_project()
    protocol = protocol_of((await newest_protocol(session, project_id)).body)
    guidelines = await newest_guidelines(session, project_id)
    base = f"/projects/{access.project}"
    found = start_of(protocol.preset) or start_of(FIRST)
    assert found is not None, "the first purpose is there"
    turns, answers = made_up_turns(protocol, found[1]), sample_answers(protocol, found[1])
    own = None if protocol.needs_turns else await answered_prompt(session, project_id, protocol.completions or 0)
    if own is not None:
        turns = list(zip((message["role"] for message in own[0].messages), own[0].rendered, strict=True))
        answers = [
            OnScreen(LETTERS[n], str(n), one.html, "\n\n".join(part.get("text", "") for part in one.parts))
            for n, one in enumerate(own[1])
        ]
    page = {"project": await get_project(session, project_id), "guidelines": guidelines}
    return page | trial(protocol, found[1], base + "/try", turns, answers, is_made_up=own is None, back=base)


def made_up_turns(protocol: ProtocolBody, example: Example) -> list[tuple[str, str]]:
    return [("user", sample_prompt(protocol, example))]


def trial(
    protocol: ProtocolBody,
    example: Example,
    address: str,
    turns: list[tuple[str, str]],
    answers: list[OnScreen],
    *,
    is_made_up: bool,
    back: str | None,
) -> Screen:
    """What a task needs on the page. back: where the trial ends; None: in a tab of its own, which is closed."""
    return asking(protocol, answers, {}) | {
        "protocol": protocol,
        "talk": sample_conversation(protocol, example),
        "mode": "task",
        "address": address,
        "key": uuid4(),
        "turns": turns,
        "rev": 0,
        "trial": {"is_made_up": is_made_up, "back": back, "words": None},
    }


def whole(request: Request, access: Access, screen: Screen, **more: Any) -> Response:
    return respond(request, "annotations/try.html", None, **(blank(access) | screen | more))


def answered(request: Request, access: Access, screen: Screen, form: PostedForm) -> Response:
    """What would have been kept, in words, over the task anew; or why it would not have been."""
    protocol, answers = screen["protocol"], screen["answers"]
    numbers = {answer.handle: n for n, answer in enumerate(answers)}
    is_part = "HX-Request" in request.headers
    try:
        texts = [answer.text for answer in answers]
        kept = to_keep(form.body(), protocol, numbers, texts, sample_led(protocol))
    except Invalid as refusal:
        told = {"refusal": refusal, "offer": None, "form": form}
        if is_part:
            return respond(request, PAGE, "refused", refusal.status, into="refusal", **(blank(access) | told))
        return whole(request, access, screen | {"said": form.fields}, **told)
    words = in_words(kept, range(len(answers)), protocol)
    screen["trial"] = screen["trial"] | {"words": words}
    if not is_part:
        return whole(request, access, screen)
    return respond(request, PAGE, "task", **(blank(access) | screen | {"guidelines": None}))
