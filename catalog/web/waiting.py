"""Who waits for jobs to change: any number of clients, one question to the database (UWS 1.1 section 2.2.1.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import anyio
from starlette.concurrency import run_in_threadpool

from catalog.uws.phase import Phase
from catalog.web.responses import as_fault

__all__ = ["PhaseWatch"]

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_MOST = 250  # who wait at once; each keeps a connection


class PhaseWatch:
    """Wakes those who wait for a job when it has another phase, whichever process moved it there.

    Args:
        phases: The phases of many jobs; jobs that are gone are left out.
    """

    def __init__(self, phases: Callable[[Iterable[str]], Mapping[str, Phase]]) -> None:
        self._phases = phases
        self._waiting: dict[str, dict[anyio.Event, Phase]] = {}
        self._count = 0
        self._somebody = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def wait(self, job_id: str, phase: Phase, *, seconds: float) -> None:
        """Return when the job is in another phase than this or is gone, when the time is over, or at `close`.

        When very many wait already, it returns at once.
        """
        if self._closed or self._count >= _MOST:
            return
        self._count += 1
        changed = anyio.Event()
        waiting = self._waiting.setdefault(job_id, {})
        waiting[changed] = phase
        self._somebody.set()
        try:
            with anyio.move_on_after(seconds):
                await changed.wait()
        finally:
            self._count -= 1
            del waiting[changed]
            if not waiting and self._waiting.get(job_id) is waiting:
                del self._waiting[job_id]

    async def watch(self) -> None:
        """Ask for the phases of all jobs that somebody waits for, again and again; ends when cancelled."""
        self._loop = asyncio.get_running_loop()
        failing = False
        while True:
            await self._somebody.wait()
            asked = list(self._waiting)
            try:
                phases = await run_in_threadpool(self._phases, asked)
            except Exception as error:
                if not failing:
                    _LOG.warning("those who wait for jobs are not told of changes for now: %s", as_fault(error).message)
                failing = True
            else:
                failing = False
                for job_id in asked:
                    self._wake(job_id, phases.get(job_id))
            if not self._waiting:
                self._somebody = anyio.Event()
            await anyio.sleep(_POLL_SECONDS)

    def changed(self, job_id: str, phase: Phase | None) -> None:
        """This process has moved a job to a phase, or deleted it; called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_id, phase)

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    def _wake(self, job_id: str, phase: Phase | None) -> None:
        for event, known in self._waiting.get(job_id, {}).items():
            if phase is not known:
                event.set()
