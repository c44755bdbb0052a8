"""Uploaded tables in queries: they come back as they went in, join with what is published, and stay apart."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import pyarrow as pa
import pytest

from catalog import Catalog
from catalog.dali import UploadedFile, UploadedTable
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.tap.fetch import Fetcher
from catalog.tap.upload import UploadLimits, Uploads, UploadService
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.types import Datatype

SERIALIZATIONS = ("votable/td", "votable/b", "votable/b2")


def document(columns: Sequence[Column], rows: Sequence[Sequence[object]], form: str = "votable/b2") -> bytes:
    table = Table("t", tuple(columns))
    arrays = [pa.array([row[at] for row in rows], column.arrow_type) for at, column in enumerate(columns)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema)
    return b"".join(encode(TableStream(table, [batch]), parse_format(form)))


def part(content: bytes, name: str = "t", content_type: str = "") -> UploadedFile:
    return UploadedFile(name, content_type, len(content), io.BytesIO(content))


def opened(catalog: Catalog, **contents: bytes) -> Uploads:
    files = [part(content, name) for name, content in contents.items()]
    return catalog.uploads.open([UploadedTable(name, f"param:{name}") for name in contents], files)


def answer(catalog: Catalog, adql: str, **contents: bytes) -> tuple[Table, list[list[object]]]:
    with opened(catalog, **contents) as uploads:
        stream = catalog.query(adql, uploads=uploads)
        found = stream.read_all()
    columns = [column.to_pylist() for column in found.columns]
    return stream.table, [list(row) for row in zip(*columns, strict=True)]


def answered(catalog: Catalog, adql: str, **contents: bytes) -> list[list[object]]:
    return answer(catalog, adql, **contents)[1]


def service(**limits: int) -> UploadService:
    bounds = UploadLimits(**{"bytes": 10**6, "rows": 1000, "tables": 3, **limits})
    return UploadService(bounds, Fetcher((), seconds=5), takes_tables=lambda: True)


EVERY_KIND: list[tuple[Column, list[object]]] = [
    (Column("flag", Datatype.BOOLEAN), [True, False, None]),
    (Column("bit", Datatype.BIT), [True, False, True]),
    (Column("octet", Datatype.UNSIGNED_BYTE), [0, 255, None]),
    (Column("short", Datatype.SHORT), [-(2**15), 2**15 - 1, None]),
    (Column("int", Datatype.INT, unit="pixel", ucd="meta.number"), [-(2**31), 2**31 - 1, None]),
    (Column("long", Datatype.LONG, utype="a:b.c"), [-(2**63), 2**63 - 1, None]),
    (Column("float", Datatype.FLOAT, description="A float"), [1.1, -math.inf, 1e-45]),
    (Column("double", Datatype.DOUBLE), [0.1, math.inf, 5e-324]),
    (Column("c8", Datatype.FLOAT_COMPLEX), [[1.5, -2.5], [0.0, math.inf], [1.0, 1.0]]),
    (Column("c16", Datatype.DOUBLE_COMPLEX), [[0.1, 0.2], [1e300, -1e-300], [1.0, 1.0]]),
    (Column("letter", Datatype.CHAR, "1"), ["a", "?", None]),
    (Column("text", Datatype.CHAR, "*"), ["a<&>\"b'", "it''s", None]),
    (Column("text8", Datatype.CHAR, "8"), ["eight ch", "x", None]),
    (Column("text8s", Datatype.CHAR, "8*"), ["eight ch", "x", None]),
    (Column("texts", Datatype.CHAR, "3x2"), ["ab cde", "x", None]),
    (Column("uni", Datatype.UNICODE_CHAR, "*"), ["Ωé𝄞 <&>", "plain", None]),
    (Column("uni5", Datatype.UNICODE_CHAR, "5"), ["Ωé𝄞", "plain", None]),
    (Column("odd", Datatype.CHAR, "*", xtype="ccat:thing", unit="furlong"), ["a", "b", None]),
    (Column("flags", Datatype.BOOLEAN, "*"), [[True, False], [True], None]),
    (Column("flags3", Datatype.BOOLEAN, "3"), [[True, False, True], [False] * 3, [True] * 3]),
    (Column("bits", Datatype.BIT, "*"), [[True] * 9, [False], None]),
    (Column("bits10", Datatype.BIT, "10"), [[True, False] * 5, [False] * 10, [True] * 10]),
    (Column("octets", Datatype.UNSIGNED_BYTE, "*"), [[1, 255], [0], None]),
    (Column("shorts", Datatype.SHORT, "2"), [[1, -1], [0, 2], [3, 4]]),
    (Column("ints", Datatype.INT, "*"), [[1, 2, 3], [-5], None]),
    (Column("longs", Datatype.LONG, "4*"), [[2**63 - 1], [-(2**63), 0], None]),
    (Column("floats", Datatype.FLOAT, "*"), [[1.1, math.nan, math.inf], [0.0], None]),
    (Column("doubles", Datatype.DOUBLE, "3"), [[0.1, 2, 3], [math.nan, -math.inf, 0], [1, 2, 3]]),
    (Column("matrix", Datatype.FLOAT, "2x3"), [[1, 2, 3, 4, 5, 6], [1] * 6, [0.5] * 6]),
    (Column("pairs", Datatype.INT, "2x*"), [[1, 2], [1, 2, 3, 4], None]),
    (Column("c8s", Datatype.FLOAT_COMPLEX, "*"), [[1, 2, 3, 4], [5, 6], None]),
    (Column("c16s", Datatype.DOUBLE_COMPLEX, "2"), [[1, 2, 3, 4], [5, 6, 7, 8], [0.1] * 4]),
    (Column("point", Datatype.DOUBLE, "2", xtype="point", unit="deg"), [[10.5, -20.25], [0, 90], [359.9, 1e-7]]),
    (Column("circle", Datatype.DOUBLE, "3", xtype="circle"), [[10, 20, 0.5], [0, 0, 1], [1, 2, 3]]),
    (Column("polygon", Datatype.DOUBLE, "*", xtype="polygon"), [[10, 10, 10, 11, 11, 11], [0, 0, 1, 0, 1, 1], None]),
]


def plain(value: object) -> object:
    """A value that equals another exactly when both are the same, NaN included."""
    return repr(value)


@pytest.mark.parametrize("form", [*SERIALIZATIONS, "parquet"])
def test_every_type_comes_back_with_what_is_said_of_it(catalog: Catalog, form: str) -> None:
    columns = [column for column, _ in EVERY_KIND]
    rows = [[values[at] for _, values in EVERY_KIND] for at in range(3)]
    expected = TableStream(
        Table("t", tuple(columns)),
        [
            pa.RecordBatch.from_arrays(
                [pa.array(values, column.arrow_type) for column, values in EVERY_KIND],
                schema=Table("t", tuple(columns)).arrow_schema,
            )
        ],
    ).read_all()
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document(columns, rows, form))
    assert table.columns == tuple(columns)
    for at, column in enumerate(columns):
        got, sent = [row[at] for row in found], expected.column(at).to_pylist()
        assert list(map(plain, got)) == list(map(plain, sent)), column


@pytest.mark.parametrize("form", SERIALIZATIONS)
def test_nulls_nan_and_no_rows(catalog: Catalog, form: str) -> None:
    columns = [
        Column("n", Datatype.INT),
        Column("x", Datatype.DOUBLE),
        Column("y", Datatype.FLOAT),
        Column("s", Datatype.CHAR, "*"),
        Column("a", Datatype.INT, "*"),
    ]
    rows: list[list[object]] = [[None] * 5, [1, math.nan, math.nan, "x", [1]], [2, 1.0, 1.0, None, None]]
    missing = math.nan if form == "votable/b" else None
    found = answered(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document(columns, rows, form))
    assert list(map(plain, found)) == list(map(plain, [[None, missing, missing, None, None], *rows[1:]]))
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document(columns, [], form))
    assert (table.columns, found) == (tuple(columns), [])
    found = answered(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document(columns, [[None] * 5] * 3, form))
    assert [[row[0], row[3], row[4]] for row in found] == [[None] * 3] * 3


def test_queries_compute_with_null_where_a_value_is_nan(catalog: Catalog) -> None:
    content = document([Column("x", Datatype.DOUBLE)], [[math.nan], [1.0], [None]])
    assert answered(catalog, "SELECT x FROM TAP_UPLOAD.t WHERE x > 0", t=content) == [[1.0]]
    assert answered(catalog, "SELECT COUNT(*), COUNT(x), SUM(x) FROM TAP_UPLOAD.t", t=content) == [[3, 1, 1.0]]
    assert answered(catalog, "SELECT x FROM TAP_UPLOAD.t GROUP BY x ORDER BY x", t=content) == [[1.0], [None]]
    assert answered(catalog, "SELECT DISTINCT x FROM TAP_UPLOAD.t ORDER BY 1", t=content) == [[1.0], [None]]


def test_a_query_reads_uploads_by_any_spelling_of_their_name(catalog: Catalog) -> None:
    content = document([Column("n", Datatype.INT)], [[1], [2]])
    for name in ("TAP_UPLOAD.Mine", "tap_upload.mine", "Mine", "TAP_UPLOAD.MINE AS m"):
        assert answered(catalog, f"SELECT n FROM {name} ORDER BY n", Mine=content) == [[1], [2]]
    assert answered(catalog, "SELECT a.n FROM TAP_UPLOAD.a JOIN TAP_UPLOAD.b USING (n)", a=content, b=content)


NAMES = [
    "plain",
    "with blank",
    'with "quotes"',
    "it's",
    "select",
    "a.b",
    "100%",
    ":colon",
    "Größe",
    "RA",
    "ra",
    "Ra",
    "x" * 70,
    "x" * 69 + "y",
    "column_2",
    "\\backslash",
    "a;b--c/*d*/",
    "oid",
    "ctid",
    "rowid",
]


@pytest.mark.parametrize("form", SERIALIZATIONS)
def test_names_keep_their_spelling(catalog: Catalog, form: str) -> None:
    columns = [Column(name, Datatype.INT) for name in NAMES]
    content = document(columns, [list(range(len(NAMES)))], form)
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=content)
    assert [column.name for column in table.columns] == NAMES
    assert found == [list(range(len(NAMES)))]
    for at, name in enumerate(NAMES):
        delimited = name.replace('"', '""')
        table, found = answer(catalog, f'SELECT "{delimited}" FROM TAP_UPLOAD.t', t=content)
        assert (table.columns[0].name, found) == (name, [[at]])
    inner = "SELECT * FROM (SELECT * FROM TAP_UPLOAD.t) AS s"
    table, found = answer(catalog, inner, t=content)
    assert ([column.name for column in table.columns], found) == (NAMES, [list(range(len(NAMES)))])


def test_names_that_repeat_or_are_missing_are_told_apart(catalog: Catalog) -> None:
    fields = "".join(f'<FIELD name="{name}" datatype="int"/>' for name in ("x", "x", "", "x_2"))
    content = f"""<VOTABLE><RESOURCE><TABLE>{fields}<DATA><TABLEDATA>
        <TR><TD>1</TD><TD>2</TD><TD>3</TD><TD>4</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=content.encode())
    assert [column.name for column in table.columns] == ["x", "x_3", "column_3", "x_2"]
    assert found == [[1, 2, 3, 4]]


def test_order_of_the_rows_is_kept(catalog: Catalog) -> None:
    content = document([Column("n", Datatype.INT)], [[(7919 * n) % 30_011] for n in range(30_000)])
    found = answered(catalog, "SELECT * FROM TAP_UPLOAD.t", t=content)
    assert [row[0] for row in found] == [(7919 * n) % 30_011 for n in range(20_000)]


def test_times_compare_and_go_out_as_they_came(catalog: Catalog) -> None:
    texts = ["2026-04-01T12:00:00.000001Z", "2026-04-01 12:00", "2026-04-02", "soon", None, "2026-13-01"]
    column = Column("t", Datatype.CHAR, "*", xtype="timestamp")
    content = document([Column("n", Datatype.INT), column], [[at, text] for at, text in enumerate(texts)])
    table, found = answer(catalog, "SELECT t FROM TAP_UPLOAD.t ORDER BY n", t=content)
    assert (table.columns[0].xtype, [row[0] for row in found]) == ("timestamp", texts)
    after = "SELECT n FROM TAP_UPLOAD.t WHERE t > '2026-04-01T12:00:00.000' ORDER BY t"
    assert answered(catalog, after, t=content) == [[0], [2]]
    assert answered(catalog, "SELECT n FROM TAP_UPLOAD.t WHERE t IS NULL ORDER BY n", t=content) == [[3], [4], [5]]
    longest = answered(catalog, "SELECT MAX(t), MIN(t) FROM TAP_UPLOAD.t", t=content)
    assert longest == [["2026-04-02T00:00:00.000", "2026-04-01T12:00:00.000"]]


def test_an_older_word_for_times_is_understood(catalog: Catalog) -> None:
    column = Column("t", Datatype.CHAR, "*", xtype="adql:TIMESTAMP")
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document([column], [["2003-05-04T02:01:00"]]))
    assert (table.columns[0].xtype, found) == ("timestamp", [["2003-05-04T02:01:00"]])


def test_shapes_are_geometries(catalog: Catalog) -> None:
    columns = [
        Column("n", Datatype.INT),
        Column("p", Datatype.DOUBLE, "2", xtype="point"),
        Column("c", Datatype.FLOAT, "3", xtype="circle"),
        Column("s", Datatype.DOUBLE, "*", xtype="polygon"),
    ]
    rows: list[list[object]] = [
        [1, [10.0, 20.0], [10.0, 20.0, 1.0], [9.0, 19.0, 11.0, 19.0, 11.0, 21.0, 9.0, 21.0]],
        [2, [math.nan, math.nan], [math.nan] * 3, [math.nan] * 6],
        [3, [50.0, 20.0], [50.0, 20.0, 1.0], [1.0, 2.0]],
    ]
    content = document(columns, rows)
    for test in (
        "CONTAINS(p, CIRCLE(10, 20.5, 1)) = 1",
        "CONTAINS(POINT(10, 20.5), c) = 1",
        "CONTAINS(POINT(10, 20.5), s) = 1",
        "INTERSECTS(s, CIRCLE(12, 20, 2)) = 1",
        "DISTANCE(p, POINT(10, 21)) < 1.1",
    ):
        assert answered(catalog, f"SELECT n FROM TAP_UPLOAD.t WHERE {test}", t=content) == [[1]], test
    assert answered(catalog, "SELECT COORD1(p), COORD2(p) FROM TAP_UPLOAD.t ORDER BY n", t=content) == [
        [10.0, 20.0],
        [None, None],
        [50.0, 20.0],
    ]
    found = answered(catalog, "SELECT p, c, s FROM TAP_UPLOAD.t ORDER BY n", t=content)
    assert list(map(plain, found)) == list(map(plain, [row[1:] for row in rows]))


def test_text_beyond_what_is_declared_is_kept(catalog: Catalog) -> None:
    fields = '<FIELD name="a" datatype="char" arraysize="2"/><FIELD name="b" datatype="char"/>'
    rows = "<TR><TD>abc</TD><TD>Ω</TD></TR><TR><TD>Åß𝄞</TD><TD/></TR>"
    content = (
        f"<VOTABLE><RESOURCE><TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    table, found = answer(catalog, "SELECT * FROM TAP_UPLOAD.t", t=content.encode())
    assert found == [["abc", "Ω"], ["Åß𝄞", None]]
    described = [(column.datatype, column.arraysize) for column in table.columns]
    assert described == [(Datatype.UNICODE_CHAR, "*"), (Datatype.UNICODE_CHAR, "1")]
