"""VOTable TABLEDATA: cells as text between TD tags (VOTable 1.4 section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.cells import Spelling, array_length, cell_text, text_bytes, text_data
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["TableData"]

_SPELLING = Spelling(
    true="T",
    false="F",
    nan="NaN",
    positive_infinity="+Inf",
    negative_infinity="-Inf",
    missing_integer="0",
    missing_float="NaN",
    missing_boolean="?",
)

_SUSPECT = np.zeros(256, np.bool_)  # bytes that XML does not take as they are, or that may begin such a character
_SUSPECT[:0x20] = True
_SUSPECT[[ord("\t"), ord("\n")]] = False
_SUSPECT[[ord("&"), ord("<"), ord(">"), 0xEF]] = True

_ILLEGAL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"  # XML 1.0 section 2.2
_REFERENCES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))


class TableData:
    """Rows as the content of a TABLEDATA element.

    Args:
        columns: What the batches hold, in order.
    """

    opening = b"<TABLEDATA>\n"
    closing = b"</TABLEDATA>\n"

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """TR elements of these rows."""
        cells = [_cells(array, column) for column, array in zip(self._columns, batch.columns, strict=True)]
        joined = pc.binary_join_element_wise(*cells, "</TD><TD>", null_handling="replace", null_replacement="")
        return text_bytes(pc.binary_join_element_wise("<TR><TD>", joined, "</TD></TR>\n", ""))

    def end(self) -> bytes:
        """Nothing is kept back."""
        return b""


def _cells(array: pa.Array, column: Column) -> pa.Array:
    if column.datatype.is_text:
        return _escaped(array)
    cells = cell_text(array, column, _SPELLING)
    length = array_length(column) if column.is_array else None
    if length is None or not array.null_count or column.datatype.is_integer or column.datatype is Datatype.BIT:
        return cells
    # Validators count the elements of an array of stated length even in an empty cell; NaN and ? say null themselves.
    missing = "?" if column.datatype is Datatype.BOOLEAN else "NaN"
    return cells.fill_null(" ".join([missing] * length))


def _escaped(array: pa.Array) -> pa.Array:
    """Text without the characters that XML 1.0 bars, and with references for those it reserves."""
    data = text_data(array)
    if not _SUSPECT[data].any():
        return array
    array = pc.replace_substring_regex(array, _ILLEGAL, "")
    for character, reference in _REFERENCES:
        if (data == ord(character)).any():
            array = pc.replace_substring(array, character, reference)
    return array
