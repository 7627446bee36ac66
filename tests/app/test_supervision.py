"""`hone up` with real programs: started together, restarted when killed, stopped in order, found after a kill."""

import asyncio
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import pytest

from app import children, embedded, extras, pids, supervision
from app.children import Crew, Part, keep
from app.settings import Settings
from app.unprivileged import CannotStart

ROOT = Path(__file__).parents[2]
SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
)
# A program with threads that is being killed: the first may be over while another still holds the ports.
DYING = (
    sys.executable,
    "-c",
    "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
    "ctypes.CDLL(None).pthread_exit(None)",
)
# Everything but what needs torch: that waits for its packages, as it does while they are being installed.
UP = "from app import extras, supervision; extras.missing = lambda extra: ['torch']; supervision.main()"


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hone-test-"))
    yield made
    children.end_leftovers(made / "hone.pids")
    embedded.stop(made)
    rmtree(made)


@pytest.fixture
def crew(home: Path) -> Crew:
    return Crew(home, {})


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    for module in (children, supervision):
        monkeypatch.setattr(module, "say", lines.append)
    return lines


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.02)


def free_port() -> int:
    return supervision.choose_port("127.0.0.1", 0, "HONE_PORT")


# One part


async def test_a_part_that_ends_starts_again_and_one_line_says_so(
    crew: Crew, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.01)
    keeping = asyncio.create_task(keep(crew, Part("tidy", (sys.executable, "-c", "print('oops'); exit(3)"), 1)))
    await until(lambda: len(said) >= 3)
    crew.stopping.set()
    await keeping
    assert said[0].startswith("tidy ended (exit status 3); it starts again in 0.0 s.")
    assert str(crew.log("tidy")) in said[0]
    assert len(crew.log("tidy").read_text().splitlines()) >= 3


async def test_the_pause_grows_while_a_part_keeps_ending(
    crew: Crew, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.1)
    keeping = asyncio.create_task(keep(crew, Part("tidy", ("true",), 1)))
    await until(lambda: len(said) >= 3)
    crew.stopping.set()
    await keeping
    assert [re.findall(r"in ([\d.]+) s", line)[0] for line in said[:3]] == ["0.1", "0.2", "0.4"]


async def test_a_full_disk_does_not_end_the_care_for_a_part(
    crew: Crew, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be noted is noted later; the part is started again all the same."""
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(children, "NOTED_AGAIN", 0.01)
    tries: list[int] = []
    write = children.note

    def full_at_first(crew: Crew) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(crew)

    monkeypatch.setattr(children, "note", full_at_first)
    keeping = asyncio.create_task(keep(crew, Part("tidy", ("sleep", "0.1"), 1)))
    await until(lambda: crew.pid_file.exists() and len(said) >= 2)
    crew.stopping.set()
    await keeping
    assert len(tries) >= 3


async def test_a_part_that_is_killed_leaves_nothing_that_keeps_its_port(crew: Crew, said: list[str]) -> None:
    """Several web processes share one listening socket, and their parent's death alone does not end them."""

    def ours() -> set[int]:
        return {pid for pid in pids.all_pids() if pids.has_environment(pid, children.TOKEN, crew.token)}

    grandchild = f"import subprocess; subprocess.Popen({list(SLEEP)!r}).wait()"
    keeping = asyncio.create_task(keep(crew, Part("web", (sys.executable, "-c", grandchild), 1)))
    await until(lambda: len(ours()) == 2)
    before = ours()
    os.kill(crew.alive["web"][1].pid, signal.SIGKILL)
    await until(lambda: len(ours() - before) == 2)
    assert not ours() & before
    crew.stopping.set()
    await children.stop(crew, "web")
    await keeping


async def test_a_part_that_does_not_listen_is_ended_with_all_it_started(crew: Crew) -> None:
    grandchild = f"import subprocess, sys; subprocess.Popen({list(DEAF)!r}); " + DEAF[-1]
    keeping = asyncio.create_task(keep(crew, Part("trainer", (sys.executable, "-c", grandchild), 0.2)))
    await until(lambda: "trainer" in crew.alive and crew.log("trainer").read_text().count("deaf") == 2)
    crew.stopping.set()
    await children.stop(crew, "trainer")
    await keeping
    await until(lambda: not [pid for pid in pids.all_pids() if pids.has_environment(pid, children.TOKEN, crew.token)])


async def test_web_is_stopped_first_then_the_workers_then_postgres(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    async def stop(_crew: Crew, name: str) -> None:
        crew.alive.pop(name)
        order.append(name)

    monkeypatch.setattr(supervision.children, "stop", stop)
    monkeypatch.setattr(supervision.embedded, "stop", lambda *_: order.append("postgres"))
    children.note(crew)
    crew.alive |= dict.fromkeys(["tidy", "web", "sampler"])  # type: ignore[arg-type]
    await supervision._stop(crew, Settings(_env_file=None, database_url=None), [])
    assert order[0] == "web"
    assert order[-1] == "postgres"
    assert set(order[1:-1]) == {"tidy", "sampler"}


# Several web processes

NAMED = """
import os, pathlib
with pathlib.Path("imported").open("a") as imported:
    imported.write("x")

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"pid %d." % os.getpid()})
"""


async def test_web_processes_share_an_import_and_the_people_and_one_that_is_killed_is_replaced(home: Path) -> None:
    port = free_port()
    (home / "named.py").write_text(NAMED)
    words = tuple("named:app" if word == "app.main:app" else word for word in supervision.web_words(port))
    search = os.pathsep.join([str(home), str(extras.ROOT)])
    told = os.environ | {"HONE_WEB_PROCESSES": "2", "PYTHONPATH": search}
    web = await asyncio.create_subprocess_exec(*words, cwd=home, env=told, start_new_session=True)
    try:
        await until(lambda: answers(port))
        while len(set(there := await served_by(port))) < 2:  # noqa: ASYNC110  (nobody tells us)
            await asyncio.sleep(0.1)
        for _ in range(5):
            there = await served_by(port)
            assert min(there.count(pid) for pid in set(there)) >= 4  # one in 80,000 by chance
        killed, other = set(there)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: pids.start_mark(killed) is None)
        await until(lambda: len(pids_of_children(web.pid)) == 2)
        assert other in await served_by(port)
        assert (home / "imported").read_text() == "x"
    finally:
        os.killpg(web.pid, signal.SIGKILL)
        await web.wait()


async def served_by(port: int) -> list[int]:
    """The processes that answer 32 people who come at once."""

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        said = await reader.read()
        writer.close()
        return int(re.findall(rb"pid (\d+)", said)[0])

    return list(await asyncio.gather(*[ask() for _ in range(32)]))


def pids_of_children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# What a kill leaves


def test_only_what_we_started_is_ended_after_a_kill(home: Path) -> None:
    token = {"HONE_UP": "of-a-killed-one"}
    with (
        subprocess.Popen(SLEEP) as listed,
        subprocess.Popen(SLEEP, env=os.environ | token) as carries_the_token,
        subprocess.Popen(SLEEP) as reused_number,
        subprocess.Popen(SLEEP) as other_words,
        subprocess.Popen(SLEEP, env=os.environ | {"HONE_UP": "of-another"}) as other_token,
    ):
        time.sleep(0.2)  # each is past its exec, so that its words are its own

        def entry(child: "subprocess.Popen[bytes]", **changed: object) -> dict[str, object]:
            known = {"name": "web", "pid": child.pid, "mark": pids.start_mark(child.pid), "words": list(SLEEP)}
            return known | changed

        entries = [entry(listed), entry(reused_number, mark="boot:1"), entry(other_words, words=["vi", "thesis.tex"])]
        (home / "hone.pids").write_text(json.dumps({"token": "of-a-killed-one", "children": entries}))
        ended = children.end_leftovers(home / "hone.pids")
        assert sorted(ended) == sorted(["web", str(carries_the_token.pid)])
        assert [child.poll() for child in (reused_number, other_words, other_token)] == [None, None, None]
        for child in (reused_number, other_words, other_token):
            child.kill()
    assert not (home / "hone.pids").exists()


def test_what_is_still_dying_is_waited_for_until_it_holds_nothing_any_more(home: Path) -> None:
    def is_half_over(child: "subprocess.Popen[bytes]") -> bool:
        return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    token = {"HONE_UP": "of-a-killed-one"}
    with subprocess.Popen(DYING) as listed, subprocess.Popen(DYING, env=os.environ | token) as carries_the_token:
        while not (is_half_over(listed) and is_half_over(carries_the_token)):
            time.sleep(0.02)
        assert listed.poll() is None
        mark = pids.start_mark(listed.pid)
        entry = {"name": "sampler", "pid": listed.pid, "mark": mark, "words": list(DYING)}
        (home / "hone.pids").write_text(json.dumps({"token": "of-a-killed-one", "children": [entry]}))
        ended = children.end_leftovers(home / "hone.pids")
        assert sorted(ended) == sorted(["sampler", str(carries_the_token.pid)])
        assert listed.poll() == carries_the_token.poll() == -signal.SIGTERM


def test_a_pid_file_that_was_cut_off_is_no_hindrance(home: Path) -> None:
    (home / "hone.pids").write_text('{"token": "x", "chi')
    assert children.end_leftovers(home / "hone.pids") == []


# Before the start


def test_a_port_in_use_is_a_sentence_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"port {port}: address already in use.*HONE_PORT={port + 10} make run"):
            supervision.choose_port("127.0.0.1", port, "HONE_PORT")


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(CannotStart, match=r"cannot listen on 192\.0\.2\.1"):
        supervision.choose_port("192.0.2.1", 8765, "HONE_PORT")


# torch arrives later


async def test_parts_that_need_torch_start_once_it_was_installed(
    crew: Crew, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = crew.home / "torch"
    monkeypatch.setattr(extras, "missing", lambda _extra: [] if there.exists() else ["torch"])
    monkeypatch.setattr(extras, "install_commands", lambda _extra: [["touch", str(there)]])
    arrived = asyncio.Event()
    await supervision._bring_torch(crew, arrived, install=True)
    assert arrived.is_set()
    assert len(said) == 1


async def test_an_installation_that_fails_says_where_to_look_and_nothing_starts(
    crew: Crew, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "missing", lambda _extra: ["torch"])
    monkeypatch.setattr(extras, "install_commands", lambda _extra: [["sh", "-c", "echo no room; exit 1"]])
    arrived = asyncio.Event()
    await supervision._bring_torch(crew, arrived, install=True)
    assert not arrived.is_set()
    assert str(crew.log("install")) in said[-1]
    assert crew.log("install").read_text() == "no room\n"


def test_a_chosen_index_is_for_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_INDEX", "https://wheels.example/cpu")
    torch, rest = extras.install_commands("train")
    assert torch[-1].startswith("torch==")
    assert "https://wheels.example/cpu" in torch
    assert not any("wheels.example" in word for word in rest)


# The whole


@contextmanager
def launch(home: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`hone up`; ended when the test ends, however it ends."""
    told = {"HONE_HOME": str(home), "HONE_PORT": str(port), "HONE_SAMPLER_PORT": "0", "HONE_DATABASE_URL": ""}
    words = [sys.executable, "-c", UP]
    with subprocess.Popen(
        words, cwd=ROOT, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        try:
            yield up
            up.wait(60)
        finally:
            up.kill()


def line_with(up: "subprocess.Popen[str]", words: str) -> str:
    assert up.stdout is not None
    said = ""
    while said.count("ended (") < 5 and (line := up.stdout.readline()):
        if words in line:
            return line
        said += line
    raise AssertionError(f"it did not say {words!r}, but: {said}")


def answers(port: int, path: str = "/health") -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        return bool(response.status == 200)
    return False


def pid_of(home: Path, name: str) -> int:
    entries = json.loads((home / "hone.pids").read_text())["children"]
    return next(int(entry["pid"]) for entry in entries if entry["name"] == name)


async def test_everything_starts_survives_kills_and_stops_leaving_nothing_behind(home: Path) -> None:
    port = free_port()
    with launch(home, port) as up:
        welcome = line_with(up, "Hone is ready")
        link = re.search(rf"http://127\.0\.0\.1:{port}/sign-in/\S+", welcome)
        assert link is not None
        assert answers(port, link[0].removeprefix(f"http://127.0.0.1:{port}"))

        with launch(home, port) as second:
            assert second.stdout is not None
            refusal = second.stdout.read()
        assert second.returncode == 1
        assert f"runs already in {home}, at http://127.0.0.1:{port}" in refusal

        web = pid_of(home, "web")
        os.kill(web, signal.SIGKILL)
        line_with(up, "web ended (signal 9); it starts again")
        await until(lambda: answers(port))

        postgres = embedded.running(home)
        assert postgres is not None
        os.kill(postgres.pid, signal.SIGKILL)
        line_with(up, "Postgres ended; it starts again")
        await until(lambda: answers(port))

        web = pid_of(home, "web")
        os.kill(web, signal.SIGSTOP)  # so that it outlives its parent
        up.kill()
    assert pids.start_mark(web)
    with launch(home, port) as up:
        line_with(up, "Hone is ready")
        assert pids.start_mark(web) is None
        token = json.loads((home / "hone.pids").read_text())["token"]
        up.send_signal(signal.SIGINT)
        assert up.stdout is not None
        assert up.stdout.read() == ""
    assert up.returncode == 0
    assert embedded.running(home) is None
    assert not [pid for pid in pids.all_pids() if pids.has_environment(pid, children.TOKEN, token)]
    assert not answers(port)


async def test_a_stop_during_the_start_is_obeyed(home: Path) -> None:
    with launch(home, free_port()) as up:
        await until(lambda: embedded.running(home))
        up.send_signal(signal.SIGTERM)
        assert up.stdout is not None
        assert up.stdout.read() == ""
    assert up.returncode == 0
    assert embedded.running(home) is None
