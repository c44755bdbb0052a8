"""Leases: how any number of processes share the work, and none of them can lose a job or end it twice.

Whoever claims a job has it until the lease runs out, and prolongs it meanwhile. Every move of a worker names the claim,
so that one whose job was aborted, deleted or given to another changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog.uws.job import Claim, JobError, Progress, Result
from catalog.uws.phase import Phase
from catalog.uws.rows import error_document, insert_result, read_job
from catalog.uws.store import JobStore
from catalog.uws.tables import job, job_layout, job_result

__all__ = ["Leases"]

_CLAIM_SECONDS = 10  # a process that stops in the middle of a claim holds up the others no longer


class Leases:
    """What workers do with the jobs of a store.

    Args:
        store: The jobs.
        lease_s: Seconds after which a job whose worker gives no sign of life is given to another.
        attempts: How often a job is tried before a lost worker means that it fails.
        running_per_caller: Jobs of one caller that run at once at most.
    """

    def __init__(self, store: JobStore, *, lease_s: float, attempts: int, running_per_caller: int) -> None:
        self.lease_s = lease_s
        self._store = store
        self._lease = timedelta(seconds=lease_s)
        self._attempts = attempts
        self._running_per_caller = running_per_caller

    def open(self) -> None:
        """Open the store now instead of at its first use.

        Raises:
            SettingsError: Its tables are of another layout, or cannot be made.
            UnavailableError: Its database does not answer.
        """
        _ = self._store.name

    def claim(self, worker: str) -> Claim | None:
        """Take the next queued job: of those who have fewest running the oldest.

        Args:
            worker: Who takes it.

        Returns:
            The claim, with the job in phase EXECUTING; None when there is nothing to do.
        """
        with self._store.read_transaction() as (connection, _):
            if connection.scalar(sa.select(job.c.id).where(job.c.phase == Phase.QUEUED).limit(1)) is None:
                return None
        with self._store.transaction() as (connection, now):
            _take_turn(connection)
            found = connection.execute(_next_job(self._running_per_caller, now)).one_or_none()
            if found is None:
                return None
            attempt = found.attempt + 1
            moved = connection.execute(
                job.update()
                .where(job.c.id == found.id, job.c.phase == Phase.QUEUED, job.c.attempt == found.attempt)
                .values(
                    phase=Phase.EXECUTING,
                    worker=worker,
                    attempt=attempt,
                    lease_until=now + self._lease,
                    started_at=now,
                    rows=0,
                    rows_expected=None,
                )
            )
            if moved.rowcount != 1:
                return None
            claimed = read_job(connection, found.id, now)
        self._store.tell(claimed.id, Phase.EXECUTING)
        return Claim(claimed, worker, attempt)

    def held(self, worker: str) -> set[tuple[str, int]]:
        """Job and attempt of every claim that a worker still has."""
        with self._store.read_transaction() as (connection, now):
            statement = sa.select(job.c.id, job.c.attempt).where(
                job.c.phase == Phase.EXECUTING, job.c.worker == worker, job.c.destruction_at > now
            )
            return {(row.id, row.attempt) for row in connection.execute(statement)}

    def renew(self, progress: Mapping[Claim, Progress]) -> None:
        """Prolong leases and write down how far the work is; claims that are lost stay lost."""
        with self._store.transaction() as (connection, now):
            for claim, done in progress.items():
                values = {"lease_until": now + self._lease, **asdict(done)}
                connection.execute(job.update().where(*_is_held(claim)).values(**values))

    def complete(self, claim: Claim, results: Sequence[Result], progress: Progress | None = None) -> bool:
        """EXECUTING becomes COMPLETED, if the claim still holds; only then there are results."""
        done = {} if progress is None else asdict(progress)
        with self._store.transaction() as (connection, now):
            values = {"phase": Phase.COMPLETED, "ended_at": now, "lease_until": None, **done}
            if connection.execute(job.update().where(*_is_held(claim)).values(**values)).rowcount != 1:
                return _has_results(connection, claim, results)
            for result in results:
                insert_result(connection, claim.job.id, result)
        self._store.tell(claim.job.id, Phase.COMPLETED)
        return True

    def fail(self, claim: Claim, error: JobError, *, phase: Phase = Phase.ERROR) -> bool:
        """EXECUTING becomes ERROR (or ABORTED, for one that took too long), if the claim still holds."""
        return self._end_claim(claim, phase, ended=True, error=error_document(error), lease_until=None)

    def hand_back(self, claim: Claim) -> bool:
        """EXECUTING becomes QUEUED, if the claim still holds: the worker stops, and the attempt does not count."""
        return self._end_claim(claim, Phase.QUEUED, ended=False, worker=None, lease_until=None)

    def recover(self) -> int:
        """Give jobs whose lease ran out back to the queue, or end them when that happened too often.

        Returns:
            How many there were.
        """
        error = JobError(
            f"the job was given up: {self._attempts} times the process that worked on it was lost",
            "TransientFault",
            "Make a new job later, or ask for less.",
            transient=True,
        )
        columns = (job.c.id, job.c.attempt, job.c.losses)
        with self._store.read_transaction() as (connection, now):
            lost = (job.c.phase == Phase.EXECUTING, job.c.lease_until < now)
            found = connection.execute(sa.select(*columns).where(*lost)).all()
        if not found:
            return 0
        with self._store.transaction() as (connection, now):
            moved: list[tuple[str, Phase]] = []
            for row in found:
                losses = row.losses + 1
                phase = Phase.QUEUED if losses < self._attempts else Phase.ERROR
                ending = {} if phase is Phase.QUEUED else {"ended_at": now, "error": error_document(error)}
                values = {"phase": phase, "losses": losses, "worker": None, "lease_until": None, **ending}
                guard = (job.c.id == row.id, job.c.attempt == row.attempt, *lost)
                if connection.execute(job.update().where(*guard).values(**values)).rowcount == 1:
                    moved.append((row.id, phase))
        for job_id, new in moved:
            self._store.tell(job_id, new)
        return len(moved)

    def _end_claim(self, claim: Claim, target: Phase, *, ended: bool, **values: object) -> bool:
        """The move of a worker; False when its claim is lost."""
        with self._store.transaction() as (connection, now):
            stamp = {"ended_at": now} if ended else {"started_at": None}
            update = job.update().where(*_is_held(claim)).values(**{"phase": target, **stamp, **values})
            changed = connection.execute(update).rowcount
        if changed == 1:
            self._store.tell(claim.job.id, target)
        return changed == 1


def _take_turn(connection: sa.Connection) -> None:
    """Let claims take turns, so that what one counts is still true when it writes.

    On SQLite every transaction that writes waits for the one before it anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_CLAIM_SECONDS}s'")
    connection.execute(sa.select(job_layout.c.version).with_for_update())


def _is_held(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    held = (job.c.phase == Phase.EXECUTING, job.c.worker == claim.worker, job.c.attempt == claim.attempt)
    return (job.c.id == claim.job.id, *held)


def _has_results(connection: sa.Connection, claim: Claim, results: Sequence[Result]) -> bool:
    """Whether the results are those of the job already: the answer to the first attempt to say so was lost."""
    found = set(connection.scalars(sa.select(job_result.c.path).where(job_result.c.job_id == claim.job.id)))
    return bool(results) and found == {result.file.path for result in results}


def _next_job(running_per_caller: int, now: datetime) -> sa.Select[Any]:
    running = (
        sa.select(job.c.caller, sa.func.count().label("running"))
        .where(job.c.phase == Phase.EXECUTING)
        .group_by(job.c.caller)
        .subquery()
    )
    count = sa.func.coalesce(running.c.running, 0)
    return (
        sa.select(job.c.id, job.c.attempt)
        .select_from(job.outerjoin(running, running.c.caller == job.c.caller))
        .where(job.c.phase == Phase.QUEUED, job.c.destruction_at > now, count < running_per_caller)
        .order_by(count, job.c.queued_at, job.c.id)
        .limit(1)
    )
