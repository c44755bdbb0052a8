"""The serializations of a VOTable's rows, as the parser meets them (VOTable 1.4 section 5)."""

from __future__ import annotations

import binascii
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO
from xml.parsers import expat

import pyarrow as pa
import pybase64

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.reading.binary import BinaryRows
from catalog.formats.reading.fields import MAX_CELL_BYTES, Field, rows_at_once
from catalog.formats.reading.text import cells_from_text

__all__ = ["FitsBody", "StreamBody", "TableDataBody", "local_name"]

Attributes = dict[str, str]

_BATCH_CHARACTERS = 4 * 2**20
_BLANKS = b" \t\r\n"
_MEMORY = 2**20


def local_name(name: str) -> str:
    """The name of an element without its prefix."""
    return name.rpartition(":")[2]


class TableDataBody:
    """TABLEDATA: rows of cells as text.

    Args:
        fields: What the rows hold.
        leave: Called at the end of the element.
    """

    def __init__(self, fields: Sequence[Field], leave: Callable[[], None]) -> None:
        self._fields = fields
        self._leave = leave
        self._at_once = rows_at_once(fields)
        self._rows: list[list[str]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._cell_size = 0
        self._size = 0
        self._number = 0
        self._is_over = False

    def listen(self, parser: expat.XMLParserType) -> None:
        """Take the parser's events."""
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def taken(self) -> Iterator[list[pa.Array]]:
        """The columns of rows that are enough for a batch, or the last."""
        while self._rows and (self._is_over or len(self._rows) >= self._at_once or self._size >= _BATCH_CHARACTERS):
            rows, self._rows = self._rows[: self._at_once], self._rows[self._at_once :]
            first = self._number - len(self._rows) - len(rows) + 1
            self._size = 0
            yield [
                cells_from_text(pa.array([cell or None for cell in cells], pa.string()), field, first)
                for field, cells in zip(self._fields, zip(*rows, strict=True), strict=True)
            ]

    def _start(self, name: str, attributes: Attributes) -> None:
        local = local_name(name)
        if local == "TD" and self._row is not None and self._cell is None:
            if len(self._row) >= len(self._fields):
                raise UsageError(f"row {self._number + 1}: it has more cells than the {len(self._fields)} FIELDs")
            if "encoding" in attributes:
                raise UsageError(f"row {self._number + 1}: a cell is encoded; expected plain text in TABLEDATA")
            self._cell, self._cell_size = [], 0
        elif local == "TR" and self._row is None:
            self._row = []
        else:
            raise UsageError(f"row {self._number + 1}: <{local[:40]}> does not belong here")

    def _end(self, name: str) -> None:
        if self._cell is not None and self._row is not None:
            self._row.append("".join(self._cell))
            self._cell = None
        elif self._row is not None:
            row, self._row = self._row, None
            self._number += 1
            if len(row) != len(self._fields):
                raise UsageError(f"row {self._number}: it has {len(row)} cells, there are {len(self._fields)} FIELDs")
            self._rows.append(row)
        else:
            self._is_over = True
            self._leave()

    def _characters(self, text: str) -> None:
        if self._cell is None:
            return
        self._cell.append(text)
        self._size += len(text)
        self._cell_size += len(text)
        if self._cell_size > MAX_CELL_BYTES:
            raise ResourceLimitError(f"row {self._number + 1}: a cell is larger than {MAX_CELL_BYTES:,} bytes")


class _Base64Body:
    """An element whose content is a STREAM of base64."""

    def __init__(self, element: str, leave: Callable[[], None]) -> None:
        self._element = element
        self._leave = leave
        self._in_stream = False
        self._is_padded = False
        self._rest = b""

    def listen(self, parser: expat.XMLParserType) -> None:
        """Take the parser's events."""
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _start(self, name: str, attributes: Attributes) -> None:
        local = local_name(name)
        if local != "STREAM" or self._in_stream:
            raise UsageError(f"<{local[:40]}> does not belong into {self._element}; expected one STREAM")
        if "href" in attributes:
            raise UsageError("the rows lie outside of the document, where nothing is fetched from; send them along")
        if attributes.get("encoding") != "base64":
            encoding = attributes.get("encoding", "none")
            raise UsageError(f"the STREAM is in the encoding {encoding[:40]}; expected base64")
        self._in_stream = True

    def _end(self, name: str) -> None:
        if self._in_stream:
            if self._rest:
                raise UsageError("the base64 of the STREAM ends within a group of four characters")
            self._in_stream = False
            return
        self._close()
        self._leave()

    def _characters(self, text: str) -> None:
        if not self._in_stream:
            return
        try:
            characters = self._rest + text.encode("ascii").translate(None, _BLANKS)
            if self._is_padded and characters:
                raise UsageError("the base64 of the STREAM goes on after its padding")
            whole = len(characters) - len(characters) % 4
            self._rest, characters = characters[whole:], characters[:whole]
            self._is_padded = characters.endswith(b"=")
            self._take(pybase64.b64decode(characters, validate=True))
        except (binascii.Error, UnicodeEncodeError):
            raise UsageError("the STREAM is no base64") from None

    def _take(self, piece: bytes) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class StreamBody(_Base64Body):
    """BINARY or BINARY2.

    Args:
        element: Its name.
        rows: Reads the bytes.
        leave: Called at the end of the element.
    """

    def __init__(self, element: str, rows: BinaryRows, leave: Callable[[], None]) -> None:
        super().__init__(element, leave)
        self._rows = rows
        self._ready: list[list[pa.Array]] = []

    def taken(self) -> Iterator[list[pa.Array]]:
        """The columns of rows that are enough for a batch, or the last."""
        while self._ready:
            yield self._ready.pop(0)

    def _take(self, piece: bytes) -> None:
        self._ready += self._rows.feed(piece)

    def _close(self) -> None:
        self._ready += self._rows.finish()


class FitsBody(_Base64Body):
    """FITS: a file, which is read when all of it is there.

    Args:
        extnum: Attribute that says which extension is meant.
        leave: Called at the end of the element.
    """

    def __init__(self, extnum: str | None, leave: Callable[[], None]) -> None:
        super().__init__("FITS", leave)
        if extnum is not None and not (extnum.isdecimal() and len(extnum) < 5):
            raise UsageError(f"extnum is '{extnum[:40]}'; expected the number of a FITS extension")
        self.extension = None if extnum is None else int(extnum)
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by whoever reads it)

    def taken(self) -> Iterator[list[pa.Array]]:
        """Nothing: the file is read otherwise."""
        return iter(())

    def _take(self, piece: bytes) -> None:
        self.file.write(piece)

    def _close(self) -> None:
        self.file.seek(0)
