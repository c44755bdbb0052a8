"""What takes too long is told to stop: one thread looks at the clock for all queries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Condition, Thread

__all__ = ["Watch"]

_LOG = logging.getLogger(__name__)
_AGAIN_S = 0.05


class Watch:
    """Calls for a stop when the time is over, and again until it is heard: the first may come before the query runs.

    Args:
        seconds: How long.
        stop: Called from another thread; must not take long.
    """

    def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
        self.has_expired = False
        self.stop = stop
        self.due = time.monotonic() + seconds
        _watchman.add(self)

    def end(self) -> None:
        """Nothing is to be stopped any more."""
        _watchman.remove(self)


class _Watchman:
    """The thread, begun when it is first needed. It sleeps until the earliest moment that it has been told of."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._watches: set[Watch] = set()
        self._wakes_at = 0.0
        self._thread: Thread | None = None

    def add(self, watch: Watch) -> None:
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="query-clock", daemon=True)
                self._thread.start()
            elif watch.due < self._wakes_at:
                self._changed.notify()

    def remove(self, watch: Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            for watch in self._wait():
                if watch not in self._watches:
                    continue
                try:
                    watch.stop()
                except Exception:
                    _LOG.exception("what takes too long could not be told to stop")

    def _wait(self) -> list[Watch]:
        """Those whose time is over; each is due again soon."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = [watch for watch in self._watches if watch.due <= now]
                if due:
                    break
                self._wakes_at = min((watch.due for watch in self._watches), default=float("inf"))
                self._changed.wait(None if not self._watches else self._wakes_at - now)
            for watch in due:
                watch.has_expired = True
                watch.due = now + _AGAIN_S
            return due


_watchman = _Watchman()
