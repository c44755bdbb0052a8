"""Rows of one table as columns, and what a driver is handed for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

__all__ = ["ColumnBatch", "from_records", "or_null", "stored_form"]

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Some rows of one table.

    Columns are arrays of equal length: text, ``datetime64[us]`` in UTC (NaT is NULL), numbers (NaN is NULL), booleans,
    or objects, which are text, whole numbers or None. JSON is text.
    """

    table: sa.Table
    columns: Mapping[str, _Array]

    def __post_init__(self) -> None:
        if len({len(values) for values in self.columns.values()}) != 1:
            raise ValueError(f"columns of different lengths for {self.table.name}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, which: _Array) -> ColumnBatch:
        """The rows that a mask or an index array chooses."""
        return ColumnBatch(self.table, {name: values[which] for name, values in self.columns.items()})

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Rows in the form in which both engines store them; see `stored_form`."""
        return zip(*(_values(column) for column in self.columns.values()), strict=True)


def from_records(table: sa.Table, records: Sequence[Mapping[str, object]]) -> ColumnBatch:
    """A few rows, written as mappings with the same keys, as columns."""
    names = list(records[0])
    columns: dict[str, _Array] = {}
    for name in names:
        values = [record[name] for record in records]
        if any(isinstance(value, datetime | np.datetime64) for value in values):
            columns[name] = np.array(["NaT" if value is None else value for value in values], dtype="datetime64[us]")
        else:
            columns[name] = np.array([*values, None], dtype=object)[:-1]
    return ColumnBatch(table, columns)


def or_null(condition: npt.NDArray[np.bool_], values: object) -> npt.NDArray[np.object_]:
    """The values, or the one value, as objects; None where the condition fails."""
    chosen = np.full(len(condition), None, dtype=object)
    chosen[condition] = np.broadcast_to(np.asarray(values, dtype=object), len(condition))[condition]
    return chosen


def stored_form(table: sa.Table) -> sa.Table:
    """The table with plain column types, so that values already in their stored form pass unconverted.

    UUIDs are hyphenated lower-case text, times ``YYYY-MM-DDThh:mm:ss.ffffff`` in UTC, enums and JSON text: SQLite
    stores just that, and PostgreSQL's COPY reads it. Converting a dozen million cells one by one would take longer
    than all the rest of a load.
    """
    columns = [sa.Column(column.name, sa.types.NullType()) for column in table.columns]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=table.schema)


def _values(column: _Array) -> list[object]:
    if column.dtype.kind == "M":
        text = np.datetime_as_string(column, unit="us")
        return _with_nulls(text.tolist(), np.isnat(column))
    if column.dtype.kind == "f":
        return _with_nulls(column.tolist(), np.isnan(column))
    values: list[object] = column.tolist()
    return values


def _with_nulls(values: list[object], null: npt.NDArray[np.bool_]) -> list[object]:
    for index in np.flatnonzero(null).tolist():
        values[index] = None
    return values
