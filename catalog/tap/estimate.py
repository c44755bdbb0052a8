"""How much a query would bring, found out within a few seconds: by counting, by the planner, by a sample."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import QueryTimeoutError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

__all__ = ["SAMPLE_ROWS", "Estimate", "read_estimate"]

SAMPLE_ROWS = 200
"""Rows whose encoded size stands for all."""

_COUNT = Table("count", (Column("n", Datatype.LONG),))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a query would bring."""

    rows: int | None
    """Rows of the answer; None when neither counting nor the planner could tell in time."""

    is_counted: bool
    """Whether the rows were counted; else the planner expects them."""

    bytes: int | None
    """Size of the answer in the default format; None when it could not be told in time."""


def read_estimate(
    database: Database, statement: sa.Select[tuple[object, ...]], table: Table, *, seconds: float
) -> Estimate:
    """Count the rows of a statement and weigh some of them.

    Args:
        database: Read through its read-only connection.
        statement: The query, with its limit.
        table: What its columns mean.
        seconds: For counting, and again for the sample.
    """
    counted = _first(database, sa.select(sa.func.count().label("n")).select_from(statement.subquery()), seconds)
    rows = database.expected_rows(statement) if counted is None else counted
    if rows is None:
        return Estimate(None, False, None)
    weight = _weight(database, sa.select(sa.text("*")).select_from(statement.subquery()), table, seconds)
    return Estimate(rows, counted is not None, None if weight is None else round(rows * weight))


def _first(database: Database, statement: sa.Executable, seconds: float) -> int | None:
    try:
        with database.stream(statement, _COUNT, timeout_s=seconds) as stream:
            return int(stream.read_all()["n"][0].as_py())
    except QueryTimeoutError:
        return None


def _weight(database: Database, statement: sa.Select[tuple[object, ...]], table: Table, seconds: float) -> float | None:
    """Bytes of a row, the document around the rows left out; None when no sample came in time."""
    limited = statement.limit(sa.literal_column(str(SAMPLE_ROWS)))
    try:
        with database.stream(limited, table, timeout_s=seconds) as stream:
            batches = list(stream)
    except QueryTimeoutError:
        return None
    rows: int = sum(batch.num_rows for batch in batches)
    if not rows:
        return 0.0
    surplus = _size(TableStream(table, iter(batches))) - _size(TableStream(table, iter(())))
    return surplus / rows


def _size(rows: TableStream) -> int:
    return sum(len(piece) for piece in encode(rows, DEFAULT_FORMAT))
