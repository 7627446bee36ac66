"""Rollouts from a server elsewhere (vLLM, SGLang, another sampler of ours), and new weights on their way to it.

Rollouts go over `/v1/completions` with token ids in and token ids out: text that is read again gives other tokens.
Their log-probabilities must be of the distribution drawn from, at its temperature: vLLM tells those when it is started
with `--logprobs-mode processed_logprobs`, SGLang and our own door always.

An adapter goes there over a shared disk, each version under a name of its own: both servers keep keys and values of
prompts by the adapter's name, so one that is replaced in place would go on from what the old one made of the prompt
(vLLM, issue 42125), and a server that was started anew knows no such name and says so. Whole weights have no name of
their own, but a version, which SGLang and our door tell with each answer and vLLM on request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.sampling.answers import Sampling
from workers.sampling.remote import Endpoint, EndpointFailed, Remote, together
from workers.sampling.rows import Sampled


async def sample_far(
    remote: Remote,
    endpoint: Endpoint,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    *,
    n: int,
    seeds: Sequence[int],
    stop_ids: Iterable[int],
    version: str | None = None,
) -> list[list[Sampled]]:
    """What `decoding.sample` gives, drawn elsewhere: n answers to each prompt with their log-probabilities.

    version: of the weights that each answer must say it was drawn by, where the server tells (SGLang, our door).
    Raises EndpointFailed, also for a server that tells no token ids or not as many log-probabilities.
    """
    ends = frozenset({*stop_ids, *sampling.stop_ids})
    bodies = [_body(endpoint, prompt, sampling, n, seed, ends) for prompt, seed in zip(prompts, seeds, strict=True)]

    def read(answer: Any) -> list[Sampled]:
        return _read(endpoint, answer, n, sampling.max_tokens, ends, version)

    return await together(remote.rollout(endpoint, body, read) for body in bodies)


def _body(
    endpoint: Endpoint, prompt: list[int], sampling: Sampling, n: int, seed: int, ends: frozenset[int]
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
        "stop_token_ids": sorted(ends),
        "seed": seed,
        "logprobs": 0,  # of the drawn tokens, and of no others
        "return_token_ids": True,
    }


def _read(
    endpoint: Endpoint, answer: Any, n: int, most: int, ends: frozenset[int], version: str | None
) -> list[Sampled]:
    if version is not None and (said := _version_in(answer)) != version:
        # over a network disk new weights may be seen some seconds late
        raise EndpointFailed(f"{endpoint.name} answers with weights {said!r}, not {version!r}.", retryable=True)
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
    if any(choice["finish_reason"] not in ("stop", "length") for choice in choices):
        raise EndpointFailed(f"{endpoint.name} broke an answer off.", retryable=True)
    if any(not 0 < len(one.tokens) <= most for one in found):
        raise EndpointFailed(
            f"{endpoint.name} gave an answer without tokens, or one beyond max_tokens.", retryable=False
        )
    if any(one.finish_reason == "stop" and one.tokens[-1] not in ends for one in found):
        raise EndpointFailed(
            f"{endpoint.name} left out the token that ended an answer, and its choice is to be learned from too.",
            retryable=False,
        )
    return found


def _version_in(answer: Any) -> str | None:
    try:
        return str(answer["metadata"]["weight_version"])
    except (KeyError, TypeError):
        return None


def _read_choice(choice: dict[str, Any]) -> Sampled:
    tokens = [int(token) for token in choice["token_ids"]]
    logprobs = [float(logprob) for logprob in choice["logprobs"]["token_logprobs"]]
    if len(tokens) != len(logprobs):
        raise ValueError
    return Sampled(tokens, logprobs, "length" if choice["finish_reason"] == "length" else "stop")


@dataclass(frozen=True)
class VLLM:
    """A vLLM server that takes new weights. Its control routes lie beside `/v1`, below the same address.

    Adapters need VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and `--enable-lora`; whole weights VLLM_SERVER_DEV_MODE=1 and
    `--weight-transfer-config`. Their four phases are vLLM's trainer side's to call, by the routes of the same names.
    """

    remote: Remote
    endpoint: Endpoint

    async def load_adapter(self, name: str, path: str) -> None:
        """From a folder that the server sees as well."""
        await self.call("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    async def unload_adapter(self, name: str) -> None:
        await self.call("/v1/unload_lora_adapter", {"lora_name": name})

    def with_adapter(self, name: str) -> Endpoint:
        """Where to ask for answers by that adapter."""
        return _named(self.endpoint, name)

    async def workers(self) -> int:
        """Processes of the server that take part in a transfer; the trainer comes on top."""
        return int((await self.remote.look(self.endpoint, "/get_world_size"))["world_size"])

    async def version(self) -> str:
        """Of the weights there, as the last finished update called it."""
        return str((await self.remote.look(self.endpoint, "/weight_info"))["weight_version"])

    async def pause(self) -> None:
        """Requests under way wait, and go on with what weights are there at `resume`.

        When a transfer fails half way the server holds neither the old nor the new weights whole: it stays paused until
        somebody has transferred again.
        """
        await self.call("/pause?mode=keep")

    async def resume(self) -> None:
        await self.call("/reset_prefix_cache")  # keys and values there are of the old weights
        await self.call("/resume")

    async def call(self, route: str, body: dict[str, Any] | None = None) -> None:
        await self.remote.command(self.endpoint, route, body)


@dataclass(frozen=True)
class SGLang:
    """An SGLang server that takes new weights from a disk it shares with us. Adapters need `--enable-lora`,
    `--max-lora-rank` and `--lora-target-modules`."""

    remote: Remote
    endpoint: Endpoint

    async def load_adapter(self, name: str, path: str) -> None:
        await self._call("/load_lora_adapter", {"lora_name": name, "lora_path": path})

    async def unload_adapter(self, name: str) -> None:
        await self._call("/unload_lora_adapter", {"lora_name": name})

    def with_adapter(self, name: str) -> Endpoint:
        """Where to ask for answers by that adapter: behind the base's name and a colon."""
        return _named(self.endpoint, f"{self.endpoint.name}:{name}")

    async def reload(self, path: str, version: str) -> None:
        """A whole checkpoint. Requests under way go back to the line and are read anew with it."""
        await self._call("/pause_generation", {"mode": "retract"})
        try:
            body = {"model_path": path, "flush_cache": True, "weight_version": version}
            await self._call("/update_weights_from_disk", body)
        finally:
            await self._call("/continue_generation", {})

    async def _call(self, route: str, body: dict[str, Any]) -> None:
        said = await self.remote.command(self.endpoint, route, body)
        if isinstance(said, dict) and said.get("success") is False:
            reason = said.get("message") or said.get("error_message", "")
            raise EndpointFailed(f"{self.endpoint.name} did not take the new weights: {reason}.", retryable=False)


def _named(endpoint: Endpoint, name: str) -> Endpoint:
    return Endpoint(endpoint.address, name, endpoint.key_variable)
