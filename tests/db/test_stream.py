from __future__ import annotations

import math
from datetime import UTC, datetime
from uuid import UUID

import pyarrow as pa
import pytest
import sqlalchemy as sa

from catalog.db import Database, UtcDateTime, UuidText
from catalog.db.arrow import BATCH_ROWS, rows_at_once
from catalog.errors import InternalError, QueryError, QueryTimeoutError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

EVERY = Table(
    "result",
    (
        Column("flag", Datatype.BOOLEAN),
        Column("byte", Datatype.UNSIGNED_BYTE),
        Column("short", Datatype.SHORT),
        Column("int", Datatype.INT),
        Column("long", Datatype.LONG),
        Column("float", Datatype.FLOAT),
        Column("double", Datatype.DOUBLE),
        Column("char", Datatype.CHAR, "*"),
        Column("text", Datatype.UNICODE_CHAR, "*"),
        Column("list", Datatype.DOUBLE, "*"),
        Column("pair", Datatype.FLOAT, "2"),
        Column("longs", Datatype.LONG, "*"),
    ),
)
STORED = sa.Table(
    "stored",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flag", sa.Integer),
    sa.Column("byte", sa.SmallInteger),
    sa.Column("short", sa.SmallInteger),
    sa.Column("int", sa.Integer),
    sa.Column("long", sa.BigInteger),
    sa.Column("float", sa.REAL),
    sa.Column("double", sa.Double),
    sa.Column("char", sa.Text),
    sa.Column("text", sa.Text),
    sa.Column("list", sa.Text),
    sa.Column("pair", sa.Text),
    sa.Column("longs", sa.Text),
)
FULL = (
    1, 255, -32768, 2147483647, -(2**63), 0.5, 0.1, "a'b", "α <&> \U0001f52d",
    "1 2.5 NaN -Inf +Inf", "1 -2", "9223372036854775807 0",
)  # fmt: skip
EMPTY_TEXTS = (0, 0, 0, 0, 2**63 - 1, -1e30, -1e300, "", " ", "", "0 0", "")
NULLS = (None,) * 12


@pytest.fixture
def stored(database: Database) -> Database:
    rows = [(n, *cells) for n, cells in enumerate([FULL, EMPTY_TEXTS, NULLS])]
    with database.begin() as connection:
        STORED.create(connection)
        database.bulk_insert(connection, STORED, [c.name for c in STORED.c], rows)
    return database


def every_column() -> sa.Select[tuple[object, ...]]:
    return sa.select(*list(STORED.c)[1:]).order_by(STORED.c.id)


def test_every_type_arrives_as_its_column_says(stored: Database) -> None:
    found = stored.stream(every_column(), EVERY).read_all()
    assert found.schema == EVERY.arrow_schema
    full, empty, nulls = (list(row.values()) for row in found.to_pylist())
    assert full[:9] == [True, *FULL[1:9]]
    assert full[9][:2] == [1.0, 2.5]
    assert math.isnan(full[9][2])
    assert full[9][3:] == [-math.inf, math.inf]
    assert full[10:] == [[1.0, -2.0], [9223372036854775807, 0]]
    assert empty[:5] == [False, 0, 0, 0, 2**63 - 1]
    assert empty[5] == pytest.approx(-1e30, rel=1e-7)
    assert empty[6:] == [-1e300, "", " ", [], [0.0, 0.0], []]
    assert nulls == [None] * 12


def test_column_that_is_null_through_the_first_batch_keeps_its_type(database: Database) -> None:
    table = Table("result", (Column("n", Datatype.LONG), Column("x", Datatype.DOUBLE), Column("s", Datatype.CHAR)))
    source = sa.Table(
        "late", sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("x", sa.Double), sa.Column("s", sa.Text)
    )
    with database.begin() as connection:
        source.create(connection)
        rows = ((n, 0.5 if n == 19_999 else None, "z" if n == 19_999 else None) for n in range(20_000))
        assert database.bulk_insert(connection, source, ["n", "x", "s"], rows) == 20_000
    with database.stream(sa.select(source).order_by(source.c.n), table) as stream:
        batches = list(stream)
    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == 20_000
    assert {batch.schema for batch in batches} == {table.arrow_schema}
    assert batches[0].column(1).null_count == batches[0].num_rows
    assert batches[-1].to_pylist()[-1] == {"n": 19_999, "x": 0.5, "s": "z"}


@pytest.mark.parametrize(
    ("rows", "maxrec", "passed", "truncated"),
    [
        (9, 10, 9, False),
        (10, 10, 10, False),
        (11, 10, 10, True),
        (1, 0, 0, True),
        (0, 0, 0, False),
        (11, None, 11, False),
    ],
)
def test_truncation_is_exact(
    numbers: sa.Table, database: Database, rows: int, maxrec: int | None, passed: int, truncated: bool
) -> None:
    statement = sa.select(numbers.c.n).order_by(numbers.c.n).limit(rows)
    with database.stream(statement, Table("result", (Column("n", Datatype.INT),)), maxrec=maxrec) as stream:
        assert sum(batch.num_rows for batch in stream) == passed
        assert stream.truncated is truncated


@pytest.mark.parametrize("exactly", [16_384, 16_385, 32_768])
def test_no_row_is_lost_where_batches_end(numbers: sa.Table, database: Database, exactly: int) -> None:
    other = numbers.alias()
    number = (numbers.c.n - 1) * 1000 + other.c.n
    statement = sa.select(number).select_from(numbers, other).where(number <= exactly)
    found = database.stream(statement, Table("result", (Column("n", Datatype.INT),))).read_all()
    assert sorted(found["n"].to_pylist()) == list(range(1, exactly + 1))


def test_binds_of_every_kind_reach_the_engine(database: Database) -> None:
    identifier = UUID(int=7)
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    things = sa.Table(
        "things",
        sa.MetaData(),
        sa.Column("id", UuidText),
        sa.Column("at", UtcDateTime),
        sa.Column("n", sa.BigInteger),
        sa.Column("s", sa.Text),
        sa.Column("x", sa.Double),
    )
    with database.begin() as connection:
        things.create(connection)
        connection.execute(things.insert().values(id=identifier, at=moment, n=2**40, s="it's \\ 50%:x", x=0.5))
    statement = sa.select(things.c.n, sa.cast(sa.literal(None), sa.Text), sa.literal("O'Neill; --")).where(
        things.c.id == identifier,
        things.c.id.in_([identifier, UUID(int=8)]),
        things.c.at == moment,
        things.c.at.between(moment, moment),
        things.c.n.in_([2**40, 1]),
        things.c.s == "it's \\ 50%:x",
        things.c.x < 0.75,
        things.c.x * 2 == sa.literal(1.0),
    )
    table = Table("result", (Column("n", Datatype.LONG), Column("nothing", Datatype.CHAR), Column("s", Datatype.CHAR)))
    assert database.stream(statement, table).read_all().to_pylist() == [
        {"n": 2**40, "nothing": None, "s": "O'Neill; --"}
    ]


def test_group_by_with_one_shared_bind(numbers: sa.Table, database: Database) -> None:
    parity = numbers.c.n % sa.literal(2)
    statement = sa.select(parity, sa.func.count()).group_by(parity).order_by(parity)
    table = Table("result", (Column("parity", Datatype.INT), Column("n", Datatype.LONG)))
    assert database.stream(statement, table).read_all().to_pylist() == [
        {"parity": 0, "n": 500},
        {"parity": 1, "n": 500},
    ]


def test_uuid_and_time_columns_arrive_as_published_text(database: Database) -> None:
    things = sa.Table("things", sa.MetaData(), sa.Column("id", UuidText), sa.Column("at", UtcDateTime))
    with database.begin() as connection:
        things.create(connection)
        connection.execute(
            things.insert(),
            [{"id": UUID(int=7), "at": datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)}, {"id": None, "at": None}],
        )
    table = Table("result", (Column("id", Datatype.CHAR, "36"), Column("at", Datatype.CHAR, "*", xtype="timestamp")))
    found = database.stream(sa.select(things).order_by(things.c.id.is_(None)), table).read_all().to_pylist()
    assert found == [
        {"id": "00000000-0000-0000-0000-000000000007", "at": "2026-01-02T03:04:05.000060"},
        {"id": None, "at": None},
    ]


def test_average_of_integers_is_a_number(numbers: sa.Table, database: Database) -> None:
    table = Table("result", (Column("mean", Datatype.DOUBLE), Column("total", Datatype.LONG)))
    statement = sa.select(sa.func.avg(numbers.c.n), sa.func.sum(sa.cast(numbers.c.n, sa.BigInteger)))
    assert database.stream(statement, table).read_all().to_pylist() == [{"mean": 500.5, "total": 500_500}]


def test_number_outside_its_type_is_said_to_be(numbers: sa.Table, database: Database) -> None:
    statement = sa.select(sa.literal(70_000))
    with pytest.raises(QueryError, match="column n lies outside the range of its type short") as caught:
        database.stream(statement, Table("result", (Column("n", Datatype.SHORT),))).read_all()
    assert caught.value.code == "out-of-range"


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("abc", Column("v", Datatype.DOUBLE)),
        ("1 x", Column("v", Datatype.LONG, "*")),
        ("1 2 3", Column("v", Datatype.FLOAT, "2")),
    ],
)
def test_values_that_are_not_what_the_description_says_are_our_mistake(
    numbers: sa.Table, database: Database, value: str, column: Column
) -> None:
    with pytest.raises(InternalError, match="values of column v are not of the type") as caught:
        database.stream(sa.select(sa.literal(value)), Table("result", (column,))).read_all()
    assert value not in caught.value.message


def test_wrong_number_of_columns_is_our_mistake(numbers: sa.Table, database: Database) -> None:
    with pytest.raises(InternalError, match="does not have the columns"):
        database.stream(
            sa.select(numbers.c.n, numbers.c.n.label("m")), Table("result", (Column("n", Datatype.INT),))
        ).read_all()


def test_words_of_the_driver_stay_inside(
    numbers: sa.Table, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError) as caught:
        database.stream(sa.text("SELECT n FROM secret_table"), Table("result", (Column("n", Datatype.INT),))).read_all()
    assert "secret_table" not in caught.value.message
    assert "secret_table" in caplog.text


def test_empty_result_has_the_schema(numbers: sa.Table, database: Database) -> None:
    table = Table("result", (Column("n", Datatype.INT),))
    found = database.stream(sa.select(numbers.c.n).where(sa.false()), table).read_all()
    assert found.num_rows == 0
    assert found.schema == pa.schema([pa.field("n", pa.int32())])


def test_like_tells_case_apart(numbers: sa.Table, database: Database) -> None:
    statement = sa.select(sa.case((sa.literal("Orion").like("orion"), 1), else_=0))
    assert database.stream(statement, Table("result", (Column("n", Datatype.INT),))).read_all()["n"].to_pylist() == [0]


def test_plan_is_told(numbers: sa.Table, database: Database) -> None:
    plan = database.explain(sa.select(numbers.c.n).where(numbers.c.n == 5))
    assert "numbers" in plan
    assert "INDEX" in plan.upper() or "PRIMARY KEY" in plan.upper()


def test_three_hundred_thousand_rows_take_no_more_memory_than_thirty(numbers: sa.Table, database: Database) -> None:
    other = numbers.alias()
    table = Table("result", (Column("n", Datatype.INT), Column("x", Datatype.DOUBLE), Column("s", Datatype.CHAR, "*")))
    # A bind value: the driver would hold the whole result (see catalog/db/postgresql.py).
    statement = sa.select(numbers.c.n, other.c.n * sa.literal(1.5), sa.literal("x" * 100)).select_from(numbers, other)
    peaks = []
    for limit in (30_000, 300_000):
        before = resident_bytes()
        with database.stream(statement.limit(limit), table) as stream:
            peak = 0
            for batch in stream:
                assert batch.num_rows <= 16_384
                peak = max(peak, resident_bytes() - before)
        assert stream.rows == limit
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 20_000_000  # all rows together hold 40 MB of text and numbers, more as Python objects


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096


def test_fewer_rows_come_at_once_where_their_cells_are_large() -> None:
    narrow = Table("t", (Column("a", Datatype.DOUBLE), Column("b", Datatype.INT, "*")))
    wide = Table("t", (Column("a", Datatype.DOUBLE, "512x1024"), Column("b", Datatype.CHAR, "100000")))
    assert rows_at_once(narrow) == 16_384
    assert rows_at_once(wide) == 6
    assert rows_at_once(Table("t", (Column("a", Datatype.DOUBLE, "99999999"),))) == 1


def test_rows_that_are_not_read_in_time_are_fetched_no_more(database: Database) -> None:
    """The first batch always comes; what follows would keep an old state of the database for a slow reader."""
    numbers = sa.Table("numbers", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True))
    count = 2 * BATCH_ROWS
    with database.begin() as connection:
        numbers.create(connection)
        connection.execute(sa.insert(numbers), [{"n": n} for n in range(count)])
    table = Table("result", (Column("n", Datatype.INT),))
    with database.stream(sa.select(numbers.c.n), table, life_s=600) as rows:
        assert sum(batch.num_rows for batch in rows) == count
    with database.stream(sa.select(numbers.c.n), table, life_s=1e-9) as rows:
        batches = iter(rows)
        assert next(batches).num_rows > 0
        with pytest.raises(QueryTimeoutError, match="not read within 1e-09 s"):
            list(batches)
    assert isinstance(rows.fault, QueryTimeoutError)
