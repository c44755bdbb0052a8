"""Uploaded tables as the databases hold them: plain columns that queries compute with, and what came beside them.

Queries compute with NULL where a value came as NaN, and with times where text was declared to be times; a column that
is selected by itself goes out as it came. Arrays are kept as text of blank-separated numbers, as everywhere in queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.adql.kinds import Kind, kind_of
from catalog.adql.storage import UploadStorage
from catalog.adql.tables import UPLOAD_SCHEMA
from catalog.db import TemporaryTable
from catalog.formats.cells import list_parts
from catalog.formats.kept import KeptRows
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

__all__ = ["StoredUpload"]

_MOMENT = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?Z?$"
_TIMESTAMP = pa.timestamp("us")
_MISSING = "?"
_LENGTHS = {Kind.POINT: (2, 2), Kind.CIRCLE: (3, 3), Kind.POLYGON: (6, None)}
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")


class StoredUpload:
    """One uploaded table on its way into a query: kept once, loaded by each query that reads it.

    Args:
        name: As the client calls it, without the schema.
        number: Its own among the tables of the request.
        described: The columns as they came.
    """

    def __init__(self, name: str, number: int, described: Table) -> None:
        self.rows = 0
        self.bytes = 0
        """Size of what is kept."""
        self._name = name
        self._number = number
        self._described = described
        self._columns = [_StoredColumn(column, at) for at, column in enumerate(described.columns, start=1)]
        self._schema = pa.schema([field for column in self._columns for field in column.schema])
        self._kept = KeptRows(self._schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some rows."""
        pairs = zip(self._columns, batch.columns, strict=True)
        arrays = [array for column, cells in pairs for array in column.stored(cells)]
        stored = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self.rows += stored.num_rows
        self.bytes += stored.nbytes
        self._kept.add(stored)

    @property
    def table(self) -> Table:
        """What queries see, all rows having been kept."""
        given = {at: column.given for at, column in enumerate(self._columns) if column.is_given}
        nan = {at: column.nan for at, column in enumerate(self._columns) if column.has_nan}
        storage = UploadStorage(self._physical, tuple(column.name for column in self._columns), given, nan)
        return replace(
            self._described,
            name=f"{UPLOAD_SCHEMA}.{self._name}",
            columns=tuple(column.seen for column in self._columns),
            nrows=self.rows,
            extra={"upload": storage},
        )

    @property
    def temporary(self) -> TemporaryTable:
        """What the databases load."""
        names = [name for column in self._columns for name in column.needed]
        schema = pa.schema([self._schema.field(name) for name in names])
        return TemporaryTable(self._physical, schema, partial(self._batches, names))

    def close(self) -> None:
        """Let go of the rows."""
        self._kept.__exit__(None, None, None)

    @property
    def _physical(self) -> str:
        return f"upload_{self._number}"

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._kept.read():
            yield batch.select(names)


class _StoredColumn:
    """A column, and what turns out about it while rows come."""

    def __init__(self, column: Column, number: int) -> None:
        self.name = f"c{number}"
        self.given = f"given_{number}"
        self.nan = f"nan_{number}"
        self.is_given = False
        """Whether values are kept as they came, too."""
        self.has_nan = False
        self._column = column
        self._kind = kind_of(column)
        self._is_ascii = True
        self._longest = 0

    @property
    def schema(self) -> list[pa.Field]:
        """What may have to be kept."""
        datatype = self._column.datatype
        if self._kind is Kind.TIMESTAMP:
            return [pa.field(self.name, _TIMESTAMP), pa.field(self.given, pa.string())]
        if self._kind.is_geometry:
            return [pa.field(self.name, pa.string()), pa.field(self.given, pa.string())]
        if self._kind is Kind.FLOAT:
            return [pa.field(self.name, datatype.arrow), pa.field(self.nan, pa.int16())]
        if self._kind is Kind.INTEGER:
            is_small = datatype.is_flag or datatype is Datatype.UNSIGNED_BYTE
            return [pa.field(self.name, pa.int16() if is_small else datatype.arrow)]
        return [pa.field(self.name, pa.string())]

    @property
    def needed(self) -> list[str]:
        """Names of what did have to be kept."""
        return [self.name, *([self.given] if self.is_given else []), *([self.nan] if self.has_nan else [])]

    @property
    def seen(self) -> Column:
        """The description that the values bear out: text beyond ASCII is unicodeChar, longer text has no length."""
        column = self._column
        if not column.datatype.is_text:
            return column
        if not self._is_ascii:
            column = replace(column, datatype=Datatype.UNICODE_CHAR)
        stated = column.arraysize or "*"
        if stated == "*" or stated.endswith("x*"):
            return column
        holds = int(np.prod([float(size) for size in re.findall(r"\d+", stated)]))
        return replace(column, arraysize="*") if self._longest > holds else column

    def stored(self, cells: pa.Array) -> list[pa.Array]:
        """Cells as they are kept, in the order of `schema`."""
        if self._column.datatype.is_text:
            cells = self._measured(cells)
            if self._kind is not Kind.TIMESTAMP:
                return [cells]
            self.is_given = True
            return [_moments(cells), cells]
        if self._column.is_array:
            return self._arrays(cells)
        if self._kind is Kind.FLOAT:
            nan = pc.fill_null(pc.is_nan(cells), False)
            self.has_nan = self.has_nan or pc.any(nan).as_py() is True
            return [pc.if_else(nan, pa.scalar(None, cells.type), cells), nan.cast(pa.int16())]
        return [cells.cast(self.schema[0].type)]

    def _arrays(self, cells: pa.Array) -> list[pa.Array]:
        text = _joined(cells)
        if not self._kind.is_geometry:
            return [text]
        places = pc.if_else(pa.array(_is_shape(cells, self._kind)), text, pa.scalar(None, pa.string()))
        self.is_given = self.is_given or places.null_count > text.null_count
        return [places, text]

    def _measured(self, cells: pa.Array) -> pa.Array:
        """The text without zero characters, which databases do not hold; its length and alphabet are noted."""
        if pc.any(pc.match_substring(cells, "\0")).as_py():
            cells = pc.replace_substring(cells, "\0", "")
        longest = pc.max(pc.utf8_length(cells)).as_py() or 0
        if pc.all(pc.string_is_ascii(cells)).as_py() is False:
            self._is_ascii = False
            wide = (len(text) + len(_BEYOND_BMP.findall(text)) for text in cells.drop_null().to_pylist())
            longest = max(wide, default=0)
        self._longest = max(self._longest, longest)
        return cells


def _joined(cells: pa.Array) -> pa.Array:
    """Arrays as blank-separated numbers; flags are 1 and 0, an element that is null a question mark."""
    if cells.null_count:  # one that has no value has as many elements as its column says
        is_valid = cells.is_valid()
        places = pc.subtract(pc.cumulative_sum(is_valid.cast(pa.int64())), 1)
        return _joined(cells.drop_null()).take(pc.if_else(is_valid, places, pa.scalar(None, pa.int64())))
    offsets, elements = list_parts(cells)
    if pa.types.is_boolean(elements.type):
        elements = elements.cast(pa.int8())
    words = pc.fill_null(elements.cast(pa.string()), _MISSING)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words), " ")


def _is_shape(cells: pa.Array, kind: Kind) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which cells are finite and have as many numbers as the shape."""
    offsets, elements = list_parts(cells)
    lengths = np.diff(offsets)
    least, most = _LENGTHS[kind]
    good = lengths >= least
    good &= (lengths == most) if most is not None else (lengths % 2 == 0)
    finite = pc.fill_null(pc.is_finite(elements), False).to_numpy(zero_copy_only=False)
    good[np.repeat(np.arange(len(lengths)), lengths)[~np.asarray(finite, np.bool_)]] = False
    return good


def _moments(texts: pa.Array) -> pa.Array:
    """Times of DALI 1.1 section 3.3.3, to the microsecond; NULL for what is none."""
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.match_substring_regex(texts, _MOMENT), texts, pa.scalar(None, pa.string()))
    texts = pc.replace_substring_regex(pc.utf8_rtrim(texts, "Z"), r"(\.\d{6})\d+$", r"\1")
    try:
        return texts.cast(_TIMESTAMP)
    except pa.ArrowInvalid:  # a thirteenth month, a leap second
        return pa.array([_moment(text) for text in texts.to_pylist()], _TIMESTAMP)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
