"""An iterator of Arrow batches that another thread may close while it waits for the database."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from threading import Event, RLock
from typing import Protocol

import pyarrow as pa

from catalog.db.faults import closed_early
from catalog.errors import QueryTimeoutError

__all__ = ["Batches", "Source"]

_INTERRUPT_EVERY = 0.05
"""Seconds between two attempts to cancel: the first may come before the query has begun."""


class Source(Protocol):
    """A running query of one engine."""

    def fetch(self) -> list[pa.RecordBatch]:
        """The next batches, beginning the query at the first call; none at the end.

        Raises:
            CatalogError: What went wrong, in the user's words.
        """

    def interrupt(self) -> None:
        """Ask the database to stop; called from another thread than `fetch`, as often as needed."""

    def release(self, *, interrupted: bool) -> None:
        """Give the connection back; called once, when no `fetch` is running."""


class Batches(Iterator[pa.RecordBatch]):
    """Record batches of a `Source`.

    The query begins with the first batch that is asked for. `close` may come from any thread: a query that runs is
    cancelled in the database, and the thread that waits for it gets `catalog.errors.UnavailableError`.

    Args:
        source: The query.
        life_s: Seconds after which no more is fetched, so that the database need not keep an old state for a reader
            who takes his time; any number when None.
    """

    def __init__(self, source: Source, life_s: float | None = None) -> None:
        self._source = source
        self._life_s = life_s
        self._begun: float | None = None
        self._ready: deque[pa.RecordBatch] = deque()
        self._lock = RLock()
        self._closing = Event()
        self._released = False
        self._complete = False

    def __next__(self) -> pa.RecordBatch:
        with self._lock:
            while not self._ready:
                if self._complete:
                    raise StopIteration
                if self._closing.is_set():
                    raise closed_early()
                self._advance()
            return self._ready.popleft()

    def close(self) -> None:
        """Stop the query if it runs and give its connection back. Safe to repeat, from any thread."""
        self._closing.set()
        interrupted = False
        while not self._lock.acquire(timeout=_INTERRUPT_EVERY if interrupted else 0):
            interrupted = True
            if not self._released:
                self._source.interrupt()
        try:
            self._ready.clear()
            self._release(interrupted=interrupted)
        finally:
            self._lock.release()

    def _advance(self) -> None:
        try:
            self._look_at_the_clock()
            found = self._source.fetch()
        except BaseException as error:
            self._release(interrupted=True)
            if self._closing.is_set() and isinstance(error, Exception):
                raise closed_early() from None
            raise
        if found:
            self._ready.extend(found)
            return
        self._complete = True
        self._release(interrupted=False)

    def _look_at_the_clock(self) -> None:
        if self._begun is None:
            self._begun = time.monotonic()
        elif self._life_s is not None and time.monotonic() - self._begun > self._life_s:
            raise QueryTimeoutError(
                f"the rows were not read within {self._life_s:g} s; an asynchronous query keeps them for slow readers"
            )

    def _release(self, *, interrupted: bool) -> None:
        if not self._released:
            self._released = True
            self._source.release(interrupted=interrupted)
