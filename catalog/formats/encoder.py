"""Write a `TableStream` in any format.

Formats with a tail (VOTable, JSON, text, HTML) tell after the rows that something broke; the others let the error pass,
so that whoever sends the bytes breaks the connection rather than lie. In every format an error before the
first row passes, so that it can be answered by a clean document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import pyarrow as pa

from catalog.errors import InternalError
from catalog.formats.allocators import MemoryWatch, give_memory_back
from catalog.formats.arrow import encode_arrow
from catalog.formats.binary2 import Binary2, encode_binary
from catalog.formats.fits import encode_fits, encode_fits_in_votable
from catalog.formats.html import encode_html
from catalog.formats.json import encode_json
from catalog.formats.media import Format
from catalog.formats.parquet import encode_parquet
from catalog.formats.plain import encode_plain
from catalog.formats.tabledata import TableData
from catalog.formats.text import encode_csv, encode_tsv
from catalog.formats.votable import encode_votable
from catalog.vo.table import Info, TableStream

__all__ = ["encode"]

_SLICE_ROWS = 16_384
_SLICE_BYTES = 32 * 2**20


def encode(stream: TableStream, fmt: Format, *, infos: Sequence[Info] = ()) -> Iterator[bytes]:
    """The bytes of a table, in pieces, with memory that does not grow with the number of rows.

    The first batch is read before the first piece is handed out. The stream is closed when the generator
    ends, fails or is closed; one that was never started leaves the closing to whoever opened the stream.

    Args:
        stream: The rows; read once.
        fmt: As from `catalog.formats.media.parse_format`.
        infos: Statements about the result, for the formats that have a place for them.

    Raises:
        CatalogError: The rows broke: before the first piece in any format, later in formats without a tail. Or
            the format cannot carry the table (FITS): always before the first piece.
    """
    try:
        with stream:
            batches = (part for batch in _primed(stream) for part in _slices(batch))
            memory = MemoryWatch()
            for piece in _pieces(stream, batches, fmt, infos):
                yield piece
                memory.look()
    finally:
        if stream.rows > _SLICE_ROWS:
            give_memory_back()


def _pieces(
    stream: TableStream, batches: Iterator[pa.RecordBatch], fmt: Format, infos: Sequence[Info]
) -> Iterator[bytes]:
    match fmt.name:
        case "votable" | "votable/b2":
            return encode_votable(stream, batches, infos, Binary2(stream.table.columns))
        case "votable/td":
            return encode_votable(stream, batches, infos, TableData(stream.table.columns))
        case "votable/b":
            return encode_binary(stream, batches, infos)
        case "votable/fits":
            return encode_fits_in_votable(stream, batches, infos)
        case "csv":
            return encode_csv(stream, batches)
        case "tsv":
            return encode_tsv(stream, batches)
        case "fits":
            return encode_fits(stream, batches, infos)
        case "parquet":
            return encode_parquet(stream, batches, infos)
        case "json":
            return encode_json(stream, batches, infos)
        case "arrow":
            return encode_arrow(stream, batches, infos)
        case "text":
            return encode_plain(stream, batches)
        case "html":
            return encode_html(stream, batches, infos)
        case _:
            raise InternalError(f"no encoder writes the format {fmt.name}")


def _primed(stream: TableStream) -> Iterator[pa.RecordBatch]:
    """The stream's batches, the first of them read already."""
    batches = iter(stream)
    first = next(batches, None)
    return batches if first is None else chain([first], batches)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts that are small enough to be turned into bytes at once."""
    for start in range(0, batch.num_rows, _SLICE_ROWS):
        yield from _halved(batch.slice(start, _SLICE_ROWS))


def _halved(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows == 1 or batch.nbytes <= _SLICE_BYTES:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _halved(batch.slice(0, middle))
    yield from _halved(batch.slice(middle))
