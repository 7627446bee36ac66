"""Starts, finds and stops the Postgres that comes with Hone: a thin, careful driver for one data folder.

The postmaster inherits a locked file, and so does every program it starts. The lock is free exactly when none of them
lives any more, whatever was killed: that decides who may start, not a number in a file. A number that is read from
`postmaster.pid` counts only when that program is Postgres at work in this folder.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from urllib.parse import quote

from app import cluster, logfiles, pids, unprivileged
from app.cluster import Place
from app.translation import _
from app.unprivileged import CannotStart, in_sentences

START_SECONDS = 300  # recovery after a crash may take minutes
STOP_SECONDS = 60
PATIENCE = 10  # seconds that remains of a killed postmaster have to notice

# Given on every start, so that no setting of the folder can loosen them.
ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements hold people's words
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Running:
    """A Postgres that answers: its address for SQLAlchemy and the postmaster's number."""

    url: str
    pid: int


@dataclass
class Starting:
    """A postmaster that was sent on its way; ask `ready` until it answers."""

    place: Place
    postmaster: "subprocess.Popen[bytes] | None"  # None: somebody else's start, which we wait for
    log_start: int = 0

    def ready(self) -> Running | None:
        """The running Postgres, or None while it still starts or recovers.

        :raises CannotStart: it gave up.
        """
        gone = self.postmaster is not None and self.postmaster.poll() is not None
        if (found := running(self.place.home)) is not None:
            return found
        if gone:
            raise cluster.explain(logfiles.tail(self.place.log, self.log_start), self.place)
        return None


_children: dict[Path, "subprocess.Popen[bytes]"] = {}  # ours to reap, by data folder


def start(
    home: Path, *, extra: dict[str, str] | None = None, dies_with_us: bool = True, seconds: float = START_SECONDS
) -> Running:
    """The Postgres of this home, started unless it runs already; two calls at once get the same one.

    `extra` overrides Postgres's own settings (tests turn fsync off). With `dies_with_us` the kernel stops it in
    good order when the calling thread ends, however that happens.
    :raises CannotStart: a sentence that says why not and what to do.
    """
    deadline = time.monotonic() + seconds
    starting = begin(home, extra=extra, dies_with_us=dies_with_us)
    while (found := starting.ready()) is None:
        if time.monotonic() > deadline:
            sentence = _("Postgres did not answer within {seconds:.0f} seconds; {log} says what it does.")
            raise CannotStart(sentence, seconds=seconds, log=starting.place.log)
        time.sleep(0.02)
        if starting.postmaster is None:  # the other's start may have failed; then it is our turn
            starting = begin(home, extra=extra, dies_with_us=dies_with_us)
    return found


def begin(home: Path, *, extra: dict[str, str] | None = None, dies_with_us: bool = True) -> Starting:
    """Like `start`, but returns as soon as the postmaster is on its way.

    :raises CannotStart: as `start`.
    """
    place = cluster.prepare(home)
    with in_sentences(place.home):
        lock = _take_lock(place)
        if lock is None:
            return Starting(place, None)
        try:
            if pid_of(place):  # started by hand, without our lock
                return Starting(place, None)
            cluster.check(place)
            if not place.is_made:
                cluster.make(place, lock)
            return _launch(place, lock, extra or {}, dies_with_us)
        finally:
            os.close(lock)


def _take_lock(place: Place) -> int | None:
    """The lock, held; None when another start or a running Postgres has it.

    What a killed postmaster left behind notices within moments and lets go; after PATIENCE it is ended by us.
    :raises CannotStart: held by something that this machine's process list does not show, such as a container.
    """
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 200, 0).decode().strip()
            if pid_of(place) or (holder and pids.start_mark(int(holder.split()[0])) == holder.split()[1]):
                os.close(lock)
                return None
        else:
            _note_holder(lock, os.getpid())
            return lock
        if time.monotonic() > deadline and not _end_orphans(place):
            os.close(lock)
            raise CannotStart(
                _(
                    "Another Hone, perhaps in a container, uses {home}: it holds {lock}. "
                    "Stop it, or set HONE_HOME to another folder."
                ),
                home=place.home,
                lock=place.lock,
            )
        time.sleep(0.02)


def _note_holder(lock: int, pid: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{pid} {pids.start_mark(pid)}\n".encode(), 0)


def _end_orphans(place: Place) -> bool:
    """Ends what is left of a killed postmaster: Postgres at work in our folder. True when there was any."""
    marks = {pid: pids.start_mark(pid) for pid in pids.all_pids() if pids.working_folder(pid) == place.data.resolve()}
    ended = [
        pids.end(pid, mark, (SIGQUIT, 2), (SIGKILL, 5)) for pid, mark in marks.items() if mark and _is_postgres(pid)
    ]
    return bool(ended)


def _launch(place: Place, lock: int, extra: dict[str, str], dies_with_us: bool) -> Starting:
    sockets = cluster.socket_folder(place)
    memory = "".join(_pid_lines(place)[6:7]).split()
    if len(memory) == 2:  # key and id: of whoever was here last
        pids.wait_for_memory(memory[1], PATIENCE)
    _clear_foreign_pid(place, sockets)
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    given = ALWAYS | {"unix_socket_directories": quoted} | extra
    options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
    words = cluster.command(place, "postgres", "-D", str(place.data), *options)
    if dies_with_us:
        words = ["setpriv", "--pdeathsig", "INT", "--", *words]
    logfiles.trim(place.log)
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        postmaster = subprocess.Popen(  # noqa: S603 (our own words)
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            env=unprivileged.plain(),
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops Postgres last
        )
        log_start = log.tell()
    _note_holder(lock, postmaster.pid)
    _reap(place)
    _children[place.data] = postmaster
    return Starting(place, postmaster, log_start)


def _clear_foreign_pid(place: Place, sockets: Path) -> None:
    """Removes pid files that name a living program which is not Postgres here.

    Postgres would take it for itself and refuse to start. A number that nobody has is left to Postgres, which also
    looks for shared memory still in use. We hold the lock, so nothing of ours is alive.
    """
    for path in (place.data / "postmaster.pid", sockets / f"{cluster.SOCKET}.lock"):
        first = path.read_text().splitlines()[:1] if path.exists() else []
        if first and first[0].strip().isdigit() and pids.start_mark(int(first[0])):
            path.unlink()


def pid_of(place: Place) -> int | None:
    """The living postmaster of this place, whether it answers yet or not."""
    lines = _pid_lines(place)
    pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    if not pid or not pids.start_mark(pid) or not _is_postgres(pid):
        return None
    standing = pids.working_folder(pid)
    if standing is not None:  # the postmaster stands in its data folder, also after the folder was renamed
        return pid if standing == place.data.resolve() else None
    words = pids.command_line(pid)
    return pid if str(place.data) in words else None


def _is_postgres(pid: int) -> bool:
    words = pids.command_line(pid)
    return bool(words) and words[0].partition(":")[0].rpartition("/")[2] == "postgres"


def _pid_lines(place: Place) -> list[str]:
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def running(home: Path) -> Running | None:
    """The Postgres of this home if it answers, else None.

    :raises CannotStart: the home folder cannot be read.
    """
    place = cluster.place_of(home)
    with in_sentences(place.home):
        pid, lines = pid_of(place), _pid_lines(place)
        # lines 5 and 8 of postmaster.pid: the socket's folder and the state
        if pid is None or len(lines) < 8 or lines[7].strip() != "ready":
            return None
        return Running(_url(place, lines[4]), pid)


def _url(place: Place, sockets: str) -> str:
    password = place.password.read_text().strip()
    host = quote(sockets, safe="")  # %20, not +: psycopg reads the address as a URI, not as a form
    return f"postgresql+psycopg://{cluster.ROLE}:{quote(password)}@/{cluster.DATABASE}?host={host}"


def url(home: Path) -> str:
    """The address of the Postgres that runs in this home.

    :raises CannotStart: none runs.
    """
    found = running(home)
    if found is None:
        raise CannotStart(_("Postgres does not run in {home}. Start it with `make run`."), home=home.absolute())
    return found.url


@contextmanager
def borrowed(home: Path) -> Iterator[Running]:
    """The Postgres of this home for a short errand: the one that runs, else one started now and stopped after.

    :raises CannotStart: as `start`.
    """
    found = running(home)
    try:
        yield found or start(home)
    finally:
        if found is None:
            stop(home)


def stop(home: Path, seconds: float = STOP_SECONDS) -> None:
    """Stops the Postgres of this home in good order, by force after so many seconds; nothing when none runs."""
    place = cluster.place_of(home)
    pid = pid_of(place)
    if pid is not None and (mark := pids.start_mark(pid)):
        lines = _pid_lines(place)
        pids.end(pid, mark, (SIGINT, seconds), (SIGQUIT, 10), (SIGKILL, 10))
        _remove_short_folder(place, lines)
    _reap(place)


def _reap(place: Place) -> None:
    """Takes note of the end of a postmaster of ours, so that it does not stay as a zombie."""
    child = _children.pop(place.data, None)
    if child is not None:
        child.wait(timeout=10)


def _remove_short_folder(place: Place, lines: list[str]) -> None:
    """The socket's folder, when it lay outside the home."""
    folder = Path(lines[4]) if len(lines) > 4 and lines[4] else place.home / "run"
    if folder.name.startswith("hone-") and folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
