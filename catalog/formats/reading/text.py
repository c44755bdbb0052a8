"""Cells that are written as text become Arrow columns: TABLEDATA and CSV (VOTable 1.4 section 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import UsageError
from catalog.formats.reading.fields import Field, only_marks
from catalog.vo.types import Datatype

__all__ = ["cells_from_text"]

T = TypeVar("T")

_FLAGS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False, "?": None, "": None}
_RANGES = {
    Datatype.UNSIGNED_BYTE: (0, 255),
    Datatype.SHORT: (-(1 << 15), (1 << 15) - 1),
    Datatype.INT: (-(1 << 31), (1 << 31) - 1),
    Datatype.LONG: (-(1 << 63), (1 << 63) - 1),
}
_SHOWN = 40


def cells_from_text(cells: pa.Array, field: Field, first: int) -> pa.Array:
    """Cells of one column.

    An empty cell of numbers or flags is null. Whole numbers may be hexadecimal (``0x1F``); blanks round them do not
    matter.

    Args:
        cells: As they are written.
        field: What the column holds.
        first: Number of the first row, for messages.

    Returns:
        Array of the column's Arrow type.

    Raises:
        UsageError: A cell cannot be read as what the column holds; says which.
    """
    datatype = field.column.datatype
    if datatype.is_text:
        return cells
    cells = pc.utf8_trim_whitespace(cells)
    cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    if not field.column.is_array:
        if field.null is not None:
            cells = pc.if_else(pc.equal(cells, field.null.strip()), pa.scalar(None, pa.string()), cells)
        return _scalars(cells, field, lambda index: first + index)
    return _arrays(cells, field, first)


def _scalars(cells: pa.Array, field: Field, row: Callable[[int], int]) -> pa.Array:
    """Numbers and flags; at once where Arrow reads them, else one by one."""
    datatype = field.column.datatype
    if datatype.is_flag:
        return _each(cells, field, row, _flag)
    try:
        return cells.cast(datatype.arrow)
    except pa.ArrowInvalid:
        return _each(cells, field, row, _whole(datatype) if datatype.is_integer else _number)


def _each(cells: pa.Array, field: Field, row: Callable[[int], int], parse: Callable[[str], T]) -> pa.Array:
    values: list[T | None] = []
    for index, cell in enumerate(cells.to_pylist()):
        try:
            values.append(None if cell is None else parse(cell))
        except ValueError:
            raise _misread(field, row(index), cell) from None
    return pa.array(values, type=field.column.datatype.arrow)


def _misread(field: Field, row: int, cell: str) -> UsageError:
    kind = field.column.datatype.votable
    shown = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…"
    return UsageError(f"row {row}, column {field.column.name[:80]}: '{shown}' is no {kind}")


def _flag(cell: str) -> bool | None:
    try:
        return _FLAGS[cell.lower()]
    except KeyError:
        raise ValueError from None


def _whole(datatype: Datatype) -> Callable[[str], int]:
    low, high = _RANGES[datatype]

    def parse(cell: str) -> int:
        if len(cell) > _SHOWN or "_" in cell:
            raise ValueError
        value = int(cell, 16) if cell[:3].lstrip("+-").lower().startswith("0x") else int(cell)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _number(cell: str) -> float:
    if "_" in cell:
        raise ValueError
    return float(cell)


def _arrays(cells: pa.Array, field: Field, first: int) -> pa.Array:
    target = field.column.arrow_type
    if field.column.datatype is Datatype.BIT:  # blanks between bits are optional
        cells = pc.replace_substring_regex(cells, r"\s*([01])\s*", r"\1 ")
        cells = pc.utf8_trim_whitespace(cells)
    words = pc.utf8_split_whitespace(cells)
    lengths = pc.list_value_length(words)
    _check_lengths(lengths, field, first)
    flat = words.flatten()
    owners = pc.list_parent_indices(words)
    elements = _scalars(flat, field, lambda index: first + int(owners[index].as_py()))
    offsets = pc.cumulative_sum(pc.fill_null(lengths, 0))
    offsets = pa.concat_arrays([pa.array([0], offsets.type), offsets])
    missing = words.is_null().to_numpy(zero_copy_only=False)
    if field.mark is not None:
        missing = missing | only_marks(elements, np.diff(offsets.to_numpy()), field.mark)
    mask = pa.array(missing) if missing.any() else None
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), elements, mask=mask).cast(target)


def _check_lengths(lengths: pa.Array, field: Field, first: int) -> None:
    """Refuse cells with another number of elements than the arraysize says."""
    expected = field.length
    rest = field.slice
    for index, length in enumerate(lengths.to_pylist()):
        if length is not None and (length != expected if expected is not None else length % rest):
            wanted = expected if expected is not None else f"a multiple of {rest}"
            raise UsageError(
                f"row {first + index}, column {field.column.name[:80]}: the cell holds {length} numbers, "
                f"its datatype {field.column.datatype.votable} and arraysize {field.column.arraysize} ask for {wanted}"
            )
