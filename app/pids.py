"""What Linux says about a running program: enough to know it again when its number has been reused."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def start_mark(pid: int) -> str | None:
    """Boot and clock tick at which the program started; None where none lives under that number.

    A zombie counts as gone, unless it is only the first thread of a dying program whose others still hold its ports.
    Fields as in proc(5): 3 is the state, 20 counts the threads, 22 is the tick.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" and int(fields[17]) < 2 else f"{boot}:{fields[19]}"


def command_line(pid: int) -> list[str]:
    """The program's arguments; empty when it is gone."""
    found = _read(pid, "cmdline").decode(errors="replace").rstrip("\0")
    return found.split("\0") if found else []


def working_folder(pid: int) -> Path | None:
    """Where the program stands; None when it is gone or belongs to somebody else."""
    try:
        return Path(os.readlink(PROC / str(pid) / "cwd"))
    except OSError:
        return None


def has_environment(pid: int, name: str, value: str) -> bool:
    """Was the program started with this variable? Only its own user and root can tell."""
    return f"{name}={value}".encode() in _read(pid, "environ").split(b"\0")


def _read(pid: int, name: str) -> bytes:
    """A file about the program; empty when it is gone. Where its first thread is a zombie, another one tells."""
    threads: list[Path] = []
    with suppress(OSError):
        threads = list((PROC / str(pid) / "task").iterdir())
    for folder in (PROC / str(pid), *threads):
        with suppress(OSError):
            if found := (folder / name).read_bytes():
                return found
    return b""


def all_pids() -> Iterator[int]:
    yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def wait_until_gone(pid: int, mark: str, seconds: float) -> bool:
    """True once the program that had this mark is gone; False when it still lives after so many seconds."""
    deadline = time.monotonic() + seconds
    while start_mark(pid) == mark:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_for_memory(segment: str, seconds: float) -> None:
    """Until nothing is attached to a System V shared memory segment (its id), but no longer than so many seconds.

    A program that ends lets go of its files, locks among them, a moment before its memory.
    """
    deadline, listed = time.monotonic() + seconds, PROC / "sysvipc/shm"
    while listed.exists() and time.monotonic() < deadline:
        rows = (line.split() for line in listed.read_text().splitlines()[1:])
        if all(attached == "0" for _key, row, _mode, _size, _made, _last, attached, *_rest in rows if row == segment):
            return
        time.sleep(0.02)


def end(pid: int, mark: str, *steps: tuple[signal.Signals, float]) -> bool:
    """Sends the signals in turn, each with its seconds of patience, until the program is gone."""
    for number, seconds in steps:
        if start_mark(pid) != mark:
            return True
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        if wait_until_gone(pid, mark, seconds):
            return True
    return start_mark(pid) != mark
