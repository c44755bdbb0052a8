"""Arrow columns as big-endian bytes, which BINARY2 and FITS share (VOTable 1.4 section 6, FITS 4.0 section 7.3.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from catalog.errors import InternalError
from catalog.formats.cells import Bytes, Offsets, list_parts
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["element_bytes", "fixed_list_bytes", "fixed_text_bytes", "list_bytes", "utf16_parts"]

_TRUE, _FALSE = ord("T"), ord("F")
_BIT = 0x88  # of one byte for one bit the first counts (VOTable 1.4 section 6); astropy looks at the fifth

_UTF16_UNITS = np.zeros(256, np.int64)  # UTF-16 units that begin with this UTF-8 byte
_UTF16_UNITS[:0x80] = 1
_UTF16_UNITS[0xC0:0xF0] = 1
_UTF16_UNITS[0xF0:] = 2


def element_bytes(values: pa.Array, datatype: Datatype, *, missing: int = 0, unknown: bytes = b"?") -> Bytes:
    """Numbers or booleans as bytes, one row each.

    Args:
        values: Scalars of `datatype`.
        datatype: Anything but text; a bit takes a whole byte here, a complex number two elements.
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
    if datatype is Datatype.BIT:
        return np.where(_flags(values), _BIT, 0).astype(np.uint8).reshape(-1, 1)
    if values.null_count:
        values = values.fill_null(np.nan if pa.types.is_floating(values.type) else missing)
    dtype = np.dtype(datatype.numpy)
    numbers = np.ascontiguousarray(values.to_numpy(zero_copy_only=False), dtype=dtype)
    return numbers.view(np.uint8).reshape(-1, dtype.itemsize)


def fixed_list_bytes(array: pa.Array, column: Column, length: int, *, missing: int = 0, unknown: bytes = b"?") -> Bytes:
    """Arrays of one length as bytes; a null cell is NaN, `missing` or `unknown` throughout.

    Returns:
        Array of shape (n, length · bytes per element); bits are packed, eight to a byte.

    Raises:
        InternalError: A cell has another length than the column says.
    """
    offsets, values = list_parts(array)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.diff(offsets)[valid]
    if (lengths != length).any():
        found = int(lengths[lengths != length][0])
        raise InternalError(f"column {column.name}: a cell holds {found} values, its arraysize says {length}")
    if column.datatype is Datatype.BIT:
        bits = np.zeros((len(array), length), np.bool_)
        bits[valid] = _flags(values).reshape(-1, length)
        return np.packbits(bits, axis=1)
    empty = pa.nulls(1, column.datatype.arrow)
    cell = element_bytes(empty, column.datatype, missing=missing, unknown=unknown)
    matrix = np.tile(cell, (len(array), length))
    matrix[valid] = element_bytes(values, column.datatype, missing=missing, unknown=unknown).reshape(
        -1, matrix.shape[1]
    )
    return matrix


def list_bytes(
    array: pa.Array, datatype: Datatype, *, missing: int = 0, unknown: bytes = b"?"
) -> tuple[Offsets, Offsets, Bytes]:
    """Arrays of varying length as bytes, one after the other.

    Returns:
        Elements of each cell, offsets of the cells in bytes (n + 1, from zero), the bytes.
    """
    offsets, values = list_parts(array)
    counts = np.diff(offsets)
    if datatype is not Datatype.BIT:
        elements = element_bytes(values, datatype, missing=missing, unknown=unknown)
        return counts // datatype.parts, offsets * elements.shape[1], elements.ravel()
    places = np.zeros(len(offsets), np.int64)  # each cell begins with a byte of its own
    np.cumsum((counts + 7) // 8, out=places[1:])
    bits = np.zeros(8 * int(places[-1]), np.bool_)
    bits[np.arange(len(values)) + np.repeat(8 * places[:-1] - offsets[:-1], counts)] = _flags(values)
    return counts, places, np.packbits(bits)


def _flags(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


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
