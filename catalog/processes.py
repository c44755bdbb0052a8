"""Processes of our own: spawned by a first one, which is the one to hear of Ctrl-C, and gone when it is."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from threading import Thread

__all__ = ["SPAWN", "follow_first", "start"]

SPAWN = multiprocessing.get_context("spawn")
"""Each opens connections of its own: none may cross a fork."""


def start(process: SpawnProcess) -> None:
    """Start a process in which Ctrl-C waits until it calls `follow_first`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_first(end: Callable[[], object]) -> None:
    """Leave Ctrl-C to the first process, and end when that is gone, however it ended.

    Args:
        end: Ends this process; called from another thread.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    Thread(target=_wait_for_first, args=(end,), daemon=True).start()


def _wait_for_first(end: Callable[[], object]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        end()
