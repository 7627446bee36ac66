"""A person or a program at the REST API: one sign-in each, nothing that others could not do."""

import asyncio
from typing import Any, Self

import httpx

PASSING = {429, 502, 503, 504}
PATIENCE = 90.0  # seconds that a restart of the server may take
PAUSE = 0.5


class Refused(Exception):
    """The server said no; the text is its sentence."""


class Client:
    """Calls that outlast a server's restart: reads are repeated, and so are writes, under their idempotency key."""

    def __init__(self, address: str) -> None:
        self.http = httpx.AsyncClient(base_url=address, timeout=60.0, headers={"Origin": address})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        return (await self.call("GET", path, params=query)).json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.call("POST", path, json=body, headers=headers)
        return answer.json() if answer.content else None

    async def put(self, path: str, body: Any) -> Any:
        return (await self.call("PUT", path, json=body)).json()

    async def call(self, verb: str, path: str, **more: Any) -> httpx.Response:
        """:raises Refused: with the server's sentence."""
        for left in range(int(PATIENCE / PAUSE), -1, -1):
            try:
                answer = await self.http.request(verb, path, **more)
            except httpx.TransportError:
                if not left:
                    raise
            else:
                if answer.status_code not in PASSING or not left:
                    break
            await asyncio.sleep(PAUSE)
        if answer.is_error:
            raise Refused(f"{verb} {path}: {answer.status_code} {sentence_of(answer)}")
        return answer

    async def sign_in(self, email: str, password: str) -> None:
        await self.post("/api/v1/sign-in", {"email": email, "password": password})


def sentence_of(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']} {problem.get('errors', '')}"
    except (ValueError, KeyError):
        return answer.text[:300]
