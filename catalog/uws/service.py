"""What callers may do with jobs: make, read, list, run, abort, change and delete them (UWS 1.1 section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from catalog.uws.job import Client, IncomingFile, Job, JobRef, StoredFile
from catalog.uws.phase import Phase

__all__ = ["JobLimits", "JobService"]


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
    running_per_caller: int


class JobService:
    """Jobs, as callers see them.

    A job of a named owner is shown to that owner only. An anonymous job is shown to whoever knows its identifier, which
    cannot be guessed.
    """

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
            QuotaError: The caller has too many jobs, or too many bytes of results.
        """
        raise NotImplementedError

    def get(self, job_id: str, *, client: Client) -> Job:
        """A job as it is now.

        Raises:
            NotFoundError: There is none (any more).
            AuthorizationError: It is another's.
        """
        raise NotImplementedError

    def list(
        self,
        *,
        client: Client,
        phases: Iterable[Phase] = (),
        after: datetime | None = None,
        last: int | None = None,
    ) -> list[JobRef]:
        """The caller's jobs, newest first.

        Args:
            client: Who asks. An anonymous one gets the jobs that came from the same address, if the settings allow it.
            phases: Only jobs in one of these; in any when empty.
            after: Only jobs made later than this, aware.
            last: At most so many.
        """
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def run(self, job_id: str, *, client: Client) -> Job:
        """PHASE=RUN: queue the job, or move it to ERROR when its parameters show already that nothing can come of it.

        A job that is QUEUED or EXECUTING already stays as it is.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It has ended.
            QuotaError: The caller has too many bytes of results.
        """
        raise NotImplementedError

    def abort(self, job_id: str, *, client: Client) -> Job:
        """PHASE=ABORT: end the job; what runs for it is cancelled. One that is ABORTED already stays as it is.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: It is COMPLETED or in ERROR.
        """
        raise NotImplementedError

    def delete(self, job_id: str, *, client: Client) -> None:
        """Remove the job with all that belongs to it; what runs for it is cancelled.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
        """
        raise NotImplementedError

    def set_execution_duration(self, job_id: str, text: str, *, client: Client) -> Job:
        """Change how long the work may take, before it has begun; silently cut to what the service allows.

        Args:
            job_id: Which job.
            text: Whole seconds; 0 for as long as allowed.
            client: Who asks.

        Raises:
            NotFoundError: There is no such job.
            AuthorizationError: It is another's.
            PhaseError: The work has begun.
            ParameterError: The text is no number of seconds.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def phases(self, job_ids: Iterable[str]) -> Mapping[str, Phase]:
        """The phases of many jobs in one query, for those who wait; jobs that are gone are left out."""
        raise NotImplementedError

    def open(self, file: StoredFile, *, start: int = 0) -> IO[bytes]:
        """A result or an uploaded file, to be read from a byte on; whoever gets it closes it.

        Raises:
            NotFoundError: It is gone.
        """
        raise NotImplementedError

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(job_id)``, from any thread, whenever this process moves a job to another phase."""
        raise NotImplementedError
