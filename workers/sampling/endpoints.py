"""A server of others: where it is, what its key is, and why it gave no answer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Literal

import httpx

Cause = Literal["unreachable", "slow", "busy", "failing"]


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
    def base(self) -> str:
        """The address that `/completions` and the like are appended to."""
        return self.address.rstrip("/").removesuffix("/chat/completions")

    @property
    def root(self) -> str:
        """The server's own address, below which its control routes lie."""
        return self.base.removesuffix("/v1")

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


def refusal(endpoint: Endpoint, place: str, status: int, headers: httpx.Headers, content: bytes) -> EndpointFailed:
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


def parsed(place: str, headers: httpx.Headers, content: bytes) -> Any:
    kind = headers.get("content-type", "")
    if "html" in kind or content.lstrip()[:1] == b"<":
        raise EndpointFailed(
            f"{place} answered with a web page instead of JSON; is /v1 missing in the address?", retryable=False
        )
    try:
        return json.loads(content)
    except ValueError:
        raise EndpointFailed(f"{place} sent JSON that breaks off or is not JSON.", retryable=True) from None
