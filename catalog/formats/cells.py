"""Arrow columns taken apart: the offsets and elements of lists, the offsets and bytes of text, cells as text.

Everything here works on whole columns. A null cell is an empty one unless a function says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = [
    "PLAIN_SPELLING",
    "Bytes",
    "Offsets",
    "Spelling",
    "array_length",
    "cell_text",
    "list_parts",
    "text_bytes",
    "text_data",
    "text_parts",
]

Offsets = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a text format spells what is not an ordinary number."""

    true: str
    false: str
    nan: str
    positive_infinity: str
    negative_infinity: str
    missing_integer: str
    """A null inside an array of whole numbers."""

    missing_float: str
    missing_boolean: str
    separator: str = " "
    """Between the elements of an array."""

    opening: str = ""
    closing: str = ""


PLAIN_SPELLING = Spelling(
    true="true",
    false="false",
    nan="NaN",
    positive_infinity="Infinity",
    negative_infinity="-Infinity",
    missing_integer="0",
    missing_float="NaN",
    missing_boolean="?",
)
"""As people read it, and as CSV has it."""


def array_length(column: Column) -> int | None:
    """Number of characters or Arrow scalars that every cell has; None when it varies or the column is a scalar.

    ``arraysize`` of several dimensions counts as their product (VOTable 1.4 section 2.2). A complex number is two.
    """
    arraysize = column.arraysize or ""
    if arraysize.endswith("*") or not (arraysize or column.is_array):
        return None
    length = column.datatype.parts
    for dimension in filter(None, arraysize.split("x")):
        length *= int(dimension)
    return length


def list_parts(array: pa.Array) -> tuple[Offsets, pa.Array]:
    """Offsets (n + 1, from zero) and elements of a list column."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    if array.null_count and pa.types.is_fixed_size_list(array.type):
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets, pc.list_flatten(array)


def text_parts(array: pa.Array) -> tuple[Offsets, Bytes]:
    """Offsets (n + 1, from zero) and UTF-8 bytes of a text column."""
    raw, data = _raw_text_parts(array)
    offsets = raw.astype(np.int64)
    return offsets - offsets[0] if offsets[0] else offsets, data


def text_data(array: pa.Array) -> Bytes:
    """All cells of a text column one after the other, as UTF-8."""
    return _raw_text_parts(array)[1]


def text_bytes(array: pa.Array) -> bytes:
    """All cells of a text column one after the other, as UTF-8, copied."""
    return text_data(array).tobytes()


def _raw_text_parts(array: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Offsets as they are, and the bytes from the first of them on."""
    if array.null_count < len(array):
        filled = array.fill_null("") if array.null_count else array
        _, offset_buffer, data_buffer = filled.buffers()
        if offset_buffer is not None and data_buffer is not None:
            raw = np.frombuffer(offset_buffer, np.int32)[filled.offset : filled.offset + len(filled) + 1]
            return raw, np.frombuffer(data_buffer, np.uint8)[raw[0] : raw[-1]]
    return np.zeros(len(array) + 1, np.int32), np.empty(0, np.uint8)


def cell_text(array: pa.Array, column: Column, spelling: Spelling) -> pa.Array:
    """Cells of a column as text; text columns pass unchanged, nulls stay null."""
    if column.is_array:
        return _array_text(array, column.datatype, spelling)
    return _scalar_text(array, column.datatype, spelling)


def _scalar_text(values: pa.Array, datatype: Datatype, spelling: Spelling) -> pa.Array:
    if datatype.is_text:
        return values
    if datatype is Datatype.BOOLEAN:
        return pc.if_else(values, spelling.true, spelling.false)
    if datatype is Datatype.BIT:
        return pc.if_else(values, "1", "0")
    text = values.cast(pa.string())
    if datatype.is_integer or pc.all(pc.is_finite(values)).as_py() is not False:
        return text
    infinity = pc.if_else(pc.greater(values, 0), spelling.positive_infinity, spelling.negative_infinity)
    text = pc.if_else(pc.is_inf(values), infinity, text)
    return pc.if_else(pc.is_nan(values), spelling.nan, text)


def _array_text(array: pa.Array, datatype: Datatype, spelling: Spelling) -> pa.Array:
    offsets, values = list_parts(array)
    elements = _scalar_text(values, datatype, spelling)
    if elements.null_count:
        elements = elements.fill_null(_missing(datatype, spelling))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), elements)
    joined = pc.binary_join(lists, spelling.separator)
    if spelling.opening:
        joined = pc.binary_join_element_wise(spelling.opening, joined, spelling.closing, "")
    if array.null_count:
        joined = pc.if_else(array.is_valid(), joined, pa.scalar(None, pa.string()))
    return joined


def _missing(datatype: Datatype, spelling: Spelling) -> str:
    if datatype is Datatype.BOOLEAN:
        return spelling.missing_boolean
    return spelling.missing_float if datatype.is_float or datatype.is_complex else spelling.missing_integer
