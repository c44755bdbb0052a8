"""Several processes that serve at one socket; one that dies is replaced."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from catalog.processes import SPAWN, follow_first, start
from catalog.settings import Settings
from catalog.web.server import run
from catalog.wiring import Catalog

__all__ = ["run_workers"]

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5
_RESTART_SECONDS = 1.0  # between two processes in the same place
_STOP_SECONDS = 40.0  # for answers under way, and for jobs to be handed back
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_workers(settings: Settings, listener: socket.socket, count: int) -> None:
    """Serve with several processes until SIGINT or SIGTERM, which all of them get.

    Args:
        settings: Of the service.
        listener: From `catalog.web.server.listen`; closed at the end.
        count: Processes. The first of them also publishes what others change by plain SQL.
    """
    with _stop_signal() as stopping, listener:
        processes = [_start(settings, listener, number) for number in range(count)]
        try:
            while not stopping:
                wait([process.sentinel for process in processes], _LOOK_SECONDS)
                for number, process in enumerate(processes):
                    if not process.is_alive() and not stopping:
                        _LOG.warning("a process of the service ended by itself; another takes its place")
                        time.sleep(_RESTART_SECONDS)
                        processes[number] = _start(settings, listener, number)
        finally:
            _stop(processes)


def _start(settings: Settings, listener: socket.socket, number: int) -> SpawnProcess:
    process = SPAWN.Process(target=_serve, args=(settings, listener, number), name=f"catalog-{number}")
    start(process)
    return process


def _stop(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            _LOG.warning("a process of the service does not stop and is killed")
            process.kill()
            process.join()


def _serve(settings: Settings, listener: socket.socket, number: int) -> None:
    """What each process does."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    follow_first(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with Catalog(settings) as catalog:
        run(catalog, listener, is_housekeeper=number == 0)


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """A list that has the number of each signal to stop."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = [(number, signal.signal(number, note)) for number in _SIGNALS]
    try:
        yield seen
    finally:
        for number, handler in before:
            signal.signal(number, handler)
