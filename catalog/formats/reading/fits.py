"""Read the first binary table of a FITS file (FITS 4.0 section 7.3).

The file is mapped, not loaded. What the header says of sizes is held against the file before anything is read.
``TUCDn``, ``TUTYPn``, ``TXTYPn`` and ``TCOMMn`` are taken as STILTS and TOPCAT write them.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.cells import Bytes
from catalog.formats.reading.binary import Cells, cells_from_binary, sizes
from catalog.formats.reading.fields import MAX_CELL_BYTES, Field, distinct_names, parse_field, rows_at_once
from catalog.vo.table import Table, TableStream
from catalog.vo.types import Datatype

__all__ = ["read_fits", "read_rows"]

_BLOCK = 2880
_CARD = 80
_MAX_HEADER_BLOCKS = 1000
_MAX_EXTENSIONS = 100
_BATCH_BYTES = 32 * 2**20
_TFORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
_TDIM = re.compile(r"\((\d{1,9}(?:,\d{1,9})*)\)")
_VALUE = re.compile(r"= *(?:'((?:[^']|'')*)'|([^/]*))")
_LETTERS = {datatype.fits: datatype for datatype in Datatype if datatype is not Datatype.UNICODE_CHAR}
_HALF = 2.0**63
_OFFSETS = {  # TZEROn by which FITS stores the other half of the whole numbers (section 7.3.2)
    (Datatype.UNSIGNED_BYTE, -128.0): Datatype.SHORT,
    (Datatype.SHORT, 32768.0): Datatype.INT,
    (Datatype.INT, 2147483648.0): Datatype.LONG,
    (Datatype.LONG, _HALF): Datatype.LONG,
}

Header = Mapping[str, str]


def read_fits(file: IO[bytes], *, max_columns: int) -> TableStream:
    """The rows of the first binary table.

    Args:
        file: With a file descriptor; read from its beginning.
        max_columns: Columns that the table may have.

    Raises:
        UsageError: The file is no FITS file, holds no binary table or is cut off; while rows are read, also that a
            cell is wrong.
        ResourceLimitError: Too many columns, too large a header or cell.
    """
    table = _open(file, None, max_columns)
    described = Table("upload", tuple(column.field.column for column in table.columns))
    return TableStream(described, table.batches())


def read_rows(file: IO[bytes], fields: Sequence[Field], *, extension: int | None) -> Iterator[pa.RecordBatch]:
    """The rows of a binary table that the FIELDs of a VOTable describe (VOTable 1.4 section 5.2).

    Raises:
        UsageError: As `read_fits`, or the columns are others than the fields.
    """
    table = _open(file, extension, len(fields))
    if len(table.columns) != len(fields):
        raise UsageError(f"the FITS table has {len(table.columns)} columns, the VOTable {len(fields)} FIELDs")
    schema = Table("upload", tuple(field.column for field in fields)).arrow_schema
    for batch in table.batches():
        arrays = [_as(array, field) for array, field in zip(batch.columns, fields, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(array: pa.Array, field: Field) -> pa.Array:
    try:
        return array.cast(field.column.arrow_type)
    except pa.ArrowException:
        message = f"column {field.column.name[:80]}: the FITS file does not hold the datatype that its FIELD says"
        raise UsageError(message) from None


@dataclass(frozen=True, slots=True)
class _Column:
    field: Field
    stored: Datatype
    count: int
    """Elements of a cell; of a varying array none."""

    start: int
    """Bytes from the start of a row."""

    descriptor: str | None = None
    """Numpy code of the pair that says where a varying array is."""

    scale: float = 1.0
    zero: float = 0.0


@dataclass(frozen=True, slots=True)
class _Table:
    data: Bytes
    columns: tuple[_Column, ...]
    start: int
    width: int
    rows: int
    heap: int
    """Place of the heap."""

    end: int
    """First byte after it."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        fields = [column.field for column in self.columns]
        schema = Table("upload", tuple(field.column for field in fields)).arrow_schema
        step = max(1, min(rows_at_once(fields), _BATCH_BYTES // max(1, self.width)))
        for first in range(0, self.rows, step):
            for part in self._parts(first, min(first + step, self.rows)):
                yield pa.RecordBatch.from_arrays(part, schema=schema)

    def _parts(self, first: int, last: int) -> Iterator[list[pa.Array]]:
        """The columns of some rows, in halves while what lies in the heap is too much at once."""
        cells = [self._cells(column, first, last) for column in self.columns]
        pairs = zip(cells, self.columns, strict=True)
        if last - first > 1 and sum(int(sizes(c.counts, column.stored).sum()) for c, column in pairs) > _BATCH_BYTES:
            middle = (first + last) // 2
            yield from self._parts(first, middle)
            yield from self._parts(middle, last)
            return
        yield [_values(c, column, first) for c, column in zip(cells, self.columns, strict=True)]

    def _cells(self, column: _Column, first: int, last: int) -> Cells:
        starts = self.start + column.start + self.width * np.arange(first, last, dtype=np.int64)
        if column.descriptor is None:
            return Cells(self.data, starts, np.full(last - first, column.count, np.int64))
        dtype = np.dtype(column.descriptor)
        raw = self.data[starts[:, None] + np.arange(2 * dtype.itemsize)]
        pairs = raw.view(dtype).astype(np.int64)
        counts, places = pairs[:, 0], pairs[:, 1]
        wrong = (counts < 0) | (counts > 8 * MAX_CELL_BYTES) | (places < 0) | (places > len(self.data))
        lengths = sizes(np.where(wrong, 0, counts), column.stored)
        wrong |= (self.heap + np.where(wrong, 0, places) + lengths > self.end) & (lengths > 0)
        where = f"column {column.field.column.name[:80]}: the array lies"
        if wrong.any():
            raise UsageError(f"row {first + int(wrong.argmax()) + 1}, {where} outside of the table's heap")
        if (lengths > MAX_CELL_BYTES).any():
            row = first + int((lengths > MAX_CELL_BYTES).argmax()) + 1
            raise ResourceLimitError(f"row {row}, {where} on more than {MAX_CELL_BYTES:,} bytes")
        return Cells(self.data, self.heap + places, counts)


def _values(cells: Cells, column: _Column, first: int) -> pa.Array:
    field = column.field
    if column.stored is field.column.datatype and column.zero == 0:
        values = cells_from_binary(cells, field)
        if not field.column.datatype.is_text:
            return values
        values = pc.utf8_rtrim(values, " ")
        return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    raw = Field(parse_field(field.column.name, column.stored.votable, field.column.arraysize).column, field.null)
    return _scaled(cells_from_binary(cells, raw), column, first)


def _scaled(values: pa.Array, column: _Column, first: int) -> pa.Array:
    """Numbers times TSCALn plus TZEROn."""
    target = column.field.column
    is_list = target.is_array
    flat = pc.list_flatten(values) if is_list else values
    if target.datatype.is_integer:
        wide = flat.cast(pa.int64())
        if column.zero == _HALF and pc.any(pc.greater_equal(wide, 0)).as_py():
            message = f"row {first + 1} or one after it, column {target.name[:80]}: a number is too large for a long"
            raise UsageError(message)
        shift = -(2**63) if column.zero == _HALF else -int(column.zero)
        flat = pc.subtract(wide, pa.scalar(shift, pa.int64())).cast(target.datatype.arrow)
    else:
        flat = pc.add(pc.multiply(flat.cast(pa.float64(), safe=False), column.scale), column.zero)
    if not is_list:
        return flat
    lengths = pc.fill_null(pc.list_value_length(values), 0)
    if pa.types.is_fixed_size_list(values.type) and values.null_count:
        lengths = pc.if_else(values.is_valid(), lengths, 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    mask = values.is_null() if values.null_count else None
    return pa.ListArray.from_arrays(offsets, flat, mask=mask).cast(target.arrow_type)


# --- headers ---


def _open(file: IO[bytes], extension: int | None, max_columns: int) -> _Table:
    """The binary table of that number, or the first."""
    try:
        descriptor = file.fileno()  # before the flush: what was kept in memory goes to disk
        file.flush()
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise UsageError("the FITS file is empty") from None
    data: Bytes = np.frombuffer(mapped, np.uint8)
    if mapped[:6] != b"SIMPLE":
        raise UsageError("the content is no FITS file; expected one that begins with SIMPLE")
    position = 0
    for number in range(_MAX_EXTENSIONS):
        if position >= len(data):
            break
        header, start = _header(mapped, position)
        size = _data_size(header)
        if header.get("XTENSION", "").strip() == "BINTABLE" and extension in (None, number):
            if start + size > len(data):
                raise UsageError("the FITS file ends before its table does")
            return _table(data, header, start, max_columns)
        position = start + -(-size // _BLOCK) * _BLOCK
    raise UsageError("the FITS file holds no binary table; expected an extension of type BINTABLE")


def _header(mapped: mmap.mmap, position: int) -> tuple[Header, int]:
    """Keywords and values of a header, and where its data start."""
    values: dict[str, str] = {}
    last = ""
    for block in range(_MAX_HEADER_BLOCKS):
        begin = position + block * _BLOCK
        text = mapped[begin : begin + _BLOCK].decode("latin-1")
        if len(text) < _BLOCK:
            raise UsageError("the FITS file ends within a header")
        for at in range(0, _BLOCK, _CARD):
            card = text[at : at + _CARD]
            keyword = card[:8].strip()
            if keyword == "END":
                return values, begin + _BLOCK
            if keyword == "CONTINUE" and values.get(last, "").endswith("&"):
                values[last] = values[last][:-1] + _string("= " + card[8:])
            elif card[8:9] == "=" and len(values) < 100_000:
                last = keyword
                values[keyword] = _string(card[8:])
    raise ResourceLimitError("a header of the FITS file is too long")


def _string(text: str) -> str:
    match = _VALUE.match(text)
    if match is None:
        return ""
    return match[1].replace("''", "'").rstrip() if match[1] is not None else match[2].strip()


def _whole(header: Header, keyword: str, default: int | None = None) -> int:
    text = header.get(keyword, "" if default is None else str(default))
    if not re.fullmatch(r"[+-]?\d{1,15}", text):
        raise UsageError(f"the FITS header says {keyword} = '{text[:40]}'; expected a whole number")
    return int(text)


def _real(header: Header, keyword: str, default: float) -> float:
    text = header.get(keyword)
    try:
        return default if text is None else float(text.upper().replace("D", "E"))
    except ValueError:
        raise UsageError(f"the FITS header says {keyword} = '{text}'; expected a number") from None


def _data_size(header: Header) -> int:
    axes = _whole(header, "NAXIS")
    if not 0 <= axes <= 999:
        raise UsageError(f"the FITS header says NAXIS = {axes}")
    if axes == 0:
        return 0
    elements = 1
    for axis in range(1, axes + 1):
        elements *= _whole(header, f"NAXIS{axis}")
    size = abs(_whole(header, "BITPIX")) // 8 * _whole(header, "GCOUNT", 1) * (_whole(header, "PCOUNT", 0) + elements)
    if size < 0:
        raise UsageError("the FITS header says that the data have fewer bytes than none")
    return size


def _table(data: Bytes, header: Header, start: int, max_columns: int) -> _Table:
    width, rows, count = _whole(header, "NAXIS1"), _whole(header, "NAXIS2"), _whole(header, "TFIELDS")
    size, more = width * rows, _whole(header, "PCOUNT", 0)
    heap = _whole(header, "THEAP", size)
    is_plain = _whole(header, "NAXIS") == 2 and _whole(header, "BITPIX") == 8 and _whole(header, "GCOUNT", 1) == 1
    if not is_plain or width < 0 or rows < 0 or more < 0 or heap < size:
        raise UsageError("the FITS header of the table does not describe a binary table")
    if count > max_columns:
        raise ResourceLimitError(f"the table has more than {max_columns} columns")
    if count < 1:
        raise UsageError("the FITS table has no columns")
    columns: list[_Column] = []
    position = 0
    for number in range(1, count + 1):
        column, bytes_wide = _column(header, number, position)
        columns.append(column)
        position += bytes_wide
    if position > width:
        raise UsageError(f"the columns of the FITS table take {position} bytes a row, its NAXIS1 says {width}")
    named = distinct_names(column.field for column in columns)
    described = tuple(
        _Column(field, c.stored, c.count, c.start, c.descriptor, c.scale, c.zero)
        for field, c in zip(named, columns, strict=True)
    )
    return _Table(data, described, start, width, rows, start + heap, start + size + more)


def _column(header: Header, number: int, position: int) -> tuple[_Column, int]:
    """A column and its bytes in a row."""
    name = header.get(f"TTYPE{number}", "")
    form = header.get(f"TFORM{number}", "").strip()
    match = _TFORM.match(form)
    if match is None:
        raise UsageError(f"column {name[:80] or number}: TFORM{number} is '{form[:40]}'; expected a form such as 1D")
    repeat, letter = int(match[1] or 1), match[2]
    descriptor = {"P": ">i4", "Q": ">i8"}.get(letter)
    stored = _LETTERS.get(match[3] if descriptor else letter)
    if stored is None:
        raise UsageError(f"column {name[:80] or number}: TFORM{number} '{form[:40]}' names no type")
    zero, scale = _real(header, f"TZERO{number}", 0.0), _real(header, f"TSCAL{number}", 1.0)
    datatype: Datatype = stored
    if stored.is_integer and (zero, scale) != (0.0, 1.0):
        datatype = _OFFSETS.get((stored, zero), Datatype.DOUBLE) if scale == 1.0 else Datatype.DOUBLE
    elif stored.is_float and (zero, scale) != (0.0, 1.0):
        datatype = Datatype.DOUBLE
    else:
        zero, scale = 0.0, 1.0
    arraysize = _arraysize(header, number, repeat, stored)
    if descriptor or repeat == 0:
        arraysize = "*"
    field = parse_field(
        name,
        datatype.votable,
        arraysize,
        null=header.get(f"TNULL{number}") if stored.is_integer else None,
        description=header.get(f"TCOMM{number}"),
        unit=header.get(f"TUNIT{number}"),
        ucd=header.get(f"TUCD{number}"),
        utype=header.get(f"TUTYP{number}"),
        xtype=header.get(f"TXTYP{number}"),
    )
    if descriptor is not None:
        pair = descriptor if repeat else None
        bytes_wide = 2 * np.dtype(descriptor).itemsize * min(repeat, 1)
        return _Column(field, stored, 0, position, pair, scale, zero), bytes_wide
    bytes_wide = int(sizes(np.array(repeat, np.int64), stored))
    return _Column(field, stored, repeat, position, None, scale, zero), bytes_wide


def _arraysize(header: Header, number: int, repeat: int, stored: Datatype) -> str | None:
    """VOTable and FITS count dimensions in the same order."""
    match = _TDIM.match(header.get(f"TDIM{number}", "").replace(" ", ""))
    if match is not None and "," in match[1]:
        dimensions = [int(size) for size in match[1].split(",")]
        if int(np.prod(dimensions, dtype=np.float64)) == repeat and all(dimensions):
            return "x".join(map(str, dimensions))
    return None if repeat == 1 and not stored.is_text else str(repeat)
