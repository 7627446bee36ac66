"""Known answers in bulk, what newcomers answer first, and what becomes of settled tasks in datasets."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.annotations.tables import Annotation
from app.checkpoints.tables import CheckpointKind
from app.completions.tables import Score
from app.datasets.flat import as_flat
from app.datasets.reading import read_line
from app.datasets.rules import preferred_in
from app.projects.tables import Project
from app.quality.actions import AskedForItself, argue
from app.quality.adjudicating import adjudicate
from app.quality.forms import Argument
from app.quality.knowing import ManyArguments, Source, argue_many, is_unanimous, known_tasks
from app.quality.tables import ArguedAnswer
from app.tasks.queries import public_ids_of
from app.tasks.tables import Purpose
from tests import make
from tests.app.datasets.scene import frozen
from tests.app.oversight.test_tasks import found, some_tasks
from tests.app.quality.test_mixing import FIRST
from tests.app.scene import engineer

SECOND = FIRST | {"preferred": 1}
TEXT: dict[str, Any] = {"kind": "rewrite", "text": "x", "completion": 0}


@pytest.mark.parametrize(
    ("answers", "is_known"),
    [
        ([(FIRST, 1), (FIRST | {"strength": 3}, 1)], True),  # how strongly does not count
        ([(FIRST, 1)], False),  # fewer than two
        ([(FIRST, 1), (SECOND, 1)], False),
        ([(FIRST, 1), (FIRST, 2)], False),  # another protocol asked something else
        ([(TEXT, 1), (TEXT, 1)], False),
    ],
)
def test_unanimous_answers_decide_the_same(answers: list[tuple[dict[str, Any], int]], is_known: bool) -> None:
    assert is_unanimous(answers, 2) is is_known


async def test_unanimous_and_settled_tasks_are_argued_in_the_projects_words(session: AsyncSession) -> None:
    project, (one, two, _three), members = await some_tasks(session)
    for task in (one, two):
        task.state = "done"
    protocol = (await session.scalars(select(Annotation.protocol_id).limit(1))).one()
    await adjudicate(session, two, protocol, SECOND, (await make.user(session)).id)
    form, reviewer = ManyArguments(argument="All said so.", least=2), (await make.user(session)).id
    settled = form.model_copy(update={"source": Source.settled})
    assert [known.task.id for known in await known_tasks(session, project.id, form.source, 2, 9, reviewer)] == [one.id]
    assert [known.task.id for known in await known_tasks(session, project.id, form.source, 3, 9, reviewer)] == []
    for whole in (form, settled):  # whoever answered a task is no judge of it
        assert await argue_many(session, project, whole, members[0].user_id) == 0
    assert [await argue_many(session, project, whole, reviewer) for whole in (form, form, settled)] == [1, 0, 1]
    argued = (await session.scalars(select(ArguedAnswer).order_by(ArguedAnswer.task_id))).all()
    assert [(each.is_templated, each.bodies[0]["preferred"]) for each in argued] == [(True, 0), (True, 1)]
    assert project.argument_template == "All said so."


async def test_tasks_of_evaluations_get_no_known_answer(session: AsyncSession) -> None:
    project, (one, two, three), _members = await some_tasks(session)
    protocol = (await session.scalars(select(Annotation.protocol_id).limit(1))).one()
    for task in (one, two, three):
        await adjudicate(session, task, protocol, SECOND, (await make.user(session)).id)
    one.purpose, two.state = Purpose.evaluation, "cancelled"
    await session.flush()
    assert [known.task.id for known in await known_tasks(session, project.id, Source.settled, 2, 9, 0)] == [three.id]
    with pytest.raises(AskedForItself):
        await argue(session, one, protocol, SECOND, Argument(argument="So."), (await make.user(session)).id)
    with pytest.raises(ValidationError):
        ManyArguments.model_validate({"argument": "So.", "use": "attention"})


async def test_the_page_shows_what_it_would_do_and_does_it(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, (one, _two, _three), _members = await some_tasks(session)
    one.state = "done"
    await engineer(client, session, project, Role.manager)
    base = f"/projects/{project.public_id}"
    shown = (await client.get(f"{base}/review/gold?source=unanimous&least=2")).text
    assert "1 task would get a known answer." in shown
    sent = {"source": "unanimous", "least": "2", "most": "50", "use": "gold", "argument": ""}
    assert (await client.post(f"{base}/review/gold/many", data=sent)).status_code == 422
    sent["argument"] = "Everybody said so."
    assert (await client.post(f"{base}/review/gold/many", data=sent)).status_code == 303
    assert "in words for many" in (await client.get(f"{base}/review/gold")).text
    wrong = {"tasks": "2", "right": "40", "tries": "1"}
    refused = await client.post(f"{base}/review/entrance", data=wrong)
    assert refused.status_code == 422
    assert 'value="40"' in refused.text
    assert (await client.post(f"{base}/review/entrance", data=wrong | {"right": "2"})).status_code == 303
    found = (await session.scalars(select(Project), execution_options={"populate_existing": True})).one()
    assert found.entrance == {"tasks": 2, "right": 2, "tries": 1}
    assert "Only 0 known tasks are left" in (await client.get(f"{base}/review/gold")).text
    assert (await client.post(f"{base}/review/entrance/off")).status_code == 303


async def test_in_a_dataset_what_a_reviewer_settled_counts_alone_and_is_marked(
    session: AsyncSession, tmp_path: Path
) -> None:
    project, (one, two, _three), members = await some_tasks(session)
    protocol = (await session.scalars(select(Annotation.protocol_id).limit(1))).one()
    reviewer = await make.user(session)
    await make.member(session, project, reviewer, Role.reviewer, pseudonym="stone-7")
    await adjudicate(session, one, protocol, SECOND, reviewer.id)  # both had said the first
    dataset, lines = await frozen(session, project, tmp_path)
    line = next(line for line in lines if line["id"] == str(one.public_id))
    said = [(vote["rater"], vote["outcome"], vote["weight"], vote.get("adjudicated", False)) for vote in line["votes"]]
    theirs = [(member.pseudonym, "a", 0.0, False) for member in sorted(members, key=lambda one: one.pseudonym)]
    assert said == [*theirs, ("stone-7", "b", 1.0, True)]
    assert line["conclusion"] == "b"
    other = next(line for line in lines if line["id"] == str(two.public_id))
    assert all("adjudicated" not in vote for vote in other["votes"])
    assert [row["vote.adjudicated"] for row in as_flat(line)] == [False, False, True]
    (pair,) = preferred_in(line)
    assert pair.chosen == line["b"]["parts"][0]["text"]
    counts = dataset.manifest["counts"]
    assert (counts["lines_settled_by_reviewers"], counts["lines_with_several_votes"]) == (1, 1)
    back = read_line(1, line).record  # a file brings what people said
    assert [(vote.outcome.value, vote.weight) for vote in back.votes] == [("a", 1.0), ("a", 1.0)]


async def test_a_script_settles_decides_and_scores(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, (one, two, _three), _members = await some_tasks(session)
    await engineer(client, session, project, Role.manager)
    base = f"/api/v1/projects/{project.public_id}"
    shown = await public_ids_of(session, one.id)
    own = {"kind": "comparison", "outcome": "preferred", "preferred": str(shown[1]), "strength": 2}
    sent = await client.put(f"/api/v1/tasks/{one.public_id}/adjudication", json={"body": own, "remark": "So."})
    assert (sent.status_code, sent.json()["body"]["preferred"]) == (200, str(shown[1]))
    said = (await session.scalars(select(Annotation).where(Annotation.task_id == two.id).limit(1))).one()
    sent = await client.post(f"/api/v1/annotations/{said.public_id}/accept", json={})
    assert sent.json()["annotation"] == str(said.public_id)
    rows = (await client.get(f"{base}/adjudications")).json()["rows"]
    assert [row["task"] for row in rows] == [str(two.public_id), str(one.public_id)]
    assert (await client.delete(f"/api/v1/tasks/{one.public_id}/adjudication")).status_code == 204
    assert (await client.put(f"{base}/entrance", json={"tasks": 3, "right": 2})).json()["tries"] == 2
    assert (await client.post(f"{base}/entrance/let-in", json={"rater": "nobody"})).status_code == 404
    reward = await make.checkpoint(session, CheckpointKind.reward, project_id=project.id)
    scores = [
        {"completion": str(key), "value": value, "members": [value, 2.0]}
        for key, value in zip(shown, (0.0, 1.0), strict=True)
    ]
    for _twice in range(2):
        sent = await client.put(f"{base}/scores", json={"checkpoint": str(reward.public_id), "scores": scores})
        assert sent.json() == {"kept": 2}
    kept = await session.scalars(select(Score.members).order_by(Score.value))
    assert kept.all() == [[0.0, 2.0], [1.0, 2.0]]
    assert await found(session, project, queue="reward") == [one.id]
    policy = await make.checkpoint(session, project_id=project.id)
    sent = await client.put(f"{base}/scores", json={"checkpoint": str(policy.public_id), "scores": scores})
    assert sent.status_code == 422
