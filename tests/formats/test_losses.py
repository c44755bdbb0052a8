"""Each loss that docs/reference/formats.md admits, one test each, named after it."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from astropy.io import fits, votable
from astropy.io.votable.exceptions import W55
from lxml import etree

from catalog.errors import UsageError
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"

TEXT = Column("x", Datatype.CHAR, "*")
UNICODE = Column("x", Datatype.UNICODE_CHAR, "*")


def written(name: str, column: Column, *values: object, maxrec: int | None = None) -> bytes:
    table = Table("result", (column,))
    rows = TableStream.from_pylist(table, [{column.name: value} for value in values])
    return b"".join(encode(TableStream(table, rows, maxrec=maxrec), parse_format(name)))


def by_astropy(document: bytes) -> list[object]:
    array = votable.parse(io.BytesIO(document), verify="exception").get_first_table().array
    values: list[object] = array["x"].tolist()
    return values


def cells(document: bytes) -> list[str]:
    return [cell.text or "" for cell in etree.fromstring(document).iter("{*}TD")]


def fits_data(document: bytes) -> fits.FITS_rec:
    with fits.open(io.BytesIO(document), memmap=False) as hdus:
        return hdus[1].data


def test_every_documented_loss_is_tested_and_every_tested_one_documented() -> None:
    documented = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name.removeprefix("test_loss_").replace("_", "-") for name in globals() if name.startswith("test_loss_")]
    assert sorted(named) == sorted(set(documented) - {"icrs", "utc", "utc-mjd"})


def test_loss_binary2_char() -> None:
    assert by_astropy(written("votable/b2", TEXT, "Köln 𝄞", "plain")) == ["K?ln ?", "plain"]
    assert by_astropy(written("votable/b2", UNICODE, "Köln 𝄞", "plain")) == ["Köln 𝄞", "plain"]


def test_loss_binary2_fixed_text() -> None:
    assert by_astropy(written("votable/b2", Column("x", Datatype.CHAR, "3"), "abcde")) == ["abc"]
    whole = base64.b64encode(b"\0" + b"\0\0\0\x05abcde")
    assert whole in written("votable/b2", Column("x", Datatype.CHAR, "3*"), "abcde")


def test_loss_binary2_null_in_array() -> None:
    assert by_astropy(written("votable/b2", Column("x", Datatype.INT, "2"), [1, None])) == [[1, 0]]
    assert by_astropy(written("votable/b2", Column("x", Datatype.DOUBLE, "2"), [1, None])) == [[1, None]]
    assert by_astropy(written("votable/b2", Column("x", Datatype.BOOLEAN, "2"), [True, None])) == [[True, None]]


def test_loss_tabledata_empty_text() -> None:
    assert cells(written("votable/td", TEXT, None, "")) == ["", ""]


def test_loss_tabledata_empty_array() -> None:
    assert cells(written("votable/td", Column("x", Datatype.DOUBLE, "*"), None, [])) == ["", ""]


def test_loss_tabledata_null_array() -> None:
    assert cells(written("votable/td", Column("x", Datatype.DOUBLE, "2"), None)) == ["NaN NaN"]
    assert cells(written("votable/td", Column("x", Datatype.BOOLEAN, "3"), None)) == ["? ? ?"]
    assert cells(written("votable/td", Column("x", Datatype.INT, "2"), None)) == [""]


def test_loss_tabledata_null_in_array() -> None:
    assert cells(written("votable/td", Column("x", Datatype.DOUBLE, "*"), [1, None])) == ["1 NaN"]
    assert cells(written("votable/td", Column("x", Datatype.BOOLEAN, "2"), [True, None])) == ["T ?"]
    assert cells(written("votable/td", Column("x", Datatype.INT, "2"), [1, None])) == ["1 0"]


def test_loss_tabledata_controls() -> None:
    text = "".join(map(chr, range(0x20))) + "a\x7f\ufffe\uffff\ufffd"
    assert cells(written("votable/td", UNICODE, text)) == ["\t\n\ra\x7f\ufffd"]
    assert by_astropy(written("votable/b2", UNICODE, text)) == [text]


def test_loss_tabledata_blanks() -> None:
    document = written("votable/td", TEXT, " a b ")
    assert cells(document) == [" a b "]
    assert by_astropy(document) == ["a b"]
    assert by_astropy(written("votable/b2", TEXT, " a b ")) == [" a b "]


def test_loss_tabledata_char() -> None:
    document = written("votable/td", TEXT, "Köln")
    assert cells(document) == ["Köln"]
    with pytest.raises(W55):
        by_astropy(document)


def test_loss_binary_char() -> None:
    assert by_astropy(written("votable/b", TEXT, "Köln 𝄞", "plain")) == ["K?ln ?", "plain"]
    assert by_astropy(written("votable/b", UNICODE, "Köln 𝄞", "plain")) == ["Köln 𝄞", "plain"]


def test_loss_binary_fixed_text() -> None:
    assert by_astropy(written("votable/b", Column("x", Datatype.CHAR, "3"), "abcde")) == ["abc"]


def test_loss_binary_empty_text() -> None:
    assert by_astropy(written("votable/b", TEXT, None, "")) == ["", ""]


def test_loss_binary_null_float() -> None:
    column = Column("x", Datatype.DOUBLE)
    assert written("votable/b", column, None) == written("votable/b", column, float("nan"))


def test_loss_binary_empty_array() -> None:
    column = Column("x", Datatype.DOUBLE, "*")
    assert written("votable/b", column, None) == written("votable/b", column, [])


def test_loss_binary_null_array() -> None:
    assert by_astropy(written("votable/b", Column("x", Datatype.INT, "2"), None, [1, 2])) == [[None, None], [1, 2]]
    assert by_astropy(written("votable/b", Column("x", Datatype.DOUBLE, "2"), None)) == [[None, None]]
    assert by_astropy(written("votable/b", Column("x", Datatype.BOOLEAN, "2"), None)) == [[None, None]]


def test_loss_binary_no_room_for_null() -> None:
    with pytest.raises(UsageError, match="BINARY cannot mark the nulls of column x"):
        written("votable/b", Column("x", Datatype.UNSIGNED_BYTE), None, *range(256))


def test_loss_votable_fits_as_fits() -> None:
    document = etree.fromstring(written("votable/fits", UNICODE, "Köln"))
    assert base64.b64decode(document.findtext(".//{*}STREAM") or "") == written("fits", UNICODE, "Köln")
    field = document.find(".//{*}FIELD")
    assert field is not None
    assert (field.get("datatype"), field.get("arraysize")) == ("char", "4")


def test_loss_votable_fits_readers(stilts: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="href"):
        by_astropy(written("votable/fits", TEXT, "ab"))
    path = tmp_path / "t.vot"
    path.write_bytes(written("votable/fits", Column("x", Datatype.INT, "*"), [1, 2]))
    assert "variable length arrays not supported" in stilts("votlint", f"votable={path}")


def test_loss_csv_metadata() -> None:
    column = Column("x", Datatype.DOUBLE, unit="deg", ucd="pos.eq.ra", description="RA")
    assert written("csv", column, 1.0, 2.0, maxrec=1) == written("csv", column, 1.0) == b"x\r\n1\r\n"


def test_loss_csv_empty_text() -> None:
    table = Table("result", (Column("n", Datatype.INT), TEXT))
    stream = TableStream.from_pylist(table, [{"n": 1, "x": None}, {"n": 2, "x": ""}])
    document = b"".join(encode(stream, parse_format("csv"))).decode()
    assert document == 'n,x\r\n1,\r\n2,""\r\n'
    assert list(csv.reader(io.StringIO(document, newline="")))[1:] == [["1", ""], ["2", ""]]


def test_loss_csv_single_null() -> None:
    assert written("csv", Column("x", Datatype.INT), 1, None) == b'x\r\n1\r\n""\r\n'


def test_loss_csv_arrays() -> None:
    assert written("csv", Column("x", Datatype.DOUBLE, "*"), [1, None, 2]) == b"x\r\n1 NaN 2\r\n"
    assert written("csv", Column("x", Datatype.BOOLEAN, "2"), [True, None]) == b"x\r\ntrue ?\r\n"
    assert written("csv", Column("x", Datatype.INT, "2"), [1, None]) == b"x\r\n1 0\r\n"


def test_loss_tsv_breaks() -> None:
    assert written("tsv", TEXT, "a\tb\nc\rd\r\ne") == b"x\na b c d e\n"


def test_loss_tsv_empty_text() -> None:
    table = Table("result", (Column("n", Datatype.INT), TEXT))
    stream = TableStream.from_pylist(table, [{"n": 1, "x": None}, {"n": 1, "x": ""}])
    assert b"".join(encode(stream, parse_format("tsv"))) == b"n\tx\n1\t\n1\t\n"


def test_loss_tsv_single_null() -> None:
    assert written("tsv", Column("x", Datatype.INT), 1, None) == b"x\n1\n\n"


def test_loss_tsv_quotes() -> None:
    document = written("tsv", TEXT, '"a').decode()
    assert document == 'x\n"a\n'
    assert list(csv.reader(io.StringIO(document), delimiter="\t", quoting=csv.QUOTE_NONE)) == [["x"], ['"a']]


def test_loss_fits_ascii() -> None:
    column = Column("x", Datatype.UNICODE_CHAR, "*", description="für 𝄞")
    document = written("fits", column, "Köln 𝄞", "a\tb\r\nc\x01d\x7f")
    assert fits_data(document)["x"].tolist() == ["K?ln ?", "a b c?d?"]
    assert fits.getheader(io.BytesIO(document), 1)["TCOMM1"] == "f?r ?"


def test_loss_fits_trailing_blanks(stilts: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    path.write_bytes(written("fits", TEXT, " a ", "b"))
    assert stilts("tpipe", f"in={path}", "ifmt=fits", "ofmt=csv") == 'x\n" a"\nb\n'


def test_loss_fits_empty_text() -> None:
    assert fits_data(written("fits", TEXT, None, "", "a"))["x"].tolist() == ["", "", "a"]


def test_loss_fits_null_float() -> None:
    data = fits_data(written("fits", Column("x", Datatype.DOUBLE), None, float("nan")))["x"]
    assert data.tobytes()[:8] == data.tobytes()[8:]


def test_loss_fits_empty_array() -> None:
    data = fits_data(written("fits", Column("x", Datatype.INT, "*"), None, [], [1]))["x"]
    assert [cell.tolist() for cell in data] == [[], [], [1]]


def test_loss_fits_no_room_for_null() -> None:
    with pytest.raises(UsageError, match="FITS cannot mark the nulls of column x"):
        written("fits", Column("x", Datatype.UNSIGNED_BYTE), None, *range(256))


def test_loss_fits_systems() -> None:
    column = Column("x", Datatype.DOUBLE, ref="utc_mjd")
    assert written("fits", column, 1.0) == written("fits", Column("x", Datatype.DOUBLE), 1.0)


def test_loss_json_nonfinite() -> None:
    document = written("json", Column("x", Datatype.DOUBLE), float("nan"), float("inf"), float("-inf"), None)
    assert json.loads(document)["data"] == [["NaN"], ["Infinity"], ["-Infinity"], [None]]


def test_loss_json_long() -> None:
    document = written("json", Column("x", Datatype.LONG), 2**63 - 1, -(2**63))
    assert json.loads(document)["data"] == [[2**63 - 1], [-(2**63)]]
    assert json.loads(document, parse_int=float)["data"][0] == [2.0**63]


def test_loss_json_systems() -> None:
    column = Column("x", Datatype.DOUBLE, ref="icrs")
    assert written("json", column, 1.0) == written("json", Column("x", Datatype.DOUBLE), 1.0)


def test_loss_arrow_overflow() -> None:
    document = written("arrow", Column("x", Datatype.INT), 1, 2, maxrec=1)
    assert pa.ipc.open_stream(document).read_all().to_pylist() == [{"x": 1}]
    (*_, last) = pa.ipc.open_stream(document).iter_batches_with_custom_metadata()
    assert dict(last.custom_metadata) == {b"QUERY_STATUS": b"OVERFLOW"}


def test_loss_text_columns() -> None:
    column = Column("x", Datatype.UNICODE_CHAR, "*", ucd="meta.id", description="name")
    assert written("text", column, "a\tb\r\nc\x1bd", None, "") == b"x\n--------\na b  c d\n\n\n# 3 rows\n"


def test_loss_text_arrays() -> None:
    assert written("text", Column("x", Datatype.INT, "2"), [1, None]) == b"x\n---\n1 0\n# 1 row\n"
    assert written("text", Column("x", Datatype.DOUBLE, "2"), [1, None]) == b"x\n-----\n1 NaN\n# 1 row\n"


def test_loss_html_metadata() -> None:
    column = Column("x", Datatype.DOUBLE, ucd="pos.eq.ra", utype="a:b", xtype="c", ref="icrs")
    assert written("html", column, 1.0) == written("html", Column("x", Datatype.DOUBLE), 1.0)


def test_loss_html_empty_text() -> None:
    document = etree.fromstring(written("html", UNICODE, None, "", "a\x1bb"))
    assert [cell.text for cell in document.iter("{*}td")] == [None, None, "ab"]
