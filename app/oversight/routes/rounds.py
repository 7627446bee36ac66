"""Pages: the rounds of a project; one round with its report; making, changing and moving one."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.accounts.queries import audiences_of
from app.checkpoints.queries import writers_of
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import DomainError
from app.oversight.counting import counted
from app.oversight.overview import agreed_in
from app.oversight.rounds import (
    audience_name,
    form_of,
    kept_report,
    report_of,
    rounds_in,
    rounds_told,
    steps_of,
)
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile
from app.projects.batching import ORDERS, SETTLED, RoundEdit, RoundForm, Selection, as_share
from app.projects.forms import filled
from app.projects.queries import get_project, protocol_of_batch
from app.projects.rules import Entry, Recipe, Source
from app.projects.tables import Batch, BatchState, Ordering
from app.prompts.queries import tags_of
from app.tasks.actions import edit_round, make_round, move_round, remove_draft, round_of
from app.tasks.actions.rounds import was_pilot
from app.translation import _

router = APIRouter(prefix="/projects/{project}/rounds")
F = TypeVar("F", bound=RoundForm)
Reader = Annotated[Access, may(Permission.progress_read)]
Editor = Annotated[Access, may(Permission.project_edit)]
ROWS = 25
FACES = {
    "same": _("two samples of one checkpoint"),
    "mixed": _("any two, whoever made them"),
    "pair": _("one checkpoint against another"),
    "kept": _("as it is"),
}
BLANK: dict[str, Any] = {
    "name": "",
    "target": "",
    "pilot": 50,
    "due": "",
    "k": 1,
    "most_k": "",
    "calibration": "0",
    "ordering": "random",
    "audience": "",
    "tags": (),
    "again": False,
    "faces": "same",
    "a": "",
    "b": "",
}
SAID = {
    BatchState.pilot: _("The pilot has begun. Its tasks are there in a moment."),
    BatchState.open: _("The round is open."),
    BatchState.closed: _("The round is closed."),
    BatchState.accepted: _("The round is accepted."),
}


@router.get("")
async def index(request: Request, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    project = await get_project(session, access.of_project())
    page = await page_of(session, rounds_in(project.id), Batch.id, cursor=cursor, limit=ROWS)
    found, agreed = await counted(session, project.id), await agreed_in(session, project.id)
    told: dict[str, Any] = {
        "rounds": await rounds_told(session, project, page.rows),
        "of": agreed.of if agreed else None,
        "at": found.at if found else None,
        "next": page.next,
    }
    return respond(request, "oversight/rounds.html", "rounds", project=project, **told)


@router.get("/new")
async def new(request: Request, access: Editor, session: Session) -> Response:
    return await _form(request, access, session, None, BLANK)


@router.post("")
async def make(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    """A draft, or the form again with what is wrong."""
    sent, form, errors = await _filled(request, RoundForm)
    if form is None:
        return await _form(request, access, session, None, sent, errors)
    try:
        made = await make_round(session, access.of_project(), form, access.person.id)
    except DomainError as refusal:
        return await _form(request, access, session, None, sent, {"": str(refusal)})
    return redirect(request, f"/projects/{project}/rounds/{made.public_id}", _("The round is there, as a draft."))


@router.get("/{batch}")
async def show(request: Request, batch: UUID, access: Reader, session: Session) -> Response:
    return await _page(request, access, session, batch)


@router.get("/{batch}/edit")
async def edit(request: Request, batch: UUID, access: Editor, session: Session) -> Response:
    project = await get_project(session, access.of_project())
    found = await round_of(session, project.id, batch)
    return await _form(request, access, session, found, _shown(await form_of(session, found, project.zone)))


@router.post("/{batch}")
async def save(request: Request, project: UUID, batch: UUID, access: Editor, session: Session) -> Response:
    found = await round_of(session, access.of_project(), batch)
    if found.state in SETTLED:
        sent, form, errors = await _renamed(request, session, access, found)
    else:
        sent, form, errors = await _filled(request, RoundEdit, found)
    if form is None:
        return await _form(request, access, session, found, sent, errors)
    try:
        await edit_round(session, found, form, access.person.id)
    except EditedMeanwhile as refusal:  # sent again, it holds: what is there is in the log
        return await _form(request, access, session, found, sent | {"version": found.version}, {"": str(refusal)}, 409)
    except DomainError as refusal:
        return await _form(request, access, session, found, sent, {"": str(refusal)})
    return redirect(request, f"/projects/{project}/rounds/{batch}", _("Saved. It holds already."))


@router.post("/{batch}/remove")
async def remove(request: Request, project: UUID, batch: UUID, access: Editor, session: Session) -> Response:
    """Only drafts; the page again with the reason where it stays."""
    try:
        await remove_draft(session, await round_of(session, access.of_project(), batch), access.person.id)
    except DomainError as refusal:
        return await _page(request, access, session, batch, told=str(refusal), status=refusal.status)
    return redirect(request, f"/projects/{project}/rounds", _("The draft is deleted."))


@router.post("/{batch}/state")
async def move(request: Request, project: UUID, batch: UUID, access: Editor, session: Session) -> Response:
    """Bring it to the state that the form names; the page again with the reason where it cannot be brought there."""
    sent = await request.form()
    wanted = next((state for state in SAID if state.value == sent.get("state")), None)
    if wanted is None:
        return await _page(request, access, session, batch, told=_("Choose what is to become of the round."))
    found = await get_project(session, access.of_project())
    one, report = await report_of(session, found, await round_of(session, found.id, batch))
    is_read = sent.get("read") == "true"
    try:
        kept = kept_report(one, report)
        await move_round(session, one.batch, wanted, access.person.id, kept, is_read=is_read)
    except DomainError as refusal:
        return await _page(request, access, session, batch, told=str(refusal), status=refusal.status)
    return redirect(request, f"/projects/{project}/rounds/{batch}", _(SAID[wanted]))


async def _page(
    request: Request, access: Access, session: Session, batch: UUID, *, told: str | None = None, status: int = 200
) -> Response:
    project = await get_project(session, access.of_project())
    one, report = await report_of(session, project, await round_of(session, project.id, batch))
    agreed = await agreed_in(session, project.id)
    page: dict[str, Any] = {
        "project": project,
        "one": one,
        "report": report,
        "of": agreed.of if agreed else None,
        "selection": Selection.model_validate(one.batch.selection),
        "audience": await audience_name(session, one.batch),
        "steps": await steps_of(session, one.batch),
        "told": told,
        "was_pilot": was_pilot(one.batch),
    }
    return respond(request, "oversight/round.html", "round", 422 if told and status == 200 else status, **page)


async def _filled(
    request: Request, kind: type[F], batch: Batch | None = None
) -> tuple[dict[str, Any], F | None, dict[str, str]]:
    """What was sent, for the form if it is shown again; the form; what is wrong. batch: that there is."""
    fields = await request.form()
    recipe = Recipe() if batch is None else Recipe.model_validate(batch.recipe)
    sent: dict[str, Any] = {name: str(value) for name, value in fields.items() if name != "tags"}
    tags = tuple(str(tag) for tag in fields.getlist("tags") if tag)
    shown = BLANK | sent | {"tags": tags, "again": sent.get("again") == "true"}
    plain = {name: value for name, value in sent.items() if name not in ("faces", "a", "b", "again")}
    if plain.get("calibration"):
        plain["calibration"] = as_share(plain["calibration"])
    more = {"selection": {"tags": tags, "again": shown["again"]}, "recipe": _recipe(shown, recipe)}
    form, errors = filled(kind, plain | more)
    return shown, form, {_field(name): words for name, words in errors.items()}


async def _renamed(
    request: Request, session: Session, access: Access, batch: Batch
) -> tuple[dict[str, Any], RoundEdit | None, dict[str, str]]:
    """`_filled` for a round of which only the name and the due day are sent."""
    there = await form_of(session, batch, (await get_project(session, access.of_project())).zone)
    sent = {name: str(value) for name, value in (await request.form()).items() if name in ("name", "due", "version")}
    form, errors = filled(RoundEdit, there | {"calibration": as_share(there["calibration"])} | sent)
    return _shown(there | sent), form, errors


def _shown(there: dict[str, Any]) -> dict[str, Any]:
    """A round as it is, as the fields of its form."""
    selection, recipe = there["selection"], there["recipe"]
    return there | {"tags": selection.tags, "again": selection.again, **_faces_of(recipe)}


def _field(name: str) -> str:
    """Where the page shows a finding; what has no field of its own stands above the form."""
    return name if name in ("name", "target", "pilot", "due", "k", "most_k", "calibration") else ""


def _recipe(shown: dict[str, Any], there: Recipe) -> dict[str, Any]:
    """What the form's choice of who faces whom says, as JSON for the form."""
    match shown["faces"]:
        case "pair":
            plain = {"a": {"checkpoint": shown["a"] or None}, "b": {"checkpoint": shown["b"] or None}}
            entries: list[dict[str, Any]] = [plain | {"same_checkpoint": False}]
        case "same" | "mixed":
            entries = [{"same_checkpoint": shown["faces"] == "same"}]
        case _:
            return there.as_json()
    return there.as_json() | {"entries": entries}


def _faces_of(recipe: Recipe) -> dict[str, str]:
    """The form's choice that a recipe came from; `kept` where it says more."""
    entry = recipe.entries[0]
    if len(recipe.entries) == 1 and entry.weight == 1:
        if entry in (Entry(), Entry(same_checkpoint=False)):
            return {"faces": "same" if entry.same_checkpoint else "mixed", "a": "", "b": ""}
        a, b = entry.a.checkpoint, entry.b.checkpoint
        if a and b and entry == Entry(a=Source(checkpoint=a), b=Source(checkpoint=b), same_checkpoint=False):
            return {"faces": "pair", "a": str(a), "b": str(b)}
    return {"faces": "kept", "a": "", "b": ""}


async def _form(
    request: Request,
    access: Access,
    session: Session,
    batch: Batch | None,
    values: dict[str, Any],
    errors: dict[str, str] | None = None,
    status: int = 422,
) -> Response:
    project = await get_project(session, access.of_project())
    protocol = await protocol_of_batch(session, batch or Batch(project_id=project.id, protocol_id=None))
    audiences = [(str(one.audience.public_id), one.audience.name) for one in await audiences_of(session, project.id)]
    writers = [(str(one.public_id), one.name) for one in await writers_of(session, project.id)]
    faces = [(key, _(words)) for key, words in FACES.items() if key != "kept" or values["faces"] == "kept"]
    page: dict[str, Any] = {
        "project": project,
        "batch": batch,
        "settled": batch is not None and batch.state in SETTLED,
        "values": values,
        "errors": errors or {},
        "tag_options": await tags_of(session, project.id),
        "pairs": protocol.completions is None or protocol.completions > 1,
        "faces": faces if len(writers) > 1 else [one for one in faces if one[0] != "pair"],
        "checkpoints": [("", "–"), *writers],
        "audiences": [("", _("everybody")), *audiences],
        "orders": [(one.value, _(ORDERS[one])) for one in Ordering],
    }
    return respond(request, "oversight/edit_round.html", "edit", status if errors else 200, **page)
