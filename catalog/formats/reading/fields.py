"""What a column of a table holds that is being read: a `Column` and how its nulls and cells are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.cells import array_length
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["MAX_CELL_BYTES", "MAX_ROW_BYTES", "Field", "distinct_names", "only_marks", "parse_field", "rows_at_once"]

MAX_CELL_BYTES = 16 * 2**20
"""Longest cell, as it comes."""

MAX_ROW_BYTES = 4 * MAX_CELL_BYTES
"""Longest row in memory, where the descriptions of its cells tell."""

Lengths = npt.NDArray[np.int64]

_AT_ONCE = 4096
_AT_ONCE_BYTES = 8 * 2**20
_ARRAYSIZE = re.compile(r"(?:[1-9][0-9]{0,9}x){0,9}(?:[1-9][0-9]{0,9}\*?|\*)")
_XTYPES = {"adql:timestamp": "timestamp"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table that is being read."""

    column: Column
    null: str | None = None
    """Value that means null, of whole numbers (``VALUES/@null``)."""

    @property
    def mark(self) -> pa.Scalar | None:
        """The value that means null, if there is one and a cell can have it."""
        if self.null is None or not self.column.datatype.is_integer:
            return None
        try:
            return pa.scalar(int(self.null.strip(), 0), type=self.column.datatype.arrow)
        except (ValueError, pa.ArrowInvalid, OverflowError):
            return None

    @property
    def length(self) -> int | None:
        """Characters or Arrow scalars of every cell; None where they vary, and of a scalar."""
        return array_length(self.column)

    @property
    def slice(self) -> int:
        """Arrow scalars that the length of a varying array is a multiple of: 2 x 3 x * comes in sixes."""
        size = self.column.datatype.parts
        for dimension in (self.column.arraysize or "").split("x")[:-1]:
            size *= int(dimension)
        return size

    @property
    def is_grid(self) -> bool:
        """Whether the array has several dimensions; text then stands for several texts side by side."""
        return "x" in (self.column.arraysize or "")

    @property
    def cell_bytes(self) -> int:
        """Bytes of a cell in memory, where its description tells."""
        return (self.length or 1) * _itemsize(self.column.datatype)


def _itemsize(datatype: Datatype) -> int:
    return {"unicodeChar": 2, "char": 1}.get(datatype.votable) or max(1, datatype.arrow.bit_width // 8)


def only_marks(elements: pa.Array, lengths: Lengths, mark: pa.Scalar) -> npt.NDArray[np.bool_]:
    """Which arrays hold nothing but the mark of null; among other values it is left as it is."""
    marked = np.asarray(pc.fill_null(pc.equal(elements, mark), False).to_numpy(zero_copy_only=False), np.bool_)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return np.asarray((np.bincount(owners[marked], minlength=len(lengths)) == lengths) & (lengths > 0))


def rows_at_once(fields: Sequence[Field]) -> int:
    """Rows to make a batch of, so that it is of a size to work with.

    Raises:
        ResourceLimitError: One row is too large already.
    """
    row_bytes = sum(field.cell_bytes for field in fields)
    if row_bytes > MAX_ROW_BYTES:
        raise ResourceLimitError(f"the rows of the table are larger than {MAX_ROW_BYTES:,} bytes")
    return max(1, min(_AT_ONCE, _AT_ONCE_BYTES // max(1, row_bytes)))


def parse_field(
    name: str,
    datatype: str,
    arraysize: str | None,
    *,
    null: str | None = None,
    description: str | None = None,
    **marks: str | None,
) -> Field:
    """A field from what a VOTable says of it (VOTable 1.4 section 4.1).

    Args:
        name: As it is written.
        datatype: Name of a VOTable primitive.
        arraysize: VOTable syntax; an array of one number counts as that number.
        null: Value that means null.
        description: For people.
        marks: ``unit``, ``ucd``, ``utype``, ``xtype``.

    Raises:
        UsageError: There is no such datatype, or the arraysize has another form.
        ResourceLimitError: A cell would be too large.
    """
    try:
        kind = Datatype.from_votable(datatype[:40])
    except ValueError as error:
        raise UsageError(f"column {name[:80]}: datatype {error}") from None
    size = (arraysize or "").strip() or None
    if size is not None and not _ARRAYSIZE.fullmatch(size):
        raise UsageError(
            f"column {name[:80]}: arraysize '{size[:40]}' is none; expected a form such as 3, *, 10* or 2x3"
        )
    if size == "1" and not kind.is_text:
        size = None
    if size is None and kind.is_text:
        size = "1"
    unit, ucd, utype, xtype = ((marks.get(mark) or "").strip() or None for mark in ("unit", "ucd", "utype", "xtype"))
    column = Column(
        name,
        kind,
        size,
        unit=unit,
        ucd=ucd,
        utype=utype,
        xtype=_XTYPES.get((xtype or "").lower(), xtype),
        description=" ".join((description or "").split()) or None,
    )
    field = Field(column, null)
    if field.cell_bytes > MAX_CELL_BYTES:
        raise ResourceLimitError(f"column {name[:80]}: its cells are larger than {MAX_CELL_BYTES:,} bytes")
    return field


def distinct_names(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The fields with a name each: those without one are counted, those that repeat one get a number."""
    fields = list(fields)
    taken = {field.column.name for field in fields}
    seen: set[str] = set()
    named: list[Field] = []
    for position, field in enumerate(fields, start=1):
        wanted = field.column.name or f"column_{position}"
        name, number = wanted, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{wanted}_{number}"
        seen.add(name)
        named.append(replace(field, column=replace(field.column, name=name)))
    return tuple(named)
