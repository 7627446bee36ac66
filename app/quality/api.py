"""REST: figures about quality, as they were computed last."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.projects.queries import batches_of
from app.quality.queries import checkpoints_by_id, figures_of, people_by_id

router = APIRouter(tags=["quality"])
Counter = Annotated[Access, may(Permission.progress_read)]


class QualityView(BaseModel):
    """at: when they were computed; null: not yet. Every figure is {value, low, high, n}: a 95 % interval over n tasks,
    drawn anew with all their answers; low and high are null where nothing can be said.

    `measures` rest on tasks that were drawn at random, or are weighed by the inverse of the probability they were drawn
    with. `biased` are the same figures of tasks that were chosen by what was known of them, or asked more often for
    what was said: no measure of the project. people: by pseudonym, for those who may read answers.
    """

    at: datetime | None = None
    answers: int = 0
    counted: int = 0
    apart: int = 0
    measures: list[dict[str, Any]] = []
    biased: list[dict[str, Any]] = []
    two_sided: dict[str, Any] = {}
    ceiling: dict[str, Any] = {}
    biases: dict[str, Any] = {}
    people: dict[str, Any] = {}


@router.get("/projects/{project}/quality")
async def show(project: UUID, access: Counter, session: Session) -> QualityView:
    """Agreement, the ceiling it puts on reward models, biases; reliability by annotator."""
    figures = await figures_of(session, access.of_project(), "quality")
    if figures is None:
        return QualityView()
    told = {name: figures.body[name] for name in QualityView.model_fields if name not in ("at", "measures", "people")}
    checkpoints = await checkpoints_by_id(session, access.of_project())
    rounds = {one.id: one.public_id for one in await batches_of(session, access.of_project())}
    measures = [_outside(one, checkpoints, rounds) for one in figures.body["measures"]]
    people = {}
    if access.may(Permission.annotation_read):
        named = await people_by_id(session, access.of_project())
        people = {named[key][0]: own for key, own in figures.body["people"].items() if key in named}
    return QualityView(at=figures.at, measures=measures, people=people, **told)


def _outside(
    measure: dict[str, Any], checkpoints: dict[int, tuple[str, UUID]], rounds: dict[int, UUID]
) -> dict[str, Any]:
    """Checkpoints and rounds by their outside ids."""
    pairs = [
        pair | {"key": [str(checkpoints[one][1]) for one in pair["key"]]}
        for pair in measure["by"]["pair"]
        if all(one in checkpoints for one in pair["key"])
    ]
    of_round = [
        one | {"key": str(rounds[one["key"]])} for one in measure["by"].get("round", ()) if one["key"] in rounds
    ]
    return measure | {"by": measure["by"] | {"pair": pairs, "round": of_round}}
