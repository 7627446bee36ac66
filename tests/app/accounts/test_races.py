"""Several at the same time, on a database that commits: one link one sign-in, ten tries and no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select

from app import database
from app.accounts import passwords
from app.accounts.actions.links import make_sign_in_link
from app.accounts.tables import SignIn, User
from app.main import app
from tests import make

pytestmark = [pytest.mark.committed, pytest.mark.usefixtures("committed")]


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://testserver", headers=headers
    ) as web:
        yield web


async def test_of_two_who_use_one_link_one_comes_in(web: httpx.AsyncClient) -> None:
    async with database.transaction() as session:
        path = await make_sign_in_link(session)
    form = {"name": "Ada", "email": "ada@example.org", "password": "correct horse battery"}
    answers = await asyncio.gather(*(web.post(path, data=form) for _one in range(4)))
    assert Counter(answer.status_code for answer in answers) == {303: 1, 404: 3}
    async with database.transaction() as session:
        assert await session.scalar(select(func.count(SignIn.id))) == 1


async def test_two_programs_that_start_at_once_make_one_admin() -> None:
    async def start() -> str:
        async with database.transaction() as session:
            return await make_sign_in_link(session)

    await asyncio.gather(*(start() for _one in range(4)))
    async with database.transaction() as session:
        assert await session.scalar(select(func.count(User.id))) == 1


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/sign-in"])
async def test_fifteen_tries_at_once_are_ten(web: httpx.AsyncClient, path: str) -> None:
    async with database.transaction() as session:
        person = await make.user(session, password_hash=passwords.hasher.hash("correct horse battery"))
    body = {"email": person.email, "password": "wrong horse"}
    sent = {"json": body} if "api" in path else {"data": body}
    answers = await asyncio.gather(*(web.post(path, **sent) for _one in range(15)))
    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 5}
