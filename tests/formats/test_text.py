from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from astropy.table import Table as AstropyTable

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

TABLE = Table(
    "result",
    (
        Column("long", Datatype.LONG),
        Column("double", Datatype.DOUBLE),
        Column("flag", Datatype.BOOLEAN),
        Column("text", Datatype.UNICODE_CHAR, "*"),
        Column("array", Datatype.DOUBLE, "*"),
    ),
)
VALUES: list[tuple[object, ...]] = [
    (2**63 - 1, float("inf"), True, 'q"uo,te', [1.0, 2.5]),
    (-(2**63), float("-inf"), False, " blank é ", []),
    (None, None, None, None, None),
    (0, float("nan"), True, "", [float("nan"), float("inf")]),
    (0, 0.1, True, "line\nbreak\rx\ty", [5e-324]),
]
ROWS = [dict(zip((c.name for c in TABLE.columns), row, strict=True)) for row in VALUES]


def written(table: Table, rows: list[dict[str, object]], name: str) -> bytes:
    return b"".join(encode(TableStream.from_pylist(table, rows), parse_format(name)))


def test_csv_is_as_rfc_4180_says() -> None:
    assert written(TABLE, ROWS, "csv").decode() == (
        "long,double,flag,text,array\r\n"
        '9223372036854775807,Infinity,true,"q""uo,te",1 2.5\r\n'
        '-9223372036854775808,-Infinity,false," blank é ",""\r\n'
        ",,,,\r\n"
        '0,NaN,true,"",NaN Infinity\r\n'
        '0,0.1,true,"line\nbreak\rx\ty",5e-324\r\n'
    )


def test_tsv_is_as_iana_says() -> None:
    assert written(TABLE, ROWS, "tsv").decode() == (
        "long\tdouble\tflag\ttext\tarray\n"
        '9223372036854775807\tInfinity\ttrue\tq"uo,te\t1 2.5\n'
        "-9223372036854775808\t-Infinity\tfalse\t blank é \t\n"
        "\t\t\t\t\n"
        "0\tNaN\ttrue\t\tNaN Infinity\n"
        "0\t0.1\ttrue\tline break x y\t5e-324\n"
    )


@pytest.mark.conformance
def test_arrow_reads_csv_and_tells_null_from_empty() -> None:
    read = arrow_csv.read_csv(
        io.BytesIO(written(TABLE, ROWS, "csv")),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )
    assert read.column("long").to_pylist() == [row[0] for row in VALUES]
    assert read.column("text").to_pylist() == [row[3] for row in VALUES]
    assert read.column("flag").to_pylist() == [row[2] for row in VALUES]
    doubles = read.column("double")
    assert doubles.null_count == 1
    assert np.array_equal(doubles.to_numpy(), [np.inf, -np.inf, np.nan, np.nan, 0.1], equal_nan=True)


@pytest.mark.conformance
def test_astropy_reads_csv() -> None:
    read = AstropyTable.read(written(TABLE, ROWS[:3], "csv").decode(), format="ascii.csv")
    assert read["long"].tolist() == [2**63 - 1, -(2**63), None]
    assert read["double"].tolist() == [float("inf"), float("-inf"), None]
    assert read["text"].tolist() == ['q"uo,te', "blank é", None]


@pytest.mark.conformance
def test_stilts_reads_csv(stilts: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(written(TABLE, ROWS, "csv"))
    shown = stilts("tpipe", f"in={path}", "ifmt=csv", "ofmt=csv")
    read = list(csv.reader(io.StringIO(shown, newline="")))
    assert read[0] == ["long", "double", "flag", "text", "array"]
    assert [row[:3] for row in read[1:]] == [
        ["9223372036854775807", "Infinity", "true"],
        ["-9223372036854775808", "-Infinity", "false"],
        ["", "", ""],
        ["0", "", "true"],
        ["0", "0.1", "true"],
    ]
    assert read[1][3] == 'q"uo,te'


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_empty_table_is_its_header_line(name: str) -> None:
    assert written(TABLE, [], name).split()[0].startswith(b"long")
    assert written(TABLE, [], name).count(b"\n") == 1


def test_null_in_the_only_column_of_csv_is_still_a_row() -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    assert written(table, [{"n": 1}, {"n": None}, {"n": 2}], "csv") == b'n\r\n1\r\n""\r\n2\r\n'


def test_odd_column_names_are_quoted_or_unbroken() -> None:
    table = Table("result", (Column('a,"b"', Datatype.INT), Column("c\td", Datatype.INT)))
    assert written(table, [], "csv") == b'"a,""b""",c\td\r\n'
    assert written(table, [], "tsv") == b'a,"b"\tc d\n'


@pytest.mark.parametrize("bits", [32, 64])
def test_floats_are_spelled_so_that_they_read_back_bit_by_bit(bits: int) -> None:
    datatype = Datatype.FLOAT if bits == 32 else Datatype.DOUBLE
    random = np.random.default_rng(7).integers(0, 2**bits, 50_000, dtype=f"u{bits // 8}").view(f"f{bits // 8}")
    table = Table("result", (Column("x", datatype),))
    batch = pa.RecordBatch.from_arrays([pa.array(random)], schema=table.arrow_schema)
    lines = b"".join(encode(TableStream(table, [batch]), parse_format("csv"))).decode().split("\r\n")[1:-1]
    assert np.array_equal(np.array(lines, dtype=f"f{bits // 8}"), random, equal_nan=True)
