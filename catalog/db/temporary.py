"""Tables that are there for one query alone: made on its own read-only connection, gone with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi as driver

__all__ = ["TemporaryTable", "create_statement", "fill_postgresql", "fill_sqlite"]

_AT_ONCE = 5_000
_TYPES = {
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.string(): "TEXT",
}
_TIMESTAMP = pa.timestamp("us")


@dataclass(frozen=True, slots=True)
class TemporaryTable:
    """What a query finds besides the published tables."""

    name: str
    """A plain name in lower case, which nothing published has."""

    schema: pa.Schema
    """Columns under plain names: 16 to 64-bit integers, floats, text, timestamps in microseconds (UTC, no zone)."""

    batches: Callable[[], Iterable[pa.RecordBatch]]
    """The rows from the first; asked for anew by every query."""


def create_statement(table: TemporaryTable, *, is_sqlite: bool) -> str:
    """The DDL of a temporary table."""
    timestamp = "TEXT" if is_sqlite else "TIMESTAMP"
    columns = ", ".join(f"{field.name} {_TYPES.get(field.type, timestamp)}" for field in table.schema)
    ending = "" if is_sqlite else " ON COMMIT DROP"
    return f"CREATE TEMP TABLE {table.name} ({columns}){ending}"


def fill_sqlite(connection: sqlite3.Connection, table: TemporaryTable) -> None:
    """Make a temporary table and write its rows, in their order."""
    connection.execute(create_statement(table, is_sqlite=True)).close()
    insert = f"INSERT INTO temp.{table.name} VALUES ({', '.join('?' * len(table.schema))})"
    connection.execute("BEGIN").close()
    for batch in table.batches():
        for start in range(0, batch.num_rows, _AT_ONCE):
            connection.executemany(insert, _rows(batch.slice(start, _AT_ONCE))).close()
    connection.execute("COMMIT").close()


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    columns = [_storable(array).to_pylist() for array in batch.columns]
    return zip(*columns, strict=True)


def _storable(array: pa.Array) -> pa.Array:
    """Times as `catalog.db.storage.format_utc` writes them; all else as it is."""
    return pc.strftime(array, format="%Y-%m-%dT%H:%M:%S") if array.type == _TIMESTAMP else array


def fill_postgresql(connection: driver.Connection, table: TemporaryTable, *, expired: Callable[[], bool]) -> None:
    """COPY the rows into a temporary table that is there already; ends early when the time is over.

    A cancel does not end it, because the driver sees what the server says only after the last row.
    """
    watched = takewhile(lambda _: not expired(), table.batches())
    rows = pa.RecordBatchReader.from_batches(table.schema, watched)
    with connection.cursor() as cursor:
        cursor.adbc_ingest(table.name, rows, mode="append", temporary=True)
