"""Versions of the guidelines: what each changed, who has read it, and agreement before and after with intervals."""

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Membership
from app.projects.actions import change_guidelines
from app.projects.queries import default_batch
from app.projects.tables import Change, Guidelines
from app.quality.actions import keep_figures
from app.quality.gathering import gather
from app.quality.reporting import quality_of
from tests import make
from tests.app.datasets.scene import people
from tests.conftest import sign_in


async def test_agreement_is_counted_under_each_version_and_old_answers_lead_to_a_rework(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session, k=2)
    batch = await default_batch(session, project.id)
    one, two = await people(session, project, 2)
    boss = await make.user(session)
    await make.member(session, project, boss, Role.manager)
    old = (await session.scalars(select(Guidelines.id))).one()
    new = await change_guidelines(session, project.id, "Be brief.", None, change=Change.rule)
    for guidelines, second in ((old, 1), (old, 1), (old, 0), (new.id, 0), (new.id, 0)):
        task = await make.task(session, project, batch, k=2, state="done", chance=1.0)
        await make.annotation(session, task, one, 0, guidelines_id=guidelines)
        await make.annotation(session, task, two, second, guidelines_id=guidelines)
    figures = quality_of(await gather(session, project.id))
    groups = {group["key"]: group for group in figures["measures"][0]["by"]["guidelines"]}
    assert groups[1]["figures"]["percent"]["value"] == pytest.approx(1 / 3)
    assert groups[2]["figures"]["percent"]["value"] == 1.0
    await keep_figures(session, project.id, {"quality": figures}, 0, 0.1)
    (place,) = await session.scalars(select(Membership).where(Membership.user_id == one.id))
    place.guidelines_read = 2
    await sign_in(client, session, boss)
    base = f"/projects/{project.public_id}"
    page = (await client.get(f"{base}/guidelines/versions")).text
    assert "Rule change" in page
    assert "1 of 3" in page
    assert "Agreement before and after" in page
    assert f'href="{base}/rework?guidelines=1"' in page
    listed = (await client.get(f"{base}/annotations?guidelines=2")).text
    assert listed.count("/annotations/") >= 4
    assert (await client.get(f"{base}/rework?guidelines=1")).status_code == 200
