import asyncio
import json
import os
import stat

import httpx
import pytest

from workers.sampling import door as door_module
from workers.sampling.answers import Sampling
from workers.sampling.door import door_server, make_door
from workers.sampling.engine import Engine
from workers.sampling.rows import Row
from workers.sampling.token import TokenRefused, door_token

TOKEN = "a-token-of-the-test-only"
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "is the tea hot?"}], "max_tokens": 12, "seed": 5}


@pytest.fixture
async def engine():
    running = Engine(device="cpu", token_budget=4000, threads=1)
    yield running
    await running.close()


@pytest.fixture
def app(engine, tiny, tmp_path):
    folders = {"tiny": tiny, "broken": tmp_path}

    async def resolve(name):
        return folders.get(name)

    async def names():
        return sorted(folders)

    return make_door(engine, resolve, names, TOKEN)


@pytest.fixture
async def client(app):
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://door", headers=headers) as opened:
        yield opened


def events_of(response):
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


async def until(so):
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_an_answer_has_openais_shape_and_the_engines_text(client, engine, tiny):
    response = await client.post("/v1/chat/completions", json=ASK | {"n": 2, "temperature": 0.8, "top_p": 0.9})
    [expected] = await engine.complete(tiny, [ASK["messages"]], Sampling(0.8, 0.9, max_tokens=12), 2, [5])
    answer = response.json()
    assert response.status_code == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "tiny"
    assert [choice["message"] for choice in answer["choices"]] == [
        {"role": "assistant", "content": one.text} for one in expected
    ]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert [choice["finish_reason"] for choice in answer["choices"]] == [one.finish_reason for one in expected]
    drawn = sum(one.token_count for one in expected)
    read = expected[0].prompt_tokens
    assert answer["usage"] == {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}


async def test_a_stream_says_the_same_in_pieces(client):
    whole = (await client.post("/v1/chat/completions", json=ASK | {"n": 2})).json()
    streamed = await client.post(
        "/v1/chat/completions", json=ASK | {"n": 2, "stream": True, "stream_options": {"include_usage": True}}
    )
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *lines, last = events_of(streamed)
    assert last == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["choices"] == []
    for choice in whole["choices"]:
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(c["delta"].get("content", "") for c in mine) == choice["message"]["content"]
        assert [c["finish_reason"] for c in mine if c["finish_reason"]] == [choice["finish_reason"]]


async def test_the_same_seed_repeats_and_no_seed_varies(client):
    asked = [ASK, ASK, {**ASK, "seed": None}, {**ASK, "seed": None}]
    first, again, some, other = [
        (await client.post("/v1/chat/completions", json=one)).json()["choices"][0]["message"]["content"]
        for one in asked
    ]
    assert first == again
    assert len({first, some, other}) > 1


async def test_models_are_listed_by_name(client):
    listed = (await client.get("/v1/models")).json()
    assert [(one["id"], one["object"]) for one in listed["data"]] == [("broken", "model"), ("tiny", "model")]


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/chat/completions")])
async def test_without_the_token_every_door_stays_shut(app, given, method, path):
    headers = [] if given is None else [(b"Authorization", given.encode())]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as stranger:
        response = await stranger.request(method, path, headers=headers, content=b"x" * 2_000_000)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert TOKEN not in response.text


async def test_health_needs_no_token(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://door") as stranger:
        assert (await stranger.get("/health")).json() == {"status": "ok", "waiting": 0}


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": "broken"}, 422, "model"),
        ({"model": ""}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "a"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "tea " * 200}]}, 400, "messages"),
        ({"n": 0}, 400, "n"),
        ({"n": 17}, 400, "n"),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"stop": [""]}, 400, "stop"),
        ({"stop": ["a"] * 5}, 400, "stop"),
        ({"tools": []}, 400, "tools"),
        ({"top_logprobs": 2}, 400, None),  # without logprobs
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
        ({"min_p": 1.5}, 400, "min_p"),
        ({"repetition_penalty": 0}, 400, "repetition_penalty"),
        ({"presence_penalty": 0.5}, 400, "presence_penalty"),
        ({"stream": True, "messages": [{"role": "robot", "content": "a"}]}, 400, "messages[0].role"),
        ({"stream": True, "model": "broken"}, 422, "model"),
    ],
)
async def test_what_is_wrong_is_named(client, change, status, field):
    response = await client.post("/v1/chat/completions", json=ASK | change)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, field)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


async def test_what_is_no_json_is_refused(client):
    response = await client.post("/v1/chat/completions", content=b"{oh")
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]


async def test_a_body_beyond_the_cap_is_refused_without_reading_it_all(client):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 50_000_000:
            sent += 100_000
            yield b"x" * 100_000

    response = await client.post("/v1/chat/completions", content=endless())
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"
    assert sent < 2_000_000


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/models", 405)])
async def test_other_addresses_answer_in_the_same_shape(client, method, path, status):
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_too_many_waiting_are_told_to_come_back(client, monkeypatch):
    monkeypatch.setattr(door_module, "MOST_WAITING", 0)
    response = await client.post("/v1/chat/completions", json=ASK)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"


async def test_a_failing_generation_is_a_500_and_tells_no_secrets(client, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("/some/private/path")

    monkeypatch.setattr("workers.sampling.engine.sample", broken)
    for stream in (False, True):
        response = await client.post("/v1/chat/completions", json=ASK | {"stream": stream})
        assert response.status_code == 500
        assert response.json()["error"]["type"] == "server_error"
        assert "private" not in response.text


async def test_a_failure_in_mid_stream_is_the_last_event(client, monkeypatch):
    def breaking(network, prompts, sampling, *, watch, **options):
        for token in (70, 71, 72):
            watch(Row(0, 0, 0, [5], [token], [-1.0]))
        raise RuntimeError

    monkeypatch.setattr("workers.sampling.engine.sample", breaking)
    response = await client.post("/v1/chat/completions", json=ASK | {"stream": True})
    *_, last = events_of(response)
    assert json.loads(last)["error"]["type"] == "server_error"


async def test_the_server_listens_on_the_loopback_only_and_a_leaver_ends_his_stream(app, engine, tiny):
    server = door_server(app, 0)
    assert server.config.host == "127.0.0.1"
    serving = asyncio.ensure_future(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    watched = []
    original = engine._watch

    def spy(owners, *rest):
        watched.append(owners[0][0])
        return original(owners, *rest)

    engine._watch = spy
    ask = ASK | {"stream": True, "max_tokens": 100, "temperature": 2}
    try:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            async with client.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json=ask) as response:
                await anext(response.aiter_lines())
            await until(lambda: watched[0].abandoned)
            assert (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
    finally:
        server.should_exit = True
        await serving


def test_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path):
    home = tmp_path / "home"
    token = door_token(home)
    assert door_token(home) == token
    assert len(token) >= 43
    assert stat.S_IMODE((home / "sampler.token").stat().st_mode) == 0o600
    assert os.listdir(home) == ["sampler.token"]
    assert door_token(tmp_path / "second") != token


def test_a_token_that_others_can_read_is_refused(tmp_path):
    door_token(tmp_path)
    (tmp_path / "sampler.token").chmod(0o640)
    with pytest.raises(TokenRefused, match="chmod 600"):
        door_token(tmp_path)


def test_an_empty_token_opens_nothing(tmp_path):
    (tmp_path / "sampler.token").touch(mode=0o600)
    with pytest.raises(TokenRefused, match="holds no token"):
        door_token(tmp_path)
