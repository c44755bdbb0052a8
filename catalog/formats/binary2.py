"""VOTable BINARY2 and BINARY: the cells of a row big-endian, base64 (VOTable 1.4 sections 5.3, 5.4 and 6).

BINARY2 puts null flags before each row. BINARY has none: whole numbers have a value that means null, NaN and ``?`` do
for others, and a null text is an empty one.

A ``char`` column is ASCII by the standard, and readers decode it so: any other character becomes ``?``.
Columns that may hold other text are declared ``unicodeChar``, which keeps everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.base64 import Base64
from catalog.formats.bigendian import element_bytes, fixed_list_bytes, fixed_text_bytes, list_bytes, utf16_parts
from catalog.formats.cells import Bytes, Offsets, array_length, text_data, text_parts
from catalog.formats.kept import KeptRows
from catalog.formats.nulls import NullMark
from catalog.formats.votable import encode_votable
from catalog.vo.table import Column, Info, TableStream
from catalog.vo.types import Datatype

__all__ = ["Binary", "Binary2", "binary2_rows", "encode_binary"]


class Binary2:
    """Rows as the content of a BINARY2 element.

    Args:
        columns: What the batches hold, in order.
    """

    opening = b"<BINARY2>\n" + Base64.opening
    closing = Base64.closing + b"</BINARY2>\n"

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._base64 = Base64()

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """Base64 of these rows, but for the last bytes that do not fill a group of three."""
        return self._base64.groups(binary2_rows(self._columns, batch))

    def end(self) -> bytes:
        """Base64 of the bytes kept back."""
        return self._base64.end()


class Binary:
    """Rows as the content of a BINARY element.

    Args:
        columns: What the batches hold, in order.
        nulls: The value that means null, column by column; None where none is needed.
    """

    opening = b"<BINARY>\n" + Base64.opening
    closing = Base64.closing + b"</BINARY>\n"

    def __init__(self, columns: Sequence[Column], nulls: Sequence[int | None]) -> None:
        self._columns = columns
        self._nulls = [null or 0 for null in nulls]
        self._base64 = Base64()

    def rows(self, batch: pa.RecordBatch) -> bytes:
        """Base64 of these rows, but for the last bytes that do not fill a group of three."""
        return self._base64.groups(_packed(self._columns, batch, self._nulls, []))

    def end(self) -> bytes:
        """Base64 of the bytes kept back."""
        return self._base64.end()


def encode_binary(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """A VOTable in BINARY: all rows are kept first, since a FIELD says which value means null.

    Raises:
        UsageError: A column of whole numbers with nulls uses every value that could stand for null.
        CatalogError: The rows broke. Nothing has been handed out then.
    """
    columns = stream.table.columns
    marks = [NullMark(column, "BINARY") for column in columns]
    with KeptRows(stream.table.arrow_schema) as kept:
        for batch in batches:
            kept.add(batch)
            for mark, array in zip(marks, batch.columns, strict=True):
                mark.see(array)
        nulls = [mark.settle() for mark in marks]
        yield from encode_votable(stream, kept.read(), infos, Binary(columns, nulls), nulls=nulls)


def binary2_rows(columns: Sequence[Column], batch: pa.RecordBatch) -> memoryview:
    """The BINARY2 stream of some rows, before base64."""
    return _packed(columns, batch, [0] * len(columns), [_null_flags(batch)])


def _packed(
    columns: Sequence[Column], batch: pa.RecordBatch, missing: Sequence[int], before: Sequence[Bytes]
) -> memoryview:
    """Rows in big-endian bytes, each after its row of the blocks `before`.

    Cells of fixed width that stand side by side become one block, each cell of varying width another; the
    blocks are then dealt out in row order by a single gather, so that no row is ever touched in Python.
    """
    segments: list[pa.Array] = []
    fixed: list[Bytes] = [*before]
    for column, array, null in zip(columns, batch.columns, missing, strict=True):
        if not column.is_array and not column.datatype.is_text:
            fixed.append(element_bytes(array, column.datatype, missing=null))
        elif (length := array_length(column)) is not None:
            fixed.append(_fixed_cells(array, column, length, null))
        else:
            counts, offsets, data = _variable_cells(array, column, null)
            fixed.append(counts.astype(">i4").view(np.uint8).reshape(-1, 4))
            segments += [_fixed_segment(fixed), _segment(offsets, data)]
            fixed = []
    if fixed:
        segments.append(_fixed_segment(fixed))
    return _interleave(segments, batch.num_rows)


def _null_flags(batch: pa.RecordBatch) -> Bytes:
    flags = np.zeros((batch.num_rows, batch.num_columns), np.bool_)
    for position, array in enumerate(batch.columns):
        if array.null_count:
            flags[:, position] = array.is_null().to_numpy(zero_copy_only=False)
    return np.packbits(flags, axis=1)


def _fixed_cells(array: pa.Array, column: Column, length: int, missing: int) -> Bytes:
    if not column.datatype.is_text:
        return fixed_list_bytes(array, column, length, missing=missing)
    offsets, data = _encoded_text(array, column)
    if column.datatype is Datatype.CHAR:
        return fixed_text_bytes(offsets, data, length)
    matrix = fixed_text_bytes(offsets, data, 2 * length)
    matrix[(matrix[:, -2] & 0xFC) == 0xD8, -2:] = 0  # the cut left half of a surrogate pair
    return matrix


def _variable_cells(array: pa.Array, column: Column, missing: int) -> tuple[Offsets, Offsets, Bytes]:
    """Counts of elements, offsets in bytes, bytes."""
    if column.datatype.is_text:
        offsets, data = _encoded_text(array, column)
        counts = np.diff(offsets)
        return counts if column.datatype is Datatype.CHAR else counts // 2, offsets, data
    return list_bytes(array, column.datatype, missing=missing)


def _encoded_text(array: pa.Array, column: Column) -> tuple[Offsets, Bytes]:
    offsets, data = text_parts(array)
    if column.datatype is Datatype.UNICODE_CHAR:
        return utf16_parts(offsets, data)
    if data.max(initial=0) & 0x80:
        return text_parts(pc.replace_substring_regex(array, r"[^\x00-\x7f]", "?"))
    return offsets, data


def _fixed_segment(blocks: list[Bytes]) -> pa.Array:
    block = np.concatenate(blocks, axis=1)
    rows, width = block.shape
    return _segment(np.arange(rows + 1, dtype=np.int64) * width, block.ravel())


def _segment(offsets: Offsets, data: Bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _interleave(segments: list[pa.Array], rows: int) -> memoryview:
    """Cell 1 of every segment, then cell 2 of every segment, and so on."""
    if len(segments) == 1:
        return text_data(segments[0]).data
    dealt = pa.concat_arrays(segments).take(_row_major(len(segments), rows))
    return text_data(dealt).data


@lru_cache(maxsize=8)
def _row_major(segments: int, rows: int) -> pa.Array:
    indices: npt.NDArray[np.int32] = np.arange(segments * rows, dtype=np.int32)
    return pa.array(indices.reshape(segments, rows).T.ravel())
