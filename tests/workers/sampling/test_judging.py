"""Answers scored over HTTP: as OpenRLHF asks, as our own function and PPO's remote rule ask; all are told alike."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.training import conftest
from workers.sampling.door import make_door
from workers.sampling.engine import Engine
from workers.training.checkpoints import open_checkpoint
from workers.training.networks import Backbone
from workers.training.scoring import load_reward

base_folder, reward_folder = conftest.base_folder, conftest.reward_folder
TOKEN = "a-token-of-the-test-only"
TALK = [{"role": "user", "content": "what would you do?"}]
ANSWERS = ["good fine", "bad sad poor"]


@pytest.fixture
async def client(base_folder: Path, reward_folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    engine = Engine(device="cpu", threads=1)

    async def judges(name: str) -> tuple[Path, Path] | None:
        return (reward_folder, base_folder) if name == "mine" else None

    async def nothing(*_asked: object) -> Any:
        return None

    door = make_door(engine, nothing, nothing, TOKEN, judges)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=door), base_url="http://door", headers=headers
    ) as opened:
        yield opened
    await engine.close()


async def rewards(client: httpx.AsyncClient, status: int = 200, **asked: Any) -> Any:
    answer = await client.post("/v1/rewards/mine", json=asked)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_every_way_of_asking_is_told_what_a_run_would_learn_from(
    client: httpx.AsyncClient, base_folder: Path, reward_folder: Path
) -> None:
    opened = open_checkpoint(base_folder)
    network = load_reward(reward_folder, Backbone(opened.network), opened.weights_sha256)
    prompt = opened.prompt_ids([("user", TALK[0]["content"])])
    scores = network.score([prompt] * 2, [opened.answer_ids(text) for text in ANSWERS], opened.pad_id)
    mean, deviation = network.constants[0].moments
    expected = ((scores.mean - 0.5 * scores.sd - mean) / deviation).tolist()

    text = opened.tokenizer.decode(prompt)
    ends = opened.tokenizer.eos_token + 2 * opened.tokenizer.pad_token
    query = [text + ANSWERS[0] + ends, text + ANSWERS[1]]  # one ended, one was cut off
    by_text = await rewards(client, query=query, prompts=[text] * 2, labels=["", None])
    assert by_text["rewards"] == by_text["scores"] == pytest.approx(expected, abs=1e-4)
    assert by_text["extra_logs"] == {}
    other = ["another template: "] * 2
    asked = {"query": [f"{other[0]}{answer}" for answer in ANSWERS], "prompts": other, "labels": [json.dumps(TALK)] * 2}
    assert (await rewards(client, **asked))["rewards"] == pytest.approx(expected, abs=1e-4)
    apart = await rewards(client, prompts=[TALK, TALK[0]["content"]], answers=ANSWERS)
    assert apart["rewards"] == pytest.approx(expected, abs=1e-4)
    trusting = await rewards(client, prompts=[TALK] * 2, answers=ANSWERS, uncertainty=0)
    assert trusting["rewards"] == pytest.approx(((scores.mean - mean) / deviation).tolist(), abs=1e-4)
    weighed = await rewards(client, prompts=[TALK] * 2, answers=ANSWERS, uncertainty=0, head_weights={"overall": -2})
    assert weighed["rewards"] == pytest.approx([-2 * value for value in trusting["rewards"]], abs=1e-4)


async def test_what_cannot_be_scored_is_said(client: httpx.AsyncClient) -> None:
    pair = {"prompts": [TALK], "answers": ["good"]}
    for wrong, said in (
        ({"prompts": [TALK]}, "one length"),
        ({"query": ["b a"], "prompts": ["a "]}, "does not begin with the text of its prompt"),
        (pair | {"head_weights": {"tone": 1}}, "no head “tone”"),
        (pair | {"formula": "1 +"}, "character 4"),
        (pair | {"answers": ["good " * 3000]}, "can hold"),
    ):
        assert said in (await rewards(client, 400, **wrong))["error"]["message"]
    assert (await client.post("/v1/rewards/other", json=pair)).status_code == 404
    for password, status in ((TOKEN, 200), ("guessed", 401)):
        basic = {"Authorization": "Basic " + b64encode(f"hone:{password}".encode()).decode()}
        assert (await client.post("/v1/rewards/mine", json=pair, headers=basic)).status_code == status
