"""The door as OpenAI's own client sees it, over a real socket."""

import asyncio
import math

import openai
import pytest

from workers.sampling.answers import Plain, Sampling
from workers.sampling.door import door_server, make_door
from workers.sampling.engine import Engine

TOKEN = "a-token-of-the-test-only"
CHAT = [{"role": "user", "content": "is the tea hot?"}]
ASK = {"model": "tiny", "max_tokens": 12, "seed": 5}


@pytest.fixture
async def engine():
    running = Engine(device="cpu", token_budget=4000, threads=1)
    yield running
    await running.close()


@pytest.fixture
async def client(engine, tiny):
    async def resolve(name):
        return {"tiny": tiny}.get(name)

    async def names():
        return ["tiny"]

    server = door_server(make_door(engine, resolve, names, TOKEN), 0)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with openai.AsyncOpenAI(api_key=TOKEN, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as opened:
        yield opened
    server.should_exit = True
    await serving


async def test_the_client_lists_chats_and_streams(client):
    assert [model.id async for model in client.models.list()] == ["tiny"]
    whole = await client.chat.completions.create(messages=CHAT, n=2, logprobs=True, top_logprobs=3, **ASK)
    streamed = await client.chat.completions.create(
        messages=CHAT, n=2, logprobs=True, stream=True, stream_options={"include_usage": True}, **ASK
    )
    texts, logprobs, reasons, used = ["", ""], [[], []], {}, []
    async for chunk in streamed:
        used.append(chunk.usage)
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            logprobs[choice.index] += [token.logprob for token in (choice.logprobs.content if choice.logprobs else [])]
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert texts == [choice.message.content for choice in whole.choices]
    assert logprobs == [[token.logprob for token in choice.logprobs.content] for choice in whole.choices]
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert used[:-1] == [None] * (len(used) - 1)
    assert used[-1] == whole.usage
    assert whole.usage.completion_tokens == sum(map(len, logprobs))
    for token in whole.choices[0].logprobs.content:
        assert bytes(token.bytes or []).decode() == ("" if "\ufffd" in token.token else token.token)
        likeliest = [one.logprob for one in token.top_logprobs]
        assert len(likeliest) == 3
        assert likeliest == sorted(likeliest, reverse=True)
        assert token.logprob <= likeliest[0]


async def test_plain_completions_take_texts_and_token_ids(client, engine, tiny, tokenizer):
    texts = ["the tea is", "the rain"]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    by_text = await client.completions.create(prompt=texts, n=2, logprobs=2, **ASK)
    by_ids = await client.completions.create(prompt=ids, n=2, extra_body={"return_token_ids": True}, **ASK)
    asked = [Plain(text) for text in texts]
    expected = await engine.complete(tiny, asked, Sampling(max_tokens=12), 2, [5, 5], with_tokens=True)
    flat = [answer for group in expected for answer in group]
    assert [choice.text for choice in by_text.choices] == [choice.text for choice in by_ids.choices]
    assert [choice.text for choice in by_text.choices] == [answer.text for answer in flat]
    assert [choice.index for choice in by_text.choices] == [0, 1, 2, 3]
    assert by_text.usage.prompt_tokens == sum(map(len, ids))
    for choice, ids_choice, answer in zip(by_text.choices, by_ids.choices, flat, strict=True):
        assert ids_choice.token_ids == [token.id for token in answer.tokens]
        assert sum(choice.logprobs.token_logprobs) == pytest.approx(answer.logprob_sum, abs=1e-4)
        for token, likeliest in zip(choice.logprobs.tokens, choice.logprobs.top_logprobs, strict=True):
            assert token in likeliest
            assert len(likeliest) <= 3
        assert choice.logprobs.text_offset[0] == 0
    streamed = await client.completions.create(prompt=texts[0], stream=True, **ASK)
    assert "".join([part.choices[0].text async for part in streamed]) == by_text.choices[0].text


async def test_stop_tokens_seeds_and_penalties_go_through(client):
    first = await client.completions.create(prompt="tea", extra_body={"return_token_ids": True}, **ASK)
    third = first.choices[0].token_ids[2]
    stopped = await client.completions.create(
        prompt="tea", extra_body={"return_token_ids": True, "stop_token_ids": [third]}, **ASK
    )
    assert stopped.choices[0].token_ids == first.choices[0].token_ids[:3]
    assert stopped.choices[0].finish_reason == "stop"
    narrow = {"min_p": 1.0, "top_k": -1, "repetition_penalty": 1.2}  # min_p 1 is greedy
    greedy = [
        (await client.completions.create(prompt="tea", extra_body=narrow, **ASK | {"seed": seed})).choices[0].text
        for seed in (1, 2)
    ]
    assert greedy[0] == greedy[1]


async def test_errors_are_the_clients_own(client):
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(messages=CHAT, model="nobody")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        await client.completions.create(prompt=[[999_999]], **ASK)
    assert bad.value.param == "prompt"
    for refused in ({"echo": True}, {"suffix": "x"}, {"best_of": 3}, {"prompt": ["a", "b"], "stream": True}):
        with pytest.raises(openai.BadRequestError):
            await client.completions.create(**{"prompt": "tea"} | ASK | refused)
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="another").models.list()


async def test_the_meters_count_what_was_asked(client, engine):
    answer = await client.completions.create(prompt="the tea is", n=2, **ASK)
    with pytest.raises(openai.BadRequestError):
        await client.completions.create(prompt=[[999_999]], **ASK)
    seen = dict(line.rsplit(" ", 1) for line in engine.metrics().splitlines() if not line.startswith("#"))
    figures = {name.removeprefix("hone_sampler_"): float(value) for name, value in seen.items()}
    assert figures["generated_tokens_total"] == answer.usage.completion_tokens
    assert figures["prompt_tokens_total"] == answer.usage.prompt_tokens
    assert figures['requests_total{outcome="answered"}'] == figures['requests_total{outcome="failed"}'] == 1
    assert figures["time_to_first_token_seconds_count"] == figures['time_to_first_token_seconds_bucket{le="+Inf"}'] == 1
    assert figures["tokens_per_second"] > 0
    assert math.isfinite(figures["time_to_first_token_seconds_sum"])
    assert (figures["waiting"], figures["checkpoints_open"]) == (0, 1)
