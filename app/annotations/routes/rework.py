"""Pages: many answers at once, what it would do before it is done, and what was done."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.reworking import start_rework, undo_rework
from app.annotations.reworking import Does, ReworkForm, Selection, effect_of, reworks_of
from app.database import Session
from app.datasets.queries import frozen_since
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import batches_of, get_project
from app.translation import _

router = APIRouter(prefix="/projects/{project}/rework")
Reviewer = Annotated[Access, may(Permission.annotation_review)]
DOES = {
    Does.reopen: _("Set aside; others are asked instead"),
    Does.set_aside: _("Set aside; nobody is asked instead"),
    Does.give_back: _("Give back to their authors with this remark"),
}
WITHDRAWN = {Does.withdraw: _("Consent was taken back; others are asked instead")}
ASKED = {
    "rater": _("Of one person"),
    "cohort": _("Of a cohort"),
    "batch": _("Of a round"),
    "since": _("From"),
    "until": _("To"),
    "tag": _("With a tag"),
    "guidelines": _("Under guidelines version"),
    "protocol": _("Under protocol version"),
    "fast": _("Only those quicker than their texts can be read"),
}


@router.get("")
async def index(
    request: Request, project: UUID, access: Reviewer, session: Session, chosen: Annotated[Selection, Query()]
) -> Response:
    return await _page(request, access, session, chosen)


@router.post("")
async def start(request: Request, project: UUID, access: Reviewer, session: Session) -> Response:
    sent = {name: str(value) for name, value in (await request.form()).items()}
    form, errors = filled(ReworkForm, sent)
    if form is None:
        chosen, _none = filled(Selection, sent)
        told = " ".join(errors.values())
        return await _page(request, access, session, chosen or Selection(), told=told, status=422)
    await start_rework(session, await get_project(session, access.of_project()), form, access.person.id)
    return redirect(request, f"/projects/{project}/rework", _("It is under way. People can go on answering."))


@router.post("/{rework}/undo")
async def undo(request: Request, project: UUID, rework: UUID, access: Reviewer, session: Session) -> Response:
    await undo_rework(session, access.of_project(), rework, access.person.id)
    return redirect(request, f"/projects/{project}/rework", _("The answers come back."))


async def _page(
    request: Request, access: Access, session: Session, chosen: Selection, *, told: str | None = None, status: int = 200
) -> Response:
    found = await get_project(session, access.of_project())
    effect = await effect_of(session, found, chosen) if chosen.is_narrow else None
    page: dict[str, Any] = {
        "project": found,
        "told": told,
        "chosen": chosen,
        "effect": effect,
        "datasets": await frozen_since(session, found.id, effect.first)
        if effect and effect.first and access.may(Permission.dataset_read)
        else (),
        "batches": [(str(one.public_id), one.name) for one in await batches_of(session, found.id)],
        "asked": {name: _(words) for name, words in ASKED.items()},
        "does": [(one.value, _(words)) for one, words in DOES.items()],
        "does_words": {one.value: _(words) for one, words in (DOES | WITHDRAWN).items()},
        "reworks": await reworks_of(session, found.id),
    }
    return respond(request, "annotations/rework.html", "rework", status, **page)
