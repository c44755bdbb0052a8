"""Uploaded tables in queries: they come back as they went in, join with what is published, and stay apart."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from catalog import Catalog, open_catalog
from catalog.dali import UploadedFile, UploadedTable
from catalog.errors import ParameterError, QueryError, ResourceLimitError
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
from catalog.formats.reading.fields import MAX_CELL_BYTES, MAX_ROW_BYTES
from catalog.formats.reading.table import READABLE_TYPES
from catalog.settings import TapSettings
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


def service(**limits: float) -> UploadService:
    bounds = UploadLimits(**{"bytes": 10**6, "rows": 1000, "tables": 3, "seconds": 60, **limits})
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


def numbers(rows: int, columns: int = 1) -> bytes:
    header = ",".join(f"c{at}" for at in range(columns))
    return "\r\n".join([header, *(",".join([str(row)] * columns) for row in range(rows))]).encode()


def test_limits_are_named_with_the_table() -> None:
    two = [UploadedTable("one", "param:one"), UploadedTable("other", "param:other")]
    files = [part(numbers(10), "one"), part(numbers(10), "other")]
    size = len(numbers(10))
    with service(rows=10, tables=2, bytes=2 * size).open(two, files) as uploads:
        assert [table.nrows for table in uploads.tables.values()] == [10, 10]
    with pytest.raises(
        ResourceLimitError, match=r"uploaded table one: it has more than 9 rows \(tap\.upload_limit_rows"
    ):
        service(rows=9).open(two, files)
    with pytest.raises(ResourceLimitError, match=r"uploaded table other: .* larger than .* \(tap\.upload_limit_bytes"):
        service(bytes=2 * size - 1).open(two, files)
    with pytest.raises(ResourceLimitError, match=r"uploads 2 tables; tap\.upload_limit_tables allows 1"):
        service(tables=1).open(two, files)
    with pytest.raises(ResourceLimitError, match="uploaded table one: the table has more than 400 columns"):
        service().open(two, [part(numbers(1, 401), "one"), files[1]])
    with pytest.raises(ParameterError, match="UPLOAD is not offered"):
        service(bytes=0).open(two, files)


def test_cells_that_grow_when_they_are_read_are_bounded() -> None:
    """A cell without a character is an array of as many nulls as its column says."""
    field, row = '<FIELD name="x" datatype="double" arraysize="100000"/>', "<TR><TD/></TR>"
    table = f"<TABLE>{field}<DATA><TABLEDATA>{row * 30}</TABLEDATA></DATA></TABLE>"
    content = f"<VOTABLE><RESOURCE>{table}</RESOURCE></VOTABLE>".encode()
    with pytest.raises(ResourceLimitError, match="uploaded table t: it is too large when unpacked"):
        service().open([UploadedTable("t", "param:t")], [part(content)])


def test_as_many_columns_as_are_allowed_fit_the_databases(catalog: Catalog) -> None:
    kinds = [
        (Column("t", Datatype.CHAR, "*", xtype="timestamp"), "2026-04-01T12:00:00"),
        (Column("x", Datatype.DOUBLE), math.nan),
        (Column("s", Datatype.CHAR, "*"), "text of some length, and a little more"),
        (Column("p", Datatype.DOUBLE, "2", xtype="point"), [math.nan, math.nan]),
    ]
    columns = [Column(f"{column.name}{at}", column.datatype, column.arraysize, xtype=column.xtype)
               for at in range(100) for column, _ in kinds]  # fmt: skip
    row = [value for _ in range(100) for _, value in kinds]
    found = answered(catalog, "SELECT * FROM TAP_UPLOAD.t", t=document(columns, [row]))
    assert list(map(plain, found[0])) == list(map(plain, row))


def test_packed_content_is_unpacked_within_the_limit(catalog: Catalog) -> None:
    content = numbers(3)
    packed = gzip.compress(content[:4]) + gzip.compress(content[4:])
    assert answered(catalog, "SELECT c0 FROM TAP_UPLOAD.t", t=packed) == [[0], [1], [2]]
    bomb = part(gzip.compress(b"a\r\n" + b"1\r\n" * 10**6), "t")
    with pytest.raises(ResourceLimitError, match=r"uploaded table t: .* larger than"):
        service().open([UploadedTable("t", "param:t")], [bomb])
    for wrong in (packed[:-3], packed + b"x", b"\x1f\x8bnothing", b"\x1f\x8b"):
        with pytest.raises(ParameterError, match="uploaded table t: the content is packed with gzip"):
            service().open([UploadedTable("t", "param:t")], [part(wrong)])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no file named 't'"),
        ([part(b"a\n1", "T")], "no file named 't'"),
        ([part(b"a\n1"), part(b"a\n1")], "more than one file named 't'"),
        ([part(b"")], "the upload is empty"),
        (
            [part(b"\x00\x01\x02")],
            "the format of the content is not known; expected VOTable, CSV, TSV, FITS or Parquet",
        ),
        ([part(b"<html><body>404</body></html>")], "line 1: the document is <html>; expected <VOTABLE>"),
        ([part(b"a,b\n1,2\n3\n")], "row 2 has 1 cells, there are 2 columns"),
    ],
)
def test_what_is_no_table_is_refused(files: list[UploadedFile], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        service().open([UploadedTable("t", "param:t")], files)
    assert caught.value.message.startswith("uploaded table t: ")
    assert message in caught.value.message


def test_a_misspelled_upload_is_told(catalog: Catalog) -> None:
    with opened(catalog, targets=b"magnitudes\n1") as uploads:
        with pytest.raises(QueryError) as caught:
            catalog.query("SELECT * FROM TAP_UPLOAD.target", uploads=uploads)
        assert "TAP_UPLOAD.targets" in str(caught.value.hint)
        assert caught.value.proposal == "SELECT * FROM TAP_UPLOAD.targets"
        with pytest.raises(QueryError) as caught:
            catalog.query("SELECT magnitude FROM TAP_UPLOAD.targets", uploads=uploads)
        assert "magnitudes" in str(caught.value.hint)
    with pytest.raises(QueryError) as caught:
        catalog.query("SELECT * FROM TAP_UPLOAD.mine")
    assert caught.value.hint == "the parameter UPLOAD=mine,… brings such a table"


def test_an_upload_is_nobody_elses_and_gone_afterwards(catalog: Catalog) -> None:
    with opened(catalog, t=numbers(3)) as mine, opened(catalog, t=numbers(5)) as yours:
        rows = "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t"
        first, second = (catalog.query(rows, uploads=uploads) for uploads in (mine, yours))
        assert (first.read_all()["n"][0].as_py(), second.read_all()["n"][0].as_py()) == (3, 5)
        assert catalog.query(rows, uploads=mine).read_all()["n"][0].as_py() == 3
        for adql in (rows, "SELECT * FROM upload_1", "SELECT * FROM temp.upload_1", "SELECT * FROM pg_temp.upload_1"):
            with pytest.raises(QueryError):
                catalog.query(adql)
        names = catalog.query("SELECT table_name FROM TAP_SCHEMA.tables").read_all()["table_name"].to_pylist()
    assert not [name for name in names if "upload" in name.lower()]


def test_an_upload_may_have_the_name_of_a_published_table(catalog: Catalog) -> None:
    content = numbers(2)
    assert answered(catalog, "SELECT COUNT(*) FROM TAP_UPLOAD.obscore", obscore=content) == [[2]]
    assert answered(catalog, "SELECT COUNT(*) FROM ivoa.obscore", obscore=content) != [[2]]
    with pytest.raises(QueryError, match=r"ivoa\.obscore or TAP_UPLOAD\.obscore|TAP_UPLOAD\.obscore or ivoa\.obscore"):
        answered(catalog, "SELECT COUNT(*) FROM obscore", obscore=content)


def some_packages(catalog: Catalog) -> list[tuple[str, float, float]]:
    found = catalog.query("SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore WHERE s_ra IS NOT NULL").read_all()
    return [tuple(row.values()) for row in found.to_pylist()][:20]


def test_an_upload_joins_by_identifier_through_the_key(catalog: Catalog) -> None:
    dids = [[did] for did, _, _ in some_packages(catalog)]
    content = document([Column("did", Datatype.CHAR, "*")], dids)
    adql = "SELECT o.obs_publisher_did FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o ON o.obs_publisher_did = t.did"
    assert sorted(answered(catalog, adql, t=content)) == sorted(dids)
    url = catalog.settings.database.url.get_secret_value()
    if url.startswith("postgresql"):
        url += "?options=-cenable_seqscan%3Doff"  # of so few rows it would rather read all
    with (
        open_catalog(url) as asked,
        opened(asked, t=document([Column("did", Datatype.CHAR, "*")], dids[:1])) as uploads,
    ):
        explanation = asked.tap.explain(adql, uploads=uploads)
    assert any("did" in name or "key" in name for name in explanation.indexes), explanation.plan


@pytest.mark.parametrize(
    "near",
    [
        "CONTAINS(POINT(t.ra, t.de), CIRCLE(o.s_ra, o.s_dec, 0.01)) = 1",
        "CONTAINS(POINT(o.s_ra, o.s_dec), CIRCLE(t.ra, t.de, 0.01)) = 1",
        "DISTANCE(POINT(t.ra, t.de), POINT(o.s_ra, o.s_dec)) < 0.01",
        "DISTANCE(o.s_ra, o.s_dec, t.ra, t.de) < 36/3600.",
    ],
)
def test_an_upload_is_matched_through_the_spatial_index(catalog: Catalog, near: str) -> None:
    packages = some_packages(catalog)
    columns = [Column("n", Datatype.INT), Column("ra", Datatype.DOUBLE), Column("de", Datatype.DOUBLE)]
    rows: list[list[object]] = [[at, ra, dec] for at, (_, ra, dec) in enumerate(packages)]
    content = document(columns, [*rows, [-1, None, None], [-2, math.nan, 0.0]])
    adql = f"SELECT t.n, o.obs_publisher_did FROM TAP_UPLOAD.t AS t JOIN ivoa.obscore AS o ON {near}"
    found = {(row[0], row[1]) for row in answered(catalog, adql, t=content)}
    assert {(at, did) for at, (did, _, _) in enumerate(packages)} <= found
    assert min(row[0] for row in found) >= 0  # type: ignore[type-var]
    with opened(catalog, t=content) as uploads:
        explanation = catalog.tap.explain(adql, uploads=uploads)
    assert any("position" in name or "spoint" in name or "rtree" in name for name in explanation.indexes), (
        explanation.plan
    )


def test_reading_ends_when_its_time_is_over() -> None:
    """A few bytes may describe rows of any size; and a file may consist of any number of small ones."""
    row = b"<TR><TD/></TR>"
    start, end = document([Column("x", Datatype.BIT, "16000000")], [], "votable/td").split(b"</TABLEDATA>")
    wide = start + row * 50_000 + b"</TABLEDATA>" + end
    members = gzip.compress(b"x\n1\n") + gzip.compress(b"1\n") * 40_000
    for content, seconds in ((wide, 0.2), (members, 1e-6)):
        with pytest.raises(ResourceLimitError, match=rf"must be read within {seconds:g} s \(tap.upload_read_s\)"):
            service(seconds=seconds, rows=10**6).open([UploadedTable("t", "param:t")], [part(content)])


def test_reading_ends_when_it_is_stopped() -> None:
    asked = iter([False, True])  # of the only piece, and of its only batch
    with pytest.raises(ResourceLimitError, match="the request was stopped"):
        service().open([UploadedTable("t", "param:t")], [part(numbers(500, 1))], is_stopped=lambda: next(asked))


def test_the_page_on_uploads_has_the_limits_and_types_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "uploads.md").read_text(encoding="utf-8")
    tap = TapSettings()
    for name in ("upload_limit_bytes", "upload_limit_rows", "upload_limit_tables"):
        assert f"| `tap.{name}`, {getattr(tap, name):,} |" in page
    assert f"| `tap.upload_fetch_s`, {tap.upload_fetch_s:g} |" in page
    assert f"| `tap.upload_read_s`, {tap.upload_read_s:g} |" in page
    assert f"| bytes of a row whose cells have a fixed size | {MAX_ROW_BYTES:,} |" in page
    assert f"| columns of a table | {UploadLimits(1, 1, 1, 1).columns} |" in page
    assert f"| bytes of a cell | {MAX_CELL_BYTES:,} |" in page
    for media_type in READABLE_TYPES:
        assert f"`{media_type}`" in page or media_type in ("text/x-votable+xml", "application/x-fits")
