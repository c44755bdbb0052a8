"""Rows of one table as columns, and what a driver is handed for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

__all__ = ["ColumnBatch", "from_records", "or_null"]

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
        """Rows in the form in which both engines store them; see `catalog.db.bulk.stored_form`."""
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
