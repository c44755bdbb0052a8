from __future__ import annotations

import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import votable
from astropy.units import Unit

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.formats.parquet import CONTENT_KEY, STATUS_KEY, VERSION_KEY
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype


def written(stream: TableStream, *infos: Info) -> bytes:
    return b"".join(encode(stream, parse_format("parquet"), infos=infos))


def test_every_kind_reads_back_with_its_type(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    read = pq.read_table(io.BytesIO(written(TableStream.from_pylist(table, rows))))

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(element) for element in value]
        return "NaN" if isinstance(value, float) and math.isnan(value) else value

    assert read.schema.remove_metadata() == table.arrow_schema
    assert [[plain(v) for v in row.values()] for row in read.to_pylist()] == [
        [plain(row[c.name]) for c in table.columns] for row in rows
    ]


def test_footer_holds_a_votable_with_one_field_per_column(
    every_kind: tuple[Table, list[dict[str, object]]],
) -> None:
    table, rows = every_kind
    file = pq.ParquetFile(io.BytesIO(written(TableStream.from_pylist(table, rows), Info("citation", "é"))))
    metadata = file.metadata.metadata
    assert metadata[VERSION_KEY.encode()] == b"1.0"
    assert metadata[STATUS_KEY.encode()] == b"OK"
    described = votable.parse(io.BytesIO(metadata[CONTENT_KEY.encode()]), verify="exception")
    fields = described.get_first_table().fields
    assert [field.name for field in fields] == file.schema_arrow.names
    assert [field.unit for field in fields] == [Unit(c.unit) if c.unit else None for c in table.columns]
    assert [(info.name, info.value) for info in described.resources[0].infos] == [
        ("QUERY_STATUS", "OK"),
        ("citation", "é"),
    ]


def test_overflow_is_said_in_the_footer_twice() -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    rows = TableStream.from_pylist(table, [{"n": i} for i in range(3)])
    metadata = pq.read_metadata(io.BytesIO(written(TableStream(table, rows, maxrec=2)))).metadata
    assert metadata[STATUS_KEY.encode()] == b"OVERFLOW"
    assert b'name="QUERY_STATUS" value="OVERFLOW"' in metadata[CONTENT_KEY.encode()]


def test_rows_are_grouped_and_handed_out_group_by_group() -> None:
    table = Table("result", (Column("n", Datatype.LONG),))
    batches = [
        pa.RecordBatch.from_arrays([pa.array(np.arange(i * 10_000, (i + 1) * 10_000))], schema=table.arrow_schema)
        for i in range(30)
    ]
    pieces = list(encode(TableStream(table, batches), parse_format("parquet")))
    file = pq.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert file.num_row_groups == 3
    assert len(pieces) == file.num_row_groups + 1
    assert file.read().column("n").to_pylist() == list(range(300_000))


def test_empty_table_keeps_its_columns(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, _ = every_kind
    read = pq.read_table(io.BytesIO(written(TableStream(table, []))))
    assert (read.num_rows, read.schema.names) == (0, [c.name for c in table.columns])
