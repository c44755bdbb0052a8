"""VOTables from strangers: of every version and serialization; what is wrong is told with its place."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
from collections.abc import Iterator

import pyarrow as pa
import pytest

from catalog.errors import CatalogError, ResourceLimitError, UsageError
from catalog.formats.reading.table import read_table
from catalog.formats.reading.votable import read_votable
from catalog.vo.table import TableStream
from catalog.vo.types import Datatype

FIELDS = '<FIELD name="n" datatype="int"/><FIELD name="s" datatype="char" arraysize="*"/>'
ROWS = "<TR><TD>1</TD><TD>a</TD></TR><TR><TD/><TD/></TR>"


def tabledata(fields: str = FIELDS, rows: str = ROWS, *, before: str = "", after: str = "") -> str:
    table = f"<TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>"
    return f'<VOTABLE version="1.4">{before}<RESOURCE type="results">{table}{after}</RESOURCE></VOTABLE>'


def binary(fields: str, content: bytes, element: str = "BINARY", *, encoded: str | None = None) -> str:
    text = base64.b64encode(content).decode() if encoded is None else encoded
    data = f'<{element}><STREAM encoding="base64">{text}</STREAM></{element}>'
    return f"<VOTABLE><RESOURCE><TABLE>{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"


def stream(document: str | bytes) -> TableStream:
    content = document if isinstance(document, bytes) else document.encode()
    return read_votable(io.BytesIO(content), max_columns=50)


def rows(document: str | bytes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = stream(document).read_all().to_pylist()
    return found


def column(datatype: str, *cells: str, more: str = "") -> list[object]:
    field = f'<FIELD name="x" datatype="{datatype}" {more}/>'
    return [row["x"] for row in rows(tabledata(field, "".join(f"<TR><TD>{cell}</TD></TR>" for cell in cells)))]


EXPECTED = [{"n": 1, "s": "a"}, {"n": None, "s": None}]

NAMESPACES = [
    "",
    'xmlns="http://www.ivoa.net/xml/VOTable/v1.1"',
    'xmlns="http://www.ivoa.net/xml/VOTable/v1.2"',
    'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"',
    'xmlns="http://vizier.u-strasbg.fr/VOTable"',
]


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"])
def test_every_version_is_read(namespace: str, version: str) -> None:
    document = tabledata().replace('<VOTABLE version="1.4">', f'<VOTABLE version="{version}" {namespace}>')
    assert rows(document) == EXPECTED
    prefixed = (
        document.replace("xmlns=", "xmlns:v=").replace("</", "</v:").replace("<", "<v:").replace("<v:/v:", "</v:")
    )
    assert rows(prefixed) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "us-ascii", "cp1252"])
def test_encodings_are_read(encoding: str) -> None:
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    text = tabledata(rows="<TR><TD>1</TD><TD>{}</TD></TR>".format("abc" if encoding == "us-ascii" else "Köln"))
    content = f'<?xml version="1.0" encoding="{name}"?>\n{text}'.encode(encoding)
    with io.BytesIO(content) as file:
        assert read_table(file, "", max_columns=5).read_all()["s"].to_pylist() == [
            "abc" if encoding == "us-ascii" else "Köln"
        ]


def test_what_is_said_of_the_columns_is_kept() -> None:
    fields = """<DESCRIPTION> Of the
        table </DESCRIPTION><PARAM name="p" datatype="int" value="1"><DESCRIPTION>none</DESCRIPTION>
        <VALUES null="7"/></PARAM><GROUP><PARAM name="q" datatype="int" value="1"/></GROUP>
        <FIELD ID="i" name=" a b " datatype="double" unit="mJy" ucd="phot.flux" utype="a:b" xtype="x:y" width="3">
        <DESCRIPTION>A &lt;flux&gt;</DESCRIPTION><VALUES><MIN value="0"/></VALUES><LINK href="x"/></FIELD>
        <FIELD ID="only" datatype="short" arraysize="1"/>"""
    table = stream(tabledata(fields, "")).table
    assert table.description == "Of the table"
    first, second = table.columns
    assert (first.name, first.unit, first.ucd, first.utype, first.xtype) == (" a b ", "mJy", "phot.flux", "a:b", "x:y")
    assert first.description == "A <flux>"
    assert (second.name, second.datatype, second.arraysize) == ("only", Datatype.SHORT, None)


def test_the_first_table_of_results_is_read() -> None:
    meta = '<RESOURCE type="meta"><TABLE><FIELD name="x" datatype="int"/></TABLE></RESOURCE>'
    inner = '<RESOURCE type="meta"><RESOURCE><TABLE><FIELD name="y" datatype="int"/></TABLE></RESOURCE></RESOURCE>'
    second = f"<TABLE>{FIELDS.replace('n', 'm')}<DATA><TABLEDATA>{ROWS}{ROWS}</TABLEDATA></DATA></TABLE>"
    assert rows(tabledata(before=meta + inner, after=second)) == EXPECTED


def test_a_table_without_data_has_no_rows() -> None:
    document = tabledata().replace(f"<DATA><TABLEDATA>{ROWS}</TABLEDATA></DATA>", "")
    assert stream(document).read_all().num_rows == 0
    assert [column.name for column in stream(document).table.columns] == ["n", "s"]
    assert rows(tabledata(rows="")) == []


def test_numbers_are_read_as_people_write_them() -> None:
    nan = float("nan")
    assert column("int", " 12 ", "+5", "-0", "0x1F", "", "0X7fffffff") == [12, 5, 0, 31, None, 2147483647]
    assert column("unsignedByte", "0", "255", "0xff") == [0, 255, 255]
    assert column("long", "-9223372036854775808") == [-(2**63)]
    floats = column("double", "1", "+1.5e3", "1e400", "-Inf", "+Inf", "Infinity", "NaN", "", "1E-5")
    assert list(map(repr, floats)) == list(
        map(repr, [1.0, 1500.0, float("inf"), -float("inf"), float("inf"), float("inf"), nan, None, 1e-5])
    )
    assert column("boolean", "T", "f", "true", "FALSE", "1", "0", "?", "", " t ") == [
        True, False, True, False, True, False, None, None, True,
    ]  # fmt: skip
    assert column("bit", "1", "0") == [True, False]
    assert column("floatComplex", "1 -2", "") == [[1.0, -2.0], None]


def test_arrays_are_read() -> None:
    assert column("int", "1 2  3", "", "\n4\t", more='arraysize="*"') == [[1, 2, 3], None, [4]]
    assert column("bit", "101", "1 0 1", "", more='arraysize="3"') == [[True, False, True]] * 2 + [None]
    assert column("boolean", "T F ?", more='arraysize="3"') == [[True, False, None]]
    assert column("double", "1 2 3 4", more='arraysize="2x*"') == [[1.0, 2.0, 3.0, 4.0]]
    assert column("doubleComplex", "1 2 3 4", more='arraysize="2"') == [[1.0, 2.0, 3.0, 4.0]]


def test_a_null_mark_means_null_in_scalars() -> None:
    field = '<FIELD name="x" datatype="int"><VALUES null="-99"/></FIELD>'
    assert rows(tabledata(field, "<TR><TD>-99</TD></TR><TR><TD>99</TD></TR>")) == [{"x": None}, {"x": 99}]
    assert rows(binary(field, struct.pack(">ii", -99, 99))) == [{"x": None}, {"x": 99}]
    odd = field.replace("-99", "none")
    assert rows(binary(odd, struct.pack(">ii", -99, 99))) == [{"x": -99}, {"x": 99}]


def test_text_of_binary_ends_at_its_first_zero() -> None:
    field = '<FIELD name="x" datatype="char" arraysize="4"/>'
    content = b"ab\0cabcd\0\0\0\0K\xc3\xb6l\xc3ol "
    assert [row["x"] for row in rows(binary(field, content))] == ["ab", "abcd", None, "Köl", "Ãol "]
    wide = '<FIELD name="x" datatype="unicodeChar" arraysize="*"/>'
    content = struct.pack(">i", 3) + "Ωa\0".encode("utf-16-be") + struct.pack(">i", 1) + b"\xd8\x00"
    assert [row["x"] for row in rows(binary(wide, content))] == ["Ωa", "\ufffd"]


@pytest.mark.parametrize("element", ["BINARY", "BINARY2"])
def test_rows_come_back_from_a_stream_in_small_lines(element: str) -> None:
    flags = b"\0" if element == "BINARY2" else b""
    content = b"".join(flags + struct.pack(">i", n) + struct.pack(">i", n % 50) + b"x" * (n % 50) for n in range(5000))
    text = base64.b64encode(content).decode()
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    found = rows(binary(FIELDS, b"", element, encoded=f"\n {lines}\t\n"))
    assert [row["n"] for row in found] == list(range(5000))
    assert [row["s"] or "" for row in found] == ["x" * (n % 50) for n in range(5000)]


WRONG = [
    ("", "no well-formed XML"),
    ("<html><body/></html>", "line 1: the document is <html>; expected <VOTABLE>"),
    ("<VOTABLE><RESOURCE/></VOTABLE>", "the VOTable holds no table"),
    ("<VOTABLE><RESOURCE><TABLE></TABLE></RESOURCE></VOTABLE>", "the TABLE has no FIELD"),
    (tabledata()[:-30], "line 1: the document is no well-formed XML"),
    (tabledata().replace("</TD>", "</T>", 1), "line 1: the document is no well-formed XML: mismatched tag"),
    (tabledata('<FIELD name="x"/>', ""), "column x: the FIELD has no datatype"),
    (tabledata('<FIELD name="x" datatype="float128"/>', ""), "column x: datatype 'float128' is not one of boolean"),
    (tabledata('<FIELD name="x" datatype="int" arraysize="3,4"/>', ""), "arraysize '3,4' is none; expected"),
    (tabledata('<FIELD name="x" datatype="int" arraysize="*x2"/>', ""), "arraysize '*x2' is none"),
    (tabledata('<FIELD name="x" datatype="int" arraysize="0"/>', ""), "arraysize '0' is none"),
    (tabledata(rows="<TR><TD>1</TD></TR>"), "row 1: it has 1 cells, there are 2 FIELDs"),
    (tabledata(rows=ROWS + "<TR><TD/><TD/><TD/></TR>"), "row 3: it has more cells than the 2 FIELDs"),
    (tabledata(rows="<TR><TD>x</TD><TD/></TR>"), "row 1, column n: 'x' is no int"),
    (tabledata(rows=ROWS + "<TR><TD>2147483648</TD><TD/></TR>"), "row 3, column n: '2147483648' is no int"),
    (tabledata(rows="<TR><TD>1.5</TD><TD/></TR>"), "row 1, column n: '1.5' is no int"),
    (tabledata(rows="<TR><TD>1_0</TD><TD/></TR>"), "row 1, column n: '1_0' is no int"),
    (tabledata(rows="<TR><TD><B/></TD><TD/></TR>"), "row 1: <B> does not belong here"),
    (tabledata(rows='<TR><TD encoding="base64">AA==</TD><TD/></TR>'), "row 1: a cell is encoded"),
    (tabledata(after='<INFO name="QUERY_STATUS" value="ERROR">gone</INFO>'), "the table is not complete"),
    (tabledata().replace("<TABLE>", '<TABLE ref="other">'), "the TABLE refers to another"),
    (tabledata().replace("TABLEDATA", "PARQUET"), "<PARQUET> is no serialization; expected TABLEDATA"),
    (binary(FIELDS, b"", encoded="@@@@"), "the STREAM is no base64"),
    (binary(FIELDS, b"", encoded="AAA"), "ends within a group of four characters"),
    (binary(FIELDS, b"", encoded="AA==AAAA"), "the STREAM is no base64"),
    (binary(FIELDS, b"\0\0\0\1\0\0\0\5abc"), "row 1: the binary stream ends within it"),
    (binary(FIELDS, bytes(16) + b"\0\0\0\1\xff\xff\xff\xff"), "row 3, column s: the cell says that it holds -1"),
    (binary('<FIELD name="x" datatype="int"/>', b"\0\0\0\1\0"), "row 2: the binary stream ends within it"),
    (binary('<FIELD name="x" datatype="int" arraysize="2x*"/>', b"\0\0\0\1\0\0\0\1"), "do not fill an array of 2x*"),
    (binary(FIELDS, b"").replace('<STREAM encoding="base64">', '<STREAM href="file:///etc/passwd">'), "lie outside"),
    (binary(FIELDS, b"").replace('encoding="base64"', 'encoding="gzip"'), "in the encoding gzip; expected base64"),
    (binary(FIELDS, b"").replace("STREAM", "DATASTREAM"), "<DATASTREAM> does not belong into BINARY"),
    (binary(FIELDS, b"x", "FITS"), "the content is no FITS file"),
    (binary(FIELDS, b"", "FITS"), "the FITS file is empty"),
    (binary(FIELDS, b"", "FITS").replace("<FITS>", '<FITS extnum="x">'), "extnum is 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_place(document: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        rows(document)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("field", "cell", "asked"),
    [
        ('datatype="int" arraysize="3"', "1 2", "holds 2 numbers, its datatype int and arraysize 3 ask for 3"),
        ('datatype="int" arraysize="2x2"', "1 2 3 4 5", "arraysize 2x2 ask for 4"),
        ('datatype="int" arraysize="2x*"', "1 2 3", "arraysize 2x* ask for a multiple of 2"),
        ('datatype="floatComplex"', "1", "holds 1 numbers, its datatype floatComplex and arraysize None ask for 2"),
        ('datatype="double" arraysize="*"', "1 x", "'x' is no double"),
    ],
)
def test_an_arraysize_that_lies_is_told(field: str, cell: str, asked: str) -> None:
    document = tabledata(f'<FIELD name="x" {field}/>', f"<TR><TD/></TR><TR><TD>{cell}</TD></TR>")
    with pytest.raises(UsageError) as caught:
        rows(document)
    assert caught.value.message.startswith("row 2, column x: ")
    assert asked in caught.value.message


BOMB = "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' if n else '<!ENTITY a0 "lol">' for n in range(10)
)  # a billion laughs


@pytest.mark.parametrize(
    ("declaration", "cell"),
    [
        (f"<!DOCTYPE VOTABLE [{BOMB}]>", "&a9;"),
        ('<!DOCTYPE VOTABLE [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
        ('<!DOCTYPE VOTABLE [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]>', "1"),
        ('<!DOCTYPE VOTABLE [<!ATTLIST TD a CDATA "b">]>', "1"),
    ],
)
def test_a_dtd_of_its_own_is_refused(declaration: str, cell: str) -> None:
    with pytest.raises(UsageError, match="has a DTD of its own"):
        rows(declaration + tabledata('<FIELD name="x" datatype="char" arraysize="*"/>', f"<TR><TD>{cell}</TD></TR>"))


def test_a_dtd_elsewhere_is_passed_by_and_its_entities_are_unknown() -> None:
    declaration = '<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">'
    assert rows(declaration + tabledata()) == EXPECTED
    with pytest.raises(UsageError, match="entities of its own"):
        rows(declaration + tabledata(rows="<TR><TD>1</TD><TD>&x;</TD></TR>"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<VOTABLE>" + "<RESOURCE>" * 10_000, "nests deeper than 50 elements"),
        (tabledata('<FIELD name="x" datatype="int"/>' * 51, ""), "more than 50 columns"),
        ("<VOTABLE><!--" + "x" * 2**21, "line 1: a tag or a comment is longer than 1,048,576 bytes"),
        (tabledata(f'<FIELD name="x" datatype="int" ucd="{"x" * 2**21}"/>', ""), "a tag or a comment is longer"),
        (tabledata(rows="<TR><TD>1</TD><TD>a</TD></TR>" + "<?x " + "y" * 2**21), "a tag or a comment is longer"),
        (tabledata(f'<FIELD name="{"x" * 2000}" datatype="int"/>', ""), "longer than 1000 characters"),
        (tabledata('<FIELD name="x" datatype="int" arraysize="999999999x999999999"/>', ""), "larger than 16,777,216"),
        (tabledata('<FIELD name="x" datatype="double" arraysize="2000000"/>' * 5), "rows of the table are larger than"),
        (binary(FIELDS, b"\0\0\0\1\x7f\xff\xff\xff"), "row 1, column s: the cell is larger than 16,777,216 bytes"),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_taken(document: str, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ResourceLimitError) as caught:
            rows(document)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert message in caught.value.message


class Endless(io.RawIOBase):
    """A document whose rows go on; made as it is read."""

    def __init__(self, start: bytes, row: bytes, count: int, end: bytes) -> None:
        self._pieces = self._made(start, row, count, end)

    @staticmethod
    def _made(start: bytes, row: bytes, count: int, end: bytes) -> Iterator[bytes]:
        yield start
        for _ in range(count // 100):
            yield row * 100
        yield end

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"")


def long_document(form: str, count: int) -> Endless:
    if form == "TABLEDATA":
        start, end = tabledata().split(ROWS)
        return Endless(start.encode(), b"<TR><TD>12345</TD><TD>some text of a row</TD></TR>", count, end.encode())
    flags = b"\0" if form == "BINARY2" else b""
    text = b"x" * (499 - len(flags))  # so that a row fills groups of three bytes
    row = flags + struct.pack(">ii", 7, len(text)) + text
    start, end = binary(FIELDS, b"", form, encoded="@").split("@")
    return Endless(start.encode(), base64.b64encode(row), count, end.encode())


@pytest.mark.parametrize("form", ["TABLEDATA", "BINARY", "BINARY2"])
def test_memory_does_not_grow_with_the_rows(form: str) -> None:
    peaks = []
    fewest = 8_000 if form == "TABLEDATA" else 6_000
    for count in (fewest, 4 * fewest):
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        most = found = 0
        for batch in read_votable(long_document(form, count), max_columns=5):  # type: ignore[arg-type]
            found += batch.num_rows
            most = max(most, pa.total_allocated_bytes() - before)
        peaks.append(tracemalloc.get_traced_memory()[1] + most)
        tracemalloc.stop()
        assert found == count
    assert peaks[1] < 1.3 * peaks[0]


def test_faults_are_the_only_answer(every_kind: object) -> None:
    """A document that is cut at any place is refused, or its rows came before the cut."""
    document = tabledata().encode()
    for end in range(len(document)):
        try:
            found = rows(document[:end])
        except CatalogError:
            continue
        assert found == EXPECTED
