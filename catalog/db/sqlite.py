"""SQLite through the standard library: connections that write, and guarded ones that only read."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from catalog.db.arrow import batch_from_rows, rows_at_once
from catalog.db.faults import bad_cast, sqlite_fault
from catalog.db.idle import IdleConnections
from catalog.db.statement import Query
from catalog.db.temporary import TemporaryTable, fill_sqlite
from catalog.errors import CatalogError, InternalError, SettingsError, UnavailableError
from catalog.vo.table import Table

__all__ = ["BUSY_SECONDS", "FULL_SYNC", "SqlFunction", "SqliteReader", "prepare_writer", "synchronise"]

BUSY_SECONDS = 60.0
"""How long a connection waits for another's lock."""

FULL_SYNC = 2
"""Every commit waits for the disk."""

_log = logging.getLogger(__name__)
_FIRST_ROWS, _BATCH_BYTES = 1_024, 2 * 2**20  # of a batch; as Python's objects the rows take ten times as much
_STEPS = 10_000  # of the virtual machine between two looks at the clock: about a millisecond
_READ_SETTINGS = (
    "PRAGMA case_sensitive_like = ON",  # LIKE as on PostgreSQL; deprecated, with nothing in its place
    "PRAGMA cache_size = -8192",  # KiB; a mapped file is no faster, and counts as memory of each connection
)
_WRITE_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 67108864",  # a log that grew under long readers shrinks when they have left
    "PRAGMA foreign_keys = ON",
)
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 64 * 1024 * 1024,  # bytes of one value or row
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_CHANGES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_RTREE_TABLES = ("_node", "_rowid", "_parent", "sqlite_master")
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "zeroblob", "randomblob"}


@dataclass(frozen=True, slots=True)
class SqlFunction:
    """A function that SQLite lacks and translated queries call.

    It may raise a `catalog.errors.CatalogError`, which becomes the fault of the query; a ``ValueError`` means a value
    that a CAST cannot read.
    """

    name: str
    narg: int
    """Number of arguments; -1 for any."""

    function: Callable[..., Any]
    deterministic: bool = True
    aggregate: bool = False
    """Whether ``function`` makes an object for every group, with ``step(…)`` called for each row and ``finalize()``."""


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Settle a new connection of the owner; transactions are begun by `catalog.db.database` in so many words."""
    connection.isolation_level = None
    for setting in _WRITE_SETTINGS:
        connection.execute(setting).close()


def synchronise(connection: sqlite3.Connection, level: int) -> int:
    """Settle when commits wait for the disk, between transactions; the level that held before.

    Args:
        connection: Of the owner.
        level: As ``PRAGMA synchronous`` counts.
    """
    (before,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.execute(f"PRAGMA synchronous = {level:d}").close()
    return int(before)


class SqliteReader:
    """Guarded connections to one file, a few of which are kept: to open one takes longer than most queries do.

    They are read-only, and the authorizer lets through nothing but SELECT: no PRAGMA, no ATTACH. Temporary tables are
    made before it is there, on connections that are not kept.

    Args:
        path: The file.
        functions: Registered on every connection.
    """

    def __init__(self, path: Path, functions: Sequence[SqlFunction]) -> None:
        self._path = path
        self._functions = tuple(functions)
        self._idle: IdleConnections[GuardedConnection] = IdleConnections(lambda opened: opened.raw.close())

    def start(
        self, query: Query, table: Table, timeout_s: float, temporary: Sequence[TemporaryTable] = ()
    ) -> SqliteSource:
        """A query that runs when its first batch is fetched."""
        return SqliteSource(self, query, table, timeout_s, temporary)

    def explain(self, query: Query, timeout_s: float, temporary: Sequence[TemporaryTable] = ()) -> str:
        """The plan, one step a line, indented by depth."""
        guard = Guard(timeout_s)
        opened = self.borrow(guard, temporary)
        try:
            rows = opened.raw.execute(f"EXPLAIN QUERY PLAN {query.template}", query.named).fetchall()
        except sqlite3.Error as error:
            raise guard.fault(error) from error
        finally:
            self.give_back(opened, broken=bool(temporary))
        depths = {0: -1}
        lines = []
        for identifier, parent, _, detail in rows:
            depths[identifier] = depths.get(parent, -1) + 1
            lines.append("  " * depths[identifier] + detail)
        return "\n".join(lines)

    def close(self) -> None:
        """Close the connections that nobody uses; the others follow when they are given back."""
        self._idle.close()

    def takes_temporary_tables(self) -> bool:
        """Whether queries may bring tables of their own."""
        return True

    def borrow(self, guard: Guard, temporary: Sequence[TemporaryTable] = ()) -> GuardedConnection:
        """A guarded connection: one that was kept, or a new one, on which the temporary tables are.

        Raises:
            SettingsError: The file is not a SQLite database.
            UnavailableError: There is no such file, or it cannot be opened.
        """
        while not temporary:
            opened = self._idle.take()
            if opened is None:
                break
            if opened.file == self._file():  # the file may have been replaced
                opened.guarded_by(guard)
                return opened
            opened.raw.close()
        return self._open(guard, temporary)

    def give_back(self, opened: GuardedConnection, *, broken: bool) -> None:
        """Keep a connection for the next query, unless it was interrupted or has tables of its own."""
        if not broken:
            try:
                opened.rest()
            except sqlite3.Error:
                broken = True
        if broken:
            opened.raw.close()
        else:
            self._idle.keep(opened)

    def _file(self) -> tuple[int, int] | None:
        """Which file it is now; None when there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self, guard: Guard, temporary: Sequence[TemporaryTable]) -> GuardedConnection:
        """A new connection.

        Raises:
            SettingsError: The file is not a SQLite database.
            UnavailableError: There is no such file, or it cannot be opened.
        """
        file = self._file()
        if file is None:
            raise UnavailableError(
                f"the database file {self._path.name} does not exist",
                hint="`catalog init` creates it; --db, CATALOG_DATABASE_URL or catalog.toml name another.",
            )
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=ro",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            opened = GuardedConnection(connection, file, guard)
            self._settle(opened)
            for table in temporary:
                fill_sqlite(connection, table)
            connection.set_authorizer(_authorize)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.Error):
                raise
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise SettingsError(f"the file {self._path.name} is not a SQLite database") from error
            raise guard.fault(error) from error
        return opened

    def _settle(self, opened: GuardedConnection) -> None:
        connection = opened.raw
        for setting in _READ_SETTINGS:
            connection.execute(setting).close()
        connection.execute("SELECT count(*) FROM sqlite_master").close()  # read the file while errors are plain
        for category, limit in _LIMITS.items():
            connection.setlimit(category, limit)
        for known in self._functions:
            if known.aggregate:
                connection.create_aggregate(known.name, known.narg, opened.watch_aggregate(known.function))
            else:
                connection.create_function(
                    known.name, known.narg, opened.watch(known.function), deterministic=known.deterministic
                )
        connection.set_progress_handler(opened.expired, _STEPS)


def _authorize(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    if action in _READS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    # An R*Tree prepares its changes, and declares itself, when it is opened; the file is read-only, they cannot run.
    if action in _CHANGES and first is not None and first.endswith(_RTREE_TABLES):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class Guard:
    """Watches one query: the time that it may take, a wish to stop, and what its functions raise.

    Args:
        timeout_s: Seconds that the database may spend; the time that the reader takes between batches is not counted.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._left = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._stop = False
        self._raised: BaseException | None = None

    def resume(self) -> None:
        """The database works again."""
        self._deadline = time.monotonic() + self._left

    def pause(self) -> None:
        """The reader works."""
        self._left = self._deadline - time.monotonic()

    def stop(self) -> None:
        """Make the query end soon."""
        self._stop = True

    def expired(self) -> bool:
        """Whether the query must end; SQLite asks now and then."""
        return self._stop or time.monotonic() > self._deadline

    def keep(self, error: BaseException) -> None:
        """Note what a function raised, for `fault`: SQLite forgets it."""
        self._raised = error

    def fault(self, error: sqlite3.Error) -> BaseException:
        """What the query failed of."""
        raised = self._raised
        if raised is None:
            return sqlite_fault(error, timeout_s=self._timeout_s)
        if isinstance(raised, CatalogError) or not isinstance(raised, Exception):
            return raised
        if isinstance(raised, ValueError):
            return bad_cast()
        _log.error("a function of a query failed", exc_info=raised)
        return InternalError("a function of the query failed; the log of the service says why")


class GuardedConnection:
    """A connection, and the guard of the query that it runs now; functions on it tell that guard what they raise.

    Args:
        raw: The connection.
        file: Device and number of its file.
        guard: Of the first query.
    """

    def __init__(self, raw: sqlite3.Connection, file: tuple[int, int], guard: Guard) -> None:
        self.raw = raw
        self.file = file
        self._guard = guard

    def guarded_by(self, guard: Guard) -> None:
        """Begin another query."""
        self._guard = guard

    def rest(self) -> None:
        """Let go of the memory that the last query needed."""
        self.raw.set_authorizer(None)
        self.raw.execute("PRAGMA shrink_memory").close()
        self.raw.set_authorizer(_authorize)

    def expired(self) -> bool:
        """Whether the query must end."""
        return self._guard.expired()

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with what it raises kept by the guard."""

        def watched(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except BaseException as error:
                self._guard.keep(error)
                raise

        return watched

    def watch_aggregate(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """The maker of a group's object, what its methods raise being kept too."""

        def watched() -> Any:
            group = function()
            return SimpleNamespace(step=self.watch(group.step), finalize=self.watch(group.finalize))

        return watched


class SqliteSource:
    """One query on a connection of its own (`catalog.db.batches.Source`)."""

    def __init__(
        self,
        reader: SqliteReader,
        query: Query,
        table: Table,
        timeout_s: float,
        temporary: Sequence[TemporaryTable] = (),
    ) -> None:
        self._reader = reader
        self._temporary = temporary
        self._query = query
        self._table = table
        self._most_rows = rows_at_once(table)
        self._next_rows = min(_FIRST_ROWS, self._most_rows)
        self._guard = Guard(timeout_s)
        self._connection: GuardedConnection | None = None
        self._cursor: sqlite3.Cursor | None = None

    def fetch(self) -> list[pa.RecordBatch]:
        self._guard.resume()
        try:
            if self._cursor is None:
                self._connection = self._reader.borrow(self._guard, self._temporary)
                self._cursor = self._connection.raw.execute(self._query.template, self._query.named)
            rows = self._cursor.fetchmany(self._next_rows)
        except sqlite3.Error as error:
            raise self._guard.fault(error) from error
        finally:
            self._guard.pause()
        if not rows:
            return []
        batch = batch_from_rows(self._table, rows)
        self._next_rows = max(1, min(self._most_rows, _BATCH_BYTES * len(rows) // max(1, batch.nbytes)))
        return [batch]

    def interrupt(self) -> None:
        self._guard.stop()
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # another thread has just closed it
                connection.raw.interrupt()

    def release(self, *, interrupted: bool) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            # An interrupt may still be on its way and would hit the next query: such a connection is not used again.
            self._reader.give_back(connection, broken=interrupted or bool(self._temporary))
