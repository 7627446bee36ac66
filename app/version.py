"""Which code this is: the release, and the commit when it runs from a checkout. Written into everything that lasts."""

from functools import cache
from pathlib import Path

RELEASE = "0.1.0"
GIT = Path(__file__).resolve().parent.parent / ".git"


@cache
def code_version() -> str:
    """`0.1.0+1a2b3c4d5e6f`, or the release alone outside a checkout."""
    commit = _commit()
    return f"{RELEASE}+{commit[:12]}" if commit else RELEASE


def _commit() -> str | None:
    try:
        head = (GIT / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        loose = GIT / ref
        if loose.exists():
            return loose.read_text().strip()
        packed = (GIT / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), None)
    except OSError:
        return None
