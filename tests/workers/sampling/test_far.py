"""Rollouts and weights against a stand-in that writes down every call, as vLLM and SGLang document them."""

import asyncio
import json

import httpx
import pytest

from workers.sampling.answers import Sampling
from workers.sampling.decoding import Sampled, sample
from workers.sampling.door import make_door
from workers.sampling.engine import Engine
from workers.sampling.far import VLLM, SGLang, sample_far
from workers.sampling.remote import Endpoint, EndpointFailed, Remote
from workers.training.checkpoints import open_checkpoint

ENDPOINT = Endpoint("http://stand.in:8000/v1", "policy", key_variable="FAR_KEY")
DRAWN = [Sampled([5, 9, 2], [-0.5, -1.25, -0.1], "stop"), Sampled([7, 7], [-2.0, -3.0], "length")]


class StandIn:
    """Answers what its documentation says, in order of the calls that came: (method, address, body)."""

    def __init__(self):
        self.calls = []
        self.refuses = {}
        self.changes = {}

    async def __call__(self, request):
        await asyncio.sleep(0)
        assert request.headers["authorization"] == "Bearer a-key"
        body = json.loads(request.content) if request.content else None
        route = request.url.raw_path.decode()
        self.calls.append((request.method, route, body))
        if route in self.refuses:
            return httpx.Response(self.refuses[route], json={"error": {"message": "no room"}})
        if route == "/v1/completions":
            return httpx.Response(200, json=self.completion(body) | self.changes)
        if route == "/get_world_size":
            return httpx.Response(200, json={"world_size": 2})
        if route == "/update_weights_from_disk":
            return httpx.Response(200, json={"success": "bad" not in body["model_path"], "message": "no such folder"})
        if route == "/weight_info":
            return httpx.Response(200, json={"weight_version": "step-3"})
        if route.endswith("lora_adapter") and route.startswith("/v1"):
            return httpx.Response(200, text="Success: LoRA adapter added successfully.")  # vLLM answers with a sentence
        if route == "/load_lora_adapter" and "bad" in body["lora_path"]:
            return httpx.Response(200, json={"success": False, "error_message": "rank is too high"})
        return httpx.Response(200, json={"status": "ok"})

    def completion(self, body):
        choices = [
            {
                "index": index,
                "text": "…",
                "token_ids": one.tokens,
                "logprobs": {"token_logprobs": one.logprobs, "tokens": ["…"] * len(one.tokens)},
                "finish_reason": one.finish_reason,
            }
            for index, one in enumerate(DRAWN[: body["n"]])
        ]
        return {"choices": choices[::-1]}  # the order is the index, not the place


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setenv("FAR_KEY", "a-key")
    return StandIn()


@pytest.fixture
async def remote(stand_in):
    opened = Remote(timeout=1, tries=2, pause=lambda _seconds: asyncio.sleep(0))
    await opened._client.aclose()
    opened._client = httpx.AsyncClient(transport=httpx.MockTransport(stand_in))
    yield opened
    await opened.close()


async def roll(remote, **more):
    sampling = Sampling(temperature=0.7, max_tokens=3)
    return await sample_far(remote, ENDPOINT, [[11, 12], [13]], sampling, n=2, seeds=[1, 2], stop_ids={2}, **more)


async def test_rollouts_are_token_ids_in_and_out_with_their_logprobs(remote, stand_in):
    assert await roll(remote) == [DRAWN, DRAWN]
    expected = {
        "model": "policy", "n": 2, "max_tokens": 3, "temperature": 0.7, "top_p": 1.0, "top_k": -1, "min_p": 0.0,
        "repetition_penalty": 1.0, "stop_token_ids": [2], "logprobs": 0, "return_token_ids": True,
    }  # fmt: skip
    assert sorted(stand_in.calls, key=lambda call: call[2]["seed"]) == [
        ("POST", "/v1/completions", expected | {"prompt": [11, 12], "seed": 1}),
        ("POST", "/v1/completions", expected | {"prompt": [13], "seed": 2}),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}] * 2}, "return_token_ids"),
        ({"choices": []}, "gave 0 answers instead of 2"),
    ],
)
async def test_a_server_that_tells_too_little_is_refused(remote, stand_in, changes, said):
    stand_in.changes = changes
    with pytest.raises(EndpointFailed, match=said):
        await roll(remote)


async def test_one_logprob_too_few_is_refused(remote, stand_in):
    choice = {"index": 0, "token_ids": [1, 2], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "stop"}
    stand_in.changes = {"choices": [choice, choice | {"index": 1}]}
    with pytest.raises(EndpointFailed, match="return_token_ids"):
        await roll(remote)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"finish_reason": "abort"}, "broke an answer off"),
        ({"token_ids": [5, 9], "logprobs": {"token_logprobs": [-1, -1]}}, "left out the token that ended an answer"),
        ({"token_ids": [], "logprobs": {"token_logprobs": []}}, "without tokens"),
    ],
)
async def test_an_answer_that_is_no_whole_one_is_refused(remote, stand_in, change, said):
    whole = {"index": 0, "token_ids": [5, 2], "logprobs": {"token_logprobs": [-1, -1]}, "finish_reason": "stop"}
    stand_in.changes = {"choices": [whole, whole | {"index": 1} | change]}
    with pytest.raises(EndpointFailed, match=said):
        await roll(remote)


async def test_answers_of_other_weights_are_asked_for_again_and_then_refused(remote, stand_in):
    stand_in.changes = {"metadata": {"weight_version": "step-3"}}
    assert await roll(remote, version="step-3") == [DRAWN, DRAWN]
    stand_in.calls.clear()
    with pytest.raises(EndpointFailed, match="answers with weights 'step-3', not 'step-4'"):
        await roll(remote, version="step-4")
    assert len(stand_in.calls) > 2  # over a network disk they may be seen late
    stand_in.changes = {}
    with pytest.raises(EndpointFailed, match="answers with weights None"):
        await roll(remote, version="step-4")


async def test_vllm_pauses_and_forgets_what_it_made_of_prompts(remote, stand_in):
    server = VLLM(remote, ENDPOINT)
    assert await server.workers() == 2
    await server.pause()
    await server.call("/start_weight_update", {})
    await server.resume()
    assert await server.version() == "step-3"
    assert stand_in.calls == [
        ("GET", "/get_world_size", None),
        ("POST", "/pause?mode=keep", None),
        ("POST", "/start_weight_update", {}),
        ("POST", "/reset_prefix_cache", None),
        ("POST", "/resume", None),
        ("GET", "/weight_info", None),
    ]


async def test_each_version_of_an_adapter_has_a_name_of_its_own(remote, stand_in):
    for server in (VLLM(remote, ENDPOINT), SGLang(remote, ENDPOINT)):
        await server.load_adapter("step-3", "/shared/step-3")
        await server.unload_adapter("step-2")
    body = {"lora_name": "step-3", "lora_path": "/shared/step-3"}
    assert stand_in.calls == [
        ("POST", "/v1/load_lora_adapter", body),
        ("POST", "/v1/unload_lora_adapter", {"lora_name": "step-2"}),
        ("POST", "/load_lora_adapter", body),
        ("POST", "/unload_lora_adapter", {"lora_name": "step-2"}),
    ]
    assert VLLM(remote, ENDPOINT).with_adapter("step-3") == Endpoint(ENDPOINT.address, "step-3", "FAR_KEY")
    assert SGLang(remote, ENDPOINT).with_adapter("step-3") == Endpoint(ENDPOINT.address, "policy:step-3", "FAR_KEY")


async def test_an_adapter_that_sglang_refuses_is_told_with_its_reason(remote):
    with pytest.raises(EndpointFailed, match="did not take the new weights: rank is too high"):
        await SGLang(remote, ENDPOINT).load_adapter("step-3", "/shared/bad")


async def test_sglang_reads_a_checkpoint_between_pause_and_go(remote, stand_in):
    server = SGLang(remote, ENDPOINT)
    await server.reload("/shared/good", "step-1")
    with pytest.raises(EndpointFailed, match="no such folder"):
        await server.reload("/shared/bad", "step-2")
    around = [("POST", "/pause_generation", {"mode": "retract"}), ("POST", "/continue_generation", {})]
    for first, path, version in ((0, "/shared/good", "step-1"), (3, "/shared/bad", "step-2")):
        body = {"model_path": path, "flush_cache": True, "weight_version": version}
        assert stand_in.calls[first : first + 3] == [around[0], ("POST", "/update_weights_from_disk", body), around[1]]


async def test_the_door_of_another_sampler_serves_rollouts(tiny):
    engine = Engine(device="cpu", token_budget=4000, threads=1)

    async def resolve(name):
        return tiny

    remote = Remote()
    await remote._client.aclose()
    remote._client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=make_door(engine, resolve, resolve, "t" * 16)),
        headers={"Authorization": f"Bearer {'t' * 16}"},
    )
    opened = open_checkpoint(tiny)
    sampling, prompts = Sampling(temperature=0.7, max_tokens=9), [[70, 80, 90], [75, 76]]
    options = {"n": 2, "seeds": [3, 4], "stop_ids": set(opened.stop_ids)}
    try:
        far = await sample_far(remote, Endpoint("http://door/v1", "tiny"), prompts, sampling, **options)
    finally:
        await remote.close()
        await engine.close()
    near = sample(opened.network, prompts, sampling, pad_id=0, token_budget=4000, **options)
    for there, here in zip([*far[0], *far[1]], [*near[0], *near[1]], strict=True):
        assert (there.tokens, there.finish_reason) == (here.tokens, here.finish_reason)
        assert there.logprobs == pytest.approx(here.logprobs, abs=1e-5)
