"""The whole installation as a newcomer starts it, in a home of its own below var/loop."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workers.children import die_with_parent

READY = re.compile(r"(http://\S+?)/sign-in/(\S+)")
PATIENCE = 60.0  # seconds for an orderly end


class DidNotStart(Exception):
    """The installation said no; the text is what it said."""


@dataclass(frozen=True)
class Installation:
    address: str
    link: str  # token of the one-time sign-in link
    home: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path) -> Iterator[Installation]:
    """`hone up` in an empty home, ended by Ctrl-C's signal; the home stays, to be looked at."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    places = {"HONE_HOME": str(home.resolve()), "HONE_PORT": str(free_port()), "HONE_SAMPLER_PORT": str(free_port())}
    environment = {name: value for name, value in os.environ.items() if name != "HONE_DATABASE_URL"} | places
    child = subprocess.Popen(
        [sys.executable, "-m", "app.supervision"],
        env=environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=partial(die_with_parent, signal.SIGINT),  # however the loop ends, nothing of it stays behind
    )
    try:
        yield _wait_until_ready(child, home)
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()


def _wait_until_ready(child: subprocess.Popen[str], home: Path) -> Installation:
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line)
        if found := READY.search(line):
            return Installation(found[1], found[2], home)
    raise DidNotStart("".join(said) or "it ended without a word")
