"""A batch of packages in columns: what the database said of them, and what has been derived so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from catalog.errors import InternalError

__all__ = ["Batch", "Values", "as_cells", "first_of"]

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]
Values = Sequence[object] | npt.NDArray[np.float64]
"""One column: Python values with None, or doubles with NaN where the database holds NULL."""


class Batch:
    """Columns of equal length, by name.

    Args:
        names: Names of the columns of the rows.
        rows: One row per package.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.size = len(rows)
        columns: Iterable[Sequence[object]] = zip(*rows, strict=True) if rows else ((),) * len(names)
        self._columns: dict[str, Values] = dict(zip(names, columns, strict=True))

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def add(self, columns: Mapping[str, Values]) -> None:
        """Add derived columns.

        Raises:
            InternalError: A column has another length.
        """
        for name, values in columns.items():
            if len(values) != self.size:
                raise InternalError(f"{name} was derived for {len(values)} packages instead of {self.size}")
            self._columns[name] = values

    def values(self, name: str) -> Values:
        """A column as it came."""
        return self._columns[name]

    def cells(self, name: str, *, numbers: bool = False) -> Sequence[object]:
        """A column as Python values, None where there is none.

        Args:
            name: Of the column.
            numbers: It is one of doubles, wherever it comes from.
        """
        return as_cells(self.floats(name) if numbers else self._columns[name])

    def texts(self, name: str) -> list[str | None]:
        """A column of text."""
        return [None if value is None else str(value) for value in self._columns[name]]

    def floats(self, name: str) -> Floats:
        """A column of numbers as doubles, NaN for None and for what is infinite."""
        numbers = np.asarray(self._columns[name], dtype=np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    def times(self, name: str) -> Times:
        """A column of aware UTC datetimes as ``datetime64[us]``, NaT for None."""
        naive = [value.replace(tzinfo=None) if isinstance(value, datetime) else None for value in self._columns[name]]
        return np.array(naive, dtype="datetime64[us]")


def as_cells(values: Values) -> Sequence[object]:
    """Doubles as Python numbers with None for what is not finite; other columns as they are."""
    if not isinstance(values, np.ndarray):
        return values
    cells: list[object] = values.tolist()
    for row in np.flatnonzero(~np.isfinite(values)).tolist():
        cells[row] = None
    return cells


def first_of(*columns: Floats) -> Floats:
    """The first number that is not NaN, row by row, as COALESCE does."""
    result = columns[0]
    for column in columns[1:]:
        result = np.where(np.isnan(result), column, result)
    return result
