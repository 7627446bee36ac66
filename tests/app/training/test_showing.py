"""What a run's page shows of how it goes: curves, samples, and how far from the reference its policy still gains."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import Checkpoint, CheckpointKind
from app.evaluation.tables import Evaluation
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.training import actions
from app.training.queries import curves_of, some_samples
from app.training.tables import Run, RunMetric, RunSample, RunState
from app.wording import percent
from tests import make
from tests.app.scene import engineer


def sample(answer: str, **values: Any) -> dict[str, Any]:
    common = {
        "prompt": "What is a pond?",
        "reference": "Still water.",
        "score": 1.5,
        "reference_score": 0.5,
        "kl": -0.25,
    }
    return common | {"answer": answer} | values


async def policy_run(
    session: AsyncSession, project: Project, base: Checkpoint, reward: Checkpoint, kl: float, **values: Any
) -> tuple[Run, Checkpoint]:
    """A run that has ended, and what it made."""
    made = await make.checkpoint(session, CheckpointKind.policy, parent_id=base.id, project_id=project.id)
    report = {"kl": kl, "score": 1.0 + kl, "reference_score": 1.0, "win_rate": 0.75}
    values = {"state": RunState.succeeded, "reward_id": reward.id, "result_id": made.id, "report": report} | values
    return await make.run(session, project, base, **values), made


async def compared(
    session: AsyncSession, project: Project, candidate: Checkpoint, baseline: Checkpoint, rate: float, low: float
) -> Evaluation:
    people = {"rate": rate, "low": low, "high": rate + 0.1, "wins": 6, "ties": 2, "losses": 2}
    batch = await default_batch(session, project.id)
    row = Evaluation(project_id=project.id, batch_id=batch.id, candidate_id=candidate.id, baseline_id=baseline.id,
                     sampling={}, seed=0, prompts=5, k=1, result={"people": people})  # fmt: skip
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def test_what_is_measured_at_every_tenth_step_is_drawn_of_long_runs_as_well(session: AsyncSession) -> None:
    run = await make.run(session, await make.project(session), await make.checkpoint(session))
    for step in range(1, 301):
        values = {"kl": float(step)} | ({"eval_kl": 1.0} if step % 10 == 0 else {})
        session.add(RunMetric(run_id=run.id, step=step, values=values))
    await session.flush()
    curves = await curves_of(session, run.id, most=100)
    assert [step for step, _value in curves["eval_kl"]] == [*range(10, 301, 10)]
    assert len(curves["kl"]) <= 101
    assert curves["kl"][-1] == (300, 300.0)


async def test_samples_are_written_by_the_attempt_that_has_the_run_alone(session: AsyncSession) -> None:
    run = await make.run(session, await make.project(session), await make.checkpoint(session))
    taken = await actions.take_run(session, run.id)
    assert taken is not None
    assert taken.fence is not None
    for words in ("once", "told again"):
        await actions.write_samples(session, run.id, taken.fence, [{"step": 4, "samples": [sample(words)]}])
    with pytest.raises(actions.FenceLost):
        await actions.write_samples(session, run.id, uuid4(), [{"step": 4, "samples": [sample("late")]}])
    run_id = run.id
    session.expire_all()
    [kept] = await some_samples(session, run_id)
    assert kept.samples == [sample("told again")]


async def test_samples_stand_beside_the_reference_as_they_evolve(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    for step in range(10, 101, 10):
        session.add(RunSample(run_id=run.id, step=step, samples=[sample(f"Water <{step}>", score=None)]))
    await session.flush()
    assert [one.step for one in await some_samples(session, run.id, most=3)] == [10, 50, 100]
    await engineer(client, session, project)
    page = (await client.get(f"/runs/{run.public_id}")).text
    assert page.index("Still water.") < page.index("Water &lt;10&gt;") < page.index("Water &lt;100&gt;")
    told = (await client.get(f"/api/v1/runs/{run.public_id}/samples?after=80")).json()
    assert [look["step"] for look in told] == [90, 100]
    assert told[0]["samples"] == [sample("Water <90>", score=None)]


async def test_policies_stand_by_their_distance_with_what_people_said_whoever_was_the_candidate(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    base, other = await make.checkpoint(session), await make.checkpoint(session)
    reward, another = [await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id) for _ in "ab"]
    far, far_made = await policy_run(session, project, base, reward, 9.0, name="far")
    _near, near_made = await policy_run(session, project, base, reward, 4.0, name="near")
    await policy_run(session, project, base, another, 1.0, name="against another")
    await policy_run(session, project, other, reward, 1.0, name="from another")
    await compared(session, project, near_made, base, rate=0.2, low=0.1)
    newest = await compared(session, project, near_made, base, rate=0.8, low=0.7)
    turned = await compared(session, project, base, far_made, rate=0.4, low=0.3)
    await compared(session, project, far_made, near_made, rate=0.1, low=0.0)  # not with the reference
    for step, kl in ((10, 1.0), (20, None), (30, 2.25)):
        seen = {"eval_kl": kl, "eval_score": 3.0, "eval_reference_score": 1.0, "eval_win_rate": 0.6}
        session.add(RunMetric(run_id=far.id, step=step, values=seen))
    await session.flush()
    await engineer(client, session, project)
    told = (await client.get(f"/api/v1/runs/{far.public_id}/optimisation")).json()
    assert [(one["name"], one["step"], one["kl"], one["gain"], one["proxy"]) for one in told] == [
        ("far", 10, 1.0, 2.0, 0.6), ("far", 30, 2.25, 2.0, 0.6),
        ("near", None, 4.0, 4.0, 0.75), ("far", None, 9.0, 9.0, 0.75),
    ]  # fmt: skip
    near, mirrored = (one["people"] for one in told[2:])
    assert near == {
        "evaluation": str(newest.public_id),
        "answers": 10,
        "rate": 0.8,
        "low": 0.7,
        "high": pytest.approx(0.9),
    }
    assert [mirrored[name] for name in ("rate", "low", "high")] == pytest.approx([0.6, 0.5, 0.7])
    page = (await client.get(f"/runs/{far.public_id}")).text
    assert f"{percent(0.8, 1)} ({percent(0.7, 1)} – {percent(0.9, 1)})" in page
    assert f'href="/evaluations/{turned.public_id}"' in page


async def test_a_run_without_a_reward_model_has_nothing_to_over_optimise(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    await engineer(client, session, project)
    assert (await client.get(f"/api/v1/runs/{run.public_id}/optimisation")).json() == []
    assert "How far from the reference" not in (await client.get(f"/runs/{run.public_id}")).text
