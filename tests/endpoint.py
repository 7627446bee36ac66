"""A small OpenAI-compatible server on the loopback that can be stopped, be slow, and misbehave, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Endpoint:
    """Its answers begin with its name in small letters: as a name it would be covered.

    mood: well, failing (500), slow, half (an answer cut off), refusing (401). asked: bodies of all requests."""

    def __init__(self, name: str) -> None:
        self.name, self.mood, self.address = name, "well", ""
        self.asked: list[dict[str, Any]] = []
        self._port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """On the same port as before, if it ran before."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}/v1"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._server = None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
            asked = json.loads(await reader.readexactly(length))
            self.asked.append(asked)
            if self.mood == "slow":
                await asyncio.sleep(3)
            writer.write(self._reply(asked))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _reply(self, asked: dict[str, Any]) -> bytes:
        if self.mood in ("failing", "refusing"):
            status = {"failing": "500 Internal Server Error", "refusing": "401 Unauthorized"}[self.mood]
            return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        words = asked["messages"][-1]["content"]
        choices = [
            {
                "index": n,
                "message": {"role": "assistant", "content": f"{self.name.lower()} says {n + 1} to “{words}”."},
                "finish_reason": "stop",
            }
            for n in range(asked["n"])
        ]
        body = json.dumps({"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 4}}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        sent = body[: len(body) // 2] if self.mood == "half" else body
        return head.encode() + b"Connection: close\r\n\r\n" + sent


@asynccontextmanager
async def endpoint(name: str = "North") -> AsyncIterator[Endpoint]:
    made = Endpoint(name)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
