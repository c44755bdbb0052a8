"""Many rows into one table: COPY on PostgreSQL, batches of executemany on SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from catalog.db.storage import UtcDateTime, UuidText, format_utc
from catalog.errors import IntegrityError

__all__ = ["copy_columns", "copy_rows", "stored_form"]

_BATCH = 5_000

_Row = Sequence[object]
_Processor = Callable[[Any], Any] | None


def copy_rows(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[_Row],
    *,
    schemas: Mapping[str | None, str | None],
) -> int:
    """Write rows in the transaction of the connection; see `catalog.db.database.Database.bulk_insert`."""
    schema = schemas.get(table.schema, table.schema)
    processors = [_processor(connection, table.c[name]) for name in columns]
    prepared = _prepared(rows, processors)
    names = [table.c[name].name for name in columns]
    if connection.dialect.name == "postgresql":
        return _copy(connection, schema, table.name, names, prepared)
    return _execute_many(connection, schema, table.name, names, prepared)


def copy_columns(connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[object]]) -> int:
    """Write rows that are at hand as columns, in the transaction of the connection.

    What `copy_rows` has converted value by value is converted a column at a time here.

    Args:
        connection: In a transaction that writes.
        table: Where to.
        columns: By name, of equal length; values as the columns' types have them in Python, or already as
            `stored_form` says.

    Returns:
        How many rows were written.

    Raises:
        IntegrityError: A row breaks a constraint; the message names it.
        DBAPIError: The database does not take a value, or does not answer.
    """
    plain = stored_form(table)
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    stored = [_stored(table.c[name].type, values) for name, values in columns.items()]
    return copy_rows(connection, plain, list(columns), zip(*stored, strict=True), schemas=schemas)


@cache
def stored_form(table: sa.Table) -> sa.Table:
    """The table with plain column types, so that values already in their stored form pass unconverted.

    UUIDs are hyphenated lower-case text, times ``YYYY-MM-DDThh:mm:ss.ffffff`` in UTC, enums and JSON text: SQLite
    stores just that, and PostgreSQL's COPY reads it. Converting a dozen million cells one by one would take longer
    than all the rest of a load.
    """
    columns = [sa.Column(column.name, sa.types.NullType()) for column in table.columns]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=table.schema)


def _stored(kind: sa.types.TypeEngine[Any], values: Sequence[Any]) -> Sequence[object]:
    """A column in its stored form."""
    if isinstance(kind, UtcDateTime) or isinstance(getattr(kind, "impl", None), sa.DateTime):
        return [value if value is None or isinstance(value, str) else format_utc(value) for value in values]
    if isinstance(kind, UuidText):
        return [value if value is None else str(value) for value in values]
    if isinstance(kind, sa.Enum):
        return [value if value is None else str(value) for value in values]
    if isinstance(kind, sa.JSON):
        return [value if isinstance(value, str) else json.dumps(value) for value in values]
    return values


def _processor(connection: sa.Connection, column: sa.Column[Any]) -> _Processor:
    return column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)


def _prepared(rows: Iterable[_Row], processors: Sequence[_Processor]) -> Iterator[_Row]:
    """Rows with the values that the driver takes; columns that need nothing are left alone."""
    changed = [(index, process) for index, process in enumerate(processors) if process is not None]
    if not changed:
        yield from rows
        return
    for row in rows:
        cells = list(row)
        for index, process in changed:
            cells[index] = process(cells[index])
        yield cells


def _copy(
    connection: sa.Connection, schema: str | None, table: str, columns: Sequence[str], rows: Iterator[_Row]
) -> int:
    target = sql.Identifier(*([schema] if schema else []), table)
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(target, sql.SQL(", ").join(map(sql.Identifier, columns)))
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101  (the address settles the driver)
    count = 0
    try:
        with raw.cursor() as cursor, cursor.copy(command) as copy:
            for count, row in enumerate(rows, start=1):  # noqa: B007
                copy.write_row(row)
    except psycopg.IntegrityError as error:
        raise _refused(table, error.diag.constraint_name or error.diag.column_name) from error
    except psycopg.Error as error:
        raise sa.exc.DBAPIError(command.as_string(raw), None, error) from error
    return count


def _execute_many(
    connection: sa.Connection, schema: str | None, table: str, columns: Sequence[str], rows: Iterator[_Row]
) -> int:
    preparer = connection.dialect.identifier_preparer
    target = preparer.quote(table) if schema is None else f"{preparer.quote(schema)}.{preparer.quote(table)}"
    names = ", ".join(preparer.quote(name) for name in columns)
    command = f"INSERT INTO {target} ({names}) VALUES ({', '.join('?' * len(columns))})"
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  (the address settles the driver)
    count = 0
    try:
        while batch := list(islice(rows, _BATCH)):
            raw.executemany(command, batch).close()
            count += len(batch)
    except sqlite3.IntegrityError as error:
        raise _refused(table, str(error).partition(": ")[2] or None) from error
    except sqlite3.Error as error:
        raise sa.exc.DBAPIError(command, None, error) from error
    return count


def _refused(table: str, rule: str | None) -> IntegrityError:
    return IntegrityError(f"a row for {table} breaks the rule {rule or 'of a foreign key'}")
