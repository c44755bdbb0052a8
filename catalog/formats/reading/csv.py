"""Read CSV (RFC 4180) and TSV (IANA text/tab-separated-values); what columns hold is found by reading all of them.

A column is of flags, whole numbers, numbers or times when every cell is; of text otherwise, and when it is empty.
Whole numbers that begin with a zero are text, since they name something. Nothing between two separators is a null.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from catalog.errors import ResourceLimitError, UsageError
from catalog.formats.reading.fields import Field, distinct_names, parse_field
from catalog.formats.reading.text import cells_from_text
from catalog.vo.table import Table, TableStream

__all__ = ["read_csv"]

_BLOCK = 2**20
_HEADER_BYTES = 2**20
_BOM = b"\xef\xbb\xbf"
_INTEGER = r"^[+-]?(0|[1-9]\d{0,18})$"
_INT_LIMIT = 2**31
_FLAG = r"^(?i:true|false)$"
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"
_NAMING = r"^[+-]?0\d"
_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?$"


def read_csv(file: IO[bytes], *, max_columns: int, delimiter: str = ",", has_header: bool = True) -> TableStream:
    """The rows of a text table; read twice, the first time to find out what the columns hold.

    Args:
        file: Seekable, at its beginning.
        max_columns: Columns that the table may have.
        delimiter: Between cells; with a tab, quotes have no meaning.
        has_header: Whether the first line names the columns.

    Raises:
        UsageError: The content is no text in UTF-8, or a line has another number of cells; says which.
        ResourceLimitError: Too many columns, or too long a line.
    """
    names, start = _header(file, delimiter, has_header)
    if len(names) > max_columns:
        raise ResourceLimitError(f"the table has more than {max_columns} columns")
    reading = _Reading(file, start, len(names), delimiter)
    guesses = [_Guess() for _ in names]
    for batch in reading.batches():
        for guess, cells in zip(guesses, batch.columns, strict=True):
            guess.see(cells)
    fields = distinct_names(guess.field(name) for guess, name in zip(guesses, names, strict=True))
    table = Table("upload", tuple(field.column for field in fields))
    return TableStream(table, _converted(reading, fields, table.arrow_schema))


def _converted(reading: _Reading, fields: Sequence[Field], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 1
    for batch in reading.batches():
        arrays = [cells_from_text(cells, field, first) for cells, field in zip(batch.columns, fields, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        first += batch.num_rows


def _header(file: IO[bytes], delimiter: str, has_header: bool) -> tuple[list[str], int]:
    """The names of the columns, and where the rows start."""
    begin = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(begin)
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        while taken < _HEADER_BYTES and (line := file.readline(_HEADER_BYTES)):
            taken += len(line)
            yield line.decode("utf-8")

    try:
        names = next((row for row in _parsed(lines(), delimiter) if row), None)
    except UnicodeDecodeError:
        raise UsageError("line 1: the content is no text in UTF-8") from None
    except csv.Error as error:
        raise UsageError(f"line 1: the names of the columns cannot be read: {error}") from None
    if names is None:
        raise UsageError("the content is empty; expected a line with the names of the columns")
    if taken >= _HEADER_BYTES:
        raise ResourceLimitError(f"the line with the names of the columns is longer than {_HEADER_BYTES:,} bytes")
    return ([name.strip() for name in names], begin + taken) if has_header else ([""] * len(names), begin)


def _parsed(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == "\t":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter)


class _Reading:
    """A file of text cells, read from the first row as often as wanted."""

    def __init__(self, file: IO[bytes], start: int, columns: int, delimiter: str) -> None:
        self._file = file
        self._start = start
        self._names = [f"c{number}" for number in range(columns)]
        self._delimiter = delimiter

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of text."""
        self._file.seek(self._start)
        if not self._file.read(1):
            return
        self._file.seek(self._start)
        is_quoted = self._delimiter != "\t"
        parse = arrow_csv.ParseOptions(
            delimiter=self._delimiter,
            quote_char='"' if is_quoted else False,
            newlines_in_values=is_quoted,
        )
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(self._names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        read = arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=self._names)
        try:
            yield from arrow_csv.open_csv(_Unclosed(self._file), read, parse, convert)
        except pa.ArrowException as error:
            raise self._fault(str(error)) from None

    def _fault(self, message: str) -> UsageError | ResourceLimitError:
        """What Arrow means; its words show the content."""
        match = _RAGGED.search(message)
        if match is not None:
            row = f"row {match[1]}" if match[1] else "a row"
            return UsageError(f"{row} has {match[3]} cells, there are {match[2]} columns")
        if "straddling" in message:
            return ResourceLimitError(f"a line is longer than {_BLOCK:,} bytes, or a quote is never closed")
        if "UTF8" in message:
            return UsageError("the content is no text in UTF-8")
        return UsageError("the content cannot be read as lines of cells")


class _Unclosed(io.RawIOBase):
    """The file for one pass; it stays open for the next."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Some bytes."""
        return self._file.read(size)


class _Guess:
    """What the cells of a column may be, as long as they all are."""

    def __init__(self) -> None:
        self._is_empty = True
        self._longest = 0
        self._open: dict[str, Callable[[pa.Array], pa.Array]] = {
            "boolean": lambda cells: pc.match_substring_regex(cells, _FLAG),
            "int": _ints,
            "long": _longs,
            "double": _doubles,
            "timestamp": lambda cells: pc.match_substring_regex(cells, _TIME),
        }

    def see(self, cells: pa.Array) -> None:
        """Take note of some cells."""
        cells = cells.drop_null()
        if not len(cells):
            return
        self._is_empty = False
        trimmed = pc.utf8_trim_whitespace(cells)
        self._open = {kind: fits for kind, fits in self._open.items() if pc.all(fits(trimmed)).as_py()}

    def field(self, name: str) -> Field:
        """The field, all cells having been seen."""
        kind = None if self._is_empty else next(iter(self._open), None)
        if kind is None or kind == "timestamp":
            return parse_field(name, "char", "*", xtype=kind)
        return parse_field(name, kind, None)


def _longs(cells: pa.Array) -> pa.Array:
    whole = pc.match_substring_regex(cells, _INTEGER)
    if not pc.all(whole).as_py():
        return whole
    try:
        _as_longs(cells)
    except pa.ArrowInvalid:
        return pc.invert(whole)
    return whole


def _ints(cells: pa.Array) -> pa.Array:
    whole = _longs(cells)
    if not pc.all(whole).as_py():
        return whole
    numbers = _as_longs(cells)
    return pc.and_(pc.less(numbers, _INT_LIMIT), pc.greater_equal(numbers, -_INT_LIMIT))


def _as_longs(cells: pa.Array) -> pa.Array:
    return pc.utf8_ltrim(cells, "+").cast(pa.int64())


def _doubles(cells: pa.Array) -> pa.Array:
    return pc.and_(pc.match_substring_regex(cells, _NUMBER), pc.invert(pc.match_substring_regex(cells, _NAMING)))
