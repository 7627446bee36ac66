"""`hone up`: Postgres, then the schema, then web, sampler, trainer and tidy, each restarted when it ends.

They are stopped in order: web, workers, Postgres. A program of its own so that it stays small: no web, no tables here.
"""

import argparse
import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from app import children, embedded, extras, logfiles
from app.children import Crew, Part, keep, say, spawn
from app.settings import Settings, address_of, get_settings, in_words
from app.translation import _, language_of, reader, reader_of
from app.unprivileged import CannotStart, in_sentences
from app.welcome import errand, welcome

POSTGRES_SECONDS = 30  # for Postgres to stop in good order
PAGE_SECONDS = 20.0  # the workers start after the page is there, and after so long without it


def web_words(port: int) -> tuple[str, ...]:
    """The web server's command, the same for `hone web`, `hone up` and the containers."""
    return (sys.executable, "-m", "app.serving", "app.main:app", str(port))


def parts(port: int) -> list[Part]:
    """What `hone up` keeps alive, in the order in which it is stopped."""
    workers = (sys.executable, "-m", "workers")
    return [
        Part("web", web_words(port), patience=15),
        Part("sampler", (*workers, "sample"), patience=15, needs_torch=True),
        Part("trainer", (*workers, "train"), patience=20, needs_torch=True),
        Part("tidy", (*workers, "tidy"), patience=10),
    ]


@contextmanager
def only_one(home: Path) -> Iterator[int]:
    """The lock of this home for as long as we live.

    :raises CannotStart: another `hone up` holds it.
    """
    with in_sentences(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(home / "hone.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, _space, address = os.pread(lock, 400, 0).decode().partition(" ")
        os.close(lock)
        sentence = _("Hone runs already in {home}, at {address}. Stop it with Ctrl-C there, or with: kill {pid}")
        raise CannotStart(sentence, home=home, address=address.strip(), pid=pid) from None
    try:
        yield lock
    finally:
        os.close(lock)


def choose_port(host: str, port: int, name: str) -> int:
    """The port if it is free, or a free one for 0.

    :raises CannotStart: another program listens there, or the address is not this machine's.
    """
    try:
        family, kind, *_rest, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        sentence = _("Hone cannot listen on {host}, port {port}: {reason}. Choose another: {name}={other} make run")
        reason = (error.strerror or str(error)).lower()
        raise CannotStart(sentence, host=host, port=port, reason=reason, name=name, other=port + 10) from error


async def up(settings: Settings, *, install: bool) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP; a second signal ends it at once.

    :raises CannotStart: a sentence; nothing is left running.
    """
    home = settings.home.resolve()
    with only_one(home) as lock:
        _end_what_was_left(home, settings)
        port = choose_port(settings.host, settings.port, "HONE_PORT")
        sampler_port = choose_port("127.0.0.1", settings.sampler_port, "HONE_SAMPLER_PORT")
        address = address_of(settings, port)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {address}\n".encode(), 0)
        crew = Crew(home, _environment(home, port, sampler_port))
        children.note(crew)
        _listen_for_signals(crew)
        tasks: list[asyncio.Task[None]] = []
        try:
            await _start(crew, settings, port, address, tasks, install=install)
            await crew.stopping.wait()
        finally:
            await _stop(crew, settings, tasks)


def _end_what_was_left(home: Path, settings: Settings) -> None:
    """After a kill: the children, then Postgres, which may be on its way down and must not be taken for running."""
    pid_file = home / "hone.pids"
    if pid_file.exists():
        children.end_leftovers(pid_file)
        if settings.database_url is None:
            embedded.stop(home, POSTGRES_SECONDS)


def _environment(home: Path, port: int, sampler_port: int) -> dict[str, str]:
    """What the children are told: the same home and ports, and where to import from when Hone is not installed."""
    search = os.pathsep.join([str(extras.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    ports = {"HONE_PORT": str(port), "HONE_SAMPLER_PORT": str(sampler_port)}
    # torch's threads sleep when they wait for each other: on few cores spinning ones starve the web and Postgres
    waiting = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    return {"HONE_HOME": str(home), "PYTHONPATH": search, **ports, **waiting}


def _listen_for_signals(crew: Crew) -> None:
    def noticed() -> None:
        if crew.stopping.is_set():  # asked twice: patience is over
            for __, child in crew.alive.values():
                with suppress(ProcessLookupError):
                    child.kill()
        crew.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, noticed)


async def _start(
    crew: Crew, settings: Settings, port: int, address: str, tasks: list["asyncio.Task[None]"], *, install: bool
) -> None:
    if settings.database_url is None:
        await _start_postgres(crew)
        tasks.append(asyncio.create_task(_watch_postgres(crew)))
    code, __, said = await errand(crew, "app.migrating")
    if code and not crew.stopping.is_set():
        raise CannotStart("{said}", said=said or _("The database could not be brought to the newest schema."))
    torch_is_there, page_is_there = asyncio.Event(), asyncio.Event()
    work = [_keep_when_ready(crew, part, torch_is_there, page_is_there) for part in parts(port)]
    work += [_bring_torch(crew, torch_is_there, install=install), _trim_logs(crew)]
    work += [welcome(crew, settings, port, address, page_is_there)]
    tasks.extend(asyncio.create_task(coroutine) for coroutine in work)


async def _stop(crew: Crew, settings: Settings, tasks: list["asyncio.Task[None]"]) -> None:
    crew.stopping.set()
    await children.stop(crew, "web")
    await asyncio.gather(*(children.stop(crew, name) for name in list(crew.alive)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    children.note(crew)
    children.end_leftovers(crew.pid_file)  # what a part may have started in a session of its own
    if settings.database_url is None:
        embedded.stop(crew.home, POSTGRES_SECONDS)


async def _start_postgres(crew: Crew) -> None:
    """Started from the main thread: the kernel ends it when the thread that started it ends."""
    starting = embedded.begin(crew.home)
    deadline = time.monotonic() + embedded.START_SECONDS
    while (found := starting.ready()) is None and not crew.stopping.is_set():
        if time.monotonic() > deadline:
            sentence = _("Postgres does not answer yet; {log} says what it does.")
            raise CannotStart(sentence, log=starting.place.log)
        await asyncio.sleep(0.02)
        if starting.postmaster is None:
            starting = embedded.begin(crew.home)
    if found is not None:
        crew.environment["HONE_DATABASE_URL"] = found.url


async def _watch_postgres(crew: Crew) -> None:
    """Start Postgres again whenever it is gone."""
    pause = children.FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        if embedded.running(crew.home):
            pause = children.FIRST_PAUSE
            continue
        say(_("Postgres ended; it starts again. Its last words are in {log}").format(log=crew.home / "postgres.log"))
        try:
            await _start_postgres(crew)
        except CannotStart as error:
            say(str(error))
            pause = min(pause * 2, children.LONGEST_PAUSE)


async def _keep_when_ready(crew: Crew, part: Part, torch_is_there: asyncio.Event, page_is_there: asyncio.Event) -> None:
    if part.name != "web":  # people wait for the page, and few cores carry one start at a time
        with suppress(TimeoutError):
            await asyncio.wait_for(page_is_there.wait(), PAGE_SECONDS)
    if part.needs_torch:
        await torch_is_there.wait()
    await keep(crew, part)


async def _bring_torch(crew: Crew, torch_is_there: asyncio.Event, *, install: bool) -> None:
    """Let the parts that need torch start once it is there; installs it first where `make run` asked for that."""
    if extras.missing("train") and install:
        say(_("The page is usable meanwhile: torch is being installed for sampling and training."))
        for command in extras.install_commands("train"):
            child = await spawn(crew, "install", tuple(command))
            if await child.wait() and not crew.stopping.is_set():
                say(_("torch could not be installed; {log} says why. Then: make run").format(log=crew.log("install")))
                return
    elif extras.missing("train"):
        say(_("Sampling and training wait until their packages are there: pip install 'hone[train]'"))
    while extras.missing("train"):  # noqa: ASYNC110 (installed by hand, perhaps: nobody tells us)
        await asyncio.sleep(5)
    torch_is_there.set()


async def _trim_logs(crew: Crew) -> None:
    while True:
        for log in [crew.home / "postgres.log", *(crew.home / "logs").glob("*.log")]:
            logfiles.trim(log)
        await asyncio.sleep(60)


def main() -> None:
    reader.set(reader_of(language_of(os.environ)))
    parser = argparse.ArgumentParser(prog="hone up", description=_("Start Hone on this machine; Ctrl-C stops it."))
    parser.add_argument("--install", action="store_true", help=_("install torch in the background when it is missing"))
    try:
        asyncio.run(up(get_settings(), install=parser.parse_args().install))
    except ValidationError as error:
        sys.exit(in_words(error))
    except CannotStart as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
