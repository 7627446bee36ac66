"""Quotas as one grid: what a change would do by hand-computed days, what it does, and who may."""

from datetime import date, timedelta
from typing import Any

import httpx
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.oversight.quota_effects import Limits, Stand, counted_under, outlook, reachable
from app.projects.batching import LimitsEdit
from app.projects.tables import Project
from app.tasks.actions import edit_limits
from app.tasks.tables import QuotaDay, Slot
from tests import make
from tests.app.scene import Scene, engineer, scene

TODAY = date(2026, 3, 2)


def limits(**values: Any) -> Limits:
    plain = {"a_day": {}, "in_all": {}, "project_a_day": None, "project_in_all": None, "budget": None}
    return Limits(**plain | values)


def stand(**values: Any) -> Stand:
    plain: dict[str, Any] = {"today": TODAY, "wanted": 100, "used": 50, "used_by": {}, "spent": 0, "dearest": 0}
    return Stand(**plain | values)


def test_days_counted_anew() -> None:
    """a did 30 and 10, b 5 and 5: with 20 for a, 25 and 15; who has no limit counts as they did."""
    done = {TODAY - timedelta(days=2): {"a": 30, "b": 5}, TODAY - timedelta(days=1): {"a": 10, "b": 5}}
    assert counted_under(done, {}, TODAY) == [0] * 26 + [35, 15]
    assert counted_under(done, {"a": 20, "b": 99}, TODAY) == [0] * 26 + [25, 15]


def test_what_limits_leave_room_for() -> None:
    """100 wanted. 70 in all less 50 leave 20; 1000 cents less 400 at 25 each leave 24; a's 60 less 55 and b's 3 leave
    8, where a and b are all who are asked."""
    assert reachable(limits(), stand()) == 100
    assert reachable(limits(project_in_all=70), stand()) == 20
    assert reachable(limits(budget=1000), stand(spent=400, dearest=25)) == 24
    assert reachable(limits(budget=0), stand()) == 100  # nothing is paid
    ends = {"a": 60, "b": 3}
    assert reachable(limits(a_day={"a": 9, "b": 9}, in_all=ends), stand(used_by={"a": 55})) == 8
    assert reachable(limits(a_day={"a": 9, "b": 9, "c": 9}, in_all=ends), stand(used_by={"a": 55})) == 100
    assert reachable(limits(project_in_all=10), stand()) == 0


def test_half_as_much_takes_twice_as_long() -> None:
    """One person did 20 on each of 28 days. 100 answers: five days from today; with 10 a day ten."""
    done = {TODAY - timedelta(days=back): {"a": 20} for back in range(1, 29)}
    free, bound = (outlook(done, limits(a_day={"a": most}), stand(dearest=10, spent=30)) for most in (20, 10))
    assert (free.forecast.likely, bound.forecast.likely) == (TODAY + timedelta(days=4), TODAY + timedelta(days=9))
    assert (free.at_most_a_day, bound.at_most_a_day, bound.costs) == (20, 10, 1030)
    assert outlook(done, limits(a_day={"a": 20}, project_a_day=5), stand()).at_most_a_day == 5


async def place(session: AsyncSession, there: Scene, nth: int = 0) -> Membership:
    mine = {"project_id": there.project.id, "user_id": there.people[nth].person.id}
    found = select(Membership).filter_by(**mine).execution_options(populate_existing=True)
    return (await session.scalars(found)).one()


def cell(row: str, name: str, column: str, was: int | None, becomes: int | None) -> dict[str, Any]:
    return {"row": row, "name": name, "column": column, "was": was, "becomes": becomes}


async def test_cells_are_changed_together_or_not_at_all(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=6)
    await edit_limits(session, there.project.id, LimitsEdit(version=1, tags=[{"tag": "law", "a_day": 5}]), None)
    one, other = (await place(session, there)).pseudonym, (await place(session, there, 1)).pseudonym
    await engineer(client, session, there.project, Role.manager)
    address = f"/api/v1/projects/{there.project.public_id}/quotas"
    cells = [cell("person", one, "day", None, 7), cell("project", "", "all", None, 4), cell("tag", "law", "day", 5, 3)]
    assert (await client.put(address, json={"cells": cells})).status_code == 204
    assert (await place(session, there)).daily_limit == 7
    assert await session.scalar(select(func.count()).where(Slot.state == 0)) == 4  # and two wait for room
    shown = (await client.get(address)).json()
    assert [row["most"] for row in shown["project"]] == [None, 4, None]
    assert shown["tags"][0] == {"row": "tag", "name": "law", "column": "day", "used": 0, "most": 3, "left": 3}
    late = [cell("person", other, "day", None, 9), cell("person", one, "day", None, 8)]  # it is 7 by now
    refused = await client.put(address, json={"cells": late})
    assert refused.status_code == 409
    assert "it is now “7”" in refused.text
    assert (await place(session, there, 1)).daily_limit is None
    assert (await client.put(address, json={"cells": [cell("person", one, "day", 7, 0)]})).status_code == 422
    history = (await client.get(f"/projects/{there.project.public_id}/annotators/quotas/history")).text
    assert history.index(one) < history.index("law")  # the newest first


async def test_the_effect_is_shown_before_it_is_saved(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=3)
    mine, theirs = [(await place(session, there, nth)).pseudonym for nth in (0, 1)]
    await engineer(client, session, there.project, Role.manager)
    address = f"/projects/{there.project.public_id}/annotators/quotas"
    assert "As it stands" in (await client.get(address)).text
    fields = {"row": ["person", "person"], "name": [mine, theirs], "column": ["day", "day"], "was": ["", ""]}
    typed = fields | {"becomes": ["", ""], "who": [mine, theirs], "set_day": "30"}
    page = (await client.post(address, data=typed)).text
    assert "2 limits change" in page
    assert ">60<" in page  # thirty of each
    assert (await place(session, there)).daily_limit is None
    saved = await client.post(address, data=fields | {"becomes": ["30", "30"], "step": "save"})
    assert saved.status_code == 303
    assert (await place(session, there, 1)).daily_limit == 30
    again = await client.post(address, data=fields | {"becomes": ["20", "30"], "step": "save"})
    assert again.status_code == 409
    assert (await client.post(address, data=fields | {"becomes": ["", ""]})).status_code == 422


async def test_money_is_for_those_who_may_see_pay(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project: Project = await make.project(session, budget=1234500)
    person: User = await make.user(session)
    await make.member(session, project, person)
    session.add(QuotaDay(project_id=project.id, annotator_id=person.id, day=TODAY, used=3))
    address = f"/projects/{project.public_id}/annotators/quotas"
    await engineer(client, session, project, Role.manager)
    assert "12345.00" in (await client.get(address)).text
    await engineer(client, session, project)
    assert "12345" not in (await client.get(address)).text
    assert [
        row["column"] for row in (await client.get(f"/api/v1/projects/{project.public_id}/quotas")).json()["project"]
    ] == ["day", "all"]
