"""A small TCP proxy between people and the web. It loses answers of the server after these were given.

What it loses was committed: the server says nothing before. Whoever sent it does not know that, and sends it again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

LOST, HALF = "answer cut after the commit", "answer cut in the middle"
PIECE = 65536
MARK = b"/annotations HTTP/1.1"  # ends the first line of a request that brings an answer
GOOD = b"HTTP/1.1 200"


class Proxy:
    """wanted: how many of LOST and HALF are still to be done, each at one of `every` answers. done: how many were."""

    def __init__(self, port: int, rng: random.Random, wanted: Mapping[str, int], every: int = 20) -> None:
        self.port, self.rng, self.every = port, rng, every
        self.wanted, self.done = Counter(wanted), Counter[str]()
        self.address = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of somebody, until either side ends it or an answer on it is lost."""
        brings_answer = asyncio.Event()
        try:
            there, to = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        both = [
            asyncio.create_task(forward(reader, to, brings_answer)),
            asyncio.create_task(self.back(there, writer, brings_answer)),
        ]
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()
        to.transport.abort()
        writer.transport.abort()

    async def back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, brings_answer: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                if brings_answer.is_set() and piece.startswith(GOOD):
                    brings_answer.clear()
                    cut = self.drawn()
                    if cut is not None:
                        writer.write(piece[: len(piece) // 2] if cut == HALF else b"")
                        await writer.drain()
                        return
                writer.write(piece)
                await writer.drain()

    def drawn(self) -> str | None:
        """Whether this answer is lost, and how."""
        left = [kind for kind, count in self.wanted.items() if count > 0]
        if not left or self.rng.randrange(self.every):
            return None
        kind = self.rng.choice(left)
        self.wanted[kind] -= 1
        self.done[kind] += 1
        return kind


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, brings_answer: asyncio.Event) -> None:
    """From somebody to the web; notes where a request begins that brings an answer."""
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            if piece.startswith(b"POST ") and piece.partition(b"\r\n")[0].endswith(MARK):
                brings_answer.set()
            writer.write(piece)
            await writer.drain()
