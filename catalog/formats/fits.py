"""FITS binary table (FITS 4.0 section 7.3): an empty primary HDU, then one BINTABLE.

The header needs the number of rows, the widest text, a value free to mean null and the size of the heap, all
known only at the end. So the rows are first kept in a temporary file, and nothing is sent until all of them
have arrived: an error midway leaves no half a file behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa

from catalog.errors import UsageError
from catalog.formats.fits_columns import FitsColumn, primary_header, table_header
from catalog.vo.table import Info, TableStream

__all__ = ["encode_fits"]

_BLOCK = 2880
_MAX_FIELDS = 999
_MEMORY = 8 * 2**20  # rows beyond this many bytes lie on disk
_PIECE = 4 * 2**20


def encode_fits(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """A FITS file.

    Raises:
        UsageError: The table has more than 999 columns, or a column of whole numbers with nulls uses every
            value that could stand for null.
        CatalogError: The rows broke. Nothing has been handed out then.
    """
    if len(stream.table.columns) > _MAX_FIELDS:
        raise UsageError(f"FITS holds {_MAX_FIELDS} columns, the table has {len(stream.table.columns)}")
    columns = [FitsColumn(column) for column in stream.table.columns]
    with SpooledTemporaryFile(max_size=_MEMORY) as file:
        rows = _keep(file, batches, columns, stream.table.arrow_schema)
        heap = sum(column.heap_bytes for column in columns)
        for column in columns:
            column.settle(heap)
        yield primary_header(infos, truncated=stream.truncated)
        yield table_header(stream.table, columns, rows, heap)
        written = 0
        for piece in _data(file, columns):
            written += len(piece)
            yield piece
        yield bytes(-written % _BLOCK)


def _keep(file: IO[bytes], batches: Iterable[pa.RecordBatch], columns: Sequence[FitsColumn], schema: pa.Schema) -> int:
    """Write the rows to the file, as FITS can carry them, while each column takes its measures."""
    rows = 0
    with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), schema) as writer:
        for batch in batches:
            arrays = [column.prepare(array) for column, array in zip(columns, batch.columns, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            rows += batch.num_rows
    return rows


def _data(file: IO[bytes], columns: Sequence[FitsColumn]) -> Iterator[bytes]:
    """The main table, then the heap, each in a pass over the kept rows."""
    position = 0
    for part in _kept(file, columns):
        cells = []
        for column, array in zip(columns, part.columns, strict=True):
            if column.on_heap:
                descriptors, size = column.descriptors(array, position)
                position += size
                cells.append(descriptors)
            else:
                cells.append(column.cells(array))
        yield np.concatenate(cells, axis=1).tobytes()
    if position:
        for part in _kept(file, columns):
            for column, array in zip(columns, part.columns, strict=True):
                if column.on_heap:
                    yield column.heap(array)


def _kept(file: IO[bytes], columns: Sequence[FitsColumn]) -> Iterator[pa.RecordBatch]:
    """The kept rows from the start, in parts of bounded size that are the same every time."""
    at_once = max(1, _PIECE // sum(column.width for column in columns))
    file.seek(0)
    for batch in pa.ipc.open_stream(pa.PythonFile(file, mode="r")):
        for start in range(0, batch.num_rows, at_once):
            yield batch.slice(start, at_once)
