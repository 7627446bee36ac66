"""Pages: the playground's form with what its reader asked lately, and checkpoints side by side."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.queries import scorers_of, writers_of
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import DomainError, Invalid
from app.pages import redirect, respond
from app.playground.actions import send_to_annotators, start_play
from app.playground.forms import BEST_OF, MOST_TOKENS, PlayForm, SendForm
from app.playground.queries import age_of, draw_prompt, given_in, play_of, plays_of
from app.playground.rules import STEPS, Piece, strongest
from app.playground.tables import Play
from app.projects.forms import filled
from app.projects.queries import default_batch, get_project, protocol_of_batch
from app.prompts.queries import prompt_of
from app.prompts.rules import text_of
from app.prompts.tables import Prompt
from app.translation import _, ngettext

router = APIRouter()
Player = Annotated[Access, may(Permission.completion_edit)]
Sender = Annotated[Access, may(Permission.task_edit)]
SEATS = 4
LATE = 20.0  # seconds without an answer, after which the page says that this takes longer than usual
PLAIN = {"sampling.temperature": 1, "sampling.top_p": 1, "sampling.max_tokens": 128, "best_of": "", "seed": ""}


@router.get("/projects/{project}/playground")
async def index(
    request: Request,
    project: UUID,
    access: Player,
    session: Session,
    cursor: Cursor = None,
    prompt: UUID | None = None,
    draw: bool = False,
    again: UUID | None = None,
) -> Response:
    """prompt: one of the project's to begin with; draw: any of them; again: what an earlier play asked."""
    values: dict[str, Any] = {}
    found = await prompt_of(session, access.of_project(), prompt) if prompt else None
    if draw:
        found = await draw_prompt(session, access.of_project())
    elif again is not None:
        earlier = await play_of(session, access.of_project(), access.person.id, again)
        found = await session.get(Prompt, earlier.prompt_id) if earlier.prompt_id else None
        values = await _as_asked(session, earlier)
    error = _("The project has no prompt that could be drawn.") if draw and found is None else None
    return await _page(request, access, session, cursor=cursor, prompt=found, values=values, error=error)


async def _as_asked(session: Session, play: Play) -> dict[str, Any]:
    """A play as the form's fields."""
    answers = await given_in(session, play.id)
    return {
        "text": text_of(play.messages[-1]["parts"]),
        "checkpoints": [str(one.checkpoint.public_id) for one in answers],
        "seed": play.seed,
        "best_of": "true" if play.n > 1 else "",
        "reward_id": play.reward_id,
    } | {f"sampling.{name}": value for name, value in play.sampling.items()}


async def _page(
    request: Request, access: Access, session: Session, *, status: int = 200, prompt: Prompt | None, **more: Any
) -> Response:
    project_id = access.of_project()
    writers, scorers = await writers_of(session, project_id), await scorers_of(session, project_id)
    asked = plays_of(project_id, access.person.id)
    values = PLAIN | {"checkpoints": [str(one.public_id) for one in writers[:2]], "reward": ""} | more.pop("values")
    if wanted := values.pop("reward_id", None):
        values["reward"] = next((str(one.public_id) for one in scorers if one.id == wanted), "")
    if prompt is not None:
        values["text"] = text_of(prompt.messages[-1]["parts"])
    return respond(
        request,
        "playground/index.html",
        "playground",
        status,
        project=await get_project(session, project_id),
        writers=[(str(one.public_id), one.name) for one in writers],
        rewards=[("", _("none")), *((str(one.public_id), one.name) for one in scorers)],
        found=await page_of(session, asked, Play.id, cursor=more.get("cursor"), limit=20),
        prompt=prompt,
        values=values,
        seats=SEATS,
        most=MOST_TOKENS,
        best_of=BEST_OF,
        **{"cursor": None, "error": None} | more,
    )


@router.post("/projects/{project}/playground")
async def start(request: Request, project: UUID, access: Player, session: Session) -> Response:
    """Every checkpoint is asked, or the form comes again with what is wrong."""
    fields = await request.form()
    sent: dict[str, Any] = {name: str(value) for name, value in fields.items()}
    if "text" in sent:
        sent["text"] = sent["text"].replace("\r\n", "\n")
    sent["checkpoints"] = [str(one) for one in fields.getlist("checkpoints") if one]
    prompt = None
    try:
        prompt = await prompt_of(session, access.of_project(), UUID(sent["prompt"])) if sent.get("prompt") else None
    except ValueError:
        raise Invalid(field="prompt", reason=_("that is no prompt")) from None
    question = _question(prompt, sent.get("text"))
    asked = sent | question
    form, errors = filled(PlayForm, asked)
    if form is None:
        error = " ".join(errors.values())
    else:
        try:
            made = await start_play(session, access.of_project(), form, access.person.id)
            return redirect(request, f"/projects/{project}/playground/{made.public_id}")
        except DomainError as refusal:
            error = str(refusal)
    kept = prompt if question["prompt"] else None
    return await _page(request, access, session, status=422, prompt=kept, values=sent, error=error)


def _question(prompt: Prompt | None, text: str | None) -> dict[str, str]:
    """The prompt as it stands, where its words were left as they are or could not be changed (no text was sent); else
    what was typed."""
    if prompt is not None and (text is None or text == text_of(prompt.messages[-1]["parts"])):
        return {"prompt": str(prompt.public_id), "text": ""}
    return {"prompt": "", "text": text or ""}


@router.get("/projects/{project}/playground/{play}")
async def show(
    request: Request,
    project: UUID,
    play: UUID,
    access: Player,
    session: Session,
    shading: bool = False,
) -> Response:
    """shading: pieces of the answers are shaded by how much likelier they are than in the reference."""
    found = await play_of(session, access.of_project(), access.person.id, play)
    answers = await given_in(session, found.id)
    protocol = await protocol_of_batch(session, await default_batch(session, access.of_project()))
    prompt = await session.get(Prompt, found.prompt_id) if found.prompt_id else None
    waits = any(one.is_awaited for one in answers)
    return respond(
        request,
        "playground/show.html",
        "play",
        project=await get_project(session, access.of_project()),
        play=found,
        prompt=prompt,
        answers=answers,
        shading=shading,
        waits=waits,
        is_late=waits and await age_of(session, found) > LATE,
        judged=1 if protocol.completions is None else protocol.completions,
        piece=Piece,
        strongest=strongest,
        steps=STEPS,
    )


@router.post("/projects/{project}/playground/{play}/tasks")
async def send(request: Request, project: UUID, play: UUID, access: Sender, session: Session) -> Response:
    found = await play_of(session, access.of_project(), access.person.id, play)
    try:
        form = SendForm.model_validate({"answers": list((await request.form()).getlist("answers"))})
    except ValidationError:
        raise Invalid(field="answers", reason=_("choose the answers that people are to judge")) from None
    made = await send_to_annotators(session, found, form.answers, access.person.id)
    said = ngettext("A task of the default round was made.", "{n} tasks of the default round were made.", len(made))
    return redirect(request, f"/projects/{project}/playground/{play}", said.format(n=len(made)))
