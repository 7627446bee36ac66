"""Pages: datasets of a project, one dataset, and the form that freezes one."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session, between_transactions
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FormulaName, FreezeForm, Name, NewFormula
from app.datasets.formulas import example_of, formulas_of, names_offered, save_formula
from app.datasets.importing import import_dataset
from app.datasets.queries import dataset_of, datasets_of, rounds_of
from app.datasets.rules import Form as Shape
from app.datasets.scoring import numbers_in, tried
from app.datasets.withdrawing import marks_of
from app.errors import Invalid
from app.oversight.descent import trained_on
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import get_project
from app.prompts.queries import imports_of
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.dataset_read)]
Freezer = Annotated[Access, may(Permission.dataset_edit)]

SHAPES = {
    Shape.native: _("Hone records, with every vote"),
    Shape.trl: _("TRL preference, conversational"),
    Shape.trl_standard: _("TRL preference, standard"),
    Shape.hh: _("HH transcripts"),
    Shape.trl_demonstrations: _("TRL prompt and completion, conversational"),
    Shape.flat: _("Ratings, questions and comparisons, a row for each rater and answer"),
}


def shapes() -> dict[Shape, str]:
    return {shape: _(words) for shape, words in SHAPES.items()}


class FreezeFields(BaseModel):
    """The few choices that the page offers; REST takes them all."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    heldout_share: float = Field(default=0.1, ge=0.0, le=0.9)
    minimum_votes: int = Field(default=1, ge=1, le=50)
    batch: UUID | Literal[""] = ""
    formula: FormulaName | Literal[""] = ""

    def as_form(self) -> FreezeForm:
        plain = self.model_dump(exclude={"batch", "formula"})
        return FreezeForm(**plain, batches=(self.batch,) if self.batch else (), formula=self.formula or None)


@router.get("/projects/{project}/datasets")
async def index(
    request: Request, project: UUID, access: Reader, session: Session, batch: Annotated[str, Query()] = ""
) -> Response:
    """batch: the round that the form for a new one begins with."""
    found = await datasets_of(session, access.of_project())
    shown = await get_project(session, access.of_project())
    rounds = [(str(one.public_id), one.name) for one in await rounds_of(session, access.of_project())]
    names = sorted({one.name for one in await formulas_of(session, access.of_project())})
    formulas = [("", _("none")), *((name, name) for name in names)] if names else []
    return respond(
        request,
        "datasets/index.html",
        "datasets",
        project=shown,
        datasets=found,
        batches=rounds,
        batch=batch,
        formulas=formulas,
    )


@router.post("/projects/{project}/datasets")
async def freeze(
    request: Request, project: UUID, form: Annotated[FreezeFields, Form()], access: Freezer, session: Session
) -> Response:
    dataset = await ask_to_freeze(session, access.of_project(), form.as_form(), access.person.id)
    return redirect(request, f"/datasets/{dataset.public_id}", _("The answers are being frozen."))


@router.get("/projects/{project}/datasets/import")
async def choose_file(request: Request, project: UUID, access: Freezer, session: Session) -> Response:
    return await import_page(request, access, session)


@router.post("/projects/{project}/datasets/import")
async def take_file(
    request: Request,
    project: UUID,
    access: Freezer,
    session: Session,
    file: UploadFile,
    confirm: Annotated[str, Form()] = "",
) -> Response:
    """First the report alone; the good lines come in when it is confirmed."""
    if not file.filename:
        return await import_page(request, access, session, 422, error=_("Choose a file first."))
    name, project_id = file.filename.replace("\0", "")[:200], access.of_project()
    await between_transactions(session)
    report = await import_dataset(session, project_id, name, file.file, access.person.id, dry_run=not confirm)
    if confirm:
        return redirect(request, f"/projects/{project}/imports/{report.id}", report.sentence)
    return await import_page(request, access, session, report=report)


async def import_page(request: Request, access: Access, session: Session, status: int = 200, **more: Any) -> Response:
    shown: dict[str, Any] = {"report": None, "error": None} | more
    project = await get_project(session, access.of_project())
    past = await imports_of(session, access.of_project())
    return respond(request, "datasets/import.html", "report", status, project=project, past=past, **shown)


@router.get("/datasets/{dataset}")
async def show(request: Request, dataset: UUID, access: Reader, session: Session) -> Response:
    found = await dataset_of(session, access.of_project(), dataset)
    shown = await get_project(session, access.of_project())
    marked = (await marks_of(session, [found])).get(found.id)
    runs = await trained_on(session, found) if marked and access.may(Permission.run_read) else []
    page: dict[str, Any] = {"project": shown, "dataset": found, "shapes": shapes(), "marked": marked, "runs": runs}
    return respond(request, "datasets/show.html", "dataset", **page)


@router.get("/projects/{project}/formulas")
async def formulas(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    """Every reward formula with its versions, the form that writes one, and what it comes to on an example."""
    return await formula_page(request, access, session, {"name": "", "expression": ""})


@router.post("/projects/{project}/formulas")
async def write_formula(request: Request, project: UUID, access: Freezer, session: Session) -> Response:
    """A new version; or, while it is typed, what it comes to; or the form again with the character that is wrong."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    wants_only_a_look = sent.pop("look", "") != ""
    given = {name.removeprefix("value."): value for name, value in sent.items() if name.startswith("value.")}
    fields = {name: sent.get(name, "") for name in ("name", "expression")}
    form, errors = filled(NewFormula, fields, ("expression",))
    if wants_only_a_look:
        return await formula_page(request, access, session, fields, given, block="tried")
    if form is not None:
        try:
            kept = await save_formula(session, access.of_project(), form, access.person.id)
        except Invalid as refusal:
            errors = {"expression": str(refusal.fields["reason"])}
        else:
            said = _("“{name}” is kept as version {version}.").format(name=kept.name, version=kept.version)
            return redirect(request, f"/projects/{project}/formulas", said)
    return await formula_page(request, access, session, fields, given, errors, status=422)


async def formula_page(
    request: Request,
    access: Access,
    session: Session,
    fields: dict[str, str],
    given: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    *,
    block: str = "formulas",
    status: int = 200,
) -> Response:
    project_id = access.of_project()
    names, example = await names_offered(session, project_id), await example_of(session, project_id)
    example |= numbers_in(given or {}, names)
    page: dict[str, Any] = {
        "project": await get_project(session, project_id),
        "formulas": await formulas_of(session, project_id),
        "names": names,
        "example": example,
        "tried": tried(fields["expression"], names, example),
        "fields": fields,
        "errors": errors or {},
    }
    return respond(request, "datasets/formulas.html", block, status, **page)
