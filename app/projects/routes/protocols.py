"""Pages: the protocol of a project, of any kind, with a live preview; each change is saved as a new version."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.kinds.samples import sample
from app.database import Session
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile, change_protocol
from app.projects.forms import reason
from app.projects.protocols import ProtocolBody, protocol_of, wording
from app.projects.protocols.editing import beginning, done
from app.projects.protocols.outline import KINDS, Tree, outline, tree_of
from app.projects.purposes import start_of
from app.projects.queries import get_project, newest_protocol, protocol_versions
from app.projects.sitting import FIRST
from app.projects.tables import Project, Protocol
from app.translation import _
from app.unions import steps_to

router = APIRouter()
Editor = Annotated[Access, may(Permission.project_edit)]


@router.get("/projects/{project}/settings/protocol")
async def edit_protocol(
    request: Request, project: UUID, access: Editor, session: Session, old: Annotated[int | None, Query(ge=0)] = None
) -> Response:
    """old: number of an earlier version to begin with instead of the newest."""
    found = await get_project(session, access.of_project())
    versions = await protocol_versions(session, found.id)
    newest = await newest_protocol(session, found.id)
    chosen = next((one for one in versions if one.version == old), newest)
    tree = protocol_of(chosen.body).as_json()
    return page(request, found, versions, tree, newest.version)


@router.post("/projects/{project}/settings/protocol")
async def save_protocol(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    """A new version; or what a button did to the form (`do`), of which nothing is kept; or what is wrong, by field."""
    sent = {name: str(value) for name, value in (await request.form()).multi_items()}
    found = await get_project(session, access.of_project())
    versions, newest = await protocol_versions(session, found.id), await newest_protocol(session, found.id)
    kind, version = sent.get("kind", newest.body["kind"]), whole(sent.get("version"))
    if kind not in KINDS:
        kind = newest.body["kind"]
    tree, deed = tree_of(sent, kind), sent.get("do", "")
    if sent.get("was", kind) != kind:
        tree, deed = beginning(kind, whole(sent.get("completions")) or None), "kind"
    tree, at = done(tree, deed)
    if deed:
        return page(request, found, versions, tree, version, at=at)
    body, errors = judged(tree)
    if body is None:
        return page(request, found, versions, tree, version, errors, status=422)
    try:
        await change_protocol(session, found.id, body, access.person.id, version)
    except EditedMeanwhile as conflict:
        return page(request, found, versions, tree, newest.version, conflict=conflict, status=409)
    return redirect(request, f"/projects/{project}/settings/protocol", _("Saved as a new version."))


def judged(tree: Tree) -> tuple[ProtocolBody | None, dict[str, str]]:
    """The protocol that a tree says, else what is wrong by field, the first one first: `criteria.0.label`.

    A list is told to be wrong only where none of its rows is: a row that cannot be read counts as missing as well.
    """
    try:
        return protocol_of(tree), {}
    except ValidationError as wrong:
        found: dict[str, str] = {}
        for one in wrong.errors():
            found.setdefault(".".join(map(str, steps_to(one))), reason(one))
        return None, {
            name: said for name, said in found.items() if not any(other.startswith(f"{name}.") for other in found)
        }


def page(
    request: Request,
    project: Project,
    versions: list[Protocol],
    tree: Tree,
    version: int,
    errors: dict[str, str] | None = None,
    *,
    at: str = "",
    conflict: EditedMeanwhile | None = None,
    status: int = 200,
) -> Response:
    """version: that the editor began with. at: the field that was just added."""
    body, wrong = judged(tree)
    preset, example = start_of(tree.get("preset", "")) or start_of(FIRST) or (None, None)
    shown: dict[str, Any] = {
        "project": project,
        "versions": versions,
        "tree": tree,
        "version": version,
        "entries": outline(KINDS[tree["kind"]], tree),
        "kinds": [(kind, wording.kind_name(kind)) for kind in KINDS],
        "wording": wording,
        "errors": errors or {},
        "at": at,
        "conflict": conflict,
        "began_as": preset if tree.get("preset") else None,
        "sample": sample(body, example) if body is not None and example is not None else None,
        "wrong": next(iter(wrong.values()), ""),
    }
    return respond(request, "projects/edit_protocol.html", "editor", status, **shown)


def whole(text: str | None) -> int:
    """A whole number that a browser sent; 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 0
