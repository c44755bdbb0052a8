"""What takes too long is told to stop: one thread looks at the clock for all queries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Condition, Thread

__all__ = ["Watch"]

_LOG = logging.getLogger(__name__)
_AGAIN_S = 0.05
_NEVER = float("inf")


class Watch:
    """Calls for a stop when the time is over, and again until it is heard: the first may come before the query runs.

    Args:
        seconds: How long.
        stop: Called from another thread; must not take long.
    """

    def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
        self.has_expired = False
        self.is_told = False
        """Whether it is being told just now."""
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
                # A server that does not answer holds up whoever asks it to cancel: not the others as well.
                Thread(target=self._tell, args=(watch,), name="query-stop", daemon=True).start()

    def _wait(self) -> list[Watch]:
        """Those whose time is over; each is due again soon."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = [watch for watch in self._watches if watch.due <= now and not watch.is_told]
                if due:
                    break
                self._wakes_at = min((watch.due for watch in self._watches if not watch.is_told), default=_NEVER)
                self._changed.wait(None if self._wakes_at == _NEVER else self._wakes_at - now)
            for watch in due:
                watch.has_expired = watch.is_told = True
            return due

    def _tell(self, watch: Watch) -> None:
        if watch in self._watches:
            try:
                watch.stop()
            except Exception:
                _LOG.exception("what takes too long could not be told to stop")
        with self._changed:
            watch.is_told = False
            watch.due = time.monotonic() + _AGAIN_S
            self._changed.notify()


_watchman = _Watchman()
