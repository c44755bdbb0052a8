"""What astropy, STILTS and a reader written here from the standard get back from both serializations."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import votable
from hypothesis import HealthCheck, given, settings
from lxml import etree

from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

SERIALIZATIONS = ["votable/b2", "votable/td", "votable/b"]
BATCHES = [1, 2, 3, 100]


def written(table: Table, rows: list[dict[str, object]], name: str, *, per_batch: int = 100) -> bytes:
    whole = pa.RecordBatch.from_pylist(rows, schema=table.arrow_schema)
    batches = [whole.slice(start, per_batch) for start in range(0, len(rows), per_batch)]
    return b"".join(encode(TableStream(table, batches), parse_format(name)))


def stream_of(document: bytes) -> io.BytesIO:
    """The content of the STREAM element."""
    text = etree.fromstring(document, etree.XMLParser(huge_tree=True)).findtext(".//{*}STREAM")
    assert text is not None
    return io.BytesIO(base64.b64decode(text, validate=False))


def marked_nulls(document: bytes) -> list[int | None]:
    """What each FIELD says that null is."""
    fields = etree.fromstring(document, etree.XMLParser(huge_tree=True)).iter("{*}FIELD")
    return [int(values[0].get("null")) if (values := field.findall("{*}VALUES")) else None for field in fields]


def binary2_cells(document: bytes, table: Table) -> list[list[object]]:
    """Cells by a reader that follows the standard byte by byte; null is None whatever the type."""
    source = stream_of(document)
    rows = []
    while flags := source.read((len(table.columns) + 7) // 8):
        nulls = [bool(flags[i // 8] & (0x80 >> i % 8)) for i in range(len(table.columns))]
        cells = [binary_cell(source, column) for column in table.columns]
        rows.append([None if null else value for null, value in zip(nulls, cells, strict=True)])
    return rows


def binary_cells(document: bytes, table: Table) -> list[list[object]]:
    """Cells of BINARY by a reader of the same kind; what VALUES calls null is None."""
    source, end = stream_of(document), stream_of(document).seek(0, io.SEEK_END)
    rows = []
    while source.tell() < end:
        cells = [binary_cell(source, column) for column in table.columns]
        rows.append([_unmarked(cell, null) for cell, null in zip(cells, marked_nulls(document), strict=True)])
    return rows


def _unmarked(cell: object, null: int | None) -> object:
    if isinstance(cell, list):
        return [_unmarked(element, null) for element in cell]
    return None if null is not None and cell == null else cell


def binary_cell(source: io.BytesIO, column: Column) -> object:
    """The next cell of a stream."""
    codes = {
        Datatype.UNSIGNED_BYTE: "B",
        Datatype.SHORT: "h",
        Datatype.INT: "i",
        Datatype.LONG: "q",
        Datatype.FLOAT: "f",
        Datatype.DOUBLE: "d",
    }
    size = column.arraysize or ("*" if column.datatype.is_text else None)
    if size is None:
        count = 1
    elif size.endswith("*"):
        (count,) = struct.unpack(">i", source.read(4))
    else:
        count = math.prod(int(n) for n in size.split("x"))
    if column.datatype is Datatype.CHAR:
        return source.read(count).decode("ascii").rstrip("\0")
    if column.datatype is Datatype.UNICODE_CHAR:
        return source.read(2 * count).decode("utf-16-be").rstrip("\0")
    if column.datatype is Datatype.BOOLEAN:
        values = [{b"T": True, b"F": False, b"?": None}[source.read(1)] for _ in range(count)]
    else:
        form = f">{count}{codes[column.datatype]}"
        values = list(struct.unpack(form, source.read(struct.calcsize(form))))
    return values if size is not None else values[0]


def astropy_cells(document: bytes, table: Table) -> list[list[object]]:
    """Cells as astropy sees them: NaN and null are None, a null text is empty, a null variable array is empty."""
    data = votable.parse(io.BytesIO(document), verify="exception").get_first_table().array

    def plain(value: object, datatype: Datatype) -> object:
        if value is np.ma.masked or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, np.ma.MaskedArray):
            return [plain(element, datatype) for element in value.ravel().tolist()]
        if datatype is Datatype.FLOAT and value is not None:
            return float(np.float32(value))  # type: ignore[arg-type]
        return value.item() if isinstance(value, np.generic) else value

    return [[plain(data[c.name][row], c.datatype) for c in table.columns] for row in range(len(data))]


def exact(value: object, datatype: Datatype) -> object:
    """Comparable form: NaN and the sign of zero count."""
    if isinstance(value, list):
        return [exact(element, datatype) for element in value]
    if datatype.is_float and isinstance(value, int | float):
        return struct.pack(">f" if datatype is Datatype.FLOAT else ">d", value)
    return value


def seen_by_astropy(column: Column, value: object) -> object:
    """What astropy should show for a value that was written."""
    if column.datatype.is_text:
        return value or ""
    if column.is_array:
        length = math.prod(int(n) for n in column.arraysize.split("x")) if "*" not in column.arraysize else 0  # type: ignore[union-attr]
        elements = [None] * length if value is None else list(value)  # type: ignore[call-overload]
        return [seen_by_astropy(Column("x", column.datatype), element) for element in elements]
    if column.datatype is Datatype.FLOAT and value is not None:
        value = float(np.float32(value))  # type: ignore[arg-type]
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize("per_batch", BATCHES)
def test_binary2_carries_every_kind_bit_by_bit(
    every_kind: tuple[Table, list[dict[str, object]]], per_batch: int
) -> None:
    table, rows = every_kind
    cells = binary2_cells(written(table, rows, "votable/b2", per_batch=per_batch), table)
    assert [[exact(v, c.datatype) for c, v in zip(table.columns, row, strict=True)] for row in cells] == [
        [exact(row[c.name], c.datatype) for c in table.columns] for row in rows
    ]


@pytest.mark.conformance
@pytest.mark.parametrize("per_batch", BATCHES)
@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_astropy_reads_every_kind(every_kind: tuple[Table, list[dict[str, object]]], name: str, per_batch: int) -> None:
    table, rows = every_kind
    assert astropy_cells(written(table, rows, name, per_batch=per_batch), table) == [
        [seen_by_astropy(column, row[column.name]) for column in table.columns] for row in rows
    ]


@pytest.mark.conformance
@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_votlint_is_silent_on_every_kind(
    every_kind: tuple[Table, list[dict[str, object]]], name: str, stilts: Callable[..., str], tmp_path: Path
) -> None:
    table, rows = every_kind
    path = tmp_path / "every.vot"
    path.write_bytes(written(table, rows, name))
    assert stilts("votlint", f"votable={path}") == ""
    path.write_bytes(written(table, [], name))
    assert stilts("votlint", f"votable={path}") == ""


@pytest.mark.conformance
def test_votlint_speaks_up_when_something_is_wrong(
    every_kind: tuple[Table, list[dict[str, object]]], stilts: Callable[..., str], tmp_path: Path
) -> None:
    table, rows = every_kind
    path = tmp_path / "wrong.vot"
    path.write_bytes(written(table, rows, "votable/td").replace(b"<TD>255</TD>", b"<TD>two</TD>", 1))
    assert "ERROR" in stilts("votlint", f"votable={path}")


@pytest.mark.conformance
@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_stilts_reads_scalars_and_text_as_written(name: str, stilts: Callable[..., str], tmp_path: Path) -> None:
    columns = (
        Column("long", Datatype.LONG),
        Column("double", Datatype.DOUBLE),
        Column("flag", Datatype.BOOLEAN),
        Column("text", Datatype.CHAR, "*"),
        Column("unicode", Datatype.UNICODE_CHAR, "*"),
    )
    values: list[tuple[object, ...]] = [
        (-(2**63), 0.1, True, 'say "<&>"', "Ωé𝄞"),
        (2**63 - 1, float("inf"), False, " blanks round ", "line\nbreak"),
        (None, float("-inf"), None, "return\rhere", "tab\there"),
        (0, float("nan"), True, "x", "]]>"),
    ]
    rows = [dict(zip((c.name for c in columns), row, strict=True)) for row in values]
    path = tmp_path / "t.vot"
    path.write_bytes(written(Table("result", columns), rows, name))
    shown = stilts("tpipe", f"in={path}", "ifmt=votable", "ofmt=csv")
    # STILTS writes NaN and null alike as nothing.
    assert list(csv.reader(io.StringIO(shown, newline=""))) == [
        ["long", "double", "flag", "text", "unicode"],
        ["-9223372036854775808", "0.1", "true", 'say "<&>"', "Ωé𝄞"],
        ["9223372036854775807", "Infinity", "false", " blanks round ", "line\nbreak"],
        ["", "-Infinity", "", "return\rhere", "tab\there"],
        ["0", "", "true", "x", "]]>"],
    ]


@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_many_rows_in_many_batches_arrive_in_order(name: str) -> None:
    table = Table("result", (Column("n", Datatype.LONG), Column("text", Datatype.CHAR, "*")))
    total = 100_000

    def batches() -> list[pa.RecordBatch]:
        cuts = [0, 1, 7, 20_000, 20_001, 65_536, 99_998, total]
        return [
            pa.RecordBatch.from_arrays(
                [pa.array(np.arange(a, b)), pa.array([f"row {i}" for i in range(a, b)])], schema=table.arrow_schema
            )
            for a, b in pairwise(cuts)
        ]

    document = b"".join(encode(TableStream(table, batches()), parse_format(name)))
    data = votable.parse(io.BytesIO(document), verify="exception").get_first_table().array
    assert np.array_equal(data["n"].data, np.arange(total))
    assert data["text"].tolist() == [f"row {i}" for i in range(total)]


@pytest.mark.parametrize("name", SERIALIZATIONS)
def test_sliced_arrays_are_read_from_their_offset(every_kind: tuple[Table, list[dict[str, object]]], name: str) -> None:
    table, rows = every_kind
    whole = pa.RecordBatch.from_pylist([*rows, *rows], schema=table.arrow_schema)
    sliced = b"".join(encode(TableStream(table, [whole.slice(3, 3)]), parse_format(name)))
    assert sliced == written(table, [rows[3], rows[0], rows[1]], name)


def _finite_text(alphabet: st.SearchStrategy[str], *, limit: int | None) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=limit if limit is not None else 12)


_XML_CHARACTERS = st.characters(
    exclude_categories=("Cs",), exclude_characters="".join(map(chr, range(0x20))) + "\ufffe\uffff"
)
_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_SCALARS: dict[Datatype, st.SearchStrategy[object]] = {
    Datatype.BOOLEAN: st.booleans(),
    Datatype.UNSIGNED_BYTE: st.integers(0, 255),
    Datatype.SHORT: st.integers(-(2**15), 2**15 - 1),
    Datatype.INT: st.integers(-(2**31), 2**31 - 1),
    Datatype.LONG: st.integers(-(2**63), 2**63 - 1),
    Datatype.FLOAT: st.floats(width=32),
    Datatype.DOUBLE: st.floats(),
}
_TEXTS = (Datatype.CHAR, Datatype.UNICODE_CHAR)


def _cells(column: Column) -> st.SearchStrategy[object]:
    size = column.arraysize
    if column.datatype.is_text:
        alphabet = _ASCII if column.datatype is Datatype.CHAR else _XML_CHARACTERS
        limit = int(size.rstrip("*")) if size and size != "*" else None
        half = limit // 2 if limit and column.datatype is Datatype.UNICODE_CHAR else limit  # surrogate pairs
        # TABLEDATA readers trim blanks; that loss has its own test.
        return _finite_text(alphabet, limit=half).map(lambda text: text.strip())
    scalar = _SCALARS[column.datatype]
    if size is None:
        return scalar
    if size.endswith("*"):
        return st.lists(scalar, max_size=4)
    return st.lists(scalar, min_size=int(size), max_size=int(size))


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[dict[str, object]]]:
    kinds = draw(
        st.lists(
            st.tuples(st.sampled_from([*_SCALARS, *_TEXTS]), st.sampled_from([None, "*", "3", "6*"])),
            min_size=1,
            max_size=10,
        )
    )
    columns = tuple(Column(f"c{i}", datatype, size) for i, (datatype, size) in enumerate(kinds))
    row = st.fixed_dictionaries({c.name: st.none() | _cells(c) for c in columns})
    return Table("result", columns), draw(st.lists(row, max_size=6))


def seen_in_binary(column: Column, value: object) -> object:
    """What BINARY can tell of a value: no null apart from no text, no elements, NaN, or what VALUES says."""
    if column.datatype.is_text:
        return value or ""
    if column.is_array:
        assert column.arraysize is not None
        length = 0 if "*" in column.arraysize else math.prod(int(n) for n in column.arraysize.split("x"))
        elements = [None] * length if value is None else list(value)  # type: ignore[call-overload]
        return [seen_in_binary(Column("x", column.datatype), element) for element in elements]
    if column.datatype.is_float:
        return float("nan") if value is None else value
    return value


@given(sample=tables(), per_batch=st.integers(1, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_survives_binary_but_for_the_kind_of_null(
    sample: tuple[Table, list[dict[str, object]]], per_batch: int
) -> None:
    table, rows = sample
    cells = binary_cells(written(table, rows, "votable/b", per_batch=per_batch), table)
    assert [[exact(v, c.datatype) for c, v in zip(table.columns, row, strict=True)] for row in cells] == [
        [exact(seen_in_binary(c, row[c.name]), c.datatype) for c in table.columns] for row in rows
    ]


def test_binary_chooses_a_null_that_does_not_occur() -> None:
    table = Table("result", (Column("n", Datatype.LONG), Column("octet", Datatype.UNSIGNED_BYTE)))
    values = [(-(2**63), 255), (None, None), (-(2**63) + 1, 254), (0, 0)]
    document = written(table, [{"n": n, "octet": octet} for n, octet in values], "votable/b", per_batch=1)
    assert marked_nulls(document) == [-(2**63) + 2, 253]
    assert [tuple(row) for row in binary_cells(document, table)] == values


def test_binary_marks_no_null_where_there_is_none() -> None:
    table = Table("result", (Column("n", Datatype.LONG), Column("x", Datatype.DOUBLE)))
    assert marked_nulls(written(table, [{"n": 1, "x": None}], "votable/b")) == [None, None]


@given(sample=tables(), per_batch=st.integers(1, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_survives_binary2_bit_by_bit(sample: tuple[Table, list[dict[str, object]]], per_batch: int) -> None:
    table, rows = sample
    cells = binary2_cells(written(table, rows, "votable/b2", per_batch=per_batch), table)
    assert [[exact(v, c.datatype) for c, v in zip(table.columns, row, strict=True)] for row in cells] == [
        [exact(row[c.name], c.datatype) for c in table.columns] for row in rows
    ]


@pytest.mark.parametrize("name", SERIALIZATIONS)
@given(sample=tables(), per_batch=st.integers(1, 4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_reads_back_in_astropy(
    name: str, sample: tuple[Table, list[dict[str, object]]], per_batch: int
) -> None:
    table, rows = sample
    found = astropy_cells(written(table, rows, name, per_batch=per_batch), table)
    expected = [[seen_by_astropy(column, row[column.name]) for column in table.columns] for row in rows]
    if name == "votable/td":  # an empty cell of whole numbers reads as null, element by element
        assert [list(map(_nulls_alike, row)) for row in found] == [list(map(_nulls_alike, row)) for row in expected]
    else:
        assert found == expected


def _nulls_alike(value: object) -> object:
    return [] if isinstance(value, list) and all(element is None for element in value) else value


def test_line_ends_and_blanks_reach_the_xml_as_text() -> None:
    table = Table("result", (Column("text", Datatype.CHAR, "*"),))
    document = written(table, [{"text": " a\r\nb\tc "}], "votable/td")
    assert etree.fromstring(document).findtext(".//{*}TD") == " a\r\nb\tc "
    assert re.search(rb"<TD> a&#13;\nb\tc </TD>", document)
