"""Stand-ins for vLLM and SGLang as far as PPO asks them: they take weights by their documented routes, really draw by
what they were given, and write down every call."""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import load_file

from workers.sampling.answers import Sampling
from workers.sampling.decoding import sample
from workers.sampling.remote import Remote
from workers.training import elsewhere
from workers.training.checkpoints import open_checkpoint
from workers.training.networks import Backbone

START = "start"  # the name that a server has for what it was started with


class FarServer:
    """calls: (route, body) in their order. refuses: routes to the status they are answered with. When `forgets` it
    loses, before it answers, what it was given, as a server does that was started anew."""

    def __init__(self, kind: str, base: Path) -> None:
        self.kind, self.base = kind, base
        self.calls: list[tuple[str, Any]] = []
        self.refuses: dict[str, int] = {}
        self.forgets = False
        self.wire: queue.Queue[dict[str, torch.Tensor]] = queue.Queue()
        self.start()

    def start(self) -> None:
        self.opened = open_checkpoint(self.base)
        self.backbone = Backbone(self.opened.network)
        self.loaded: set[str] = set()
        self.version, self.paused = "default", False

    @property
    def routes(self) -> list[str]:
        """Of all calls, the answers to one sampling's prompts as one."""
        told = [route for route, _ in self.calls]
        return [route for at, route in enumerate(told) if at == 0 or route != told[at - 1] or "comp" not in route]

    def asked(self, name: str, field: str) -> list[Any]:
        return [body[field] for route, body in self.calls if route.endswith(name)]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        route, body = request.url.raw_path.decode(), json.loads(request.content or b"null")
        self.calls.append((route, body))
        if route in self.refuses:
            return httpx.Response(self.refuses[route], json={"error": {"message": "no room"}})
        if route == "/v1/completions":
            return self.complete(body)
        if request.method == "GET":
            told = {"/get_world_size": {"world_size": 1}, "/weight_info": {"weight_version": self.version}}
            return httpx.Response(200, json=told[route])
        return await getattr(self, f"{self.kind}_{route.rpartition('/')[2].partition('?')[0]}")(body)

    # ---- answers

    def complete(self, body: dict[str, Any]) -> httpx.Response:
        assert not self.paused
        if self.forgets:
            self.start()
        base, _, adapter = body["model"].partition(":") if self.kind == "sglang" else (None, "", body["model"])
        known = {START: None, "": None, **{name: name for name in self.loaded}}
        if adapter not in known or base not in (None, START):
            return httpx.Response(404, json={"error": {"message": f"The model `{body['model']}` does not exist."}})
        sampling = Sampling(temperature=body["temperature"], max_tokens=body["max_tokens"])
        with self.backbone.using(known[adapter]):
            [drawn] = sample(
                self.backbone.network, [body["prompt"]], sampling, n=body["n"], seeds=[body["seed"]],
                stop_ids=set(body["stop_token_ids"]), pad_id=self.opened.pad_id, token_budget=4000,
            )  # fmt: skip
        choices = [
            {"index": index, "text": "", "token_ids": one.tokens, "finish_reason": one.finish_reason,
             "logprobs": {"token_logprobs": one.logprobs}}
            for index, one in enumerate(drawn)
        ]  # fmt: skip
        told = {"metadata": {"weight_version": self.version}} if self.kind == "sglang" else {}
        return httpx.Response(200, json={"choices": choices, **told})

    # ---- adapters

    def load(self, body: dict[str, str]) -> None:
        name, folder = body["lora_name"], Path(body["lora_path"])
        assert name not in self.loaded, "a name that is taken is refused"
        config = json.loads((folder / "adapter_config.json").read_text())
        tensors = load_file(folder / "adapter_model.safetensors")
        self.backbone.add(name, config["r"], config["lora_alpha"])
        for path, place in self.backbone.adapted.items():
            adapter = place.adapters[name]
            adapter.down.data[0] = tensors.pop(f"base_model.model.{path}.lora_A.weight").T
            adapter.up.data[0] = tensors.pop(f"base_model.model.{path}.lora_B.weight").T
        assert not tensors
        self.loaded.add(name)

    async def vllm_load_lora_adapter(self, body: dict[str, str]) -> httpx.Response:
        self.load(body)
        return httpx.Response(200, text=f"Success: LoRA adapter '{body['lora_name']}' added successfully.")

    async def vllm_unload_lora_adapter(self, body: dict[str, str]) -> httpx.Response:
        self.loaded.remove(body["lora_name"])
        return httpx.Response(200, text=f"Success: LoRA adapter '{body['lora_name']}' removed successfully.")

    async def sglang_load_lora_adapter(self, body: dict[str, str]) -> httpx.Response:
        self.load(body)
        return httpx.Response(200, json={"success": True, "error_message": ""})

    async def sglang_unload_lora_adapter(self, body: dict[str, str]) -> httpx.Response:
        self.loaded.remove(body["lora_name"])
        return httpx.Response(200, json={"success": True, "error_message": ""})

    # ---- whole weights from a disk

    async def sglang_pause_generation(self, body: dict[str, str]) -> httpx.Response:
        self.paused = True
        return httpx.Response(200, json={"status": "ok"})

    async def sglang_update_weights_from_disk(self, body: dict[str, Any]) -> httpx.Response:
        assert self.paused
        self.opened = open_checkpoint(body["model_path"])
        self.backbone, self.version = Backbone(self.opened.network), body["weight_version"]
        return httpx.Response(200, json={"success": True, "message": "Succeeded", "num_paused_requests": 0})

    async def sglang_continue_generation(self, body: dict[str, Any]) -> httpx.Response:
        self.paused = False
        return httpx.Response(200, json={"status": "ok"})

    # ---- whole weights over a wire

    async def vllm_pause(self, body: None) -> httpx.Response:
        self.paused = True
        return httpx.Response(200, json={"status": "paused"})

    async def vllm_init_weight_transfer_engine(self, body: dict[str, Any]) -> httpx.Response:
        assert body["init_info"].keys() == {"master_address", "master_port", "rank_offset", "world_size"}
        return httpx.Response(200, json={"message": "Weight transfer initialized"})

    async def vllm_start_weight_update(self, body: dict[str, Any]) -> httpx.Response:
        assert self.paused
        return httpx.Response(200, json={"message": "Weight update started"})

    async def vllm_update_weights(self, body: dict[str, Any]) -> httpx.Response:
        sent = await asyncio.to_thread(self.wire.get, timeout=10)
        told = body["update_info"]
        assert told["names"] == list(sent)
        assert told["shapes"] == [list(tensor.shape) for tensor in sent.values()]
        self.opened = open_checkpoint(self.base)
        self.opened.network.load_state_dict(sent)
        self.backbone = Backbone(self.opened.network)
        return httpx.Response(200, json={"message": "Weights updated"})

    async def vllm_finish_weight_update(self, body: dict[str, Any]) -> httpx.Response:
        self.version = body["weight_version"]
        return httpx.Response(200, json={"message": "Weight update finished"})

    async def vllm_reset_prefix_cache(self, body: None) -> httpx.Response:
        return httpx.Response(200)

    async def vllm_resume(self, body: None) -> httpx.Response:
        self.paused = False
        return httpx.Response(200, json={"status": "resumed"})


def reached(monkeypatch: pytest.MonkeyPatch, server: FarServer) -> None:
    """PPO's requests go to the stand-in, and nobody waits between two tries."""

    def make(**options: Any) -> Remote:
        remote = Remote(**options, pause=lambda _seconds: asyncio.sleep(0))
        remote._client = httpx.AsyncClient(transport=httpx.MockTransport(server))
        return remote

    monkeypatch.setattr(elsewhere, "Remote", make)


class TrainerEngine:
    """What vLLM's trainer side does over NCCL, over a queue: the four phases through the client, the workers' update
    running beside the sending, as its documentation of the NCCL engine has it."""

    def __init__(self, init_info: Any, client: Any, source: Any, wire: queue.Queue[Any]) -> None:
        self.client, self.source, self.wire = client, source, wire
        told = {"master_address": init_info.master_address, "master_port": init_info.master_port, "rank_offset": 1,
                "world_size": init_info.world_size}  # fmt: skip
        self.beside(lambda: client.init_weight_transfer_engine(told), lambda: None)

    def beside(self, there: Any, here: Any) -> None:
        failed: list[Exception] = []

        def call() -> None:
            try:
                there()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        here()
        thread.join()
        if failed:
            raise failed[0]

    def send_weights(self) -> None:
        self.client.start_weight_update()
        metas = self.source.metadata()
        told = {
            "names": [meta.name for meta in metas],
            "dtype_names": [str(meta.dtype).rpartition(".")[2] for meta in metas],
            "shapes": [list(meta.shape) for meta in metas],
        }
        self.beside(lambda: self.client.update_weights(told), lambda: self.wire.put(dict(self.source)))
        self.client.finish_weight_update()


def with_vllm(monkeypatch: pytest.MonkeyPatch, server: FarServer) -> None:
    """vLLM's trainer side as if it were installed."""

    class WeightSource:
        def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
            raise NotImplementedError

    class Factory:
        @staticmethod
        def trainer_init(*, init_info: Any, client: Any, source: Any) -> TrainerEngine:
            assert isinstance(source, WeightSource)
            assert init_info.rank == 0
            return TrainerEngine(init_info, client, source, server.wire)

    def meta(name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> SimpleNamespace:
        return SimpleNamespace(name=name, dtype=dtype, shape=shape)

    modules = {name: ModuleType(name) for name in ("vllm", "vllm.distributed", "vllm.distributed.weight_transfer")}
    transfer: Any = modules["vllm.distributed.weight_transfer"]
    transfer.WeightSource, transfer.WeightTransferTrainerFactory, transfer.ParamMeta = WeightSource, Factory, meta
    nccl: Any = ModuleType("vllm.distributed.weight_transfer.nccl_engine")
    nccl.NCCLTrainerInitInfo = SimpleNamespace
    for name, module in {**modules, nccl.__name__: nccl}.items():
        monkeypatch.setitem(sys.modules, name, module)
