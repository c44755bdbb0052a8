"""A few connections that nobody uses now, kept for the next query."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["IdleConnections"]

_KEPT = 20  # as many as queries run at once, unless the settings say otherwise
_REST_S = 60.0  # what was not needed for so long is closed

_T = TypeVar("_T")


class IdleConnections(Generic[_T]):
    """Open connections between two uses; threads may take and keep them at any time.

    Args:
        discard: Closes a connection that is not kept.
    """

    def __init__(self, discard: Callable[[_T], None]) -> None:
        self.is_closed = False
        """Whether nothing is kept any more."""
        self._discard = discard
        self._idle: list[tuple[_T, float]] = []
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> _T | None:
        """The connection that was used last; None when there is none."""
        with self._lock:
            return self._idle.pop()[0] if self._idle else None

    def keep(self, connection: _T) -> None:
        """Keep a connection for the next query, or close it, when there are enough; and those long out of use."""
        now = time.monotonic()
        with self._lock:
            is_kept = not self.is_closed and len(self._idle) < _KEPT
            if is_kept:
                self._idle.append((connection, now))
            old = [idle for idle, since in self._idle if now - since > _REST_S]
            self._idle = [(idle, since) for idle, since in self._idle if now - since <= _REST_S]
        for each in old if is_kept else (*old, connection):
            self._discard(each)

    def close(self) -> None:
        """Close those that nobody uses; the others follow when they are given back. Safe to repeat."""
        with self._lock:
            self.is_closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._discard(connection)
