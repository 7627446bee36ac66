"""Rollouts from a server elsewhere (vLLM, SGLang, another sampler of ours), and new weights on their way to it.

Rollouts go over `/v1/completions` with token ids in and token ids out: text that is read again gives other tokens.
Their log-probabilities must be of the distribution drawn from, at its temperature: vLLM tells those when it is started
with `--logprobs-mode processed_logprobs`, our own door always.

Weights reach vLLM as a LoRA adapter on a shared disk (`load_lora_adapter`, VLLM_ALLOW_RUNTIME_LORA_UPDATING=1), or
whole, over its weight transfer (VLLM_SERVER_DEV_MODE=1, `--weight-transfer-config`): its four phases are calls here,
and the bytes go over NCCL or CUDA IPC by whatever `send` is handed in. SGLang reads whole checkpoints and adapters from
a shared disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from workers.sampling.answers import Sampling
from workers.sampling.remote import Endpoint, EndpointFailed, Remote
from workers.sampling.rows import Sampled

# announces tensors to a server: [(name, dtype as "bfloat16", shape)]
Announced = Sequence[tuple[str, str, Sequence[int]]]
Send = Callable[[Announced], Awaitable[None]]


async def sample_far(
    remote: Remote,
    endpoint: Endpoint,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    *,
    n: int,
    seeds: Sequence[int],
    stop_ids: Iterable[int],
) -> list[list[Sampled]]:
    """What `decoding.sample` gives, drawn elsewhere: n answers to each prompt with their log-probabilities.

    Raises EndpointFailed, also for a server that tells no token ids or not as many log-probabilities.
    """
    bodies = [_body(endpoint, prompt, sampling, n, seed, stop_ids) for prompt, seed in zip(prompts, seeds, strict=True)]
    asking = [remote.rollout(endpoint, body) for body in bodies]
    return [_read(endpoint, answer, n, sampling) for answer in await asyncio.gather(*asking)]


def _body(
    endpoint: Endpoint, prompt: list[int], sampling: Sampling, n: int, seed: int, stop_ids: Iterable[int]
) -> dict[str, Any]:
    return {
        "model": endpoint.name,
        "prompt": prompt,
        "n": n,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,  # vLLM's and SGLang's word for all
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "stop_token_ids": sorted({*stop_ids, *sampling.stop_ids}),
        "seed": seed,
        "logprobs": 0,  # of the drawn tokens, and of no others
        "return_token_ids": True,
    }


def _read(endpoint: Endpoint, answer: Any, n: int, sampling: Sampling) -> list[Sampled]:
    try:
        choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        found = [_read_choice(choice) for choice in choices]
    except (KeyError, TypeError, ValueError):
        raise EndpointFailed(
            f"{endpoint.name} tells no token ids with their log-probabilities, and rollouts need both:"
            " does it know return_token_ids?",
            retryable=False,
        ) from None
    if len(found) != n:
        raise EndpointFailed(f"{endpoint.name} gave {len(found)} answers instead of {n}.", retryable=True)
    if any(not 0 < len(one.tokens) <= sampling.max_tokens for one in found):
        raise EndpointFailed(
            f"{endpoint.name} gave an answer without tokens, or one beyond max_tokens.", retryable=False
        )
    return found


def _read_choice(choice: dict[str, Any]) -> Sampled:
    tokens = [int(token) for token in choice["token_ids"]]
    logprobs = [float(logprob) for logprob in choice["logprobs"]["token_logprobs"]]
    if len(tokens) != len(logprobs):
        raise ValueError
    return Sampled(tokens, logprobs, "length" if choice["finish_reason"] == "length" else "stop")


@dataclass(frozen=True)
class VLLM:
    """A vLLM server that takes new weights. Its control routes lie beside `/v1`, below the same address."""

    remote: Remote
    endpoint: Endpoint

    async def reload_adapter(self, path: str) -> None:
        """The adapter that the endpoint is named for is read anew from a folder that the server sees as well."""
        body = {"lora_name": self.endpoint.name, "lora_path": path, "load_inplace": True}
        await self._call("/v1/load_lora_adapter", body)

    async def workers(self) -> int:
        """Processes of the server that take part in a transfer; the trainer comes on top."""
        return int((await self.remote.look(self.endpoint, "/get_world_size"))["world_size"])

    async def join(self, init_info: dict[str, Any], open_here: Callable[[], Awaitable[None]]) -> None:
        """Once: both sides meet, so `open_here`, which opens the trainer's end, runs while the server waits."""
        await _both(self._call("/init_weight_transfer_engine", {"init_info": init_info}), open_here())

    @asynccontextmanager
    async def updating(self) -> AsyncIterator[None]:
        """Requests under way wait inside, and go on afterwards with the new weights.

        When the transfer fails half way the server holds neither the old nor the new weights whole: it stays paused,
        and the caller transfers again.
        """
        await self._call("/pause?mode=keep")
        await self._call("/start_weight_update", {})
        yield
        await self._call("/finish_weight_update", {})
        await self._call("/reset_prefix_cache")  # keys and values there are of the old weights
        await self._call("/resume")

    async def transfer(self, tensors: Announced, send: Send) -> None:
        """Inside `updating`, once or piece by piece: `send` puts the tensors on the wire while the server takes them
        in, in the order announced."""
        names, dtypes, shapes = (list(part) for part in zip(*tensors, strict=True))
        update = {"names": names, "dtype_names": dtypes, "shapes": [list(shape) for shape in shapes]}
        await _both(self._call("/update_weights", {"update_info": update}), send(tensors))

    async def _call(self, route: str, body: dict[str, Any] | None = None) -> None:
        await self.remote.command(self.endpoint, route, body)


@dataclass(frozen=True)
class SGLang:
    """An SGLang server that takes new weights from a disk it shares with us."""

    remote: Remote
    endpoint: Endpoint

    async def reload_adapter(self, path: str) -> None:
        """Adapters are not replaced there, so the old one goes first."""
        await self._call("/unload_lora_adapter", {"lora_name": self.endpoint.name})
        await self._call("/load_lora_adapter", {"lora_name": self.endpoint.name, "lora_path": path})

    async def reload(self, path: str) -> None:
        """A whole checkpoint. Requests under way go back to the line and are read anew with it."""
        await self._call("/pause_generation", {"mode": "retract"})
        try:
            await self._call("/update_weights_from_disk", {"model_path": path, "flush_cache": True})
        finally:
            await self._call("/continue_generation", {})

    async def _call(self, route: str, body: dict[str, Any]) -> None:
        said = await self.remote.command(self.endpoint, route, body)
        if isinstance(said, dict) and said.get("success") is False:
            raise EndpointFailed(
                f"{self.endpoint.name} did not take the new weights: {said.get('message', '')}.", retryable=False
            )


async def _both(there: Awaitable[Any], here: Awaitable[None]) -> None:
    """Each waits for the other, so both are begun; when one fails, the other is not waited for."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_awaited(there))
        group.create_task(_awaited(here))


async def _awaited(what: Awaitable[Any]) -> None:
    await what
