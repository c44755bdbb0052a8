"""Values that may stand for null where a format has no other mark: BINARY's VALUES/@null, FITS's TNULL."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import UsageError
from catalog.formats.cells import array_length, list_parts
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["NullMark"]

_CANDIDATES = 64  # values at the lower end of a type that may come to mean null


class NullMark:
    """Looks through a column of whole numbers for a value that does not occur in it. Other columns need none.

    Args:
        column: What it holds.
        form: Format that needs the mark, for the message.
    """

    def __init__(self, column: Column, form: str) -> None:
        self._column = column
        self._form = form
        self._has_null = False
        self._free = _candidates(column.datatype)

    def see(self, array: pa.Array) -> None:
        """Take note of some cells."""
        column = self._column
        if not column.datatype.is_integer:
            return
        values = list_parts(array)[1] if column.is_array else array
        is_marked = not column.is_array or array_length(column) is not None  # others are null by having no elements
        if values.null_count or (is_marked and array.null_count):
            self._has_null = True
        self._strike(values)

    def settle(self) -> int | None:
        """The value that means null; None when nothing has to be marked.

        Raises:
            UsageError: Every value is in use.
        """
        if not self._has_null:
            return None
        if not self._free:
            raise UsageError(
                f"{self._form} cannot mark the nulls of column {self._column.name}: every value is in use;"
                " ask for another format"
            )
        return self._free[0]

    def _strike(self, values: pa.Array) -> None:
        """Give up the candidates that occur among the values."""
        if self._free and len(values) > values.null_count:
            lowest, highest = min(self._free), max(self._free)
            near = values.filter(pc.and_(pc.greater_equal(values, lowest), pc.less_equal(values, highest)))
            used = set(pc.unique(near).to_pylist())
            if used:
                self._free = [candidate for candidate in self._free if candidate not in used]


def _candidates(datatype: Datatype) -> list[int]:
    """Values that may mean null, the best first; bytes begin at 255, wider types at their lowest value."""
    if datatype is Datatype.UNSIGNED_BYTE:
        return list(range(255, -1, -1))
    if datatype.is_integer:
        lowest = int(np.iinfo(np.dtype(datatype.numpy)).min)
        return list(range(lowest, lowest + _CANDIDATES))
    return []
