from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Info, Table, TableStream
from catalog.vo.types import Datatype


def written(table: Table, rows: list[dict[str, object]], name: str = "votable/fits", **keywords: int) -> bytes:
    stream = TableStream(table, TableStream.from_pylist(table, rows), **keywords)
    return b"".join(encode(stream, parse_format(name), infos=[Info("citation", "x")]))


def without_heap(table: Table) -> Table:
    """The same table without arrays of varying length, which STILTS does not read from a stream."""
    return table.select(c.name for c in table.columns if not (c.is_array and "*" in str(c.arraysize)))


def test_stream_is_the_fits_file_to_the_byte(every_kind: tuple[Table, list[dict[str, object]]]) -> None:
    table, rows = every_kind
    element = etree.fromstring(written(table, rows)).find(".//{*}FITS")
    assert element is not None
    assert element.get("extnum") == "1"
    (stream,) = element
    assert base64.b64decode(stream.text or "") == written(table, rows, "fits")


def test_fields_say_what_the_fits_file_holds() -> None:
    table = Table("result", (Column("text", Datatype.UNICODE_CHAR, "*", unit="deg"), Column("n", Datatype.INT)))
    document = etree.fromstring(written(table, [{"text": "abc", "n": None}, {"text": "abcdef", "n": 5}]))
    text, n = document.findall(".//{*}FIELD")
    assert dict(text.attrib) == {"name": "text", "datatype": "char", "arraysize": "6", "unit": "deg"}
    assert [values.get("null") for values in n] == [str(-(2**31))]


def test_overflow_is_told_after_the_table_and_in_the_fits_file() -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    document = written(table, [{"n": 1}, {"n": 2}], maxrec=1)
    infos = etree.fromstring(document).findall(".//{*}INFO")
    assert [info.get("value") for info in infos if info.get("name") == "QUERY_STATUS"] == ["OK", "OVERFLOW"]
    content = base64.b64decode(etree.fromstring(document).findtext(".//{*}STREAM") or "")
    assert b"QSTATUS = 'OVERFLOW'" in content


@pytest.mark.conformance
def test_votlint_is_silent_on_every_kind(
    every_kind: tuple[Table, list[dict[str, object]]], stilts: Callable[..., str], tmp_path: Path
) -> None:
    table, rows = every_kind
    path = tmp_path / "every.vot"
    path.write_bytes(written(without_heap(table), rows))
    assert stilts("votlint", f"votable={path}") == ""


@pytest.mark.conformance
def test_votlint_finds_a_single_character_where_no_text_is_longer(
    every_kind: tuple[Table, list[dict[str, object]]], stilts: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "none.vot"
    path.write_bytes(written(without_heap(every_kind[0]), []))
    lines = stilts("votlint", f"votable={path}").splitlines()
    assert lines
    assert all(line.startswith("INFO") and "single character" in line for line in lines)


@pytest.mark.conformance
def test_stilts_reads_the_rows(
    every_kind: tuple[Table, list[dict[str, object]]], stilts: Callable[..., str], tmp_path: Path
) -> None:
    table, rows = every_kind
    path, plain = tmp_path / "t.vot", tmp_path / "t.fits"
    path.write_bytes(written(without_heap(table), rows))
    plain.write_bytes(written(without_heap(table), rows, "fits"))
    shown = stilts("tpipe", f"in={path}", "ifmt=votable", "ofmt=csv")
    assert shown == stilts("tpipe", f"in={plain}", "ifmt=fits", "ofmt=csv")
    cells = list(csv.DictReader(io.StringIO(shown, newline="")))
    assert [row["long"] for row in cells] == ["-9223372036854775808", "9223372036854775807", "", "0"]
    assert [row["text10"] for row in cells] == ["abc", "abcdefghij", "", ""]
