"""Files of long prompts: read, rendered and hashed beside the people who answer, and before any transaction waits."""

import io
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database, lines
from app.accounts.permissions import Role
from app.prompts import queries
from app.prompts.actions import import_prompts, importing, placing
from app.prompts.tables import Prompt
from tests import make
from tests.app.prompts.test_import import bring, jsonl
from tests.conftest import sign_in


def long_prompts(count: int, letters: int) -> bytes:
    """Different ones, each of about so many letters."""
    return jsonl(*[{"prompt": " ".join(f"word{n}x{m}" for m in range(letters // 9))} for n in range(count)])


@pytest.mark.committed
async def test_a_file_that_takes_longer_to_read_than_a_transaction_may_wait_comes_in(
    committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as session:
        project = await make.project(session)
    read = importing._read
    monkeypatch.setattr(importing, "_read", lambda *given: time.sleep(0.05) or read(*given))
    rows = jsonl(*[{"prompt": f"What is {n}?"} for n in range(20)])
    async with database.sessions()() as session:
        await session.execute(text("SET idle_in_transaction_session_timeout = '400ms'"))
        await database.between_transactions(session)
        report = await import_prompts(session, project.id, "slow.jsonl", io.BytesIO(rows), None)
        await session.commit()
    assert report.new == 20
    async with database.transaction() as session:
        assert len((await session.scalars(select(Prompt))).all()) == 20


async def test_no_transaction_is_open_while_an_uploaded_file_is_read(
    client: httpx.AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, person = await make.project(session), await make.user(session)
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    read, was_open = importing._read, []

    def noting(*given: Any) -> object:
        was_open.append(session.in_transaction())
        return read(*given)

    monkeypatch.setattr(importing, "_read", noting)
    rows = jsonl({"prompt": "How deep is the sea?"})
    sent = {"file": ("deep.jsonl", rows)}
    page = await client.post(f"/projects/{project.public_id}/prompts/import", files=sent, data={"confirm": "1"})
    rest = await client.post(f"/api/v1/projects/{project.public_id}/prompts", content=rows)
    assert (page.status_code, rest.status_code) == (303, 200), (page.text, rest.text)
    assert was_open == [False, False]


async def test_long_prompts_are_written_a_few_at_a_time_and_never_hashed_where_requests_are_answered(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, here = await make.project(session), threading.get_ident()
    threads: dict[str, set[int]] = {}
    sizes: list[int] = []

    def noting(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def noted(*given: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            if name == "place":
                sizes.append(len(given[0]))
            return real(*given)

        monkeypatch.setattr(module, name, noted)

    for module, name in (
        (placing, "place"),
        (placing, "newcomer"),
        (importing, "render_markdown"),
        (queries, "turn_of"),
    ):
        noting(module, name)
    monkeypatch.setattr(lines, "CHUNK_LETTERS", 40_000)
    content = long_prompts(25, letters=4_000)
    assert (await bring(session, project, content)).new == 25
    assert max(sizes) <= 12
    nearly = json.loads(content.splitlines()[0])["prompt"] + " and more"
    assert (await bring(session, project, jsonl({"prompt": nearly}))).new == 1  # beside a root that is hashed again
    assert set(threads) == {"place", "newcomer", "render_markdown", "turn_of"}
    assert all(here not in found for found in threads.values())
    assert len({prompt.root_id for prompt in await session.scalars(select(Prompt))}) == 25
