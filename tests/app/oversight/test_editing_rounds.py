"""Rounds are edited by one at a time, stay as they are once accepted, and are deleted as long as they are drafts."""

from datetime import date

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.projects.batching import RoundEdit, RoundForm
from app.projects.tables import Batch, BatchState
from app.tasks.actions import edit_round, make_round
from app.tasks.actions.limiting import RoundSettled
from tests import make
from tests.app.scene import engineer

S = BatchState


async def test_who_edits_a_round_that_somebody_else_changed_is_told_and_may_send_it_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    batch = await make_round(session, project.id, RoundForm(name="A"), None)
    await engineer(client, session, project, Role.manager)
    address, seen = f"/projects/{project.public_id}/rounds/{batch.public_id}", batch.version
    assert f'name="version" value="{seen}"' in (await client.get(f"{address}/edit")).text
    sent = {"name": "A", "k": "1", "pilot": "50", "target": "20", "faces": "kept", "version": str(seen)}
    assert (await client.post(address, data=sent)).status_code == 303
    refused = await client.post(address, data=sent | {"target": ""})
    assert (refused.status_code, f'name="version" value="{seen + 1}"' in refused.text) == (409, True)
    batch = await session.get_one(Batch, batch.id)
    assert batch.target == 20
    assert (await client.post(address, data=sent | {"version": str(seen + 1), "target": ""})).status_code == 303


@pytest.mark.parametrize("state", [S.accepted, S.frozen])
async def test_what_a_settled_round_asked_stays_as_it_is(
    client: httpx.AsyncClient, session: AsyncSession, state: BatchState
) -> None:
    project = await make.project(session)
    asks = {"k": 2, "calibration": 0.1, "target": 9}
    batch = await make_round(session, project.id, RoundForm(name="A", **asks), None)
    batch.state = state
    await session.flush()
    for change in ({"k": 3}, {"target": 10}, {"selection": {"again": True}}):
        form = RoundEdit.model_validate({"name": "B", "version": batch.version} | asks | change)
        with pytest.raises(RoundSettled):
            await edit_round(session, batch, form, None)
    await engineer(client, session, project, Role.manager)
    address = f"/projects/{project.public_id}/rounds/{batch.public_id}"
    page = (await client.get(f"{address}/edit")).text
    assert ('name="due"' in page, 'name="target"' in page) == (True, False)
    sent = {"name": "B", "due": "2026-03-01", "version": str(batch.version)}
    assert (await client.post(address, data=sent)).status_code == 303
    batch = await session.get_one(Batch, batch.id)
    assert (batch.name, batch.due_at is not None, batch.k, batch.target) == ("B", True, 2, 9)


async def test_a_draft_is_deleted_and_nothing_else(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    draft, used, asked = [await make_round(session, project.id, RoundForm(name=name), None) for name in "ABC"]
    await make.task(session, project, used)
    asked.state = S.pilot
    left = await make_round(session, project.id, RoundForm(name="D", due=date(2026, 3, 1)), None)
    await engineer(client, session, project, Role.manager)
    base, ids = f"/api/v1/projects/{project.public_id}/batches", [one.id for one in (draft, used, asked, left)]
    address = f"/projects/{project.public_id}/rounds/{left.public_id}"
    for name, status in [(str(draft.public_id), 204), (str(used.public_id), 409), (str(asked.public_id), 409)]:
        assert (await client.delete(f"{base}/{name}")).status_code == status
    assert f"{address}/remove" in (await client.get(address)).text
    assert (await client.post(f"{address}/remove")).status_code == 303
    session.expunge_all()
    assert [await session.get(Batch, one) is None for one in ids] == [True, False, False, True]
