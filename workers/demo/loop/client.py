"""A person or a program at the REST API: one sign-in each, nothing that others could not do."""

import asyncio
from typing import Any, Self
from uuid import uuid4

import httpx

PATIENCE = 180.0  # seconds that a restart of the server may take
PAUSE = 0.5


class Refused(Exception):
    """The server said no; the text is its sentence."""


class Client:
    """Calls that outlast a server's restart, as the annotate page does: what got no answer, or a 5xx, is sent again,
    writes under the idempotency key of the first try."""

    def __init__(self, address: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.http = httpx.AsyncClient(base_url=address, timeout=60.0, headers={"Origin": address}, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        return (await self.call("GET", path, params=query)).json()

    async def post(self, path: str, body: Any = None) -> Any:
        answer = await self.call("POST", path, json=body)
        return answer.json() if answer.content else None

    async def put(self, path: str, body: Any) -> Any:
        return (await self.call("PUT", path, json=body)).json()

    async def call(self, verb: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """:raises Refused: with the server's sentence. :raises httpx.TransportError: nobody answered for PATIENCE."""
        sent = (headers or {}) | ({} if verb == "GET" else {"Idempotency-Key": uuid4().hex})
        for left in range(int(PATIENCE / PAUSE), -1, -1):
            try:
                answer = await self.http.request(verb, path, headers=sent, **more)
            except httpx.TransportError:
                if not left:
                    raise
            else:
                if not left or not may_pass(answer.status_code):
                    break
            await asyncio.sleep(PAUSE)
        if answer.is_error:
            raise Refused(f"{verb} {path}: {answer.status_code} {sentence_of(answer)}")
        return answer

    async def sign_in(self, email: str, password: str) -> None:
        await self.post("/api/v1/sign-in", {"email": email, "password": password})


def may_pass(status: int) -> bool:
    """Whether the same call may succeed later."""
    return status == 429 or status >= 500


def sentence_of(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']} {problem.get('errors', '')}"
    except (ValueError, KeyError):
        return answer.text[:300]
