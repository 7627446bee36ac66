"""Which answers a rework takes, and what it would do: counted before anything is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership
from app.annotations.forms import Day, Reason, blank_is_none
from app.annotations.tables import Annotation, AnnotationState, LedgerLine, Rework
from app.errors import NotFound
from app.projects.care import Tag
from app.projects.forms import Form, Line
from app.projects.rules import day_begins
from app.projects.tables import Batch, Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.tasks.tables import Task
from app.translation import _

TAKEN = (AnnotationState.live, AnnotationState.surplus)
WITHDRAWN = (*TAKEN, AnnotationState.set_aside)  # what a person's withdrawal takes: nothing of it may come back


class Does(StrEnum):
    """reopen: set aside, and others are asked instead. set_aside: set aside, and nobody is. give_back: to their authors
    with a remark; they count as before until these change them. withdraw: their author took their consent back; only
    that asks for it, and it cannot be undone."""

    reopen = "reopen"
    set_aside = "set_aside"
    give_back = "give_back"
    withdraw = "withdraw"


class Selection(Form):
    """Answers that count, or came when their place was gone, of which all of this is so; at least one thing is said.

    rater: a pseudonym. since, until: local days, both counted. tag: of the prompt when it was shown. guidelines,
    protocol: the version they were given under. fast: marked as quicker than their texts can be read.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    rater: Annotated[Line | None, BeforeValidator(blank_is_none)] = None
    cohort: Annotated[Line | None, BeforeValidator(blank_is_none)] = None
    batch: Annotated[UUID | None, BeforeValidator(blank_is_none)] = None
    tag: Annotated[Tag | None, BeforeValidator(blank_is_none)] = None
    since: Annotated[Day | None, BeforeValidator(blank_is_none)] = None
    until: Annotated[Day | None, BeforeValidator(blank_is_none)] = None
    guidelines: Annotated[Annotated[int, Field(ge=0, le=1_000_000)] | None, BeforeValidator(blank_is_none)] = None
    protocol: Annotated[Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None, BeforeValidator(blank_is_none)] = (
        None
    )
    fast: bool = False

    @property
    def is_narrow(self) -> bool:
        return any(value is not None and value is not False for value in self.model_dump().values())


class ReworkForm(Selection, Reason):
    """What is to be done with the answers of a selection, and why; the reason is the remark of those given back."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    does: Does = Does.reopen

    @model_validator(mode="after")
    def says_which(self) -> Self:
        if not Selection.model_validate(self.model_dump()).is_narrow:
            raise ValueError(_("say which answers: of whom, of which days, of which round, tag or version"))
        if self.does is Does.withdraw:
            raise ValueError(_("only who takes their consent back withdraws answers, on their own page"))
        return self

    @property
    def selection(self) -> Selection:
        return Selection.model_validate(self.model_dump())


@dataclass(frozen=True)
class Effect:
    """paid: in hundredths of the currency, which stays paid. first: when the oldest of them was given."""

    answers: int
    tasks: int
    people: int
    paid: int
    first: datetime | None


def chosen(
    project: Project, selection: Selection, *columns: Any, states: Sequence[AnnotationState] = TAKEN
) -> Select[Any]:
    """The answers of a selection that have not been taken out yet, or of other states."""
    asked: Select[Any] = (
        select(*columns)
        .select_from(Annotation)
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .outerjoin(
            Membership,
            (Membership.project_id == Annotation.project_id) & (Membership.user_id == Annotation.annotator_id),
        )
        .where(Annotation.project_id == project.id, Annotation.state.in_(states))
    )
    if selection.rater is not None:
        asked = asked.where(Membership.pseudonym == selection.rater)
    if selection.cohort is not None:
        asked = asked.where(Membership.cohort == selection.cohort)
    if selection.batch is not None:
        asked = asked.join(Batch, Batch.id == Task.batch_id).where(Batch.public_id == selection.batch)
    if selection.tag is not None:
        asked = asked.where(func.coalesce(Annotation.tags, Prompt.tags).contains([selection.tag]))
    if selection.since is not None:
        asked = asked.where(Annotation.submitted_at >= day_begins(selection.since, project.zone))
    if selection.until is not None:
        asked = asked.where(Annotation.submitted_at < day_begins(selection.until + timedelta(days=1), project.zone))
    if selection.guidelines is not None:
        asked = asked.join(Guidelines, Guidelines.id == Annotation.guidelines_id)
        asked = asked.where(Guidelines.version == selection.guidelines)
    if selection.protocol is not None:
        asked = asked.join(Protocol, Protocol.id == Annotation.protocol_id)
        asked = asked.where(Protocol.version == selection.protocol)
    return asked.where(Annotation.fast) if selection.fast else asked


async def effect_of(session: AsyncSession, project: Project, selection: Selection) -> Effect:
    """What there is to be reworked now."""
    asked = chosen(
        project,
        selection,
        func.count(Annotation.id),
        func.count(Annotation.task_id.distinct()),
        func.count(Annotation.annotator_id.distinct()),
        func.coalesce(func.sum(LedgerLine.amount), 0),
        func.min(Annotation.submitted_at),
    ).outerjoin(LedgerLine, LedgerLine.annotation_id == Annotation.id)
    answers, tasks, people, paid, first = (await session.execute(asked)).one()
    return Effect(answers, tasks, people, int(paid), first)


async def reworks_of(session: AsyncSession, project_id: int, most: int = 50) -> Sequence[Any]:
    """(rework, pseudonym of who asked for it), the newest first."""
    asked = select(Rework, Membership.pseudonym).outerjoin(
        Membership, (Membership.project_id == Rework.project_id) & (Membership.user_id == Rework.by_id)
    )
    asked = asked.where(Rework.project_id == project_id).order_by(Rework.id.desc()).limit(most)
    return (await session.execute(asked)).all()


async def rework_of(session: AsyncSession, project_id: int, public_id: UUID) -> Rework:
    """:raises NotFound: no such rework here."""
    found = await session.scalar(select(Rework).where(Rework.project_id == project_id, Rework.public_id == public_id))
    if found is None:
        raise NotFound
    return found
