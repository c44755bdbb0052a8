"""Big-endian cells become Arrow columns: VOTable BINARY and BINARY2, FITS (VOTable 1.4 sections 5.3, 5.4 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.cells import Bytes, Offsets
from catalog.formats.reading.fields import MAX_CELL_BYTES, Field, only_marks, rows_at_once
from catalog.vo.types import Datatype

__all__ = ["BinaryRows", "Cells", "cells_from_binary", "itemsize"]

Mask = npt.NDArray[np.bool_]

_KEPT = 2**20
_COUNT = struct.Struct(">i")
_TRUE = np.frombuffer(b"Tt1", np.uint8)
_FALSE = np.frombuffer(b"Ff0", np.uint8)
_BLANK = ord(" ")


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the cells of a column lie."""

    data: Bytes
    starts: Offsets
    """Place of each cell."""

    counts: Offsets
    """Elements of each cell: characters, numbers, bits; complex numbers count once."""

    missing: Mask | None = None
    """Which cells are null; None where only their values tell."""


def itemsize(datatype: Datatype) -> int:
    """Bytes of one element; of a bit the byte that it may be alone in."""
    if datatype is Datatype.UNICODE_CHAR:
        return 2
    return datatype.parts * (np.dtype(datatype.numpy).itemsize if datatype.numpy else 1)


def sizes(counts: Offsets, datatype: Datatype) -> Offsets:
    """Bytes of cells of so many elements."""
    return (counts + 7) // 8 if datatype is Datatype.BIT else counts * itemsize(datatype)


def cells_from_binary(cells: Cells, field: Field) -> pa.Array:
    """Cells of one column.

    Where no flags tell, a whole number is null that equals the field's mark, a text or an array that is empty.

    Returns:
        Array of the column's Arrow type.
    """
    datatype = field.column.datatype
    if datatype.is_text:
        return _texts(cells, field)
    values = _elements(cells, datatype)
    if not field.column.is_array:
        return _marked(values, cells, field)
    mark = field.mark
    if cells.missing is not None:
        missing = cells.missing
    elif mark is not None:
        missing = (cells.counts == 0) | only_marks(values, cells.counts, mark)
    else:
        missing = (cells.counts == 0) & (field.length is None)
    offsets = np.zeros(len(cells.counts) + 1, np.int64)
    np.cumsum(cells.counts * datatype.parts, out=offsets[1:])
    mask = pa.array(missing) if missing.any() else None
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask)
    return lists.cast(field.column.arrow_type)


def _gathered(cells: Cells, datatype: Datatype) -> Bytes:
    """The bytes of all cells, one after the other."""
    lengths = sizes(cells.counts, datatype)
    before = np.cumsum(lengths) - lengths
    data: Bytes = cells.data[np.arange(int(lengths.sum())) + np.repeat(cells.starts - before, lengths)]
    return data


def _elements(cells: Cells, datatype: Datatype) -> pa.Array:
    data = _gathered(cells, datatype)
    if datatype is Datatype.BIT:
        return pa.array(_bits(data, cells.counts))
    if datatype is Datatype.BOOLEAN:
        truth = np.isin(data, _TRUE)
        unknown = ~truth & ~np.isin(data, _FALSE)
        return pa.array(truth, mask=unknown)
    dtype = np.dtype(datatype.numpy)
    return pa.array(data.view(dtype).astype(dtype.newbyteorder("=")), type=datatype.arrow)


def _bits(data: Bytes, counts: Offsets) -> Mask:
    if (counts == 1).all():  # astropy sets another bit of the byte than the first
        return np.asarray(data != 0)
    lengths = (counts + 7) // 8
    before = 8 * (np.cumsum(lengths) - lengths)
    places = np.arange(int(counts.sum())) + np.repeat(before - (np.cumsum(counts) - counts), counts)
    return np.asarray(np.unpackbits(data)[places], np.bool_)


def _marked(values: pa.Array, cells: Cells, field: Field) -> pa.Array:
    if cells.missing is not None:
        return pc.if_else(pa.array(cells.missing), pa.scalar(None, values.type), values)
    mark = field.mark
    if mark is None:
        return values
    return pc.if_else(pc.equal(values, mark), pa.scalar(None, values.type), values)


def _texts(cells: Cells, field: Field) -> pa.Array:
    """Text up to the first zero; texts that stand side by side keep their places."""
    is_wide = field.column.datatype is Datatype.UNICODE_CHAR
    data = _gathered(cells, field.column.datatype)
    units = data.view(">u2") if is_wide else data
    lengths = cells.counts
    if (units == 0).any():
        if field.is_grid:
            units = np.where(units == 0, _BLANK, units).astype(units.dtype)
        else:
            units, lengths = _cut(units, lengths)
    texts = _decoded(units, lengths)
    if field.is_grid:
        texts = pc.utf8_rtrim(texts, " ")
    missing = pc.equal(texts, "") if cells.missing is None else pa.array(cells.missing)
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _cut(units: npt.NDArray[np.integer], lengths: Offsets) -> tuple[npt.NDArray[np.integer], Offsets]:
    owners = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(units)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = lengths.copy()
    zeros = units == 0
    np.minimum.at(kept, owners[zeros], places[zeros])
    return units[places < kept[owners]], kept


def _decoded(units: npt.NDArray[np.integer], lengths: Offsets) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    if not (units > 0x7F).any():
        data = units.astype(np.uint8)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.string(), len(lengths), buffers)
    pieces = [units[start:end].tobytes() for start, end in pairwise(offsets)]
    if units.itemsize == 2:
        return pa.array([piece.decode("utf-16-be", "replace") for piece in pieces], pa.string())
    return pa.array([_narrow(piece) for piece in pieces], pa.string())


def _narrow(piece: bytes) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return piece.decode("latin-1")


class BinaryRows:
    """The stream of BINARY or BINARY2, in pieces of any length.

    Args:
        fields: What the rows hold.
        has_flags: Whether null flags stand before each row, as in BINARY2.
    """

    def __init__(self, fields: Sequence[Field], *, has_flags: bool) -> None:
        self._fields = fields
        self._flag_bytes = (len(fields) + 7) // 8 if has_flags else 0
        self._rest = bytearray()
        self._row = 1
        self._at_once = rows_at_once(fields)
        self._places: list[tuple[int, int]] = []  # of each field: its segment, its distance from the segment's start
        self._widths = [self._flag_bytes]  # of the fixed part of each segment; all but the last end in a varying cell
        self._varying: list[Field] = []
        self._units: list[tuple[int, int]] = []  # of each varying cell: bytes of an element, elements that go together
        for field in fields:
            self._places.append((len(self._widths) - 1, self._widths[-1]))
            if _is_varying(field):
                self._varying.append(field)
                datatype = field.column.datatype
                unit = 0 if datatype is Datatype.BIT else itemsize(datatype)
                self._units.append((unit, field.slice // datatype.parts))
                self._widths.append(0)
            else:
                self._widths[-1] += int(sizes(np.array(_elements_of(field)), field.column.datatype))

    def feed(self, piece: bytes) -> Iterator[list[pa.Array]]:
        """Take a piece; hand out the columns of rows that are complete.

        Raises:
            UsageError: A cell says that it has fewer elements than none.
            ResourceLimitError: A cell is too large.
        """
        self._rest += piece
        if len(self._rest) >= _KEPT:
            yield from self._ready()

    def finish(self) -> Iterator[list[pa.Array]]:
        """The rows that are left.

        Raises:
            UsageError: The stream ends within a row.
        """
        yield from self._ready()
        if self._rest:
            raise UsageError(f"row {self._row}: the binary stream ends within it")

    def _ready(self) -> Iterator[list[pa.Array]]:
        while True:
            starts, counts, used = self._scan()
            if not len(starts[0]):
                return
            data = np.frombuffer(bytes(memoryview(self._rest)[:used]), np.uint8)
            del self._rest[:used]
            self._row += len(starts[0])
            yield self._columns(data, starts, counts)

    def _scan(self) -> tuple[list[Offsets], list[Offsets], int]:
        """Where the segments of complete rows start, what the varying cells count, and how many bytes that is."""
        if not self._varying:
            width = self._widths[0]
            if not width:
                raise UsageError("the table has no columns that hold anything")
            rows = min(len(self._rest) // width, self._at_once)
            return [np.arange(rows, dtype=np.int64) * width], [], rows * width
        starts: list[list[int]] = [[] for _ in self._widths]
        counts: list[list[int]] = [[] for _ in self._varying]
        position = used = 0
        while len(starts[-1]) < self._at_once:
            row, number = self._scan_row(position, self._row + len(starts[-1]))
            if row is None:
                break
            for index, place in enumerate(row):
                starts[index].append(place)
            for index, count in enumerate(number):
                counts[index].append(count)
            position = used = row[-1] + self._widths[-1]
        as_arrays = [[np.array(places, np.int64) for places in group] for group in (starts, counts)]
        return as_arrays[0], as_arrays[1], used

    def _scan_row(self, position: int, number: int) -> tuple[list[int] | None, list[int]]:
        """Starts of the segments of one row and the counts of its varying cells; None when it is not all there."""
        starts, counts = [position], list[int]()
        rest = self._rest
        end = len(rest)
        for index, (unit, multiple) in enumerate(self._units):
            position += self._widths[index] + 4
            if position > end:
                return None, counts
            (count,) = _COUNT.unpack_from(rest, position - 4)
            size = count * unit if unit else (count + 7) // 8
            if count < 0 or count % multiple or size > MAX_CELL_BYTES:
                raise _wrong(count, self._varying[index], number)
            position += size
            starts.append(position)
            counts.append(count)
        return (starts if position + self._widths[-1] <= end else None), counts

    def _columns(self, data: Bytes, starts: Sequence[Offsets], counts: Sequence[Offsets]) -> list[pa.Array]:
        rows = len(starts[0])
        flags = self._flags(data, starts[0])
        columns = []
        varying = iter(counts)
        for index, field in enumerate(self._fields):
            segment, distance = self._places[index]
            missing = None if flags is None else flags[:, index]
            if _is_varying(field):
                count = next(varying)
                begins = starts[segment] + distance + 4
            else:
                count = np.full(rows, _elements_of(field), np.int64)
                begins = starts[segment] + distance
            columns.append(cells_from_binary(Cells(data, begins, count, missing), field))
        return columns

    def _flags(self, data: Bytes, starts: Offsets) -> Mask | None:
        if not self._flag_bytes:
            return None
        packed = data[starts[:, None] + np.arange(self._flag_bytes)]
        return np.unpackbits(packed, axis=1).astype(np.bool_)


def _wrong(count: int, field: Field, row: int) -> UsageError | ResourceLimitError:
    where = f"row {row}, column {field.column.name[:80]}"
    if count < 0:
        return UsageError(f"{where}: the cell says that it holds {count} elements")
    if count * field.column.datatype.parts % field.slice:
        return UsageError(f"{where}: {count} elements do not fill an array of {field.column.arraysize}")
    return ResourceLimitError(f"{where}: the cell is larger than {MAX_CELL_BYTES:,} bytes")


def _is_varying(field: Field) -> bool:
    return field.length is None and (field.column.is_array or field.column.datatype.is_text)


def _elements_of(field: Field) -> int:
    """Elements of a cell of fixed length, complex numbers counting once."""
    return (field.length or 1) // (field.column.datatype.parts if field.length else 1)
