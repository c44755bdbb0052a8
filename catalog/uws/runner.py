"""Workers: threads that claim queued jobs, do the work and keep the leases (any number of processes)."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread

from catalog.errors import CatalogError, InternalError, QueryTimeoutError, UnavailableError
from catalog.uws.control import Cause, Control, Work
from catalog.uws.job import Claim, Job, JobError, Progress, Result
from catalog.uws.leases import Leases
from catalog.uws.phase import Phase
from catalog.uws.results import FileWriter, ResultStore
from catalog.uws.service import JobService

__all__ = ["Runner"]

_LOG = logging.getLogger(__name__)
_BEAT_S = 0.5  # between two looks at whether a job was aborted or took too long
_POLL_S = 0.5  # between two looks at the queue
_PROGRESS_S = 1.0
_SWEEP_S = 10.0
_LEFTOVERS_S = 600.0
_STOP_S = 20.0
_END_ATTEMPTS = 20
_END_PAUSE_S = 1.0

_Key = tuple[str, int]  # job and attempt


class Runner:
    """Does queued jobs in threads of its own. Any number of runners, in any number of processes, share the work.

    Args:
        leases: Where jobs come from.
        files: Where results go.
        service: Says what a caller may still store, and destroys what is due.
        work: What a job does.
        workers: Threads, which is how many jobs run here at once.
    """

    def __init__(
        self,
        leases: Leases,
        files: ResultStore,
        service: JobService,
        *,
        work: Work,
        workers: int,
    ) -> None:
        self._leases = leases
        self._files = files
        self._service = service
        self._work = work
        self._workers = workers
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lock = Lock()
        self._running: dict[_Key, Control] = {}
        self._threads: list[Thread] = []
        self._stopping = Event()
        self._ended = Event()
        self._woken = Event()
        service.on_change(self._listen)

    def start(self) -> None:
        """Start the threads; call it after the last fork. Safe to repeat.

        Raises:
            SettingsError: The tables of jobs are of another layout, or cannot be made.
        """
        with suppress(UnavailableError):  # it may come back; the threads wait for it
            self._leases.open()
        with self._lock:
            if self._threads:
                return
            workers = [Thread(target=self._do_jobs, name=f"uws-worker-{n}", daemon=True) for n in range(self._workers)]
            beat = Thread(target=self._beat, name="uws-heartbeat", daemon=True)
            sweep = Thread(target=self._sweep, name="uws-sweep", daemon=True)
            self._threads = [*workers, beat, sweep]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Cancel what runs, hand the jobs back for others to take, and end the threads. Safe to repeat."""
        self._stopping.set()
        self._woken.set()
        with self._lock:
            attempts = list(self._running.values())
        for attempt in attempts:
            attempt.cancel(Cause.STOPPING)
        deadline = time.monotonic() + _STOP_S
        for thread in self._threads[: self._workers]:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            stuck = list(self._running.values())
        for attempt in stuck:
            with _Trouble("a job cannot be handed back"):
                self._leases.hand_back(attempt.claim)
        self._ended.set()
        for thread in self._threads[self._workers :]:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self) -> None:
        """Look for queued jobs now, instead of at the next look."""
        self._woken.set()

    def _listen(self, job_id: str, phase: Phase | None) -> None:
        if phase is Phase.QUEUED:
            self.wake()
        elif phase is Phase.ABORTED or phase is None:
            with self._lock:
                attempts = [attempt for (running, _), attempt in self._running.items() if running == job_id]
            for attempt in attempts:
                attempt.cancel(Cause.LOST)

    # Workers

    def _do_jobs(self) -> None:
        trouble = _Trouble("jobs cannot be taken from the queue")
        while not self._stopping.is_set():
            claim = None
            with trouble:
                claim = self._leases.claim(self._name)
            if claim is not None:
                self._do(claim)
            elif self._woken.wait(_POLL_S):
                self._woken.clear()

    def _do(self, claim: Claim) -> None:
        """One attempt, from the claim to its end."""
        try:
            self._files.keep_only(claim.job.id, {each.file.path for each in claim.job.parameters if each.file})
            bytes_left = self._service.bytes_left(claim.job.client)
            writer = self._files.create(claim.job.id, f"result-{claim.attempt}", "")
        except Exception as error:
            failure = _error_of(error)
            self._end(lambda: self._leases.fail(claim, failure))
            return
        attempt = Control(claim, writer, bytes_left=bytes_left)
        key = (claim.job.id, claim.attempt)
        with self._lock:
            self._running[key] = attempt
        try:
            if self._stopping.is_set():
                attempt.cancel(Cause.STOPPING)
            if not self._attempt(attempt, writer):
                writer.discard()
        finally:
            with self._lock:
                del self._running[key]

    def _attempt(self, attempt: Control, writer: FileWriter) -> bool:
        """Do the work and write down what came of it; False when there is no result that could count."""
        claim = attempt.claim
        try:
            output = self._work(claim.job, attempt)
            result = Result("result", writer.finish(output.content_type), output.rows, output.truncated)
        except Exception as error:
            self._give_up(attempt, error)
            return False
        if attempt.cancelled:
            self._give_up(attempt, None)
            return False
        return self._end(lambda: self._leases.complete(claim, [result], attempt.done)) is not False

    def _give_up(self, attempt: Control, error: Exception | None) -> None:
        """The end of an attempt without a result; of one that is lost nothing is left to say."""
        claim, cause = attempt.claim, attempt.cause
        if cause is None and isinstance(error, QueryTimeoutError) and attempt.is_late:
            cause = Cause.LATE
        if cause is Cause.STOPPING:
            self._end(lambda: self._leases.hand_back(claim))
        elif cause is Cause.LATE:
            self._end(lambda: self._leases.fail(claim, _too_long(claim.job), phase=Phase.ABORTED))
        elif cause is None and error is not None:
            failure = _error_of(error)
            self._end(lambda: self._leases.fail(claim, failure))

    @staticmethod
    def _end(move: Callable[[], bool]) -> bool | None:
        """Write the end of an attempt down, again and again while the database is away; then the lease runs out.

        Returns:
            Whether it was written; None when that is not known.
        """
        trouble = _Trouble("the end of a job cannot be written down")
        for _ in range(_END_ATTEMPTS):
            with trouble:
                return move()
            time.sleep(_END_PAUSE_S)
        return None

    # The two other threads

    def _beat(self) -> None:
        """Keep the leases, and notice what was aborted elsewhere and what takes too long."""
        trouble = _Trouble("leases of jobs cannot be prolonged")
        renewed: dict[_Key, tuple[float, Progress]] = {}
        while not self._ended.wait(_BEAT_S):
            with self._lock:
                running = dict(self._running)
            if running:
                with trouble:
                    self._look_after(running)
                    self._renew(running, renewed)

    def _look_after(self, running: dict[_Key, Control]) -> None:
        for attempt in running.values():
            if attempt.is_late:
                attempt.cancel(Cause.LATE)
        for key in running.keys() - self._leases.held(self._name):
            running[key].cancel(Cause.LOST)

    def _renew(self, running: dict[_Key, Control], renewed: dict[_Key, tuple[float, Progress]]) -> None:
        """Write to the database what is new; of a job without progress only that it is alive, now and then."""
        now = time.monotonic()
        due: dict[Claim, Progress] = {}
        for key in renewed.keys() - running.keys():
            del renewed[key]
        for key, attempt in running.items():
            last, progress = renewed.get(key, (now - _PROGRESS_S, Progress(0)))
            wait = _PROGRESS_S if attempt.done != progress else self._leases.lease_s / 4
            if now - last >= wait:
                due[attempt.claim] = attempt.done
                renewed[key] = (now, attempt.done)
        if due:
            self._leases.renew(due)

    def _sweep(self) -> None:
        """Give lost jobs back to the queue, destroy what is due, remove leftovers."""
        trouble = _Trouble("jobs cannot be cleaned up")
        swept = leftovers = -_LEFTOVERS_S
        while not self._ended.wait(min(1.0, self._leases.lease_s / 4)):
            with trouble:
                self._leases.recover()
                now = time.monotonic()
                if now - swept >= _SWEEP_S:
                    self._service.sweep()
                    swept = now
                if now - leftovers >= _LEFTOVERS_S:
                    self._service.sweep_leftovers()
                    leftovers = now


class _Trouble:
    """Go on when something fails, and say so once; and once more when it works again.

    Args:
        what: What does not work, for the log.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            if self._failing:
                _LOG.warning("that is over: %s", self._what)
            self._failing = False
            return False
        if not isinstance(error, Exception):
            return False
        if not self._failing:
            _LOG.error("%s for now", self._what, exc_info=None if isinstance(error, CatalogError) else error)
        self._failing = True
        return True


def _error_of(error: Exception) -> JobError:
    """What a job says of an exception; of one that was not foreseen, nothing of the inside."""
    if isinstance(error, CatalogError):
        return JobError.from_fault(error)
    _LOG.error("unforeseen error in a job", exc_info=error)
    return JobError.from_fault(InternalError("the service failed; its operators find the reason in the log"))


def _too_long(job: Job) -> JobError:
    return JobError(
        f"the job was aborted because it took longer than its execution duration of {job.execution_duration} s",
        QueryTimeoutError.code,
        "Set a longer EXECUTIONDURATION, as far as the service allows, or ask for less.",
    )
