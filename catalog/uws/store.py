"""Jobs in a database: every change is one short transaction, and every move of a phase is guarded.

A move is an UPDATE that names the phases it may start from; of a worker's move it names the lease too. If it changes no
row, somebody else was quicker, and nothing has happened.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Lock

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.errors import PhaseError
from catalog.uws.job import Client, Job, JobError, JobRef, Parameter
from catalog.uws.phase import Phase, sources
from catalog.uws.rows import client_of_row, columns_of_client, error_document, insert_parameters, read_job
from catalog.uws.tables import install_tables, job, job_parameter, job_result

__all__ = ["JobStore", "Usage"]

_ID_BYTES = 16
_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Usage:
    """What one caller's jobs take."""

    jobs: int
    bytes: int
    """Of results and uploads."""

    room_in_s: int | None
    """Seconds until the first of the jobs is destroyed; None when there is none."""


class JobStore:
    """The jobs of one service. The database is opened, and its tables made, at the first use.

    Args:
        url: Address of the database, SQLite or PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._listeners: list[Callable[[str, Phase | None], None]] = []
        self._opening = Lock()
        self._opened: tuple[Database, str] | None = None

    @property
    def name(self) -> str:
        """Differs for every store; the folder of its results has it.

        Raises:
            SettingsError: The tables are of another layout, or cannot be made.
        """
        return self._open()[1]

    def on_change(self, listener: Callable[[str, Phase | None], None]) -> None:
        """Tell ``listener`` the job and its new phase, None for a deleted one, after each move that is made here."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Close the connections. Safe to repeat."""
        with self._opening:
            if self._opened is not None:
                self._opened[0].close()

    def create(
        self,
        client: Client,
        parameters: Sequence[Parameter],
        *,
        run_id: str | None,
        execution_duration: int,
        destruction: Callable[[datetime], datetime],
        job_id: str | None = None,
        admit: Callable[[Usage], None] = lambda usage: None,
    ) -> str:
        """Write a PENDING job.

        Args:
            client: Whose it is.
            parameters: In the order they came.
            run_id: RUNID.
            execution_duration: Seconds.
            destruction: When the job made at a time shall disappear.
            job_id: From `new_id`, when files were stored before; a new one otherwise.
            admit: Raises when what the client has already is enough; requests at one time do not pass by it.

        Returns:
            Its identifier.
        """
        identifier = job_id or self.new_id()
        with self.transaction() as (connection, now):
            if client.key is not None:
                _keep_waiting(connection, client.key)
                admit(_usage(connection, client.key, now))
            connection.execute(
                job.insert().values(
                    id=identifier,
                    **columns_of_client(client),
                    phase=Phase.PENDING,
                    run_id=run_id,
                    created_at=now,
                    destruction_at=destruction(now),
                    execution_duration=execution_duration,
                )
            )
            insert_parameters(connection, identifier, parameters)
        return identifier

    @staticmethod
    def new_id() -> str:
        """An identifier that nobody can guess."""
        return secrets.token_hex(_ID_BYTES)

    def read(self, job_id: str) -> Job:
        """A job as it is now.

        Raises:
            NotFoundError: There is none (any more).
        """
        with self.read_transaction() as (connection, now):
            return read_job(connection, job_id, now)

    def refs(
        self, client: Client, *, phases: Iterable[Phase] = (), after: datetime | None = None, last: int | None = None
    ) -> list[JobRef]:
        """The jobs of a client, newest first; see `catalog.uws.service.JobService.list`."""
        made_by = (job.c.owner, job.c.origin, job.c.scopes, job.c.roles)
        wanted = tuple(phases)
        with self.read_transaction() as (connection, now):
            statement = sa.select(job.c.id, job.c.phase, job.c.run_id, job.c.created_at, *made_by)
            statement = statement.where(job.c.caller == client.key, job.c.destruction_at > now)
            if client.owner is None:
                statement = statement.where(job.c.origin == client.origin)
            if wanted:
                statement = statement.where(job.c.phase.in_(wanted))
            if after is not None:
                statement = statement.where(job.c.created_at > after)
            rows = connection.execute(statement.order_by(job.c.created_at.desc(), job.c.id))
            shown = (row for row in rows if client.covers(client_of_row(row)))
            return [
                JobRef(row.id, Phase(row.phase), row.run_id, row.owner, row.created_at) for row in islice(shown, last)
            ]

    def phases(self, job_ids: Iterable[str]) -> dict[str, Phase]:
        """The phases of many jobs; those that are gone are left out."""
        found: dict[str, Phase] = {}
        with self.read_transaction() as (connection, now):
            for some in listed(job_ids, _IDS_AT_ONCE):
                statement = sa.select(job.c.id, job.c.phase).where(job.c.id.in_(some), job.c.destruction_at > now)
                found |= {row.id: Phase(row.phase) for row in connection.execute(statement)}
        return found

    def usage(self, caller: str) -> Usage:
        """What the jobs of a caller take."""
        with self.read_transaction() as (connection, now):
            return _usage(connection, caller, now)

    def change_pending(
        self,
        job_id: str,
        change: Callable[[tuple[Parameter, ...]], tuple[Parameter, ...]] | None = None,
        **values: object,
    ) -> None:
        """Change parameters and columns of a PENDING job.

        Args:
            job_id: Which job.
            change: Makes the new parameters of the old ones; they stay when it is None.
            values: New values of columns.

        Raises:
            NotFoundError: There is no such job.
            PhaseError: It is not PENDING.
        """
        with self.transaction() as (connection, now):
            connection.execute(sa.select(job.c.id).where(job.c.id == job_id).with_for_update())
            found = read_job(connection, job_id, now)
            if found.phase is not Phase.PENDING:
                raise PhaseError(f"the job is {found.phase}; it can be changed while it is PENDING")
            if values:
                connection.execute(job.update().where(job.c.id == job_id).values(**values))
            if change is not None:
                parameters = change(found.parameters)
                connection.execute(job_parameter.delete().where(job_parameter.c.job_id == job_id))
                insert_parameters(connection, job_id, parameters)

    def set_destruction(self, job_id: str, destruction: Callable[[datetime], datetime]) -> None:
        """Change when a job disappears; ``destruction`` gets the time of its creation."""
        with self.transaction() as (connection, now):
            created = connection.scalar(
                sa.select(job.c.created_at).where(job.c.id == job_id, job.c.destruction_at > now)
            )
            if created is not None:
                values = {"destruction_at": destruction(created)}
                connection.execute(job.update().where(job.c.id == job_id).values(**values))

    def queue(self, job_id: str) -> bool:
        """PENDING becomes QUEUED."""
        return self._move(job_id, Phase.QUEUED, origins={Phase.PENDING}, stamp="queued_at")

    def refuse(self, job_id: str, error: JobError) -> bool:
        """PENDING becomes ERROR: nothing can come of the job."""
        return self._move(job_id, Phase.ERROR, origins={Phase.PENDING}, stamp="ended_at", error=error_document(error))

    def abort(self, job_id: str) -> bool:
        """Any phase that is not final becomes ABORTED."""
        return self._move(job_id, Phase.ABORTED, origins=sources(Phase.ABORTED), stamp="ended_at", lease_until=None)

    def delete(self, job_id: str) -> bool:
        """Remove the rows of a job; its files are left to the caller."""
        with self.transaction() as (connection, _):
            gone = connection.execute(job.delete().where(job.c.id == job_id)).rowcount == 1
        if gone:
            self.tell(job_id, None)
        return gone

    def due(self, limit: int) -> list[str]:
        """Jobs whose time of destruction has come."""
        with self.read_transaction() as (connection, now):
            statement = sa.select(job.c.id).where(job.c.destruction_at <= now).order_by(job.c.destruction_at)
            return list(connection.scalars(statement.limit(limit)))

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the identifiers (a few hundred at most) that a job has."""
        with self.read_transaction() as (connection, _):
            return set(connection.scalars(sa.select(job.c.id).where(job.c.id.in_(job_ids))))

    @contextmanager
    def transaction(self) -> Iterator[tuple[sa.Connection, datetime]]:
        """A transaction that writes, and the time at which it began."""
        with self._open()[0].begin() as connection:
            yield connection, read_clock(connection)

    @contextmanager
    def read_transaction(self) -> Iterator[tuple[sa.Connection, datetime]]:
        """A transaction that reads, and the time at which it began."""
        with self._open()[0].engine.connect() as connection:
            yield connection, read_clock(connection)

    def tell(self, job_id: str, phase: Phase | None) -> None:
        """Tell those who listen of a move that has been committed."""
        for listener in self._listeners:
            listener(job_id, phase)

    def _open(self) -> tuple[Database, str]:
        with self._opening:
            if self._opened is None:
                database = Database(self._url)
                if database.dialect == "sqlite":
                    sa.event.listen(database.engine, "connect", _survive_power_cuts)
                try:
                    self._opened = database, install_tables(database)
                except BaseException:
                    database.close()
                    raise
            return self._opened

    def _move(self, job_id: str, target: Phase, *, origins: Iterable[Phase], stamp: str, **values: object) -> bool:
        """The move of a caller; False when the job is gone or in another phase."""
        with self.transaction() as (connection, now):
            guard = (job.c.id == job_id, job.c.phase.in_(sorted(origins)), job.c.destruction_at > now)
            changed = connection.execute(
                job.update().where(*guard).values(**{"phase": target, stamp: now, **values})
            ).rowcount
        if changed == 1:
            self.tell(job_id, target)
        return changed == 1


def _usage(connection: sa.Connection, caller: str, now: datetime) -> Usage:
    mine = sa.select(job.c.id).where(job.c.caller == caller)
    sizes = sa.union_all(
        sa.select(job_result.c.size).where(job_result.c.job_id.in_(mine)),
        sa.select(job_parameter.c.size).where(job_parameter.c.job_id.in_(mine)),
    ).subquery()
    count, first = connection.execute(
        sa.select(sa.func.count(), sa.func.min(job.c.destruction_at)).where(job.c.caller == caller)
    ).one()
    size = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(sizes.c.size), 0)))
    room = None if first is None else max(0, round((first - now).total_seconds()))
    return Usage(count, int(size or 0), room)


def _keep_waiting(connection: sa.Connection, caller: str) -> None:
    """Keep other transactions that make jobs of this caller waiting; on SQLite there is one writer at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(caller, 0))))


def _survive_power_cuts(connection: sqlite3.Connection, _: object) -> None:
    """A job that a client was told of is on the disk."""
    connection.execute("PRAGMA synchronous = FULL").close()
