"""How a result ends: its rows up to what broke them, and a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import pyarrow as pa

from catalog.errors import CatalogError
from catalog.vo.table import TableStream

__all__ = ["ending", "until_fault"]


def until_fault(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a stream up to the first `CatalogError`, for formats that tell it in their tail.

    `TableStream.fault` keeps what it was.
    """
    with suppress(CatalogError):
        yield from batches


def ending(stream: TableStream) -> str:
    """What a reader must know after the last row; names the QUERY_STATUS unless it is OK.

    Args:
        stream: With all its rows handed out, or broken midway.
    """
    rows = "1 row" if stream.rows == 1 else f"{stream.rows:,} rows"
    if stream.fault is not None:
        return f"ERROR after {rows}: {stream.fault.message}"
    return f"OVERFLOW: the first {rows}; there are more" if stream.truncated else rows
