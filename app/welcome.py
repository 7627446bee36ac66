"""What `hone up` does before it can say that it is ready: short errands, and waiting until the web server answers."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress

from app.children import TOKEN, Crew, say
from app.settings import Settings, reachable
from app.translation import _


async def errand(crew: Crew, module: str, *words: str) -> tuple[int, str, str]:
    """Run a module of ours to its end: exit status and what it said. Ended early when the crew stops."""
    child = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", module, *words),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | crew.environment | {TOKEN: crew.token},
        start_new_session=True,
    )
    work = asyncio.create_task(child.communicate())
    stopping = asyncio.create_task(crew.stopping.wait())
    await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not work.done():
        child.terminate()
    said, complained = await work
    return child.returncode or 0, said.decode().strip(), complained.decode().strip()


async def welcome(crew: Crew, settings: Settings, port: int, address: str, page_is_there: asyncio.Event) -> None:
    """Once the web server answers: one line with the address and a sign-in link that works once."""
    answering = asyncio.create_task(_answers(reachable(settings.host), port, page_is_there))
    code, link, said = await errand(crew, "workers.demo.setup", "--if-empty", "--sign-in-link")
    if code and not crew.stopping.is_set():
        say(_("The demo project could not be set up: {reason}").format(reason=said))
        code, link, said = await errand(crew, "app.cli", "sign-in-link")
    await answering
    if crew.stopping.is_set():
        return
    ready = _("Hone is ready at {address}. Sign in, once, with {link}")
    say((ready if not code else _("Hone is ready at {address}. There is no sign-in link: {reason}")).format(
        address=address, link=link, reason=said))  # fmt: skip


async def _answers(host: str, port: int, page_is_there: asyncio.Event) -> None:
    """Return once /health says 200."""
    while True:
        with suppress(OSError, TimeoutError):
            if await asyncio.wait_for(_is_healthy(host, port), 5):
                page_is_there.set()
                return
        await asyncio.sleep(0.1)


async def _is_healthy(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()
