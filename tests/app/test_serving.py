"""The web server's processes, as their parent looks after them."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn.supervisors import multiprocess

from app import serving


class Alone(serving.Watched):
    """Answers its parent; serves nothing. A sibling of it holds the same pipe."""

    def target(self, sockets: object = None) -> None:
        self.always_pong()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alone]:
    monkeypatch.setattr(multiprocess, "get_subprocess", serving.forked)
    config = uvicorn.Config("app.main:app", log_config=None)
    process, sibling = (Alone(config, []) for _ in range(2))
    process.start()
    sibling.start()
    yield process
    for one in (process, sibling):
        one.process.kill()
        one.process.join()


def test_a_process_that_is_killed_while_it_is_asked_is_missed_at_once(served: Alone) -> None:
    assert served.is_alive(timeout=30)
    os.kill(served.pid, signal.SIGSTOP)  # it will not answer
    killing = threading.Timer(0.3, os.kill, [served.pid, signal.SIGKILL])
    killing.start()
    began = time.monotonic()
    assert not served.is_alive(timeout=30)
    assert time.monotonic() - began < 10
    killing.join()


def test_a_process_that_is_slow_to_answer_has_its_time(served: Alone) -> None:
    os.kill(served.pid, signal.SIGSTOP)
    assert not served.is_alive(timeout=0.2)
    threading.Timer(0.3, os.kill, [served.pid, signal.SIGCONT]).start()
    assert served.is_alive(timeout=30)
