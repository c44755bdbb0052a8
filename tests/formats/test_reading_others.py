"""FITS, CSV and Parquet from strangers, as other programs write them; and damaged content of every kind."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import random
import tempfile
from contextlib import suppress
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogError, ResourceLimitError, UsageError
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.formats.reading.fields import MAX_CELL_BYTES
from catalog.formats.reading.table import read_table
from catalog.vo.table import Table, TableStream
from catalog.vo.types import Datatype


def file_of(content: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    file.seek(0)
    return file


def read(content: bytes, content_type: str = "", max_columns: int = 100) -> tuple[Table, list[dict[str, Any]]]:
    with file_of(content) as file:
        stream = read_table(file, content_type, max_columns=max_columns)
        return stream.table, stream.read_all().to_pylist()


def cells(content: bytes, name: str, content_type: str = "") -> list[Any]:
    return [row[name] for row in read(content, content_type)[1]]


# --- FITS ---


def fits_file(*columns: fits.Column, header: dict[str, object] | None = None) -> bytes:
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.update(header or {})
    target = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 4))), fits.ImageHDU(np.ones(5)), hdu]).writeto(target)
    return target.getvalue()


FITS_COLUMNS = [
    ("L", np.array([True, False, True]), Datatype.BOOLEAN, None, [True, False, True]),
    ("X", np.array([[True], [False], [True]]), Datatype.BIT, None, [True, False, True]),
    ("11X", np.array([[True, False] * 5 + [True]] * 3), Datatype.BIT, "11", [[True, False] * 5 + [True]] * 3),
    ("B", np.array([0, 255, 7], np.uint8), Datatype.UNSIGNED_BYTE, None, [0, 255, 7]),
    ("I", np.array([-(2**15), 2**15 - 1, 0], np.int16), Datatype.SHORT, None, [-(2**15), 2**15 - 1, 0]),
    ("J", np.array([-(2**31), 2**31 - 1, 0], np.int32), Datatype.INT, None, [-(2**31), 2**31 - 1, 0]),
    ("K", np.array([-(2**63), 2**63 - 1, 0]), Datatype.LONG, None, [-(2**63), 2**63 - 1, 0]),
    ("E", np.array([1.5, -np.inf, 0], np.float32), Datatype.FLOAT, None, [1.5, -np.inf, 0.0]),
    ("D", np.array([0.1, 1e300, 5e-324]), Datatype.DOUBLE, None, [0.1, 1e300, 5e-324]),
    ("C", np.array([1 + 2j, 0, -1j], np.complex64), Datatype.FLOAT_COMPLEX, None, [[1, 2], [0, 0], [0, -1]]),
    ("2M", np.array([[1, 2j]] * 3, np.complex128), Datatype.DOUBLE_COMPLEX, "2", [[1, 0, 0, 2]] * 3),
    ("5A", np.array(["abc", "", "de fg"]), Datatype.CHAR, "5", ["abc", None, "de fg"]),
    ("3D", np.arange(9.0).reshape(3, 3), Datatype.DOUBLE, "3", np.arange(9.0).reshape(3, 3).tolist()),
    ("PJ()", np.array([[1, 2], [], [3]], dtype=object), Datatype.INT, "*", [[1, 2], None, [3]]),
    ("QE()", np.array([[1.5], [], [3, 4]], dtype=object), Datatype.FLOAT, "*", [[1.5], None, [3.0, 4.0]]),
]


@pytest.mark.parametrize(("form", "values", "datatype", "arraysize", "expected"), FITS_COLUMNS)
def test_fits_columns_are_read(
    form: str, values: Any, datatype: Datatype, arraysize: str | None, expected: list[object]
) -> None:
    table, rows = read(fits_file(fits.Column("x", form, array=values), fits.Column("n", "J", array=[1, 2, 3])))
    column = table.columns[0]
    assert (column.name, column.datatype, column.arraysize) == ("x", datatype, arraysize)
    assert [row["x"] for row in rows] == expected
    assert [row["n"] for row in rows] == [1, 2, 3]


def test_fits_says_what_columns_mean_and_what_is_null() -> None:
    column = fits.Column("x", "J", array=[1, -9, 3], null=-9, unit="mJy")
    header = {"TUCD1": "phot.flux", "TUTYP1": "a:b", "TXTYP1": "x:y", "TCOMM1": "It's a flux"}
    table, rows = read(fits_file(column, header=header))
    (found,) = table.columns
    assert (found.unit, found.ucd, found.utype, found.xtype) == ("mJy", "phot.flux", "a:b", "x:y")
    assert found.description == "It's a flux"
    assert [row["x"] for row in rows] == [1, None, 3]


def test_fits_numbers_are_scaled() -> None:
    for form, zero, datatype, limits in (
        ("B", -128, Datatype.SHORT, [-128, 127]),
        ("I", 2**15, Datatype.INT, [0, 2**16 - 1]),
        ("J", 2**31, Datatype.LONG, [0, 2**32 - 1]),
        ("K", 2**63, Datatype.LONG, [0, 2**63 - 1]),
    ):
        stored = np.array([limit - zero for limit in limits], {"B": np.uint8, "I": np.int16, "J": np.int32}.get(form))
        content = fits_file(fits.Column("x", form, array=stored), header={"XZERO1": zero})  # else astropy scales
        table, rows = read(content.replace(b"XZERO1", b"TZERO1"))
        assert (table.columns[0].datatype, [row["x"] for row in rows]) == (datatype, limits)
    with pytest.raises(UsageError, match="column x: a number is too large for a long"):
        read(fits_file(fits.Column("x", "K", array=[0]), header={"XZERO1": 2**63}).replace(b"XZERO1", b"TZERO1"))
    column = fits.Column("x", "2I", array=np.array([[0, 2]], np.int16))
    content = fits_file(column, header={"XZERO1": 1.0, "XSCAL1": 0.5})
    table, rows = read(content.replace(b"XZERO1", b"TZERO1").replace(b"XSCAL1", b"TSCAL1"))
    assert (table.columns[0].datatype, table.columns[0].arraysize) == (Datatype.DOUBLE, "2")
    assert rows[0]["x"] == [1.0, 2.0]


def test_fits_dimensions_are_those_of_a_votable() -> None:
    column = fits.Column("x", "6E", array=np.arange(12, dtype=np.float32).reshape(2, 3, 2), dim="(2,3)")
    table, rows = read(fits_file(column))
    assert table.columns[0].arraysize == "2x3"
    assert rows[1]["x"] == [6, 7, 8, 9, 10, 11]


def broken_fits(old: bytes, new: bytes) -> bytes:
    content = fits_file(fits.Column("x", "PJ()", array=np.array([[1, 2], [3]], dtype=object)))
    assert content.count(old) == 1
    return content.replace(old, new.ljust(len(old)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SIMPLE  =", "the FITS file ends within a header"),
        (fits_file(fits.Column("x", "J", array=[1]))[:5760], "holds no binary table"),
        (
            broken_fits(b"NAXIS2  =                    2", b"NAXIS2  =            200000000"),
            "ends before its table does",
        ),
        (broken_fits(b"NAXIS2  =                    2", b"NAXIS2  =                   -2"), "fewer bytes than none"),
        (broken_fits(b"NAXIS1  =                    8", b"NAXIS1  =                    4"), "take 8 bytes a row"),
        (
            broken_fits(b"NAXIS1  =                    8", b"NAXIS1  = 'eight'"),
            "NAXIS1 = 'eight'; expected a whole number",
        ),
        (broken_fits(b"TTYPE1  = 'x       '", b"GCOUNT  = 0"), "describe a binary table"),
        (broken_fits(b"PCOUNT  =                   12", b"PCOUNT  =                  -12"), "describe a binary table"),
        (broken_fits(b"TTYPE1  = 'x       '", b"THEAP   = -99999999"), "describe a binary table"),
        (broken_fits(b"TFORM1  = 'PJ(2)   '", b"TFORM1  = 'PZ(2)   '"), "TFORM1 'PZ(2)' names no type"),
        (broken_fits(b"\0\0\0\2\0\0\0\0", b"\0\0\0\2\0\0\x10\0"), "row 1, column x: the array lies outside"),
        (broken_fits(b"\0\0\0\2\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0"), "row 1, column x: the array lies outside"),
    ],
)
def test_a_fits_file_that_lies_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(content)
    assert message in caught.value.message


def test_an_endless_fits_header_is_refused() -> None:
    with pytest.raises(ResourceLimitError, match="too long"):
        read(b"SIMPLE  =                    T".ljust(80) + b"COMMENT x".ljust(80) * 36 * 1100)


# --- CSV ---


def test_csv_types_are_found_in_all_rows() -> None:
    header = "flag,n,big,x,id,t,s,none,mixed"
    rows = ["true,1,5000000000,1.5,007,2026-04-01T12:00:00Z,abc,,1"] * 3000
    rows.append('FALSE,-2,-1,NaN,042,2026-04-02,"a, ""b""\nc",,x')
    table, found = read("\r\n".join([header, *rows]).encode(), "text/csv;header=present")
    kinds = [(column.datatype, column.arraysize, column.xtype) for column in table.columns]
    text = (Datatype.CHAR, "*", None)
    assert kinds == [
        (Datatype.BOOLEAN, None, None),
        (Datatype.INT, None, None),
        (Datatype.LONG, None, None),
        (Datatype.DOUBLE, None, None),
        text,
        (Datatype.CHAR, "*", "timestamp"),
        text,
        text,
        text,
    ]
    assert list(found[0].values())[:5] == [True, 1, 5_000_000_000, 1.5, "007"]
    assert (found[-1]["s"], found[-1]["none"], found[-1]["flag"]) == ('a, "b"\nc', None, False)
    assert len(found) == 3001


def test_csv_tells_empty_text_from_nothing() -> None:
    assert cells(b'a,b\n"",1\n,2\n', "a") == ["", None]


def test_csv_with_other_beginnings() -> None:
    assert cells(b"\xef\xbb\xbfa,b\n1,2\n", "a") == [1]
    assert cells(b"1,2\n3,4\n", "column_1", "text/csv; header=absent") == [1, 3]
    assert cells(b'a\tb\n1\t"x\n', "b", "text/tab-separated-values") == ['"x']
    assert cells(b'"a ""name""",b\n1,2\n', 'a "name"') == [1]
    assert cells(b'"two\nlines",b\n1,2\n', "two\nlines") == [1]
    assert read(b"a,b\n")[1] == []
    assert [column.name for column in read(b"a,a,\n1,2,3\n")[0].columns] == ["a", "a_2", "column_3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n\n", "the format of the content is not known"),
        (b"a,b\n1,2\n3\n", "row 2 has 1 cells, there are 2 columns"),
        (b"a,b\n1,2\n3,4,5\n", "row 2 has 3 cells, there are 2 columns"),
        (b"a,b\n" + b"1,2\n" * 300 + b"K\xf6ln,2\n", "the content is no text in UTF-8"),
        (b"K\xf6ln,b\n1,2\n" + b"1,2\n" * 300, "the format of the content is not known"),
    ],
)
def test_csv_that_is_none_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(content)
    assert message in caught.value.message


def test_a_quote_that_is_never_closed_is_refused() -> None:
    with pytest.raises(CatalogError, match="never closed"):
        read(b'a,b\n"1,2\n' + b"3,4\n" * 600_000)


# --- Parquet ---


def parquet_file(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


PARQUET_TYPES = [
    (pa.array([True, None]), "boolean", None, [True, None]),
    (pa.array([1, None], pa.uint8()), "unsignedByte", None, [1, None]),
    (pa.array([-128, None], pa.int8()), "short", None, [-128, None]),
    (pa.array([65535, None], pa.uint16()), "int", None, [65535, None]),
    (pa.array([2**32 - 1, None], pa.uint32()), "long", None, [2**32 - 1, None]),
    (pa.array([2**63 - 1, None], pa.uint64()), "long", None, [2**63 - 1, None]),
    (pa.array([1.5, None], pa.float32()), "float", None, [1.5, None]),
    (pa.array([decimal.Decimal("1.25"), None]), "double", None, [1.25, None]),
    (pa.array(["Ω", None], pa.large_string()), "char", "*", ["Ω", None]),
    (pa.array(["a", None]).dictionary_encode(), "char", "*", ["a", None]),
    (pa.array([None, None]), "char", "*", [None, None]),
    (pa.array([dt.date(2026, 4, 1), None]), "char", "*", ["2026-04-01", None]),
    (pa.array([dt.datetime(2026, 4, 1, 12), None]), "char", "*", ["2026-04-01T12:00:00.000000", None]),
    (pa.array([[1, 2], None], pa.list_(pa.int32())), "int", "*", [[1, 2], None]),
    (pa.array([[1, 2], None], pa.list_(pa.float64(), 2)), "double", "2", [[1, 2], None]),
]  # fmt: skip


@pytest.mark.parametrize(("array", "datatype", "arraysize", "expected"), PARQUET_TYPES)
def test_parquet_types_are_read(array: pa.Array, datatype: str, arraysize: str | None, expected: list[object]) -> None:
    table, rows = read(parquet_file(pa.table({"x": array})))
    assert (table.columns[0].datatype.votable, table.columns[0].arraysize) == (datatype, arraysize)
    assert [row["x"] for row in rows] == expected


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([2**64 - 1], pa.uint64()), "column x: a value is no long"),
        (pa.array([{"a": 1}]), "column x: the type struct<a: int64> has no equivalent"),
        (pa.array([[[1]]]), "has no equivalent in a VOTable"),
        (pa.array([b"\xff"], pa.binary()), "has no equivalent in a VOTable"),
    ],
)
def test_what_a_votable_does_not_know_is_refused(array: pa.Array, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(parquet_file(pa.table({"x": array})))
    assert message in caught.value.message


# --- what is damaged ---


FORMS = ("votable/b2", "votable/td", "votable/b", "votable/fits", "csv", "tsv", "fits", "parquet")


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The content with a few bytes changed, left out, repeated or put in."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(changed))
        match dice.randrange(6):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                del changed[at : at + dice.choice((1, 3, 50))]
            case 2:
                changed[at:at] = dice.randbytes(dice.choice((1, 4)))
            case 3:
                del changed[at:]
            case 4:
                changed[at] = dice.choice(b"0123456789<>*x\"' AZ")
            case 5:
                other = dice.randrange(len(changed))
                changed[at:at] = changed[other : other + dice.choice((5, 80, 2880))]
        if not changed:
            changed += b"x"
    return bytes(changed)


def test_a_text_that_stands_in_parquet_many_times_is_written_out_bit_by_bit() -> None:
    text = "x" * 2**20
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), [text])
    with file_of(parquet_file(pa.table({"x": repeated}))) as file, read_table(file, "", max_columns=5) as stream:
        batches = list(stream)
    assert sum(batch.num_rows for batch in batches) == 100
    assert max(batch.nbytes for batch in batches) < 40 * 2**20
    assert batches[-1].column(0)[0].as_py() == text


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array(["x" * (MAX_CELL_BYTES + 1)]), "holds a text of more than 16,777,216 bytes"),
        (pa.array(np.zeros(2**27 + 1)), "more than 1,073,741,824 bytes when unpacked"),
    ],
)
def test_parquet_that_grows_too_much_is_refused(array: pa.Array, message: str) -> None:
    with pytest.raises(ResourceLimitError, match=message):
        read(parquet_file(pa.table({"x": array})))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_damaged_content_gives_rows_or_a_fault(
    form: str, every_kind: tuple[Table, list[dict[str, object]]], seed: int
) -> None:
    table, rows = every_kind
    fmt = parse_format(form)
    content = b"".join(encode(TableStream.from_pylist(table, rows), fmt))
    with suppress(UsageError, ResourceLimitError):
        read(damaged(content, random.Random(seed)), fmt.content_type)
