"""What callers may do with jobs: make, read, list, run, abort, change and delete them (UWS 1.1 section 2.2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import IO

from catalog.errors import (
    AuthorizationError,
    CatalogError,
    NotFoundError,
    ParameterError,
    PhaseError,
    QuotaError,
    UnavailableError,
)
from catalog.uws.job import Client, IncomingFile, Job, JobError, JobRef, Parameter, StoredFile
from catalog.uws.parameters import JobRequest, is_storable, merge, parse_request, parse_seconds, parse_time
from catalog.uws.phase import FINISHED, Phase
from catalog.uws.results import ResultStore
from catalog.uws.store import JobStore, Usage

__all__ = ["JobLimits", "JobService"]

_RETRY_S = 3600  # nobody is told to come back later than this
_SWEPT_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Bounds of jobs; what is advertised is what is enforced."""

    duration_default_s: int
    duration_hard_s: int
    destruction_default_s: int
    """Seconds from creation until a job and its results disappear."""

    destruction_hard_s: int
    jobs_per_caller: int
    bytes_per_caller: int

    def duration(self, seconds: int | None) -> int:
        """What becomes of the duration that a client asks for: 0 asks for as much as there is."""
        if seconds is None:
            return min(self.duration_default_s, self.duration_hard_s)
        return self.duration_hard_s if seconds == 0 else min(seconds, self.duration_hard_s)

    def destruction(self, time: datetime | None, created: datetime) -> datetime:
        """What becomes of the time of destruction that a client asks for."""
        last = created + timedelta(seconds=self.destruction_hard_s)
        wished = created + timedelta(seconds=self.destruction_default_s) if time is None else time
        return min(wished, last)


class JobService:
    """Jobs, as callers see them.

    A job of a named owner is shown to that owner only, and then to credentials with all rights of those that it was
    made with. An anonymous job is shown to whoever knows its identifier, which cannot be guessed.

    Args:
        store: Where jobs are.
        files: Where their files are.
        limits: Bounds of jobs.
        check: Looks at the parameters of a job that shall be run, and raises what is wrong with them.
        multiple: Upper-case names of parameters that may come more than once.
        list_anonymous: Whether anonymous callers get a list of the jobs that came from their address.
    """

    def __init__(
        self,
        store: JobStore,
        files: ResultStore,
        *,
        limits: JobLimits,
        check: Callable[[Job], None],
        multiple: Iterable[str] = (),
        list_anonymous: bool = True,
    ) -> None:
        self._store = store
        self._files = files
        self._limits = limits
        self._check = check
        self._multiple = frozenset(multiple)
        self._list_anonymous = list_anonymous

    def create(self, pairs: Iterable[tuple[str, str]], *, client: Client, files: Sequence[IncomingFile] = ()) -> Job:
        """Make a job.

        The parameters of UWS itself are taken out, whatever their case, and have their effect: PHASE=RUN queues the job
        at once, EXECUTIONDURATION and DESTRUCTION are set as by their own resources. RUNID is kept and set. The rest
        are parameters of the work, and are looked at when the job is run.

        Args:
            pairs: Names and values.
            client: Who asks.
            files: Copied into the result store.

        Raises:
            ParameterError: A single-valued parameter is repeated, or one of UWS has a value that it cannot have.
            QuotaError: The caller has too many jobs, or too many bytes of uploads and results.
        """
        request = parse_request(pairs, multiple=self._multiple)
        if client.key is not None:
            self._check_jobs(
                self._store.usage(client.key)
            )  # before files are taken; and once more when the job is made
        job_id = self._store.new_id()
        try:
            stored = self._save(job_id, files, client)
            self._store.create(
                client,
                merge((), request, stored, multiple=self._multiple),
                run_id=request.run_id,
                execution_duration=self._limits.duration(request.execution_duration),
                destruction=partial(self._limits.destruction, request.destruction),
                job_id=job_id,
                admit=self._check_jobs,
            )
        except BaseException:
            if files:
                self._files.remove(job_id)
            raise
        return self.run(job_id, client=client) if request.is_run else self.get(job_id, client=client)

    def get(self, job_id: str, *, client: Client) -> Job:
        """A job as it is now.

        Raises:
            NotFoundError: There is none (any more).
            AuthorizationError: It is another's, or was made with more rights than these credentials have.
        """
        job = self._store.read(job_id) if is_storable(job_id) else None
        if job is None:
            raise NotFoundError("there is no such job")
        if job.owner is not None and job.owner != client.owner:
            raise AuthorizationError("this job belongs to another")
        if job.owner is not None and not client.covers(job.client):
            raise AuthorizationError("this job was made with rights that your credentials do not have")
        return job

    def list(
        self,
        *,
        client: Client,
        phases: Iterable[Phase] = (),
        after: datetime | None = None,
        last: int | None = None,
    ) -> Sequence[JobRef]:
        """The caller's jobs, newest first.

        Args:
            client: Who asks. An anonymous one gets the jobs that came from the same address, if the settings allow it.
            phases: Only jobs in one of these; in any when empty.
            after: Only jobs made later than this, aware.
            last: At most so many.
        """
        if client.key is None or (client.owner is None and not self._list_anonymous):
            return []
        return self._store.refs(client, phases=phases, after=after, last=last)

    def add_parameters(
        self, job_id: str, pairs: Iterable[tuple[str, str]], *, client: Client, files: Sequence[IncomingFile] = ()
    ) -> Job:
        """Add parameters to a PENDING job; a single-valued one replaces the former of that name, UPLOAD is added.

        Parameters of UWS itself have the same effect as in `create`.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It is not PENDING any more.
            ParameterError: As in `create`.
            QuotaError: The caller has too many bytes of uploads and results.
        """
        job = self.get(job_id, client=client)
        request = parse_request(pairs, multiple=self._multiple)
        stored = self._save(job_id, files, job.client)
        try:
            replaced = self._change(job_id, request, stored)
        except BaseException:
            self._forget(file for _, file in stored)
            raise
        self._forget(replaced)
        return self.run(job_id, client=client) if request.is_run else self.get(job_id, client=client)

    def run(self, job_id: str, *, client: Client) -> Job:
        """PHASE=RUN: queue the job, or move it to ERROR when its parameters show already that nothing can come of it.

        A job that is QUEUED or EXECUTING already stays as it is.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It has ended.
            QuotaError: The caller has too many bytes of results.
        """
        job = self.get(job_id, client=client)
        if job.phase in FINISHED:
            raise PhaseError(f"the job is {job.phase}; it cannot be run again", hint="Make a new job.")
        if job.phase is Phase.PENDING:
            self._check_bytes(job.client)
            self._queue(job)
        return self.get(job_id, client=client)

    def abort(self, job_id: str, *, client: Client) -> Job:
        """PHASE=ABORT: end the job; what runs for it is cancelled. One that is ABORTED already stays as it is.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It is COMPLETED or in ERROR.
        """
        self.get(job_id, client=client)
        self._store.abort(job_id)
        job = self.get(job_id, client=client)
        if job.phase is not Phase.ABORTED:
            raise PhaseError(f"the job is {job.phase}; there is nothing to abort")
        return job

    def delete(self, job_id: str, *, client: Client) -> None:
        """Remove the job with all that belongs to it; what runs for it is cancelled.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
        """
        self.get(job_id, client=client)
        self._store.delete(job_id)
        self._files.remove(job_id)

    def set_execution_duration(self, job_id: str, text: str, *, client: Client) -> Job:
        """Change how long the work of a PENDING job may take; silently cut to what the service allows.

        Args:
            job_id: Which job.
            text: Whole seconds; 0 for as long as allowed.
            client: Who asks.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It is not PENDING any more.
            ParameterError: The text is no number of seconds.
        """
        self.get(job_id, client=client)
        duration = self._limits.duration(parse_seconds(text))
        self._store.change_pending(job_id, execution_duration=duration)
        return self.get(job_id, client=client)

    def set_destruction(self, job_id: str, text: str, *, client: Client) -> Job:
        """Change when the job disappears; silently moved to what the service allows.

        Args:
            job_id: Which job.
            text: An ISO 8601 time in UTC.
            client: Who asks.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            ParameterError: The text is no time.
        """
        self.get(job_id, client=client)
        time = parse_time("DESTRUCTION", text)
        self._store.set_destruction(job_id, partial(self._limits.destruction, time))
        return self.get(job_id, client=client)

    def phases(self, job_ids: Iterable[str]) -> Mapping[str, Phase]:
        """The phases of many jobs in one query, for those who wait; jobs that are gone are left out."""
        return self._store.phases(job_ids)

    def open(self, file: StoredFile, *, start: int = 0) -> IO[bytes]:
        """A result or an uploaded file, to be read from a byte on; whoever gets it closes it.

        Raises:
            NotFoundError: It is gone.
        """
        return self._files.open(file, start=start)

    def on_change(self, listener: Callable[[str, Phase | None], None]) -> None:
        """Call ``listener(job_id, phase)``, from any thread, after each move that this process makes.

        The phase is None when the job was deleted.
        """
        self._store.on_change(listener)

    def bytes_left(self, client: Client) -> int | None:
        """What the results of a caller may still take; None when there is no bound."""
        if client.key is None:
            return None
        return max(0, self._limits.bytes_per_caller - self._store.usage(client.key).bytes)

    def sweep(self) -> int:
        """Destroy the jobs whose time has come. Any number of processes may do it at once.

        Returns:
            How many there were.
        """
        count = 0
        while due := self._store.due(_SWEPT_AT_ONCE):
            for job_id in due:
                self._store.delete(job_id)
                self._files.remove(job_id)
            count += len(due)
        return count

    def sweep_leftovers(self, *, older_than_s: float = 3600.0) -> int:
        """Remove files that belong to no job: of requests and deletions that were killed midway.

        Args:
            older_than_s: Younger ones may belong to a job that is being made.

        Returns:
            How many jobs had left something.
        """
        count = 0
        jobs = self._files.jobs()
        while some := list(islice(jobs, _SWEPT_AT_ONCE)):
            for job_id in sorted(set(some) - self._store.known(some)):
                if self._files.age_s(job_id) > older_than_s:
                    self._files.remove(job_id)
                    count += 1
        return count

    def _queue(self, job: Job) -> None:
        """Move a PENDING job on: to ERROR at once, if it is clear that nothing can come of it."""
        try:
            self._check(job)
        except UnavailableError:
            raise
        except CatalogError as fault:
            self._store.refuse(job.id, JobError.from_fault(fault))
        else:
            self._store.queue(job.id)

    def _change(
        self, job_id: str, request: JobRequest, files: Sequence[tuple[str, StoredFile]]
    ) -> Sequence[StoredFile]:
        """Change a PENDING job; returns the files that belong to it no more."""
        values: dict[str, object] = {}
        if request.run_id is not None:
            values["run_id"] = request.run_id
        if request.execution_duration is not None:
            values["execution_duration"] = self._limits.duration(request.execution_duration)
        replaced: list[StoredFile] = []

        def change(old: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
            new = merge(old, request, files, multiple=self._multiple)
            replaced.extend(each.file for each in old if each.file is not None and each not in new)
            return new

        self._store.change_pending(job_id, change, **values)
        if request.destruction is not None:
            self._store.set_destruction(job_id, partial(self._limits.destruction, request.destruction))
        return replaced

    def _save(self, job_id: str, files: Sequence[IncomingFile], client: Client) -> Sequence[tuple[str, StoredFile]]:
        """Keep the files of a request, under names of our own, as far as the client may keep so much."""
        if not all(is_storable(each.name + each.content_type) for each in files):
            raise ParameterError("the name or the type of a file holds characters that are no text")
        left = self.bytes_left(client) if files else None
        saved: list[tuple[str, StoredFile]] = []
        try:
            for each in files:
                name = f"upload-{secrets.token_hex(4)}"
                saved.append((each.name, self._files.save(job_id, name, each.file, each.content_type)))
                if left is not None and sum(file.size for _, file in saved) > left:
                    raise self._too_many_bytes(client)
        except BaseException:
            self._forget(file for _, file in saved)
            raise
        return saved

    def _forget(self, files: Iterable[StoredFile]) -> None:
        """Remove files that belong to no job; what stays behind goes with the job."""
        with suppress(UnavailableError):
            for file in files:
                self._files.remove_file(file)

    def _check_jobs(self, usage: Usage) -> None:
        if usage.jobs >= self._limits.jobs_per_caller:
            raise QuotaError(
                f"there are {usage.jobs} jobs of yours; at most {self._limits.jobs_per_caller} are kept",
                retry_after=_retry_after(usage),
                hint="Delete jobs that are not needed any more.",
            )

    def _check_bytes(self, client: Client) -> None:
        if self.bytes_left(client) == 0:
            raise self._too_many_bytes(client)

    def _too_many_bytes(self, client: Client) -> QuotaError:
        assert client.key is not None  # noqa: S101  (nobody in particular has no bound)
        usage = self._store.usage(client.key)
        return QuotaError(
            f"your jobs keep {usage.bytes:,} bytes; at most {self._limits.bytes_per_caller:,} are kept",
            retry_after=_retry_after(usage),
            hint="Delete jobs whose results are not needed any more.",
        )


def _retry_after(usage: Usage) -> int:
    """When the first of the jobs will have disappeared."""
    return max(1, min(usage.room_in_s or _RETRY_S, _RETRY_S))
