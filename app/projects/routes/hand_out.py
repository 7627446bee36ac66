"""Pages: of whom, how often and how much a project asks."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.accounts.queries import audiences_of
from app.database import Session
from app.errors import DomainError
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile
from app.projects.batching import ORDERS, HandOutEdit, LimitsEdit, as_share
from app.projects.forms import filled
from app.projects.queries import default_batch, get_project, hand_out_of, limits_of
from app.projects.tables import Ordering
from app.tasks.actions import edit_hand_out, edit_limits
from app.tasks.limits import standing_of
from app.translation import _

router = APIRouter(prefix="/projects/{project}/settings/hand-out")
Editor = Annotated[Access, may(Permission.project_edit)]
TAG_FIELDS = ("tag", "k", "audience", "band", "a_day", "in_all")
BLANK_TAGS = 2
BANDS = ((0, _("first of all")), (2, _("early")), (4, _("with the rest")), (6, _("late")), (8, _("last of all")))


@router.get("")
async def show(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    return await _page(request, access, session)


@router.post("")
async def save_hand_out(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    sent = {name: str(value) for name, value in (await request.form()).items()}
    share = {"calibration": as_share(sent["calibration"])} if sent.get("calibration") else {}
    form, errors = filled(HandOutEdit, sent | share)
    if form is None:
        return await _page(request, access, session, told=" ".join(errors.values()), status=422, hand_out=sent)
    try:
        await edit_hand_out(session, await default_batch(session, access.of_project()), form, access.person.id)
    except EditedMeanwhile as conflict:  # sent again, it holds: what is there is in the log
        return await _page(request, access, session, told=str(conflict), status=409, hand_out=sent, anew=True)
    except DomainError as refusal:
        return await _page(request, access, session, told=str(refusal), status=refusal.status, hand_out=sent)
    return redirect(request, f"/projects/{project}/settings/hand-out", _("Saved. It holds from the next task on."))


@router.post("/limits")
async def save_limits(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    sent = await request.form()
    columns = [[str(value) for value in sent.getlist(f"tags.{field}")] for field in TAG_FIELDS]
    rows = [dict(zip(TAG_FIELDS, values, strict=True)) for values in zip(*columns, strict=False)]
    tags = [{name: value for name, value in row.items() if value != ""} for row in rows if row["tag"].strip()]
    plain = {name: str(value) for name, value in sent.items() if not name.startswith("tags.")}
    money = {"budget": _hundredths(plain["budget"])} if plain.get("budget") else {}
    form, errors = filled(LimitsEdit, plain | money | {"tags": tags})
    shown = {name: str(value) for name, value in sent.items()} | {"tags": rows}
    if form is None:
        return await _page(request, access, session, told=" ".join(errors.values()), status=422, limits=shown)
    try:
        await edit_limits(session, access.of_project(), form, access.person.id)
    except EditedMeanwhile as conflict:  # sent again, it holds: what is there is in the log
        return await _page(request, access, session, told=str(conflict), status=409, limits=shown, anew=True)
    except DomainError as refusal:
        return await _page(request, access, session, told=str(refusal), status=refusal.status, limits=shown)
    return redirect(request, f"/projects/{project}/settings/hand-out", _("Saved. It holds already."))


def _hundredths(amount: str) -> str:
    try:
        return str(round(float(amount) * 100))
    except (ValueError, OverflowError):
        return amount


async def _page(
    request: Request,
    access: Access,
    session: Session,
    *,
    told: str | None = None,
    status: int = 200,
    hand_out: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    anew: bool = False,
) -> Response:
    """hand_out, limits: what was sent and not taken, else what is there. anew: under the version that is there."""
    found = await get_project(session, access.of_project())
    audiences = [(str(one.audience.public_id), one.audience.name) for one in await audiences_of(session, found.id)]
    there = await limits_of(session, found)
    asks = await hand_out_of(session, await default_batch(session, found.id))
    rows = (limits or there)["tags"]
    page: dict[str, Any] = {
        "project": found,
        "told": told,
        "hand_out": asks | (hand_out or {}) | ({"version": asks["version"]} if anew else {}),
        "limits": there | (limits or {}) | ({"version": there["version"]} if anew else {}),
        "rows": [*rows, *[dict.fromkeys(TAG_FIELDS, "")] * BLANK_TAGS],
        "standing": await standing_of(session, found.id),
        "audiences": [("", _("everybody")), *audiences],
        "orders": [(one.value, _(ORDERS[one])) for one in Ordering],
        "bands": [("", "–"), *((str(band), _(label)) for band, label in BANDS)],
    }
    return respond(request, "projects/hand_out.html", "hand_out", status, **page)
