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
        if route == "/v1/load_lora_adapter":
            return httpx.Response(200, text="")  # vLLM answers with a sentence, or with nothing
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


async def roll(remote):
    sampling = Sampling(temperature=0.7, max_tokens=3)
    return await sample_far(remote, ENDPOINT, [[11, 12], [13]], sampling, n=2, seeds=[1, 2], stop_ids={2})


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


async def test_whole_weights_go_over_the_four_phases_while_requests_wait(remote, stand_in):
    server = VLLM(remote, ENDPOINT)
    wire = []

    async def open_here():
        wire.append("open")

    async def send(tensors):
        wire.append([name for name, _, _ in tensors])

    workers = await server.workers()
    init = {"master_address": "127.0.0.1", "master_port": 29500, "rank_offset": 1, "world_size": workers + 1}
    await server.join(init, open_here)
    async with server.updating():
        await server.transfer([("a.weight", "bfloat16", (2, 3)), ("b.weight", "float32", (4,))], send)
        await server.transfer([("c.weight", "bfloat16", (1,))], send)
    assert stand_in.calls == [
        ("GET", "/get_world_size", None),
        ("POST", "/init_weight_transfer_engine", {"init_info": init | {"world_size": 3}}),
        ("POST", "/pause?mode=keep", None),
        ("POST", "/start_weight_update", {}),
        (
            "POST",
            "/update_weights",
            {
                "update_info": {
                    "names": ["a.weight", "b.weight"],
                    "dtype_names": ["bfloat16", "float32"],
                    "shapes": [[2, 3], [4]],
                }
            },
        ),
        (
            "POST",
            "/update_weights",
            {"update_info": {"names": ["c.weight"], "dtype_names": ["bfloat16"], "shapes": [[1]]}},
        ),
        ("POST", "/finish_weight_update", {}),
        ("POST", "/reset_prefix_cache", None),
        ("POST", "/resume", None),
    ]
    assert wire == ["open", ["a.weight", "b.weight"], ["c.weight"]]


async def test_half_an_update_is_never_resumed(remote, stand_in):
    stand_in.refuses["/update_weights"] = 500

    async def send(tensors):
        await asyncio.sleep(10)  # the other side is gone: nobody takes it

    server = VLLM(remote, ENDPOINT)
    with pytest.raises(ExceptionGroup) as caught:
        async with server.updating():
            await server.transfer([("a.weight", "bfloat16", (2,))], send)
    assert caught.group_contains(EndpointFailed, match="no room")
    assert [route for _, route, _ in stand_in.calls] == ["/pause?mode=keep", "/start_weight_update", "/update_weights"]


async def test_adapters_are_read_anew_from_a_shared_disk(remote, stand_in):
    await VLLM(remote, ENDPOINT).reload_adapter("/shared/step-3")
    await SGLang(remote, ENDPOINT).reload_adapter("/shared/step-3")
    assert stand_in.calls == [
        (
            "POST",
            "/v1/load_lora_adapter",
            {"lora_name": "policy", "lora_path": "/shared/step-3", "load_inplace": True},
        ),
        ("POST", "/unload_lora_adapter", {"lora_name": "policy"}),
        ("POST", "/load_lora_adapter", {"lora_name": "policy", "lora_path": "/shared/step-3"}),
    ]


async def test_sglang_reads_a_checkpoint_between_pause_and_go(remote, stand_in):
    server = SGLang(remote, ENDPOINT)
    await server.reload("/shared/good")
    with pytest.raises(EndpointFailed, match="no such folder"):
        await server.reload("/shared/bad")
    around = [("POST", "/pause_generation", {"mode": "retract"}), ("POST", "/continue_generation", {})]
    for first, path in ((0, "/shared/good"), (3, "/shared/bad")):
        assert stand_in.calls[first : first + 3] == [
            around[0],
            ("POST", "/update_weights_from_disk", {"model_path": path, "flush_cache": True}),
            around[1],
        ]


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
