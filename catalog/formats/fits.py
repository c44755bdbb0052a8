"""FITS binary table (FITS 4.0 section 7.3): an empty primary HDU, then one BINTABLE; also inside a VOTable.

The header needs the number of rows, the widest text, a value free to mean null and the size of the heap, all
known only at the end. So the rows are first kept in a temporary file, and nothing is sent until all of them
have arrived: an error midway leaves no half a file behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from catalog.errors import UsageError
from catalog.formats.base64 import Base64
from catalog.formats.fits_columns import FitsColumn, primary_header, table_header
from catalog.formats.kept import KeptRows
from catalog.formats.votable import votable_head, votable_tail
from catalog.vo.table import Info, TableStream

__all__ = ["encode_fits", "encode_fits_in_votable"]

_BLOCK = 2880
_MAX_FIELDS = 999
_PIECE = 4 * 2**20


def encode_fits(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """A FITS file.

    Raises:
        UsageError: The table has more than 999 columns, or a column of whole numbers with nulls uses every
            value that could stand for null.
        CatalogError: The rows broke. Nothing has been handed out then.
    """
    with _kept(stream, batches) as file:
        yield from file.pieces(infos)


def encode_fits_in_votable(
    stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]
) -> Iterator[bytes]:
    """A VOTable whose rows are a FITS file in base64 (VOTable 1.4 section 5.2).

    Its FIELDs say what the FITS file holds: ASCII text as wide as the widest cell.

    Raises:
        UsageError: As from `encode_fits`.
        CatalogError: The rows broke. Nothing has been handed out then.
    """
    with _kept(stream, batches) as file:
        table = replace(stream.table, columns=tuple(fits.as_field for fits in file.columns))
        base64 = Base64()
        nulls = [fits.tnull for fits in file.columns]
        yield votable_head(table, infos, nulls) + b'<FITS extnum="1">\n' + base64.opening
        for piece in file.pieces(infos):
            yield base64.groups(piece)
        yield base64.end() + base64.closing + b"</FITS>\n" + votable_tail(stream)


@dataclass(frozen=True, slots=True)
class _File:
    """A FITS file whose rows are all there."""

    stream: TableStream
    columns: Sequence[FitsColumn]
    kept: KeptRows
    heap: int
    """Bytes of the heap."""

    def pieces(self, infos: Sequence[Info]) -> Iterator[bytes]:
        yield primary_header(infos, truncated=self.stream.truncated)
        yield table_header(self.stream.table, self.columns, self.kept.rows, self.heap)
        written = 0
        for piece in self._data():
            written += len(piece)
            yield piece
        yield bytes(-written % _BLOCK)

    def _data(self) -> Iterator[bytes]:
        """The main table, then the heap, each in a pass over the kept rows."""
        at_once = max(1, _PIECE // sum(column.width for column in self.columns))
        position = 0
        for part in self.kept.read(at_once):
            cells = []
            for column, array in zip(self.columns, part.columns, strict=True):
                if column.on_heap:
                    descriptors, size = column.descriptors(array, position)
                    position += size
                    cells.append(descriptors)
                else:
                    cells.append(column.cells(array))
            yield np.concatenate(cells, axis=1).tobytes()
        if position:
            for part in self.kept.read(at_once):
                for column, array in zip(self.columns, part.columns, strict=True):
                    if column.on_heap:
                        yield column.heap(array)


@contextmanager
def _kept(stream: TableStream, batches: Iterable[pa.RecordBatch]) -> Iterator[_File]:
    """Keep the rows as FITS can carry them, while each column takes its measures."""
    if len(stream.table.columns) > _MAX_FIELDS:
        raise UsageError(f"FITS holds {_MAX_FIELDS} columns, the table has {len(stream.table.columns)}")
    columns = [FitsColumn(column) for column in stream.table.columns]
    schema = stream.table.arrow_schema
    with KeptRows(schema) as kept:
        for batch in batches:
            arrays = [column.prepare(array) for column, array in zip(columns, batch.columns, strict=True)]
            kept.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
        heap = sum(column.heap_bytes for column in columns)
        for column in columns:
            column.settle(heap)
        yield _File(stream, columns, kept, heap)
