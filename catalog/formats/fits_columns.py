"""Columns of a FITS binary table: their measures, their cells, and the header that describes them.

FITS 4.0 sections 7.3.1 to 7.3.6. ``TUCDn``, ``TUTYPn``, ``TXTYPn`` and ``TCOMMn`` are the keywords that
STILTS and TOPCAT read and write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.fits import Header

from catalog.formats.bigendian import element_bytes, fixed_list_bytes, fixed_text_bytes, list_bytes
from catalog.formats.cells import Bytes, array_length, text_data, text_parts
from catalog.formats.nulls import NullMark
from catalog.vo.table import Column, Info, Table
from catalog.vo.types import Datatype

__all__ = ["FitsColumn", "primary_header", "table_header"]

_NARROW_HEAP = 2**31  # what the 32-bit descriptors of TFORM P reach

_NOT_ASCII = np.ones(256, np.bool_)  # bytes outside the ASCII text of section 4.2.1
_NOT_ASCII[0x20:0x7F] = False


class FitsColumn:
    """One column on its way into a binary table.

    Call `prepare` with all of it, `settle` once, then `cells`, or for a variable array `descriptors` and
    `heap`.

    Args:
        column: What it holds.
    """

    def __init__(self, column: Column) -> None:
        self.on_heap = column.is_array and array_length(column) is None
        """Whether cells lie in the heap, being arrays of varying length."""
        is_run = column.datatype is Datatype.BIT and self.on_heap  # which readers do not take from the heap
        self.column = replace(column, datatype=Datatype.BOOLEAN) if is_run else column
        self.heap_bytes = 0
        self.tform = ""
        """TFORMn; settled late."""
        self.width = 0
        """Bytes of a row in the main table; settled late."""
        self.tnull: int | None = None
        """TNULLn: the value that means null; None when there is no null or no need."""
        self._longest = 0
        self._null = NullMark(column, "FITS")
        self._wide = False

    def prepare(self, array: pa.Array) -> pa.Array:
        """Take the measures of some cells and return them as FITS can carry them."""
        if self.column.datatype.is_text:
            array = _ascii(array)
            self._longest = max(self._longest, int(np.diff(text_parts(array)[0]).max(initial=0)))
            return array
        if self.column.is_array:
            counts, places, _ = list_bytes(array, self.column.datatype)
            self._longest = max(self._longest, int(counts.max(initial=0)))
            if self.on_heap:
                self.heap_bytes += int(places[-1])
        self._null.see(array)
        return array

    def settle(self, heap: int) -> None:
        """Fix the form of the column, the size of the whole heap being known.

        Raises:
            UsageError: No value is left to mean null.
        """
        datatype = self.column.datatype
        self.tnull = self._null.settle()
        self._wide = heap >= _NARROW_HEAP
        if self.on_heap:
            self.tform = f"1{'Q' if self._wide else 'P'}{datatype.fits}({self._longest})"
            self.width = 16 if self._wide else 8
            return
        length = max(self._longest, 1) if datatype.is_text else self._fixed_length or 1
        self.tform = f"{length // datatype.parts}{datatype.fits}"
        self.width = (length + 7) // 8 if datatype is Datatype.BIT else length * self._itemsize

    def cells(self, array: pa.Array) -> Bytes:
        """Cells of the main table, of shape (n, width)."""
        if self.column.datatype.is_text:
            return fixed_text_bytes(*text_parts(array), self.width)
        missing = self.tnull or 0
        if self.column.is_array:
            length = self._fixed_length or 1
            return fixed_list_bytes(array, self.column, length, missing=missing, unknown=b"\0")
        return element_bytes(array, self.column.datatype, missing=missing, unknown=b"\0")

    def descriptors(self, array: pa.Array, position: int) -> tuple[Bytes, int]:
        """Counts and places of cells whose elements lie in the heap from `position` on; and how long they are."""
        counts, offsets, _ = list_bytes(array, self.column.datatype)
        places = position + offsets
        pairs = np.stack([counts, places[:-1]], axis=1).astype(">i8" if self._wide else ">i4")
        return pairs.view(np.uint8).reshape(len(array), -1), int(places[-1]) - position

    def heap(self, array: pa.Array) -> bytes:
        """Elements of the cells, one after the other."""
        _, _, data = list_bytes(array, self.column.datatype, missing=self.tnull or 0, unknown=b"\0")
        return data.tobytes()

    @property
    def as_field(self) -> Column:
        """What the binary table holds, for the FIELD of a VOTable that carries it; known late."""
        if not self.column.datatype.is_text:
            return self.column
        return replace(self.column, datatype=Datatype.CHAR, arraysize=str(self.width))

    @property
    def tdim(self) -> str | None:
        """TDIMn of an array of several fixed dimensions; VOTable and FITS count them in the same order."""
        arraysize = self.column.arraysize or ""
        if self._fixed_length is None or "x" not in arraysize:
            return None
        return f"({arraysize.replace('x', ',')})"

    @property
    def _fixed_length(self) -> int | None:
        return array_length(self.column) if self.column.is_array else None

    @property
    def _itemsize(self) -> int:
        return np.dtype(self.column.datatype.numpy).itemsize if self.column.datatype.numpy else 1


def primary_header(infos: Sequence[Info], *, truncated: bool) -> bytes:
    """The empty primary HDU; it says how the query ended, and the INFOs as comments."""
    header = Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    header["QSTATUS"] = ("OVERFLOW" if truncated else "OK", "QUERY_STATUS (DALI 1.1)")
    for info in infos:
        header.add_comment(f"{_card_text(info.name)} = {_card_text(info.value)}")
    return _header_bytes(header)


def table_header(table: Table, columns: Sequence[FitsColumn], rows: int, heap: int) -> bytes:
    """Header of the binary table."""
    header = Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2)])
    header["NAXIS1"] = (sum(column.width for column in columns), "bytes per row")
    header["NAXIS2"] = (rows, "rows")
    header["PCOUNT"] = (heap, "bytes of heap")
    header["GCOUNT"] = 1
    header["TFIELDS"] = (len(columns), "columns")
    header["EXTNAME"] = _card_text(table.name)
    for number, fits in enumerate(columns, start=1):
        column = fits.column
        header[f"TTYPE{number}"] = _card_text(column.name)
        header[f"TFORM{number}"] = fits.tform
        if fits.tnull is not None:
            header[f"TNULL{number}"] = fits.tnull
        if fits.tdim is not None:
            header[f"TDIM{number}"] = fits.tdim
        described = (
            ("TUNIT", column.unit),
            ("TUCD", column.ucd),
            ("TUTYP", column.utype),
            ("TXTYP", column.xtype),
            ("TCOMM", column.description),
        )
        for keyword, value in described:
            if value:
                header[f"{keyword}{number}"] = _card_text(value)
    return _header_bytes(header)


def _header_bytes(header: Header) -> bytes:
    text: str = header.tostring(endcard=True, padding=True)
    return text.encode("ascii")


def _ascii(array: pa.Array) -> pa.Array:
    """Text as FITS has it: tabs and line breaks become blanks, all else outside printable ASCII becomes ``?``."""
    if not _NOT_ASCII[text_data(array)].any():
        return array
    array = pc.replace_substring_regex(array, r"\r\n|[\t\r\n]", " ")
    return pc.replace_substring_regex(array, r"[^\x20-\x7e]", "?")


def _card_text(value: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", " ".join(value.split()))
