"""The programs that one `hone up` keeps alive: how each is started, restarted, stopped, and found again after a kill.

Each child dies with its parent (the kernel sends it SIGTERM), leads a session of its own, and carries a random token
in its environment. The token and the pid file let the next `hone up` end what a killed one left, and nothing else.
"""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from app import pids
from app.translation import _

TOKEN = "HONE_UP"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a restart
NOTED_AGAIN = 1.0  # seconds until a note is tried again that could not be written
HEALTHY = 60.0  # a child that lived so many seconds starts with the first pause again


@dataclass(frozen=True)
class Part:
    """One program to keep alive."""

    name: str
    words: tuple[str, ...]
    patience: float  # seconds between SIGTERM and SIGKILL
    needs_torch: bool = False


@dataclass
class Crew:
    """What one `hone up` has running."""

    home: Path
    environment: dict[str, str]
    token: str = field(default_factory=lambda: uuid4().hex)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    alive: dict[str, tuple[Part, Process]] = field(default_factory=dict)

    @property
    def pid_file(self) -> Path:
        return self.home / "hone.pids"

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"


def say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


async def spawn(crew: Crew, name: str, words: tuple[str, ...]) -> Process:
    """Start a program that dies with us, its output in its log."""
    log = crew.log(name)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        return await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", *words),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env=os.environ | crew.environment | {TOKEN: crew.token, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


async def keep(crew: Crew, part: Part) -> None:
    """Start the part and start it again whenever it ends, until the crew stops."""
    pause = FIRST_PAUSE
    while not crew.stopping.is_set():
        began = time.monotonic()
        child = await spawn(crew, part.name, part.words)
        crew.alive[part.name] = (part, child)
        noting = asyncio.create_task(note_at_last(crew))
        code = await child.wait()
        noting.cancel()
        if crew.stopping.is_set():
            return
        _end_session(child)  # web's processes outlive a killed parent and would keep its port
        pause = FIRST_PAUSE if time.monotonic() - began > HEALTHY else pause
        sentence = _("{name} ended ({how}); it starts again in {pause:.1f} s. Its last words are in {log}")
        say(sentence.format(name=part.name, how=_how(code), pause=pause, log=crew.log(part.name)))
        with suppress(TimeoutError):
            await asyncio.wait_for(crew.stopping.wait(), pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _how(code: int) -> str:
    return _("signal {number}").format(number=-code) if code < 0 else _("exit status {code}").format(code=code)


async def stop(crew: Crew, name: str) -> None:
    """End a part in good order, by force after its patience, and whatever it left in its session."""
    if name not in crew.alive:
        return
    part, child = crew.alive.pop(name)
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), part.patience)
    _end_session(child)
    await child.wait()


def _end_session(child: Process) -> None:
    """End whatever a child has left in the session that it led."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def note(crew: Crew) -> None:
    """Write down who is alive: number, start and words of each, under a new name first."""
    entries = [
        {"name": name, "pid": child.pid, "mark": pids.start_mark(child.pid), "words": list(part.words)}
        for name, (part, child) in crew.alive.items()
    ]
    new = crew.pid_file.with_suffix(".new")
    new.write_text(json.dumps({"token": crew.token, "children": entries}))
    new.rename(crew.pid_file)


async def note_at_last(crew: Crew) -> None:
    """Note it as soon as it can be written: a full disk must not end the care for a part."""
    while True:
        with suppress(OSError):
            note(crew)
            return
        await asyncio.sleep(NOTED_AGAIN)


def end_leftovers(pid_file: Path) -> list[str]:
    """End what a killed `hone up` left behind; the names of what was found.

    A program counts as ours when number, start and words agree with the file, or when it carries the file's token.
    """
    try:
        found = json.loads(pid_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    known = {entry["pid"]: entry for entry in found["children"]}
    ended = []
    for pid in pids.all_pids():
        mark, entry = pids.start_mark(pid), known.get(pid)
        listed = entry and entry["mark"] == mark and entry["words"] == pids.command_line(pid)
        if mark and pid != os.getpid() and (listed or pids.has_environment(pid, TOKEN, found["token"])):
            pids.end(pid, mark, (signal.SIGTERM, 10), (signal.SIGKILL, 30))  # its ports are ours to take next
            ended.append(entry["name"] if entry else str(pid))
    pid_file.unlink()
    return ended
