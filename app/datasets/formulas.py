"""Reward formulas of a project: kept by name, each change a new version, so that a frozen score can be told again."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app import events
from app.annotations.tables import Annotation, AnnotationState
from app.datasets.forms import FreezeForm, NewFormula
from app.datasets.scoring import Scorer, names_of, ratings_in, values_of
from app.datasets.tables import Formula
from app.errors import Invalid
from app.preferences.formula import FormulaWrong, checked
from app.projects.actions import locked
from app.projects.protocols import CombinedProtocol, ProtocolBody, protocol_of
from app.projects.tables import Protocol
from app.translation import _


def formulas_in(project_id: int) -> Select[Formula]:
    return select(Formula).where(Formula.project_id == project_id)


async def formulas_of(session: AsyncSession, project_id: int) -> Sequence[Formula]:
    """Every version, by name and newest first."""
    asked = formulas_in(project_id).order_by(Formula.name, Formula.version.desc())
    return (await session.scalars(asked)).all()


async def newest_formula(session: AsyncSession, project_id: int, name: str) -> Formula | None:
    asked = formulas_in(project_id).where(Formula.name == name).order_by(Formula.version.desc()).limit(1)
    return (await session.scalars(asked)).one_or_none()


async def protocols_by_age(session: AsyncSession, project_id: int) -> list[ProtocolBody]:
    """Every version, oldest first."""
    asked = select(Protocol.body).where(Protocol.project_id == project_id).order_by(Protocol.version)
    return [protocol_of(body) for body in await session.scalars(asked)]


async def names_offered(session: AsyncSession, project_id: int) -> dict[str, str]:
    """Names that a formula of this project may use, of all its protocols, with what each stands for."""
    return names_of(await protocols_by_age(session, project_id))


async def save_formula(session: AsyncSession, project_id: int, form: NewFormula, actor_id: int | None) -> Formula:
    """A new formula, or the next version of the one that has this name; the same expression again changes nothing.

    :raises Invalid: it is no formula over this project's names; the sentence points at the character.
    """
    await locked(session, project_id)
    try:
        checked(form.expression, await names_offered(session, project_id))
    except FormulaWrong as wrong:
        raise Invalid(field="expression", reason=str(wrong)) from None
    newest = await newest_formula(session, project_id, form.name)
    if newest is not None and newest.expression == form.expression:
        return newest
    version = newest.version + 1 if newest else 1
    made = Formula(
        project_id=project_id, name=form.name, version=version, expression=form.expression, created_by_id=actor_id
    )
    session.add(made)
    await session.flush()
    await session.refresh(made)
    await events.record(
        session, "formula.changed", actor_id=actor_id, project_id=project_id, subject=form.name, version=version,
        expression=form.expression,
    )  # fmt: skip
    return made


async def settled(session: AsyncSession, project_id: int, question: FreezeForm) -> FreezeForm:
    """The question with the version of its formula that is newest now, so that it means the same for ever.

    :raises Invalid: the project has no such formula.
    """
    if question.formula is None:
        return question
    asked = formulas_in(project_id).where(Formula.name == question.formula)
    if question.formula_version is not None:
        asked = asked.where(Formula.version == question.formula_version)
    found = (await session.scalars(asked.order_by(Formula.version.desc()).limit(1))).one_or_none()
    if found is None:
        raise Invalid(field="formula", reason=_("this project has no such formula"))
    return question.model_copy(update={"formula_version": found.version})


async def scorer_of(connection: AsyncConnection, project_id: int, question: FreezeForm) -> Scorer | None:
    """What scores the ratings of a dataset, if its question names a formula. The question is `settled`."""
    if question.formula is None:
        return None
    of = (
        Formula.project_id == project_id,
        Formula.name == question.formula,
        Formula.version == question.formula_version,
    )
    found = (await connection.execute(select(Formula.name, Formula.version, Formula.expression).where(*of))).one()
    return Scorer(*found)


async def example_of(session: AsyncSession, project_id: int) -> dict[str, float]:
    """Values to try a formula on: of the newest rating there is, else the middle of each scale; flags down."""
    values: dict[str, float] = {}
    for protocol in await protocols_by_age(session, project_id):
        for rating in ratings_in(protocol):
            middles = {one.key: float((one.least + one.most) // 2) for one in rating.criteria}
            values |= values_of({"criteria": middles, "flags": (), "errors": ()}, rating)
    asked = (
        select(Annotation.body, Protocol.body)
        .join(Protocol, Protocol.id == Annotation.protocol_id)
        .where(Annotation.project_id == project_id, Annotation.state == AnnotationState.live)
        .where(Annotation.kind.in_(["rating", "conversation", "combined"]))
        .order_by(Annotation.id.desc())
        .limit(1)
    )
    row = (await session.execute(asked)).one_or_none()
    if row is None:
        return values
    body, protocol = row[0], protocol_of(row[1])
    parts = (
        zip(body["parts"], protocol.parts, strict=True)
        if isinstance(protocol, CombinedProtocol)
        else [(body, protocol)]
    )
    for said, part in parts:
        for rating, rated in zip(ratings_in(part), rated_in(said), strict=False):
            values |= values_of(rated, rating)
    return values


def rated_in(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a kept body says about single answers; of a conversation, what each turn's judgement says."""
    of_turns = [turn["said"] for turn in said.get("turns", ())]
    return [rated for one in (said, *of_turns) for rated in one.get("ratings", ())]
