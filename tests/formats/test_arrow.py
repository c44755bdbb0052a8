from __future__ import annotations

import io
import math

import pyarrow as pa
import pytest
from astropy.io import votable

from catalog.errors import QueryTimeoutError
from catalog.formats.arrow import STATUS_KEY, VOTABLE_KEY
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype


def written(stream: TableStream, *infos: Info) -> bytes:
    return b"".join(encode(stream, parse_format("arrow"), infos=infos))


def test_every_kind_reads_back_with_its_type(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    read = pa.ipc.open_stream(written(TableStream.from_pylist(table, rows))).read_all()

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(element) for element in value]
        return "NaN" if isinstance(value, float) and math.isnan(value) else value

    assert read.schema.equals(table.arrow_schema, check_metadata=False)
    assert [[plain(v) for v in row.values()] for row in read.to_pylist()] == [
        [plain(row[c.name]) for c in table.columns] for row in rows
    ]


def test_fields_and_schema_carry_the_metadata(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    schema = pa.ipc.open_stream(written(TableStream.from_pylist(table, rows), Info("citation", "é"))).schema
    assert schema.field("t_min").metadata == {
        b"unit": b"d",
        b"ucd": b"time.start;obs.exposure",
        b"utype": b"obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime",
        b"description": b"Start, MJD",
    }
    document = votable.parse(io.BytesIO(schema.metadata[VOTABLE_KEY.encode()]), verify="exception")
    assert [field.name for field in document.get_first_table().fields] == schema.names
    assert ("citation", "é") in [(info.name, info.value) for info in document.resources[0].infos]


@pytest.mark.parametrize(("maxrec", "status"), [(4, b"OK"), (3, b"OVERFLOW"), (0, b"OVERFLOW")])
def test_last_batch_is_empty_and_says_how_it_ended(
    every_kind: tuple[Table, list[dict[str, object]]], maxrec: int, status: bytes
) -> None:
    table, rows = every_kind
    document = written(TableStream(table, TableStream.from_pylist(table, rows), maxrec=maxrec))
    read = [*pa.ipc.open_stream(document).iter_batches_with_custom_metadata()]
    assert sum(batch.batch.num_rows for batch in read) == min(maxrec, 4)
    assert read[-1].batch.num_rows == 0
    assert dict(read[-1].custom_metadata) == {STATUS_KEY.encode(): status}


def test_stream_that_breaks_has_no_end_mark() -> None:
    table = Table("result", (Column("n", Datatype.INT),))

    def batches() -> list[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([{"n": 1}], schema=table.arrow_schema)
        raise QueryTimeoutError("too long")

    pieces = []
    with pytest.raises(QueryTimeoutError):
        pieces.extend(encode(TableStream(table, batches()), parse_format("arrow")))
    assert not b"".join(pieces).endswith(b"\xff\xff\xff\xff\0\0\0\0")
    assert written(TableStream.from_pylist(table, [])).endswith(b"\xff\xff\xff\xff\0\0\0\0")
