"""PostgreSQL through ADBC: a small pool of read-only connections whose rows arrive as Arrow.

The driver streams by COPY what has no bind values; of a query that has some it reads the whole result before it hands
out the first row (measured: 700 MB for three million rows), and a cursor of the server is slower by a third. So values
are written into the text, each a quoted literal with its type. The time that a query may take is watched here: to the
server a reader who takes his time would look like a slow query.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from adbc_driver_manager import dbapi as adbc
from adbc_driver_postgresql import dbapi as driver
from psycopg.conninfo import make_conninfo

from catalog.db.arrow import batch_from_arrow
from catalog.db.faults import postgresql_fault, timed_out, unavailable
from catalog.db.idle import IdleConnections
from catalog.db.statement import Query
from catalog.db.temporary import TemporaryTable, create_statement, fill_postgresql
from catalog.db.watch import Watch
from catalog.errors import CatalogError, InternalError, UnavailableError
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
_STREAMED = {"adbc.postgresql.batch_size_hint_bytes": str(3 * 2**19)}  # some 1,500 rows of ivoa.obscore
_DRAIN_S = 0.2
_DRAIN_BATCHES = 3
_MAY_MAKE = "SELECT NOT pg_is_in_recovery() AND has_database_privilege(current_database(), 'TEMPORARY')"


def session_options(*, read_only: bool) -> str:
    """What every session asks for when it connects.

    UTC, quoting as in the SQL standard, no writes for readers, and that a query ends soon after its client is gone: by
    itself the server notices that a killed process has left only when it has rows to send.
    """
    options = ["timezone=UTC", "standard_conforming_strings=on", f"client_connection_check_interval={_GONE_MS}"]
    if read_only:
        options += ["default_transaction_read_only=on", "jit=off"]  # to compile takes longer than most queries
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
        self._idle: IdleConnections[driver.Connection] = IdleConnections(_discard)

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
            lines = run(connection, f"EXPLAIN {query.literal}")
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
            connection, is_new = self.take()
            try:
                run(connection, "BEGIN READ ONLY")
            except adbc.Error as error:
                _discard(connection)  # the server was restarted, say: try the next, at last a new one
                if is_new:
                    raise unavailable() from error
            else:
                return connection

    def take(self) -> tuple[driver.Connection, bool]:
        """A connection outside a transaction, where each statement is one of its own, read-only too.

        Returns:
            The connection, and whether it is new: one that was kept may have died meanwhile.

        Raises:
            UnavailableError: The server does not answer or refuses the login.
        """
        if self._idle.is_closed:
            raise UnavailableError("the catalog is closed")
        connection = self._idle.take()
        if connection is not None:
            return connection, False
        try:
            return driver.connect(self._conninfo, autocommit=True), True
        except adbc.Error as error:
            _log.error("PostgreSQL does not let us in: %s", error)
            raise unavailable() from error

    def give_back(self, connection: driver.Connection, *, in_transaction: bool = True, broken: bool = False) -> None:
        """Keep the connection for the next query, unless it is broken; its transaction ends."""
        if in_transaction and not broken:
            try:
                run(connection, "ROLLBACK")
            except adbc.Error:
                broken = True
        if broken:
            _discard(connection)
        else:
            self._idle.keep(connection)

    def close(self) -> None:
        """Close the connections that nobody uses; the others follow when they are given back."""
        self._idle.close()


class PostgresqlSource:
    """One query, whose rows come by COPY (`catalog.db.batches.Source`)."""

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
        self._timeout_s = timeout_s
        self._left = timeout_s
        self._connection: driver.Connection | None = None
        self._cursor: driver.Cursor | None = None
        self._rows: pa.RecordBatchReader | None = None
        self._ended = False
        self._stopped = False
        self._cancelled = False

    def fetch(self) -> list[pa.RecordBatch]:
        while not self._ended:
            if self._left <= 0:
                raise timed_out(self._timeout_s)
            began = time.monotonic()
            watch = Watch(self._left, self._cancel)
            try:
                batch = self._next()
            except (adbc.Error, pa.ArrowException, OSError) as error:
                raise self._fault(error, watch) from error
            finally:
                watch.end()
                self._left -= time.monotonic() - began
            if batch is None:
                self._ended = True
            elif batch.num_rows:
                return list(batch_from_arrow(self._table, batch))
        return []

    def interrupt(self) -> None:
        self._stopped = True
        self._cancel()

    def release(self, *, interrupted: bool) -> None:
        if self._connection is None:
            return
        if not interrupted and not self._ended:
            interrupted = not self._drained()
        if interrupted:
            self._cancel()  # else whatever is still to come would be read
        for opened in (self._rows, self._cursor):
            with suppress(adbc.Error, pa.ArrowException, OSError):
                if opened is not None:
                    opened.close()
        connection, self._connection, self._cursor, self._rows = self._connection, None, None, None
        # A cancel may still be on its way and would hit the next query: such a connection is not used again.
        broken = interrupted or self._cancelled
        self._reader.give_back(connection, in_transaction=bool(self._temporary), broken=broken)

    def _next(self) -> pa.RecordBatch | None:
        if self._connection is None:
            self._begin()
        if self._rows is None:
            return None
        try:
            return self._rows.read_next_batch()
        except StopIteration:
            return None

    def _begin(self) -> None:
        """Send the query. A statement is a transaction of its own, unless there are tables to be made before it."""
        if self._temporary:
            self._connection = self._reader.borrow()
            until = time.monotonic() + self._left
            _make(
                self._connection,
                self._temporary,
                self._left,
                expired=lambda: self._stopped or time.monotonic() > until,
            )
            self._execute(self._connection)
            return
        while self._rows is None:
            self._connection, is_new = self._reader.take()
            try:
                self._execute(self._connection)
            except adbc.Error:
                if is_new or self._stopped or _is_alive(self._connection):
                    raise
                _discard(self._connection)  # the server was restarted, say: try the next, at last a new one
                self._connection = self._cursor = None

    def _execute(self, connection: driver.Connection) -> None:
        self._cursor = connection.cursor(adbc_stmt_kwargs=_STREAMED)
        self._cursor.execute(self._query.literal)
        self._rows = _open_reader(self._cursor)

    def _drained(self) -> bool:
        """Read what little may be left of a query that has a limit; whether that was all."""
        watch = Watch(_DRAIN_S, self._cancel)
        try:
            for _ in range(_DRAIN_BATCHES):
                if self._next() is None:
                    return not watch.has_expired
        except (adbc.Error, pa.ArrowException, OSError):
            return False
        finally:
            watch.end()
        return False

    def _cancel(self) -> None:
        self._cancelled = True  # before the connection is looked at: who gives it back looks afterwards
        connection = self._connection
        if connection is not None:
            with suppress(adbc.Error):
                connection.adbc_cancel()

    def _fault(self, error: Exception, watch: Watch) -> CatalogError:
        if watch.has_expired:
            return timed_out(self._timeout_s)
        if isinstance(error, adbc.Error):
            return postgresql_fault(error, timeout_s=self._timeout_s)
        _log.error("PostgreSQL: %s", error)
        return unavailable()


def _open_reader(cursor: driver.Cursor) -> pa.RecordBatchReader:
    """The rows of a cursor. The driver's public way to them forgets the SQLSTATE of an error midway; this keeps it."""
    results = cursor._results
    if results is None:
        raise InternalError("the statement is not one that returns rows")
    return results.reader


def run(connection: driver.Connection, sql: str) -> list[pa.RecordBatch]:
    """Execute one statement and read its rows, which must be few."""
    with connection.cursor(adbc_stmt_kwargs=_NO_COPY) as cursor:
        cursor.execute(sql)
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


def _is_alive(connection: driver.Connection) -> bool:
    try:
        run(connection, "SELECT 1")
    except adbc.Error:
        return False
    return True


def _discard(connection: driver.Connection) -> None:
    with suppress(adbc.Error):
        connection.close()
