"""Answers from any OpenAI-compatible endpoint (vLLM, SGLang, a vendor), behind the same call as the engine.

Only what is certain comes back: an answer that is blank says so (`Completed.empty`), one that cannot be had is an
`EndpointFailed` with a sentence for people. Private addresses are allowed, since admins set endpoints; redirects are
not followed, the size of a response is capped, proxy variables of the environment are not read.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from workers.sampling.answers import Completed, Conversation, Sampling, turns

MOST_BYTES = 1_000_000  # of one response: some thousand tokens are a few kilobytes
LONGEST_PAUSE = 30.0  # seconds, also when an endpoint asks for more

Cause = Literal["unreachable", "slow", "busy", "failing"]
Pause = Callable[[float], Awaitable[None]]


class EndpointFailed(Exception):
    """No answer. `retryable`: the same request may succeed later. `pause`: seconds the endpoint asked us to wait.
    `cause`: in one word, for those who need not know which endpoint it was."""

    def __init__(self, sentence: str, *, retryable: bool, pause: float | None = None, cause: Cause = "failing") -> None:
        super().__init__(sentence)
        self.cause = cause
        self.sentence = sentence
        self.retryable = retryable
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask: base address (as `http://10.0.0.5:8000/v1`), the name the server knows, where its key stands.

    key_variable: name of the environment variable that holds the key; None sends none.
    logprobs: ask for log-probabilities, which not every server gives.
    """

    address: str
    name: str
    key_variable: str | None = None
    logprobs: bool = False

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.address)
        except httpx.InvalidURL:
            raise EndpointFailed(f"{self.address!r} is no http or https address.", retryable=False) from None
        if url.scheme not in ("http", "https") or not url.host:
            raise EndpointFailed(f"{self.address!r} is no http or https address.", retryable=False)
        if url.userinfo:
            raise EndpointFailed("An endpoint's address must not hold a password; use a key.", retryable=False)

    @property
    def completions_address(self) -> str:
        base = self.address.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"

    @property
    def key(self) -> str:
        """The key from the environment, "" where none is sent."""
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise EndpointFailed(
                f"The environment variable {self.key_variable}, which should hold the key of {self.name}, is not set.",
                retryable=False,
            )
        if not (key.isascii() and key.isprintable()):
            raise EndpointFailed(f"The key in {self.key_variable} holds characters that no key has.", retryable=False)
        return key


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
        asking = [asyncio.ensure_future(self._answers(where, body, n)) for body in bodies]
        try:
            return await asyncio.gather(*asking)
        finally:
            for one in asking:  # after the first failure nobody needs the others
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _answers(self, endpoint: Endpoint, body: dict[str, Any], n: int) -> list[Completed]:
        """Some servers give fewer answers than asked for: then ask for the rest with another seed."""
        answers: list[Completed] = []
        while len(answers) < n:
            asked = body | {"n": n - len(answers), "seed": body["seed"] + len(answers)}
            answers += (await self._patiently(endpoint, asked))[: n - len(answers)]
        return answers

    async def _patiently(self, endpoint: Endpoint, body: dict[str, Any]) -> list[Completed]:
        for attempt in range(1, self.tries + 1):
            try:
                async with self._slots:
                    return await self._ask(endpoint, body)
            except EndpointFailed as failure:
                if not failure.retryable or attempt == self.tries:
                    raise
                # doubled each time and never the same for two askers
                wait = failure.pause or 0.5 * 2**attempt * random.uniform(0.5, 1.0)
            await self.pause(min(wait, LONGEST_PAUSE))
        raise AssertionError("tries is at least 1")

    async def _ask(self, endpoint: Endpoint, body: dict[str, Any]) -> list[Completed]:
        place = httpx.URL(endpoint.address).netloc.decode()
        try:
            # httpx bounds the silence between two bytes, this bounds the whole
            async with asyncio.timeout(self.timeout):
                status, headers, content = await self._post(endpoint, body)
        except (TimeoutError, httpx.TimeoutException):
            raise EndpointFailed(
                f"{place} did not answer within {self.timeout:g} s.", retryable=True, cause="slow"
            ) from None
        except httpx.ConnectError as error:
            raise EndpointFailed(f"{place} cannot be reached: {error}.", retryable=True, cause="unreachable") from None
        except httpx.RequestError:  # cut off, reset, or compressed wrongly
            raise EndpointFailed(f"{place} broke off in the middle of its answer.", retryable=True) from None
        if status != 200:
            raise _refusal(endpoint, place, status, headers, content)
        return _read_answers(place, headers, content)

    async def _post(self, endpoint: Endpoint, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        content = bytearray()
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        async with self._client.stream("POST", endpoint.completions_address, json=body, headers=headers) as answer:
            async for part in answer.aiter_bytes(65_536):
                content += part
                if len(content) > MOST_BYTES:
                    raise EndpointFailed(
                        f"{endpoint.name} sent more than {MOST_BYTES:,} bytes for one answer.", retryable=False
                    )
            return answer.status_code, answer.headers, bytes(content)


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
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if endpoint.logprobs:
        body["logprobs"] = True
    return body


def _refusal(endpoint: Endpoint, place: str, status: int, headers: httpx.Headers, content: bytes) -> EndpointFailed:
    said = _said(content, endpoint.key)
    if status in (401, 403):
        key = f"the key in {endpoint.key_variable}" if endpoint.key_variable else "requests without a key"
        return EndpointFailed(f"{place} refuses {key} ({status}).", retryable=False)
    if status == 404 or (status == 400 and "model" in said.lower() and "not" in said.lower()):
        return EndpointFailed(
            f"{place} does not know {endpoint.name!r} at this address ({status}){said}.", retryable=False
        )
    if status == 429:
        return EndpointFailed(
            f"{place} is asked too often (429){said}.", retryable=True, pause=_retry_after(headers), cause="busy"
        )
    if status >= 500 or status == 408:
        return EndpointFailed(f"{place} failed ({status}){said}.", retryable=True, pause=_retry_after(headers))
    if 300 <= status < 400:
        return EndpointFailed(f"{place} redirects elsewhere ({status}); enter the final address.", retryable=False)
    return EndpointFailed(f"{place} refused the request ({status}){said}.", retryable=False)


def _said(content: bytes, key: str) -> str:
    """What the server gave as its reason, one short line; nothing for a page of HTML."""
    try:
        error = json.loads(content)
        error = error.get("error", error.get("detail", error))
        message = error.get("message", "") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        return ""
    words = " ".join(str(message).split()).rstrip(".")
    words = words.replace(key, "…") if key else words  # some servers repeat the key they refuse
    return f": {words[:200]}" if words else ""


def _retry_after(headers: httpx.Headers) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _read_answers(place: str, headers: httpx.Headers, content: bytes) -> list[Completed]:
    kind = headers.get("content-type", "")
    if "html" in kind or content.lstrip()[:1] == b"<":
        raise EndpointFailed(
            f"{place} answered with a web page instead of JSON; is /v1 missing in the address?", retryable=False
        )
    try:
        answer = json.loads(content)
    except ValueError:
        raise EndpointFailed(f"{place} sent JSON that breaks off or is not JSON.", retryable=True) from None
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
