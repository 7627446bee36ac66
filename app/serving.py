"""`python -m app.serving app.main:app PORT`: uvicorn, its processes forked from one that has imported the application.

uvicorn starts each of its processes empty, and each then imports everything: 2.5 s of CPU every time, which on a small
machine is what a start waits for. Here the import is done once; the processes share its memory, and one that ends is
replaced at once.

Each process listens on a socket of its own (SO_REUSEPORT), and the kernel spreads the connections over them. On one
socket for all, whichever process wakes up first takes every connection that waits, and browsers keep theirs: of 32
annotators who came together, 31 were served by one of two processes.
"""

import gc
import importlib
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import uvicorn
from uvicorn.supervisors import multiprocess

from app.settings import Settings, get_settings

FORK = multiprocessing.get_context("fork")


def config_of(settings: Settings, application: str) -> uvicorn.Config:
    """How the web server runs, the same for `hone web`, `hone up` and the containers."""
    return uvicorn.Config(
        application,
        workers=settings.web_processes,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=10,
        # a web process that does not answer uvicorn in time is killed: a starved one is left to finish
        timeout_worker_healthcheck=30,
    )


def bound(family: int, address: tuple[object, ...]) -> socket.socket:
    """A socket at this address, beside others of ours; it takes connections once somebody listens on it."""
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    return made


class Watched(multiprocess.Process):
    """uvicorn's own, but its end is noticed at once also when it comes between a question and the answer.

    Its siblings are forked and hold both ends of its pipe, so that no end of file tells; uvicorn would wait for as long
    as a starved process may take, and look after no other meanwhile.
    """

    def _healthcheck(self, timeout: float) -> bool | None:
        with suppress(OSError, EOFError):
            self.parent_conn.send(b"ping")
            if self.parent_conn in wait([self.parent_conn, self.process.sentinel], timeout):
                return bool(self.parent_conn.recv())
        return None


def forked(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket.socket]) -> BaseProcess:
    """One web process, not started yet. In place of uvicorn's `get_subprocess`, for which it has no setting."""
    return FORK.Process(target=_serve, args=(config, target, sockets))


def _serve(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket.socket]) -> None:
    for number in multiprocess.SIGNALS:  # the parent's way of noting a signal would lose it here
        signal.signal(number, signal.SIG_DFL)
    config.configure_logging()
    target(sockets=[bound(one.family, one.getsockname()) for one in sockets])


def main(application: str, port: str) -> None:
    settings = get_settings()
    importlib.import_module(application.partition(":")[0])
    gc.collect()
    gc.freeze()  # what was imported stays: no later collection looks at it, and the processes go on sharing it
    multiprocess.get_subprocess = forked  # type: ignore[attr-defined, assignment]
    multiprocess.Process = Watched  # type: ignore[misc]
    family, _kind, _protocol, _name, address = socket.getaddrinfo(settings.host, int(port), type=socket.SOCK_STREAM)[0]
    with bound(family, address) as place:  # it never listens: it keeps the port while no process does
        multiprocess.Multiprocess(config_of(settings, application), [place]).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
