"""VOParquet 1.0: Parquet whose footer holds a VOTable without rows, which carries the metadata.

The footer is written last, so it also says how the query ended. Compression is snappy, which every reader
has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.formats.outlet import Outlet
from catalog.formats.votable import metadata_document
from catalog.vo.table import Info, TableStream

__all__ = ["CONTENT_KEY", "STATUS_KEY", "VERSION_KEY", "encode_parquet"]

VERSION_KEY = "IVOA.VOTable-Parquet.version"
CONTENT_KEY = "IVOA.VOTable-Parquet.content"
STATUS_KEY = "QUERY_STATUS"
"""Ours: OK or OVERFLOW, for readers that do not open the VOTable."""

_GROUP_ROWS = 131_072
_GROUP_BYTES = 16 * 2**20


def encode_parquet(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """Row groups of at most about 131 000 rows or 16 MiB, then the footer."""
    schema = stream.table.arrow_schema
    outlet = Outlet()
    writer = pq.ParquetWriter(pa.PythonFile(outlet, mode="w"), schema, compression="snappy")
    for group in _groups(batches):
        writer.write_table(pa.Table.from_batches(group, schema=schema))
        yield outlet.empty()
    metadata = metadata_document(stream.table, infos=infos, truncated=stream.truncated)
    writer.add_key_value_metadata(
        {
            VERSION_KEY: "1.0",
            CONTENT_KEY: metadata.decode(),
            STATUS_KEY: "OVERFLOW" if stream.truncated else "OK",
        }
    )
    writer.close()
    yield outlet.empty()


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches gathered until they make a row group of good size."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group = []
            rows = size = 0
    if group:
        yield group
