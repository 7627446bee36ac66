"""The whole installation as a newcomer starts it, in a home of its own below var/loop."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

UP = (sys.executable, "-m", "app.supervision")
READY = re.compile(r"(http://\S+?)/sign-in/(\S+)")
PATIENCE = 60.0  # seconds for an orderly end


class DidNotStart(Exception):
    """The installation said no; the text is what it said."""


@dataclass
class Installation:
    """link: token of the one-time sign-in link. child: `hone up`, another one after a kill; words: how it is called."""

    address: str
    link: str
    home: Path
    environment: dict[str, str]
    child: subprocess.Popen[str]
    words: Sequence[str] = UP

    def start_again(self) -> None:
        """`hone up` once more in the same home, at the same address. Call it from the main thread: the kernel ends the
        installation when the thread that started it ends."""
        self.child.wait()
        close(self.child)
        self.child = launch(self.environment, self.words)

    def last_words(self) -> str:
        """What an installation said that has ended."""
        return (self.child.stdout.read() if self.child.stdout else "") or "it ended without a word"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path, words: Sequence[str] = UP, **settings: str) -> Iterator[Installation]:
    """`hone up` in an empty home, ended by Ctrl-C's signal; the home stays, to be looked at. settings: HONE_… more."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)  # what something is mounted on cannot be removed
    places = {"HONE_HOME": str(home.resolve()), "HONE_PORT": str(free_port()), "HONE_SAMPLER_PORT": str(free_port())}
    environment = {name: value for name, value in os.environ.items() if name != "HONE_DATABASE_URL"}
    environment |= places | settings
    found = Installation("", "", home, environment, launch(environment, words), words)
    try:
        found.address, found.link = _wait_until_ready(found.child)
        yield found
    finally:
        end(found.child)


def launch(environment: dict[str, str], words: Sequence[str]) -> subprocess.Popen[str]:
    # however the loop ends, nothing of it stays behind
    return subprocess.Popen(  # noqa: S603
        ["setpriv", "--pdeathsig", "INT", "--", *words],  # noqa: S607
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def end(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
    close(child)


def close(child: subprocess.Popen[str]) -> None:
    if child.stdout is not None:
        child.stdout.close()


def _wait_until_ready(child: subprocess.Popen[str]) -> tuple[str, str]:
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line)
        if found := READY.search(line):
            return found[1], found[2]
    raise DidNotStart("".join(said) or "it ended without a word")
