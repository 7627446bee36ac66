"""Pages: a new project in one sitting."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.kinds.samples import sample
from app.checkpoints.queries import bundled, writers_of
from app.completions.actions.starting import Brought, Started, start_project
from app.database import Session
from app.errors import Invalid
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.purposes import PURPOSES, start_of
from app.projects.sitting import FIRST, Sitting, choices, defaults_of, turned_to
from app.settings import get_settings
from app.translation import _

router = APIRouter()
Maker = Annotated[Access, may(Permission.project_create)]
PAGE = "projects/new.html"


@router.get("/projects/new")
async def new(request: Request, _access: Maker, session: Session, purpose: str = FIRST) -> Response:
    chosen = await bundled(session)
    purpose = purpose if start_of(purpose) else FIRST
    values = defaults_of(purpose) | {"purpose": purpose, "began": purpose}
    values["checkpoint"] = str(chosen.public_id) if chosen else ""
    return await _page(request, session, values)


@router.post("/projects/new")
async def turn(request: Request, _access: Maker, session: Session) -> Response:
    """Another purpose was chosen: the page again, with what follows from it. Nothing is kept."""
    return await _page(request, session, turned_to(_texts(await request.form())))


@router.post("/projects")
async def create(request: Request, access: Maker, session: Session) -> Response:
    """The project with all that came along; or the page again, with what is wrong beside each field."""
    async with request.form() as sent:
        texts = _texts(sent)
        asked = {name: value for name, value in texts.items() if name in Sitting.model_fields}
        form, errors = filled(Sitting, asked, ("guidelines", "prompts", "people"))
        if form is None:
            return await _page(request, session, texts, errors)
        prompts, answers = _file(sent, "prompts_file"), _file(sent, "answers_file")
        try:
            started = await start_project(session, form, access.person, prompts, answers)
        except Invalid as refusal:
            found = {str(refusal.fields["field"]): str(refusal.fields["reason"])}
            return await _page(request, session, texts, found)
    return _made(request, started)


def _made(request: Request, started: Started) -> Response:
    """To the project; or first the links that somebody must hand over, since they are shown only once."""
    address = f"/projects/{started.project.public_id}"
    told = [_("The project is there."), *(f"{report.name}: {report.sentence}." for report in started.reports)]
    if not started.given:
        return redirect(request, address, " ".join(told))
    origin = str(get_settings().public_url or request.base_url).rstrip("/")
    links = [(one.email, origin + one.path if one.path else None) for one in started.given]
    page: dict[str, Any] = {"made": started.project, "told": told, "links": links}
    return respond(request, "projects/started.html", "content", into="main", **page)


def _texts(sent: FormData) -> dict[str, str]:
    return {name: value for name, value in sent.multi_items() if isinstance(value, str)}


def _file(sent: FormData, name: str) -> Brought | None:
    found = sent.get(name)
    if not isinstance(found, UploadFile) or not found.filename:
        return None
    return Brought(found.filename.replace("\0", "")[:200], found.file)


async def _page(
    request: Request, session: Session, values: dict[str, str], errors: dict[str, str] | None = None
) -> Response:
    purpose = values.get("purpose", FIRST)
    found = start_of(purpose) or start_of(FIRST)
    assert found is not None, "the first purpose is there"
    preset, example = found
    writers = await writers_of(session, None)
    page: dict[str, Any] = {
        "values": {"purpose": FIRST} | values,
        "errors": errors or {},
        "choices": choices(),
        "purpose": PURPOSES.get(purpose),
        "preset": preset,
        "checkpoints": [("", _("nobody yet: I bring answers, or choose later"))]
        + [(str(one.public_id), one.name) for one in writers],
        "mails": get_settings().smtp_url is not None,
        "sample": sample(preset.protocol, example),
    }
    return respond(request, PAGE, "start", 422 if errors else 200, **page)
