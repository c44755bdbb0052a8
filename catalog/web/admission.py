"""So many queries at once: the others wait a little, then are asked to come later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from catalog.errors import UnavailableError

__all__ = ["Admission"]

T = TypeVar("T")


class Admission:
    """A number of places, each with a thread of its own, so that pages and checks are served when all are taken.

    Args:
        places: How many queries run at once.
        wait_s: Seconds that a query waits for a place.
    """

    def __init__(self, places: int, *, wait_s: float) -> None:
        self._places = anyio.CapacityLimiter(places)
        self._threads = anyio.CapacityLimiter(places)
        self._wait_s = wait_s

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            UnavailableError: None became free in time.
        """
        holder = object()
        try:
            self._places.acquire_on_behalf_of_nowait(holder)
        except anyio.WouldBlock:
            with anyio.move_on_after(self._wait_s):
                await self._places.acquire_on_behalf_of(holder)
            if holder not in self._places.statistics().borrowers:
                raise UnavailableError("the service is busy with other queries; try again in a while") from None
        try:
            yield
        finally:
            self._places.release_on_behalf_of(holder)

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function in a thread of the places; when the caller is cancelled, it is left to end by itself."""
        return await run_sync(work, abandon_on_cancel=True, limiter=self._threads)
