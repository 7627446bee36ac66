"""What fails while a play is answered: the answer stays where it can, and a play that cannot end is given up."""

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from tests.app.playground.test_playground import FakeEngine, answer_all, asked, form_of, ground
from tests.app.scene import engineer
from workers.handlers.registry import MAX_ATTEMPTS
from workers.sampling.orders import EngineClosed


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "/home/x"), RuntimeError("No such file")])
async def test_what_is_optional_never_costs_the_answer(
    session: AsyncSession, client: httpx.AsyncClient, error: Exception
) -> None:
    class Halting(FakeEngine):
        raised = error

        async def rewards(self, *asked: Any) -> Any:
            raise self.raised

        async def ratios(self, *asked: Any) -> Any:
            raise self.raised

    project, pair, reward = await ground(session)
    await engineer(client, session, project)
    made = await asked(client, project, form_of(pair, reward=str(reward.public_id)))
    await answer_all(session, Halting())
    told = (await client.get(f"/api/v1/projects/{project.public_id}/playground/{made['id']}")).json()["answers"][1]
    assert told["samples"][0]["text"] == "zephyr-7b says 0"
    assert told["no_reward"] == told["no_ratios"] == f"{type(error).__name__}: No such file"
    again = await asked(client, project, form_of(pair))
    Halting.raised = EngineClosed()
    with pytest.raises(EngineClosed):
        await answer_all(session, Halting())
    told = (await client.get(f"/api/v1/projects/{project.public_id}/playground/{again['id']}")).json()["answers"][1]
    assert told["answered_at"] is None


async def test_a_play_that_ends_the_sampler_is_given_up(session: AsyncSession, client: httpx.AsyncClient) -> None:
    project, pair, _reward = await ground(session)
    await engineer(client, session, project)
    made = await asked(client, project, form_of(pair))
    await answer_all(session, FakeEngine(), attempt=MAX_ATTEMPTS)
    shown = (await client.get(f"/projects/{project.public_id}/playground/{made['id']}")).text
    assert "The sampler stopped each time that it tried to answer this." in shown
    assert "zephyr-7b says" not in shown
    assert "every 1s" not in shown
