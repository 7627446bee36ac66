"""Answers from any OpenAI-compatible endpoint (vLLM, SGLang, a vendor), behind the same call as the engine.

Only what is certain comes back: an answer that is blank says so (`Completed.empty`), one that cannot be had is an
`EndpointFailed` with a sentence for people. Private addresses are allowed, since admins set endpoints; redirects are
not followed, the size of a response is capped, proxy variables of the environment are not read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import httpx

from workers.sampling.answers import Completed, Conversation, Sampling, turns
from workers.sampling.endpoints import Endpoint, EndpointFailed, parsed, refusal

__all__ = ["Endpoint", "EndpointFailed", "Remote"]

MOST_BYTES = 1_000_000  # of one response: some thousand tokens are a few kilobytes
MOST_TOLD_BYTES = 64_000_000  # of one that tells of each token
COMMAND_SECONDS = 600.0  # for a server to take new weights in
LONGEST_PAUSE = 30.0  # seconds, also when an endpoint asks for more

Pause = Callable[[float], Awaitable[None]]
Read = TypeVar("Read")


class Remote:
    """`timeout` bounds a whole request in seconds, `tries` its repeats, `at_once` the requests in flight."""

    def __init__(
        self, *, timeout: float = 120.0, tries: int = 4, at_once: int = 8, pause: Pause = asyncio.sleep
    ) -> None:
        self.timeout = timeout
        self.tries = tries
        self.pause = pause
        self._slots = asyncio.Semaphore(at_once)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)), follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def complete(
        self, where: Endpoint, conversations: Sequence[Conversation], sampling: Sampling, n: int, seeds: Sequence[int]
    ) -> list[list[Completed]]:
        """Like `Engine.complete`. Raises EndpointFailed after the last try, NotAnswerable for a bad conversation."""
        bodies = [
            _body(where, conversation, sampling, n, seed)
            for conversation, seed in zip(conversations, seeds, strict=True)
        ]
        return await together(self._answers(where, body, n) for body in bodies)

    async def _answers(self, endpoint: Endpoint, body: dict[str, Any], n: int) -> list[Completed]:
        """Some servers give fewer answers than asked for: then ask for the rest with another seed."""
        answers: list[Completed] = []
        while len(answers) < n:
            asked = body | {"n": n - len(answers), "seed": body["seed"] + len(answers)}
            found = await self._patiently(endpoint, f"{endpoint.base}/chat/completions", asked, _read_answers)
            answers += found[: n - len(answers)]
        return answers

    async def rollout(self, endpoint: Endpoint, body: dict[str, Any], read: Callable[[Any], Read]) -> Read:
        """What `read` finds in the endpoint's plain completions, which tell of each token. As patient as `complete`;
        a retryable EndpointFailed of `read` asks again."""
        address = f"{endpoint.base}/completions"
        return await self._patiently(endpoint, address, body, lambda _place, said: read(said), most=MOST_TOLD_BYTES)

    async def command(self, endpoint: Endpoint, route: str, body: dict[str, Any] | None = None) -> Any:
        """Post to a control route of the endpoint's server, once: what changes a server is not repeated blindly.

        Returns the JSON of its answer, None where it has none: vLLM answers some with a sentence.
        """
        place, headers, content = await self._send(endpoint, endpoint.root + route, body, COMMAND_SECONDS, MOST_BYTES)
        return parsed(place, headers, content) if "json" in headers.get("content-type", "") else None

    async def look(self, endpoint: Endpoint, route: str) -> Any:
        """What a control route tells."""
        sent = await self._send(endpoint, endpoint.root + route, None, self.timeout, MOST_BYTES, method="GET")
        return parsed(*sent)

    async def _patiently(
        self,
        endpoint: Endpoint,
        address: str,
        body: dict[str, Any],
        read: Callable[[str, Any], Read],
        most: int = MOST_BYTES,
    ) -> Read:
        for attempt in range(1, self.tries + 1):
            try:
                async with self._slots:
                    place, headers, content = await self._send(endpoint, address, body, self.timeout, most)
                    return read(place, parsed(place, headers, content))
            except EndpointFailed as failure:
                if not failure.retryable or attempt == self.tries:
                    raise
                # doubled each time and never the same for two askers
                wait = failure.pause or 0.5 * 2**attempt * random.uniform(0.5, 1.0)
            await self.pause(min(wait, LONGEST_PAUSE))
        raise AssertionError("tries is at least 1")

    async def _send(
        self,
        endpoint: Endpoint,
        address: str,
        body: dict[str, Any] | None,
        seconds: float,
        most: int,
        *,
        method: str = "POST",
    ) -> tuple[str, httpx.Headers, bytes]:
        """What was answered with status 200, and by whom. Raises EndpointFailed."""
        place = httpx.URL(endpoint.address).netloc.decode()
        try:
            # httpx bounds the silence between two bytes, this bounds the whole
            async with asyncio.timeout(seconds):
                status, headers, content = await self._exchange(endpoint, method, address, body, seconds, most)
        except (TimeoutError, httpx.TimeoutException):
            raise EndpointFailed(
                f"{place} did not answer within {seconds:g} s.", retryable=True, cause="slow"
            ) from None
        except httpx.ConnectError as error:
            raise EndpointFailed(f"{place} cannot be reached: {error}.", retryable=True, cause="unreachable") from None
        except httpx.RequestError:  # cut off, reset, or compressed wrongly
            raise EndpointFailed(f"{place} broke off in the middle of its answer.", retryable=True) from None
        if status != 200:
            raise refusal(endpoint, place, status, headers, content)
        return place, headers, content

    async def _exchange(
        self, endpoint: Endpoint, method: str, address: str, body: dict[str, Any] | None, seconds: float, most: int
    ) -> tuple[int, httpx.Headers, bytes]:
        content = bytearray()
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        patience = httpx.Timeout(seconds, connect=min(seconds, 10.0))
        asking = self._client.stream(method, address, json=body, headers=headers, timeout=patience)
        async with asking as answer:
            async for part in answer.aiter_bytes(65_536):
                content += part
                if len(content) > most:
                    raise EndpointFailed(
                        f"{endpoint.name} sent more than {most:,} bytes for one answer.", retryable=False
                    )
            return answer.status_code, answer.headers, bytes(content)


async def together(asking: Iterable[Coroutine[Any, Any, Read]]) -> list[Read]:
    """All answers, in order; after the first failure nobody needs the others."""
    tasks = [asyncio.ensure_future(one) for one in asking]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _body(endpoint: Endpoint, conversation: Conversation, sampling: Sampling, n: int, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": endpoint.name,
        "messages": [{"role": role, "content": text} for role, text in turns(conversation)],
        "n": n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k  # not OpenAI's, but vLLM's and SGLang's
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    if sampling.repetition_penalty != 1:
        body["repetition_penalty"] = sampling.repetition_penalty
    if sampling.stop_ids:
        body["stop_token_ids"] = list(sampling.stop_ids)
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if endpoint.logprobs:
        body["logprobs"] = True
    return body


def _read_answers(place: str, answer: Any) -> list[Completed]:
    try:
        used = answer.get("usage") or {}
        choices = answer["choices"]
        answers = [_read_choice(choice, used, len(choices)) for choice in choices]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise EndpointFailed(f"{place} sent JSON that is no chat completion.", retryable=False) from None
    if not answers:
        raise EndpointFailed(f"{place} sent no answer at all.", retryable=True)
    return answers


def _read_choice(choice: dict[str, Any], used: dict[str, Any], of: int) -> Completed:
    """`usage` counts all choices together: their share is the best that is known without log-probabilities."""
    text = choice["message"]["content"]
    if not isinstance(text, str | None):
        raise TypeError
    # JSON can spell half a character (\ud83d), which no file or database takes
    text = (text or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    scored = (choice.get("logprobs") or {}).get("content") or []
    return Completed(
        text=text,
        token_count=len(scored) or int(used.get("completion_tokens") or 0) // of,
        finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
        logprob_sum=sum(float(token["logprob"]) for token in scored) if scored else None,
        prompt_tokens=int(used.get("prompt_tokens") or 0),
    )
