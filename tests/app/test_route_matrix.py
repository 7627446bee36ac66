"""Every route, asked by everybody, in a project of theirs and in another: who gets 401, 403, 404, and who gets in.

The demands stand in `route_table.py`, by hand: a route that asks for less than was written down fails here.
"""

import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.accounts.access import Anybody, May
from app.accounts.credentials import LEADS_TO_PROJECT
from app.accounts.idempotency import KeptRoute
from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import User
from app.main import app
from app.projects.tables import Project
from tests import make
from tests.app.route_table import ANYBODY, EXAMPLES, IN_PERSON, MAY_BE_ABSENT, PLAIN, ROUTES, SIGNED_IN, WRITES

CALLERS = ["nobody", "stranger", "admin", *Role]


def name_of(route: RouteContext) -> str:
    return " ".join([*sorted((route.methods or set()) - {"HEAD"}), str(route.path)])


ALL = {name_of(route): route for route in iter_route_contexts(app.routes) if route.path not in PLAIN}


def demands(dependant: Dependant | None) -> list[May | Anybody]:
    """Every May and Anybody among a route's dependencies, however deep."""
    found: list[May | Anybody] = []
    for needed in dependant.dependencies if dependant else ():
        found += [needed.call] if isinstance(needed.call, May | Anybody) else demands(needed)
    return found


def declared(route: RouteContext) -> Permission | str | None:
    """What a route's dependencies demand, in the table's words; None when they say nothing."""
    found = demands(route.dependant)
    if len(found) != 1:
        return None
    if isinstance(found[0], Anybody):
        return ANYBODY
    return found[0].permission or (IN_PERSON if found[0].in_person else SIGNED_IN)


def parameters(name: str) -> list[str]:
    return re.findall(r"{(\w+)(?::\w+)?}", name)


@pytest.mark.parametrize("name", ALL)
def test_every_route_demands_what_the_table_says(name: str) -> None:
    demanded = declared(ALL[name])
    assert demanded, f"{name} must have exactly one of may(…), signed_in(), in_person() or anybody()"
    line = f'"{name}": {f"P.{demanded.name}" if isinstance(demanded, Permission) else repr(demanded)}'
    assert name in ROUTES, f"a new route: add {line} to ROUTES in tests/app/route_table.py, if that is what you want"
    assert ROUTES[name] == demanded, f"{name} demands {demanded}, the table says {ROUTES[name]}"


def test_the_table_has_no_route_that_is_gone() -> None:
    assert ROUTES.keys() - ALL.keys() == set()


@pytest.mark.parametrize("name", ALL)
def test_every_path_parameter_has_an_example(name: str) -> None:
    missing = [parameter for parameter in parameters(name) if parameter not in EXAMPLES]
    assert not missing, f"{name}: add a factory for {missing} to EXAMPLES in tests/app/route_table.py"


def test_every_write_over_rest_honours_idempotency_keys() -> None:
    plain = [name for name, route in ALL.items() if "/api/v1/" in name and not isinstance(original(route), KeptRoute)]
    assert plain == []


def original(route: RouteContext) -> Any:
    return getattr(route, "original_route", None) or route.route


@dataclass
class World:
    own: Project
    other: Project
    people: dict[str, User]
    cookies: dict[str, str]


async def a_world(session: AsyncSession) -> World:
    """Two projects; six people with a role in the first, a stranger, and an admin."""
    own, other = await make.project(session), await make.project(session)
    people = {caller: await make.user(session, is_admin=caller == "admin") for caller in CALLERS if caller != "nobody"}
    for role in Role:
        await make.member(session, own, people[role], role, cohort="one")
    for project in (own, other):  # nothing below may fail for want of a manager
        await make.member(session, project, await make.user(session), Role.manager)
    cookies = {caller: await make.sign_in(session, person) for caller, person in people.items()}
    return World(own, other, people, cookies)


def expected(name: str, demand: Permission | str, caller: str, *, own: bool) -> int | None:
    """The refusal a caller gets, or None when they get in."""
    if demand == ANYBODY:
        return None
    if caller == "nobody":
        return 401
    if caller == "admin" or (demand in {SIGNED_IN, IN_PERSON} and not leads(name)):
        return None
    if not leads(name):
        return 403
    if caller == "stranger" or not own:
        return 404
    return None if not isinstance(demand, Permission) or demand in ROLE_PERMISSIONS[Role(caller)] else 403


def leads(name: str) -> bool:
    return any(parameter in LEADS_TO_PROJECT for parameter in parameters(name))


async def ask(
    client: httpx.AsyncClient, connection: AsyncConnection, session: AsyncSession, name: str, path: str, cookie: str
) -> int:
    """The status of one request, everything it did undone; a GET is asked in a transaction that cannot write."""
    method = name.split(" ")[0]
    undo = await connection.begin_nested()
    if method == "GET" and name not in WRITES:
        await connection.exec_driver_sql("SET LOCAL transaction_read_only = on")
    headers = {"Cookie": f"hone_session={cookie}"} if cookie else {}
    answer = await client.request(method, path, headers=headers)
    await session.rollback()
    await undo.rollback()
    return answer.status_code


@pytest.mark.parametrize("name", sorted(ROUTES))
async def test_everybody_gets_what_they_may(
    client: httpx.AsyncClient, connection: AsyncConnection, session: AsyncSession, name: str
) -> None:
    world = await a_world(session)
    wrong = []
    projects = {"own": world.own, "other": world.other} if leads(name) else {"own": world.own}
    for caller in CALLERS:
        person = world.people.get(caller, world.people["stranger"])
        for which, project in projects.items():
            inside = {each: await EXAMPLES[each](session, project, person) for each in parameters(name)}
            await session.commit()
            path = name.split(" ")[1].format(**inside)
            status = await ask(client, connection, session, name, path, world.cookies.get(caller, ""))
            refusal = expected(name, ROUTES[name], caller, own=which == "own")
            if not fits(name, ROUTES[name], status, refusal):
                wrong.append(f"{caller} in {which} project: {status}, expected {refusal or 'to get in'}")
    assert not wrong, f"{name}\n" + "\n".join(wrong)


def fits(name: str, demand: Permission | str, status: int, refusal: int | None) -> bool:
    if refusal is not None:
        return status == refusal
    may_be_absent = name in MAY_BE_ABSENT or (demand == ANYBODY and "{" in name)
    wrong_credentials = demand == ANYBODY and status == 401 and name.endswith("/sign-in")
    return status < 500 and (status not in {401, 403, 404} or (status == 404 and may_be_absent) or wrong_credentials)


def test_a_route_that_demands_too_little_is_noticed() -> None:
    # the judgement itself, on the ways a route can be wrong
    assert not fits("GET /x", Permission.run_read, 200, 403)
    assert not fits("GET /x", Permission.run_read, 403, 404)
    assert not fits("GET /x", Permission.run_read, 404, None)
    assert not fits("GET /x", Permission.run_read, 500, None)
    assert fits("GET /x", Permission.run_read, 422, None)
    assert expected("GET /projects/{project}/runs", Permission.run_read, "annotator", own=True) == 403
    assert expected("GET /projects/{project}/runs", Permission.run_read, "engineer", own=True) is None
    assert expected("GET /projects/{project}/runs", Permission.run_read, "engineer", own=False) == 404
    assert expected("GET /people", Permission.installation_manage, "manager", own=True) == 403
