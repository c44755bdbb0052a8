"""One database, whichever engine: transactions that write, and streams that read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm import Session

from catalog.closing import Closing
from catalog.db.address import DialectName, dialect_of, parse_address, sqlite_path
from catalog.db.batches import Batches
from catalog.db.bulk import copy_rows
from catalog.db.plan import expected_rows
from catalog.db.postgresql import CONNECT_SECONDS, WAIT_FOR_DISK, PostgresqlReader, session_options
from catalog.db.sqlite import BUSY_SECONDS, FULL_SYNC, SqlFunction, SqliteReader, prepare_writer, synchronise
from catalog.db.statement import Query, compile_statement
from catalog.db.temporary import TemporaryTable
from catalog.errors import CatalogError, SettingsError, UnavailableError
from catalog.vo.table import Table, TableStream

__all__ = ["Database"]

_LOGICAL_SCHEMAS = ("ops", "catalog", "ivoa", "fyst", "tap_schema", "uws")
_BEGIN = "catalog_begin"  # execution option: how a transaction begins on SQLite


class Database(Closing):
    """The operations database and what is published from it.

    Args:
        url: Address of the owner: ``sqlite:///PATH`` or ``postgresql://USER@HOST/NAME``. The folder of a SQLite file
            is created.
        public_url: Address of the read-only login that `stream` uses on PostgreSQL; the owner's when None.
        functions: What translated queries call on SQLite.
        timeout_s: Seconds that a query of `stream` may keep the database busy, unless the call says otherwise.

    Raises:
        SettingsError: An address has neither form.
    """

    def __init__(
        self,
        url: str,
        *,
        public_url: str | None = None,
        functions: Sequence[SqlFunction] = (),
        timeout_s: float = 600.0,
    ) -> None:
        self._url = parse_address(url)
        self._dialect = dialect_of(self._url)
        self._timeout_s = timeout_s
        self._schemas: dict[str | None, str | None] = {}
        self._running: WeakSet[Batches] = WeakSet()
        self._lock = Lock()
        self._closed = False
        self._reader: SqliteReader | PostgresqlReader
        if self._dialect == "sqlite":
            if public_url is not None and parse_address(public_url) != self._url:
                raise SettingsError("on SQLite the public address is the same file; leave database.public_url out")
            self._schemas = dict.fromkeys(_LOGICAL_SCHEMAS)
            self._reader = SqliteReader(sqlite_path(self._url), functions)
        else:
            public = self._url if public_url is None else parse_address(public_url)
            if dialect_of(public) != self._dialect:
                raise SettingsError("database.url and database.public_url name different kinds of database")
            self._reader = PostgresqlReader(public)
        self._engine = _owner_engine(self._url).execution_options(schema_translate_map=self._schemas)
        self._writer = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @property
    def dialect(self) -> DialectName:
        """``sqlite`` or ``postgresql``."""
        return self._dialect

    @property
    def engine(self) -> sa.Engine:
        """The owner's engine; logical schemas become the engine's own.

        Its transactions are meant for reading: on SQLite one that turns to writing may fail when another writes. Use
        `begin` or `session` to write.
        """
        return self._engine

    def session(self) -> Session:
        """An ORM session of the owner, for writing: on SQLite a second one waits until the first has ended."""
        return Session(self._writer)

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[sa.Connection]:
        """A transaction of the owner, for writing: committed at the end, rolled back when an error leaves it.

        Args:
            durable: What is committed is on the disk before the block ends, so that no loss of power undoes it; else
                SQLite, and a PostgreSQL that is told so, may lose the last transactions.

        Raises:
            UnavailableError: The database does not answer, or another writer holds it for too long.
        """
        with self._writer.connect() as connection, ExitStack() as stack:
            raw = connection.connection.driver_connection
            if durable and isinstance(raw, sqlite3.Connection):
                stack.callback(synchronise, raw, synchronise(raw, FULL_SYNC))
            with connection.begin():
                if durable and isinstance(raw, psycopg.Connection):
                    connection.exec_driver_sql(WAIT_FOR_DISK)
                yield connection

    def stream(
        self,
        statement: sa.Executable | Query,
        table: Table,
        *,
        maxrec: int | None = None,
        timeout_s: float | None = None,
        life_s: float | None = None,
        temporary: Sequence[TemporaryTable] = (),
    ) -> TableStream:
        """Run a SELECT on a read-only connection and hand out its rows as Arrow batches.

        The query begins with the first batch that is asked for; closing the stream cancels it, also from another
        thread. Iterating may raise what is listed below.

        Args:
            statement: What to select, in the order of ``table.columns``; or what `render` made of it.
            table: What the columns mean; batches have exactly ``table.arrow_schema``. Columns of arrays arrive as text
                of blank-separated numbers.
            maxrec: Rows to pass on. The statement itself must allow one more, so that a cut is noticed.
            timeout_s: Seconds that the database may spend, without the time that the reader takes.
            life_s: Seconds until the last batch is fetched, with that time; the database keeps the state that the
                query began with as long. Any number when None.
            temporary: Tables that the statement finds besides, on its connection alone.

        Raises:
            QueryTimeoutError: The time is over.
            QueryError: A CAST met a value that it cannot read, or a number does not fit its type.
            UnavailableError: The database does not answer, or the connection broke midway.
            ResourceLimitError: The query or a value is too large for the engine.
            InternalError: Anything else; the log has the driver's words.
        """
        seconds = self._timeout_s if timeout_s is None else timeout_s
        query = statement if isinstance(statement, Query) else self._compile(statement)
        batches = Batches(self._reader.start(query, table, seconds, temporary), life_s)
        with self._lock:
            if self._closed:
                raise UnavailableError("the catalog is closed")
            self._running.add(batches)
        return TableStream(table, batches, maxrec=maxrec)

    def render(self, statement: sa.Executable) -> Query:
        """The text and the values that a SELECT becomes, as the driver gets them."""
        return self._compile(statement)

    def explain(self, statement: sa.Executable, temporary: Sequence[TemporaryTable] = ()) -> str:
        """The engine's plan for a SELECT, as its own text."""
        return self._reader.explain(self._compile(statement), self._timeout_s, temporary)

    def expected_rows(self, statement: sa.Executable, temporary: Sequence[TemporaryTable] = ()) -> int | None:
        """How many rows the engine's planner expects of a SELECT; None from SQLite, which does not say."""
        return expected_rows(self.explain(statement, temporary))

    def takes_temporary_tables(self) -> bool:
        """Whether `stream` can be given tables.

        Raises:
            UnavailableError: The database does not answer.
        """
        return self._reader.takes_temporary_tables()

    def bulk_insert(
        self, connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> int:
        """Write many rows in the transaction of ``connection``: COPY on PostgreSQL, executemany on SQLite.

        Values are converted as the columns' types say; defaults that SQLAlchemy would compute are not.

        Args:
            connection: From `begin`, or ``session.connection()``.
            table: Where to.
            columns: Names of the columns, in the order of the values.
            rows: Values; read once, never held together.

        Returns:
            How many rows were written.

        Raises:
            IntegrityError: A row breaks a constraint; the message names it.
        """
        return copy_rows(connection, table, columns, rows, schemas=self._schemas)

    def published_name(self, name: str) -> tuple[str | None, str]:
        """Where a published table lies: ``ivoa.obscore`` is a view in a schema, on SQLite ``ivoa_obscore``.

        Args:
            name: Qualified, as a query spells it.

        Returns:
            Schema in the database, or None, and name.
        """
        schema, dot, table = name.rpartition(".")
        if not dot:
            return None, name
        return (None, f"{schema}_{table}") if self._dialect == "sqlite" else (schema, table)

    def close(self) -> None:
        """Cancel what still runs and close every connection. Safe to repeat."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for batches in running:
            batches.close()
        self._reader.close()
        self._engine.dispose()

    def _compile(self, statement: sa.Executable) -> Query:
        return compile_statement(statement, self._dialect, self._schemas)


def _owner_engine(url: sa.URL) -> sa.Engine:
    if dialect_of(url) == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(engine, "do_connect", lambda *_: _make_folder(sqlite_path(url)))
        sa.event.listen(engine, "connect", lambda connection, _: prepare_writer(connection))
        sa.event.listen(engine, "begin", _begin)
    else:
        options = f"{url.query.get('options', '')} {session_options(read_only=False)}".strip()
        arguments: Mapping[str, Any] = {"connect_timeout": CONNECT_SECONDS, "options": options}
        engine = sa.create_engine(url, connect_args=dict(arguments), pool_pre_ping=True)
    sa.event.listen(engine, "handle_error", _say_it_plainly)
    return engine


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder of the database file {file.name} cannot be made: {error.strerror}") from error


def _begin(connection: sa.Connection) -> None:
    """Begin in so many words: the driver would only do so before a change, too late for a stable read."""
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _say_it_plainly(context: ExceptionContext) -> None:
    """Turn a database that is away or busy, and our own faults, into themselves; leave the rest to SQLAlchemy."""
    if context.is_pre_ping:
        return  # the pool replaces the connection
    error = context.original_exception
    if isinstance(error, CatalogError):
        raise error
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", None) or 0
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise UnavailableError("another process is writing to the database; try again later") from error
        if code & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise UnavailableError("the database file cannot be opened") from error
    elif isinstance(error, psycopg.Error) and (context.is_disconnect or context.connection is None):
        raise UnavailableError("the database does not answer, or refuses the login") from error
