"""REST: ask for a dataset, look at it, take its lines in the shape that a trainer wants."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session, between_transactions
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm, NewFormula, TriedFormula
from app.datasets.formulas import example_of, formulas_of, names_offered, save_formula
from app.datasets.importing import import_dataset
from app.datasets.queries import dataset_of, datasets_in, lines_of
from app.datasets.rules import Form, left_out_of, rewritten
from app.datasets.scoring import tried
from app.datasets.tables import Dataset, DatasetState
from app.datasets.withdrawing import Marked, marks_of
from app.prompts.forms import Report
from app.prompts.uploads import file_of, uploaded
from app.settings import get_settings

router = APIRouter(tags=["datasets"])
Reader = Annotated[Access, may(Permission.dataset_read)]
Freezer = Annotated[Access, may(Permission.dataset_edit)]


LINE = {
    "description": "A record of a dataset (its `kind` says which), or a comparison as one writes it by hand.",
    "type": "object",
    "properties": {
        "kind": {"type": "string", "description": "Of a record, as the native export has it."},
        "prompt": {"description": "By hand: a text. In a record: messages."},
        "a": {"description": "One answer. By hand: a text."},
        "b": {"description": "The other one."},
        "chosen": {"enum": ["a", "b", "tie", "both_bad", "neither_valid"], "description": "By hand: which is better."},
        "strength": {"type": "integer", "description": "By hand: 1 (slightly better) … levels."},
        "levels": {"type": "integer", "description": "By hand: how many strengths there were; 1 to 4."},
        "rater": {"type": "string", "description": "By hand: a pseudonym."},
    },
}


class WithdrawnView(BaseModel):
    """people: who have labels in the dataset and took their consent back. labels: of theirs, as far as counted. since:
    when the first of them was found."""

    model_config = ConfigDict(from_attributes=True)

    people: int
    labels: int
    since: datetime


class DatasetView(BaseModel):
    """A dataset as REST shows it. withdrawn: people have taken their consent back since; the lines never change."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    state: DatasetState
    reason: str | None
    lines: int | None
    sha256: str | None
    question: dict[str, Any]
    manifest: dict[str, Any]
    created_at: datetime
    frozen_at: datetime | None
    withdrawn: WithdrawnView | None = None


class DatasetPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[DatasetView]
    next: str | None


def view(dataset: Any, marked: Marked | None = None) -> DatasetView:
    return DatasetView.model_validate({**vars(dataset), "id": dataset.public_id, "withdrawn": marked})


@router.get("/projects/{project}/datasets")
async def list_datasets(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> DatasetPage:
    """The project's datasets, newest first."""
    page = await page_of(session, datasets_in(access.of_project()), Dataset.id, cursor=cursor, limit=limit)
    marks = await marks_of(session, page.rows)
    return DatasetPage(rows=[view(dataset, marks.get(dataset.id)) for dataset in page.rows], next=page.next)


@router.post("/projects/{project}/datasets", status_code=202)
async def freeze_dataset(project: UUID, form: FreezeForm, access: Freezer, session: Session) -> DatasetView:
    """Freeze the answers that the form names. The lines are written by a worker: ask again until `frozen`."""
    return view(await ask_to_freeze(session, access.of_project(), form, access.person.id))


@router.post("/projects/{project}/datasets/import", openapi_extra=file_of(LINE))
async def bring_dataset(
    request: Request, project: UUID, access: Freezer, session: Session, dry_run: bool = False
) -> Report:
    """Import labelled data: one record a line (NDJSON) as the native export has them, a JSON array, or a file.

    Lines by hand, {prompt, a, b, chosen}, come in as comparisons. Each task stands in a closed round named after the
    file, with every vote under its pseudonym; the same file again adds nothing. The report is like that of prompts;
    with `dry_run` nothing comes in. Of lines of one task the good ones come in.
    """
    name, stream = await uploaded(request)
    project_id, person_id = access.of_project(), access.person.id
    await between_transactions(session)
    return await import_dataset(session, project_id, name, stream, person_id, dry_run=dry_run)


@router.get("/datasets/{dataset}")
async def show_dataset(dataset: UUID, access: Reader, session: Session) -> DatasetView:
    found = await dataset_of(session, access.of_project(), dataset)
    return view(found, (await marks_of(session, [found])).get(found.id))


@router.get("/datasets/{dataset}/records", response_class=StreamingResponse)
async def records(
    dataset: UUID,
    access: Reader,
    session: Session,
    form: Annotated[Form, Query(description="Shape of a line")] = Form.native,
    split: Annotated[Literal["train", "heldout"] | None, Query(description="One side only")] = None,
) -> StreamingResponse:
    """The lines as NDJSON, rewritten while they stream. Lines without a preference appear in `native` only; a ranking
    or a choice among several becomes pairs of one `group`. `trl_demonstrations` holds what people wrote themselves, and
    nothing else. `X-Dataset-Left-Out` counts lines of kinds that a form has no place for, such as `rating=20`.

    A file that no longer holds what was frozen breaks the stream off at its end, so that no client takes it for whole.
    `X-Dataset-Id` names the dataset. `X-Dataset-SHA256` is of the frozen lines, so it comes only with these: native and
    without `split`.
    """
    found = await dataset_of(session, access.of_project(), dataset)
    lines: Iterator[bytes] = rewritten(lines_of(get_settings().home, found), found.sha256 or "", form, split)
    headers = {
        "X-Dataset-Left-Out": ", ".join(f"{kind}={n}" for kind, n in left_out_of(form, found.manifest).items()),
        "Content-Disposition": f'attachment; filename="{found.public_id}.{form}.jsonl"',
        "X-Dataset-Id": str(found.public_id),
    }
    if form is Form.native and split is None:
        headers["X-Dataset-SHA256"] = found.sha256 or ""
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


class FormulaView(BaseModel):
    """One version of a reward formula."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    version: int
    expression: str
    created_at: datetime


class FormulaPage(BaseModel):
    """names: what a formula of this project may name, with what each stands for."""

    formulas: list[FormulaView]
    names: dict[str, str]


class TriedView(BaseModel):
    """value, or the sentence that says why there is none; at: the character that is wrong, from 1."""

    model_config = ConfigDict(from_attributes=True)
    value: float | None
    sentence: str
    at: int | None


@router.get("/projects/{project}/formulas")
async def list_formulas(project: UUID, access: Reader, session: Session) -> FormulaPage:
    """Every version of the project's reward formulas, by name and newest first; and the names they may use."""
    found = await formulas_of(session, access.of_project())
    names = await names_offered(session, access.of_project())
    return FormulaPage(formulas=[FormulaView.model_validate(one) for one in found], names=names)


@router.post("/projects/{project}/formulas", status_code=201)
async def write_formula(project: UUID, form: NewFormula, access: Freezer, session: Session) -> FormulaView:
    """Keep a formula: new, or the next version of the one with this name. The same expression again changes nothing."""
    return FormulaView.model_validate(await save_formula(session, access.of_project(), form, access.person.id))


@router.post("/projects/{project}/formulas/try")
async def try_formula(project: UUID, form: TriedFormula, access: Reader, session: Session) -> TriedView:
    """What a formula comes to on the given values, and on the project's example where a value is left out."""
    names = await names_offered(session, access.of_project())
    example = await example_of(session, access.of_project())
    return TriedView.model_validate(tried(form.expression, names, example | form.values))
