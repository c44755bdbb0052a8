"""Temporary tables: there for one query, on its own connection, and nothing else may be changed."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
import sqlalchemy as sa

from catalog.db import Database, TemporaryTable
from catalog.errors import CatalogError, QueryTimeoutError, UnavailableError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

SCHEMA = pa.schema(
    [
        ("c1", pa.int16()),
        ("c2", pa.int32()),
        ("c3", pa.int64()),
        ("c4", pa.float32()),
        ("c5", pa.float64()),
        ("c6", pa.string()),
        ("c7", pa.timestamp("us")),
    ]
)
ROWS = [
    {
        "c1": -(2**15),
        "c2": 2**31 - 1,
        "c3": -(2**63),
        "c4": 1.5,
        "c5": 0.1,
        "c6": "Ω 'quoted' \\N\t\n",
        "c7": dt.datetime(2026, 4, 1, 12, 0, 0, 500),
    },
    dict.fromkeys(SCHEMA.names),
]
TABLE = Table(
    "result",
    (
        Column("a", Datatype.SHORT),
        Column("b", Datatype.INT),
        Column("c", Datatype.LONG),
        Column("d", Datatype.FLOAT),
        Column("e", Datatype.DOUBLE),
        Column("f", Datatype.UNICODE_CHAR, "*"),
        Column("g", Datatype.CHAR, "*"),
    ),
)
NUMBERS = Table("result", (Column("n", Datatype.LONG),))


@pytest.fixture(autouse=True)
def _there(database: Database) -> None:
    """A file, on SQLite."""
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (c1 INTEGER)")


def temporary(rows: int = 0, name: str = "upload_1") -> TemporaryTable:
    if not rows:
        return TemporaryTable(name, SCHEMA, lambda: [pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)])
    schema = pa.schema([("c1", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, 10_000):
            yield pa.RecordBatch.from_arrays([pa.array(range(start, min(start + 10_000, rows)))], schema=schema)

    return TemporaryTable(name, schema, batches)


def test_values_of_every_type_come_back(database: Database) -> None:
    columns = [sa.column(name) for name in SCHEMA.names]
    if database.dialect == "postgresql":
        columns[-1] = sa.func.to_char(columns[-1], sa.literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US'"""))
    statement = sa.select(*columns).select_from(sa.table("upload_1"))
    rows = database.stream(statement, TABLE, temporary=[temporary()]).read_all().to_pylist()
    assert rows[0] == {
        "a": -(2**15),
        "b": 2**31 - 1,
        "c": -(2**63),
        "d": 1.5,
        "e": 0.1,
        "f": "Ω 'quoted' \\N\t\n",
        "g": "2026-04-01T12:00:00.000500",
    }
    assert set(rows[1].values()) == {None}


def test_order_is_kept_over_many_batches(database: Database) -> None:
    statement = sa.select(sa.column("c1")).select_from(sa.table("upload_1"))
    found = database.stream(statement, NUMBERS, temporary=[temporary(50_001)]).read_all()
    assert found["n"].to_pylist() == list(range(50_001))


def test_a_table_is_gone_with_its_query(database: Database) -> None:
    statement = sa.select(sa.func.count()).select_from(sa.table("upload_1"))
    with database.stream(statement, NUMBERS, temporary=[temporary(5)]) as stream:
        assert next(iter(stream)).column(0).to_pylist() == [5]
        with pytest.raises(CatalogError):
            database.stream(statement, NUMBERS).read_all()
    with pytest.raises(CatalogError):
        database.stream(statement, NUMBERS).read_all()
    assert database.stream(statement, NUMBERS, temporary=[temporary(7)]).read_all()["n"].to_pylist() == [7]


def test_two_queries_at_once_have_tables_of_one_name(database: Database) -> None:
    statement = sa.select(sa.column("c1")).select_from(sa.table("upload_1"))
    with (
        database.stream(statement, NUMBERS, temporary=[temporary(3)]) as first,
        database.stream(statement, NUMBERS, temporary=[temporary(4)]) as second,
    ):
        one, other = iter(first), iter(second)
        assert next(one).num_rows == 3
        assert next(other).num_rows == 4


def test_the_query_itself_may_write_nothing(database: Database) -> None:
    for statement in ("INSERT INTO kept VALUES (1)", "CREATE TEMP TABLE more (a INTEGER)", "DROP TABLE kept"):
        with pytest.raises(CatalogError):
            database.stream(sa.text(statement), NUMBERS, temporary=[temporary(1)]).read_all()
    with database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kept").scalar() == 0


def test_loading_counts_against_the_time(database: Database) -> None:
    def endless() -> Iterator[pa.RecordBatch]:
        schema = pa.schema([("c1", pa.int64())])
        while True:
            yield pa.RecordBatch.from_arrays([pa.array(range(20_000))], schema=schema)

    table = TemporaryTable("upload_1", pa.schema([("c1", pa.int64())]), endless)
    statement = sa.select(sa.column("c1")).select_from(sa.table("upload_1"))
    with pytest.raises(QueryTimeoutError):
        database.stream(statement, NUMBERS, timeout_s=0.5, temporary=[table]).read_all()


def test_closing_stops_the_loading(database: Database) -> None:
    begun = threading.Event()

    def endless() -> Iterator[pa.RecordBatch]:
        schema = pa.schema([("c1", pa.int64())])
        while True:
            yield pa.RecordBatch.from_arrays([pa.array(range(20_000))], schema=schema)
            begun.set()

    table = TemporaryTable("upload_1", pa.schema([("c1", pa.int64())]), endless)
    statement = sa.select(sa.column("c1")).select_from(sa.table("upload_1"))
    stream = database.stream(statement, NUMBERS, timeout_s=300, temporary=[table])
    threading.Thread(target=lambda: (begun.wait(60), stream.close()), daemon=True).start()
    with pytest.raises(UnavailableError):
        list(stream)


def test_a_plan_knows_the_table(database: Database) -> None:
    statement = sa.select(sa.column("c1")).select_from(sa.table("upload_1"))
    assert "upload_1" in database.explain(statement, [temporary(1000)])
    if database.dialect == "postgresql":
        assert database.expected_rows(statement, [temporary(1000)]) == 1000


def test_a_login_without_the_right_takes_none(
    database_url: str, engine_name: str, request: pytest.FixtureRequest
) -> None:
    with Database(database_url) as database:
        assert database.takes_temporary_tables()
    if engine_name == "sqlite":
        return
    server = request.getfixturevalue("postgres_server")
    name = sa.make_url(database_url).database
    with Database(database_url) as database, database.begin() as connection:
        connection.exec_driver_sql(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    with Database(database_url, public_url=server.reader_url(database_url)) as database:
        assert not database.takes_temporary_tables()
