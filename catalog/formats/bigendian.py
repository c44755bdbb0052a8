"""Arrow columns as big-endian bytes, which BINARY2 and FITS share (VOTable 1.4 section 6, FITS 4.0 section 7.3.3)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from catalog.errors import InternalError
from catalog.formats.cells import Bytes, Offsets, list_parts
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["element_bytes", "fixed_list_bytes", "fixed_text_bytes", "utf16_parts"]

_TRUE, _FALSE = ord("T"), ord("F")

_UTF16_UNITS = np.zeros(256, np.int64)  # UTF-16 units that begin with this UTF-8 byte
_UTF16_UNITS[:0x80] = 1
_UTF16_UNITS[0xC0:0xF0] = 1
_UTF16_UNITS[0xF0:] = 2


def element_bytes(values: pa.Array, datatype: Datatype, *, missing: int = 0, unknown: bytes = b"?") -> Bytes:
    """Numbers or booleans as bytes, one row each.

    Args:
        values: Scalars of `datatype`.
        datatype: Anything but text.
        missing: Written for a null whole number; a null float becomes NaN.
        unknown: Byte written for a null boolean: ``?`` in VOTable, zero in FITS.

    Returns:
        Array of shape (n, bytes per element).
    """
    if datatype is Datatype.BOOLEAN:
        codes = np.where(values.fill_null(False).to_numpy(zero_copy_only=False), _TRUE, _FALSE).astype(np.uint8)
        if values.null_count:
            codes[values.is_null().to_numpy(zero_copy_only=False)] = unknown[0]
        return codes.reshape(-1, 1)
    if values.null_count:
        values = values.fill_null(np.nan if datatype.is_float else missing)
    dtype = np.dtype(datatype.numpy)
    numbers = np.ascontiguousarray(values.to_numpy(zero_copy_only=False), dtype=dtype)
    return numbers.view(np.uint8).reshape(-1, dtype.itemsize)


def fixed_list_bytes(array: pa.Array, column: Column, length: int, *, missing: int = 0, unknown: bytes = b"?") -> Bytes:
    """Arrays of one length as bytes; a null cell is NaN, `missing` or `unknown` throughout.

    Returns:
        Array of shape (n, length · bytes per element).

    Raises:
        InternalError: A cell has another length than the column says.
    """
    offsets, values = list_parts(array)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.diff(offsets)[valid]
    if (lengths != length).any():
        found = int(lengths[lengths != length][0])
        raise InternalError(f"column {column.name}: a cell holds {found} values, its arraysize says {length}")
    empty = pa.nulls(1, column.datatype.arrow)
    cell = element_bytes(empty, column.datatype, missing=missing, unknown=unknown)
    matrix = np.tile(cell, (len(array), length))
    matrix[valid] = element_bytes(values, column.datatype, missing=missing, unknown=unknown).reshape(
        -1, matrix.shape[1]
    )
    return matrix


def fixed_text_bytes(offsets: Offsets, data: Bytes, width: int) -> Bytes:
    """Text cut or padded with zero bytes to `width` bytes a cell.

    Returns:
        Array of shape (n, width).
    """
    lengths = np.diff(offsets)
    if (lengths > width).any():
        position = np.arange(len(data)) - np.repeat(offsets[:-1], lengths)
        data = data[position < width]
        lengths = np.minimum(lengths, width)
    matrix = np.zeros((len(lengths), width), np.uint8)
    matrix[np.arange(width) < lengths[:, None]] = data
    return matrix


def utf16_parts(offsets: Offsets, data: Bytes) -> tuple[Offsets, Bytes]:
    """Text as UTF-16BE from text as UTF-8, with the offsets that belong to it."""
    if not (data & 0x80).any():
        wide = np.zeros(2 * len(data), np.uint8)
        wide[1::2] = data
        return offsets * 2, wide
    ends = np.zeros(len(data) + 1, np.int64)
    np.cumsum(_UTF16_UNITS[data], out=ends[1:])
    wide = np.frombuffer(data.tobytes().decode("utf-8").encode("utf-16-be"), np.uint8)
    return 2 * ends[offsets], wide
