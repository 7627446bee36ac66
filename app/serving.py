"""`python -m app.serving app.main:app …`: uvicorn, its processes forked from one that has imported the application.

uvicorn starts each of its processes empty, and each then imports everything: 2.5 s of CPU every time, which on a small
machine is what a start waits for. Here the import is done once; the processes share its memory, and one that ends is
replaced at once. The words after the application are uvicorn's own.
"""

import gc
import importlib
import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from socket import socket

import uvicorn
from uvicorn.supervisors import multiprocess

FORK = multiprocessing.get_context("fork")


def forked(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> BaseProcess:
    """One web process, not started yet. In place of uvicorn's `get_subprocess`, for which it has no setting."""
    return FORK.Process(target=_serve, args=(config, target, sockets))


def _serve(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> None:
    for number in multiprocess.SIGNALS:  # the parent's way of noting a signal would lose it here
        signal.signal(number, signal.SIG_DFL)
    config.configure_logging()
    target(sockets=sockets)


def main(words: list[str]) -> None:
    importlib.import_module(words[0].partition(":")[0])
    gc.collect()
    gc.freeze()  # what was imported stays: no later collection looks at it, and the processes go on sharing it
    multiprocess.get_subprocess = forked  # type: ignore[attr-defined, assignment]
    uvicorn.main(words)


if __name__ == "__main__":
    main(sys.argv[1:])
