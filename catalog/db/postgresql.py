"""PostgreSQL through ADBC: a small pool of read-only connections whose rows arrive as Arrow.

The driver reads the whole result of a query that has bind values before it hands out the first row (measured: 700 MB
for three million rows). So every query is a cursor of the server: binds go to ``DECLARE``, rows come by ``FETCH``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from adbc_driver_manager import dbapi as adbc
from adbc_driver_postgresql import dbapi as driver
from psycopg.conninfo import make_conninfo

from catalog.db.arrow import batch_from_arrow, rows_at_once
from catalog.db.faults import postgresql_fault, timed_out, unavailable
from catalog.db.statement import Query
from catalog.db.temporary import TemporaryTable, create_statement, fill_postgresql
from catalog.errors import UnavailableError
from catalog.vo.table import Table

__all__ = ["CONNECT_SECONDS", "WAIT_FOR_DISK", "PostgresqlReader", "session_options"]

CONNECT_SECONDS = 10
"""How long a new connection may take."""

WAIT_FOR_DISK = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
"""Lets this transaction be acknowledged when it is on the disk; what waits for standbys too is left as it is."""

_GONE_MS = 1_000

_log = logging.getLogger(__name__)
_NO_COPY = {"adbc.postgresql.use_copy": "false"}
_KEPT = 4
_CURSOR = "catalog_result"
_MAY_MAKE = "SELECT NOT pg_is_in_recovery() AND has_database_privilege(current_database(), 'TEMPORARY')"


def session_options(*, read_only: bool) -> str:
    """What every session asks for when it connects.

    UTC, quoting as in the SQL standard, no writes for readers, and that a query ends soon after its client is gone: by
    itself the server notices that a killed process has left only when it has rows to send.
    """
    options = ["timezone=UTC", "standard_conforming_strings=on", f"client_connection_check_interval={_GONE_MS}"]
    if read_only:
        options.append("default_transaction_read_only=on")
    return " ".join(f"-c {option}" for option in options)


class PostgresqlReader:
    """A few open read-only connections, tried before each use.

    Args:
        url: Address of the read-only login.
    """

    def __init__(self, url: sa.URL) -> None:
        _, parameters = url.get_dialect()().create_connect_args(url)
        options = f"{parameters.pop('options', '')} {session_options(read_only=True)}".strip()
        settings: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "catalog",
            **parameters,
            "options": options,
        }
        self._conninfo = make_conninfo(**settings)
        self._idle: list[driver.Connection] = []
        self._lock = Lock()
        self._closed = False

    def start(
        self, query: Query, table: Table, timeout_s: float, temporary: Sequence[TemporaryTable] = ()
    ) -> PostgresqlSource:
        """A query that runs when its first batch is fetched."""
        return PostgresqlSource(self, query, table, timeout_s, temporary)

    def explain(self, query: Query, timeout_s: float, temporary: Sequence[TemporaryTable] = ()) -> str:
        """The plan as PostgreSQL's EXPLAIN writes it."""
        connection = self.borrow()
        try:
            _limit_time(connection, timeout_s)
            until = time.monotonic() + timeout_s
            _make(connection, temporary, timeout_s, expired=lambda: time.monotonic() > until)
            lines = run(connection, f"EXPLAIN {query.sql}", query.ordered)
        except adbc.Error as error:
            raise postgresql_fault(error, timeout_s=timeout_s) from error
        finally:
            self.give_back(connection)
        return "\n".join(line for batch in lines for line in batch.column(0).to_pylist())

    def takes_temporary_tables(self) -> bool:
        """Whether queries may bring tables of their own: not to a standby, nor with a login that lacks the right."""
        connection = self.borrow()
        try:
            (answer,) = run(connection, _MAY_MAKE)
        except adbc.Error as error:
            raise unavailable() from error
        finally:
            self.give_back(connection)
        return bool(answer.column(0)[0].as_py())

    def borrow(self) -> driver.Connection:
        """A connection in a fresh read-only transaction.

        Raises:
            UnavailableError: The server does not answer or refuses the login.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise UnavailableError("the catalog is closed")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            try:
                run(connection, "BEGIN READ ONLY")
            except adbc.Error:
                _discard(connection)  # the server was restarted, say: try the next, at last a new one
            else:
                return connection

    def give_back(self, connection: driver.Connection, *, broken: bool = False) -> None:
        """End the transaction and keep the connection for the next query, unless it is broken."""
        if not broken:
            try:
                run(connection, "ROLLBACK")
            except adbc.Error:
                broken = True
        with self._lock:
            if not broken and not self._closed and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        _discard(connection)

    def close(self) -> None:
        """Close the connections that nobody uses; the others follow when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            _discard(connection)

    def _connect(self) -> driver.Connection:
        connection: driver.Connection | None = None
        try:
            connection = driver.connect(self._conninfo, autocommit=True)
            run(connection, "BEGIN READ ONLY")
        except adbc.Error as error:
            if connection is not None:
                _discard(connection)
            _log.error("PostgreSQL does not let us in: %s", error)
            raise unavailable() from error
        return connection


class PostgresqlSource:
    """One query as a cursor of the server (`catalog.db.batches.Source`)."""

    def __init__(
        self,
        reader: PostgresqlReader,
        query: Query,
        table: Table,
        timeout_s: float,
        temporary: Sequence[TemporaryTable] = (),
    ) -> None:
        self._reader = reader
        self._temporary = temporary
        self._query = query
        self._table = table
        self._at_once = rows_at_once(table)
        self._timeout_s = timeout_s
        self._left = timeout_s
        self._connection: driver.Connection | None = None
        self._ended = False
        self._stopped = False

    def fetch(self) -> list[pa.RecordBatch]:
        if self._ended:
            return []
        if self._left <= 0:
            raise timed_out(self._timeout_s)
        began = time.monotonic()
        try:
            found = self._fetch()
        except adbc.Error as error:
            raise postgresql_fault(error, timeout_s=self._timeout_s) from error
        finally:
            self._left -= time.monotonic() - began
        self._ended = sum(batch.num_rows for batch in found) < self._at_once
        return [piece for batch in found for piece in batch_from_arrow(self._table, batch)]

    def interrupt(self) -> None:
        self._stopped = True
        connection = self._connection
        if connection is not None:
            with suppress(adbc.Error):
                connection.adbc_cancel()

    def release(self, *, interrupted: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # A cancel may still be on its way and would hit the next query: such a connection is not used again.
            self._reader.give_back(connection, broken=interrupted)

    def _fetch(self) -> list[pa.RecordBatch]:
        if self._connection is None:
            self._connection = self._reader.borrow()
            _limit_time(self._connection, self._left)
            until = time.monotonic() + self._left
            _make(
                self._connection,
                self._temporary,
                self._left,
                expired=lambda: self._stopped or time.monotonic() > until,
            )
            # All rows will be wanted, so that plans with a quick start are not to be preferred.
            run(self._connection, "SET LOCAL cursor_tuple_fraction = 1.0")
            run(
                self._connection,
                f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {self._query.sql}",
                self._query.ordered,
            )
        else:
            _limit_time(self._connection, self._left)
        return run(self._connection, f"FETCH {self._at_once} FROM {_CURSOR}")


def run(connection: driver.Connection, sql: str, values: tuple[object, ...] = ()) -> list[pa.RecordBatch]:
    """Execute one statement and read its rows, which must be few."""
    with connection.cursor(adbc_stmt_kwargs=_NO_COPY) as cursor:
        cursor.execute(sql, _bind(values) if values else None)
        with cursor.fetch_record_batch() as rows:
            return list(rows)


def _make(
    connection: driver.Connection, tables: Sequence[TemporaryTable], seconds: float, *, expired: Callable[[], bool]
) -> None:
    """Make temporary tables in a transaction that may, and leave it read-only; they go with it."""
    if not tables:
        return
    run(connection, "ROLLBACK")
    run(connection, "BEGIN READ WRITE")
    _limit_time(connection, seconds)
    for table in tables:
        run(connection, create_statement(table, is_sqlite=False))
        fill_postgresql(connection, table, expired=expired)
        if expired():
            raise timed_out(seconds)
        run(connection, f"ANALYZE {table.name}")
    run(connection, "SET TRANSACTION READ ONLY")


def _limit_time(connection: driver.Connection, seconds: float) -> None:
    run(connection, f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")


def _bind(values: tuple[object, ...]) -> pa.RecordBatch:
    """Bind values as one Arrow row; what Arrow has no type for goes as text and is cast by the statement."""
    arrays = [_scalar(value) for value in values]
    return pa.RecordBatch.from_arrays(arrays, names=[f"p{number}" for number in range(len(arrays))])


def _scalar(value: object) -> pa.Array:
    if isinstance(value, bool):
        return pa.array([value], type=pa.bool_())
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return pa.array([value], type=pa.int64())
    if isinstance(value, float):
        return pa.array([value], type=pa.float64())
    if isinstance(value, bytes):
        return pa.array([value], type=pa.binary())
    if isinstance(value, list | tuple):
        return pa.array([value])
    return pa.array([None if value is None else str(value)], type=pa.string())


def _discard(connection: driver.Connection) -> None:
    with suppress(adbc.Error):
        connection.close()
