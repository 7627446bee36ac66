"""What lies between a browser and what it wants to keep: a line that is cut, and a server that is killed."""

import asyncio
import os
import signal
import subprocess
import time
import urllib.request

from app.supervision import choose_port, web_words

QUIET = {"HONE_WEB_PROCESSES": "1", "HONE_LOG_LEVEL": "error"}
PASSES = {"before": 0, "after": 0, "in its headers": 100, "in its words": 3000}  # bytes of the server's answer


class Line:
    """One person's line to the server. how: "whole"; "before": cut before the server has heard a word; "after": cut
    when the server has done its work; or cut in the headers or in the words of its answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.how = "whole"
        self.cuts = 0
        self.open: set[asyncio.StreamWriter] = set()

    def becomes(self, how: str) -> None:
        self.how = how
        for writer in self.open:
            writer.transport.abort()  # type: ignore[attr-defined]
        self.open.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the browser."""
        self.open.add(writer)
        try:
            there, out = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            self.cuts += 1
            writer.close()
            return
        self.open.add(out)
        await asyncio.gather(self.to_server(reader, out), self.to_browser(there, writer))
        self.open -= {writer, out}

    async def to_server(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while said := await heard(reader):
            if self.how == "before":
                break
            out.write(said)
        out.close()

    async def to_browser(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while said := await heard(there):
            passes = PASSES.get(self.how)
            writer.write(said if passes is None else said[: max(0, passes - passed)])
            passed += len(said)
            if passes is not None and passed >= passes:
                self.cuts += 1
                break
        writer.close()


async def heard(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


class Server:
    """The web server in a process of its own, which may be killed in the middle of its work."""

    def __init__(self) -> None:
        self.port = choose_port("127.0.0.1", 0, "web")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(web_words(self.port), env=os.environ | QUIET, process_group=0)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the server does not come up")

    def kill(self) -> None:
        """As the kernel does when memory is short: nothing is finished."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
