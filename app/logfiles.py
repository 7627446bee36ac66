"""Log files of the programs that Hone starts: kept short, and read from where a program began."""

import os
from pathlib import Path

LONGEST = 8 << 20  # bytes


def tail(log: Path, start: int) -> str:
    """What was written to the log from the byte `start` on, at most 1 MiB."""
    with log.open("rb") as file:
        file.seek(start)
        return file.read(1 << 20).decode(errors="replace")


def trim(log: Path) -> None:
    """Keeps a log's last half when it has grown too long; safe while programs write to it, since they append."""
    if not log.exists() or log.stat().st_size <= LONGEST:
        return
    with log.open("r+b") as file:
        file.seek(-LONGEST // 2, os.SEEK_END)
        kept = file.read().partition(b"\n")[2]
        file.seek(0)
        file.write(kept)
        file.truncate()
