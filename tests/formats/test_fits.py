from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable

from catalog.errors import UsageError
from catalog.formats import fits as fits_module
from catalog.formats import kept
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype


def written(stream: TableStream, *infos: Info) -> bytes:
    return b"".join(encode(stream, parse_format("fits"), infos=infos))


def opened(document: bytes) -> fits.HDUList:
    hdus = fits.open(io.BytesIO(document), logical_as_bytes=True)
    hdus.verify("exception")
    return hdus


def one_column(column: Column, *values: object) -> bytes:
    return written(TableStream.from_pylist(Table("result", (column,)), [{column.name: v} for v in values]))


def test_every_kind_reads_back_in_astropy(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    with opened(written(TableStream.from_pylist(table, rows))) as hdus:
        header, data = hdus[1].header, hdus[1].data
        null = {name: header.get(f"TNULL{i}") for i, name in enumerate(data.names, start=1)}
        assert data["flag"].tolist() == [b"T", b"F", b"", b"T"]  # numpy hides the zero byte
        for name in ("octet", "short", "int", "long"):
            assert data[name].tolist() == [null[name] if row[name] is None else row[name] for row in rows]
            assert null[name] not in [row[name] for row in rows]
        assert np.array_equal(data["float"], np.array([1.5, np.nan, np.nan, -np.inf], "f4"), equal_nan=True)
        assert np.array_equal(data["t_min"], [0.1, np.inf, np.nan, np.nan], equal_nan=True)
        assert np.signbit(data["s_ra"][3])
        for name in ("text10", "text10s"):
            assert data[name].tolist() == [row[name] or "" for row in rows]
        assert np.array_equal(data["point"], [[1, 2], [83.8, -5.4], [np.nan] * 2, [0, 0]], equal_nan=True)
        for name in ("doubles", "ints", "octets"):
            assert [cell.tolist() for cell in data[name]] == [row[name] or [] for row in rows]
        assert [bytes(cell) for cell in data["flags"]] == [b"TF", b"", b"", b"T"]
        assert [b"".join(cell) for cell in data["flags3"].tolist()] == [b"TFT", b"FFF", b"", b"TTT"]
        assert data["matrix"].shape == (4, 3, 2)
        assert np.isnan(data["matrix"][2]).all()
        assert data["matrix"][0].ravel().tolist() == [1, 2, 3, 4, 5, 6]


def test_headers_say_what_the_columns_say() -> None:
    table = Table(
        "ivoa.obscore",
        (
            Column(
                "s_ra",
                Datatype.DOUBLE,
                unit="deg",
                ucd="pos.eq.ra",
                utype="obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1",
                description="Right ascension,\nICRS " + "x" * 80,
            ),
            Column("when", Datatype.CHAR, "*", xtype="timestamp"),
        ),
    )
    with opened(written(TableStream.from_pylist(table, [{"s_ra": 1.0, "when": "2026"}]), Info("query", "é"))) as hdus:
        header = hdus[1].header
        assert header["EXTNAME"] == "ivoa.obscore"
        assert (header["TTYPE1"], header["TUNIT1"], header["TUCD1"]) == ("s_ra", "deg", "pos.eq.ra")
        assert header["TUTYP1"] == "obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1"
        assert header["TCOMM1"] == "Right ascension, ICRS " + "x" * 80
        assert (header["TFORM2"], header["TXTYP2"]) == ("4A", "timestamp")
        assert "TNULL1" not in header
        assert hdus[0].header["QSTATUS"] == "OK"
        assert list(hdus[0].header["COMMENT"]) == ["query = ?"]


def test_overflow_is_said_in_the_primary_header() -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    rows = TableStream.from_pylist(table, [{"n": i} for i in range(3)])
    with opened(written(TableStream(table, rows, maxrec=2))) as hdus:
        assert hdus[0].header["QSTATUS"] == "OVERFLOW"
        assert hdus[1].data["n"].tolist() == [0, 1]


@pytest.mark.parametrize("values", [[], ["", None]])
def test_text_without_a_character_still_has_a_column(values: list[object]) -> None:
    with opened(one_column(Column("text", Datatype.CHAR, "*"), *values)) as hdus:
        assert hdus[1].header["TFORM1"] == "1A"
        assert hdus[1].data["text"].tolist() == [""] * len(values)


def test_empty_table_keeps_its_columns(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, _ = every_kind
    with opened(written(TableStream(table, []))) as hdus:
        assert hdus[1].header["NAXIS2"] == 0
        assert hdus[1].data.names == [c.name for c in table.columns]


@pytest.mark.parametrize(
    ("datatype", "values", "tnull"),
    [
        (Datatype.UNSIGNED_BYTE, [None, 1], 255),
        (Datatype.UNSIGNED_BYTE, [None, 255, 254], 253),
        (Datatype.SHORT, [None, -(2**15)], -(2**15) + 1),
        (Datatype.LONG, [2**63 - 1, None], -(2**63)),
        (Datatype.INT, [1, 2], None),
    ],
)
def test_null_is_a_value_that_does_not_occur(datatype: Datatype, values: list[object], tnull: int | None) -> None:
    document = one_column(Column("n", datatype), *values)
    with opened(document) as hdus:
        assert hdus[1].header.get("TNULL1") == tnull
    assert AstropyTable.read(io.BytesIO(document))["n"].tolist() == values


def test_null_inside_and_instead_of_integer_arrays_is_tnull() -> None:
    with opened(one_column(Column("n", Datatype.SHORT, "2"), [1, None], None)) as hdus:
        null = hdus[1].header["TNULL1"]
        assert hdus[1].data["n"].tolist() == [[1, null], [null, null]]


def test_column_that_uses_every_value_cannot_hold_a_null() -> None:
    column = Column("octet", Datatype.UNSIGNED_BYTE)
    stream = TableStream.from_pylist(Table("result", (column,)), [{"octet": i} for i in [*range(256), None]])
    with pytest.raises(UsageError, match="nulls of column octet"):
        next(encode(stream, parse_format("fits")))


def test_more_columns_than_fits_holds_are_refused() -> None:
    table = Table("result", tuple(Column(f"c{i}", Datatype.INT) for i in range(1000)))
    with pytest.raises(UsageError, match="999 columns"):
        next(encode(TableStream(table, []), parse_format("fits")))


def test_rows_beyond_memory_go_through_a_file_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MEMORY", 10_000)
    monkeypatch.setattr(fits_module, "_PIECE", 50_000)
    table = Table(
        "result", (Column("n", Datatype.LONG), Column("text", Datatype.CHAR, "*"), Column("list", Datatype.INT, "*"))
    )
    total = 30_000
    batches = [
        pa.RecordBatch.from_pylist(
            [{"n": n, "text": f"row {n}", "list": list(range(n % 4))} for n in range(start, start + 5_000)],
            schema=table.arrow_schema,
        )
        for start in range(0, total, 5_000)
    ]
    document = written(TableStream(table, batches))
    assert len(document) % 2880 == 0
    with opened(document) as hdus:
        data = hdus[1].data
        assert np.array_equal(data["n"], np.arange(total))
        assert data["text"].tolist() == [f"row {n}" for n in range(total)]
        assert all(data["list"][n].tolist() == list(range(n % 4)) for n in (0, 1, 2, 3, 4_999, 5_003, total - 1))


@pytest.mark.conformance
def test_stilts_reads_values_and_metadata(
    every_kind: tuple[Table, list[dict[str, object]]], stilts: Callable[..., str], tmp_path: Path
) -> None:
    table, rows = every_kind
    path = tmp_path / "t.fits"
    path.write_bytes(written(TableStream.from_pylist(table, rows)))
    shown = stilts("tpipe", f"in={path}", "ifmt=fits", "ofmt=csv")
    first, second, third, _ = list(csv.DictReader(io.StringIO(shown, newline="")))
    assert first["long"] == "-9223372036854775808"
    assert first["text"] == "a<&>\"b'"
    assert first["doubles"] == "(1.0, Infinity, 3.0)"
    assert second["octet"] == "255"
    assert second["point"] == "(83.8, -5.4)"
    for name in ("flag", "octet", "short", "int", "long", "float", "t_min", "text", "ints"):
        assert third[name] == ""
    described = stilts("tpipe", f"in={path}", "ifmt=fits", "cmd=meta name units ucd utype", "ofmt=csv")
    assert "t_min,d,time.start;obs.exposure,obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime" in described


@pytest.mark.conformance
def test_astropy_table_reads_without_a_warning() -> None:
    table = Table("result", (Column("n", Datatype.INT), Column("text", Datatype.CHAR, "*", unit="")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = AstropyTable.read(
            io.BytesIO(written(TableStream.from_pylist(table, [{"n": None, "text": "x"}]))), format="fits"
        )
    assert read["n"].tolist() == [None]
