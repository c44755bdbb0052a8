"""Arrow IPC stream: the record batches as they are, for programs that read them without a copy.

Fields carry the metadata of their columns, the schema a VOTable without rows, and the last batch, which is empty, says
how the query ended: readers that do not look miss nothing of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from catalog.formats.outlet import Outlet
from catalog.formats.votable import metadata_document
from catalog.vo.table import Column, Info, TableStream

__all__ = ["STATUS_KEY", "VOTABLE_KEY", "encode_arrow"]

VOTABLE_KEY = "IVOA.VOTable"
"""Ours: metadata of the schema, a VOTable without rows."""

STATUS_KEY = "QUERY_STATUS"
"""Ours: metadata of the last batch, OK or OVERFLOW."""


def encode_arrow(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """Schema, batches, an empty batch with the status, end mark."""
    fields = [pa.field(c.name, c.arrow_type, metadata=_metadata(c)) for c in stream.table.columns]
    document = metadata_document(stream.table, infos=infos)
    schema = pa.schema(fields, metadata={VOTABLE_KEY: document})
    outlet = Outlet()
    writer = pa.ipc.new_stream(pa.PythonFile(outlet, mode="w"), schema)
    yield outlet.empty()
    for batch in batches:
        writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        yield outlet.empty()
    nothing = pa.RecordBatch.from_pylist([], schema=schema)
    writer.write_batch(nothing, custom_metadata={STATUS_KEY: "OVERFLOW" if stream.truncated else "OK"})
    writer.close()
    yield outlet.empty()


def _metadata(column: Column) -> dict[str, str]:
    stated = {
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": column.utype,
        "xtype": column.xtype,
        "description": column.description,
    }
    return {key: value for key, value in stated.items() if value}
