"""Child processes that die with their parent, so that nothing trains on without anybody knowing."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path


async def start_python(*arguments: str, log: Path, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """`python -m …` in a session of its own, everything it prints appended to `log`; the kernel kills it when we go."""
    with log.open("ab") as sink:
        return await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **environment},
            start_new_session=True,
        )


async def end(child: asyncio.subprocess.Process, *, patience: float) -> None:
    """Ask the child to stop, wait `patience` seconds, then kill it and its children."""
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), patience)
    except TimeoutError:
        os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
