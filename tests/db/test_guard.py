"""What a reading connection may not do, and how it ends before its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog.db import Database, SqlFunction
from catalog.errors import (
    CatalogError,
    InternalError,
    ParameterError,
    QueryError,
    QueryTimeoutError,
    ResourceLimitError,
    UnavailableError,
)
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

INTEGER = Table("result", (Column("n", Datatype.INT),))
LONG = Table("result", (Column("n", Datatype.LONG),))
PATIENCE = 30.0  # seconds: not a measure, only an end for a test that fails

Endless = tuple[sa.Select[int], Table]


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def queries_running(database: Database) -> int:
    """Sessions of this database that work, or hold a transaction open, other than the one that asks."""
    with database.engine.connect() as connection:
        statement = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state <> 'idle' AND application_name = 'catalog'"
        )
        return int(connection.execute(statement).scalar_one())


@pytest.mark.parametrize(
    "command",
    [
        "INSERT INTO numbers (n) VALUES (5000)",
        "UPDATE numbers SET n = -n",
        "DELETE FROM numbers",
        "DROP TABLE numbers",
        "CREATE TABLE other (n INTEGER)",
        "CREATE TEMPORARY TABLE other (n INTEGER)",
    ],
)
def test_reading_connection_refuses_changes(numbers: sa.Table, database: Database, command: str) -> None:
    with pytest.raises(InternalError):
        database.stream(sa.text(command), INTEGER).read_all()
    assert database.stream(sa.select(sa.func.count()).select_from(numbers), LONG).read_all()["n"].to_pylist() == [1000]


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_a_cte_that_writes_is_refused_on_postgresql(numbers: sa.Table, database: Database) -> None:
    command = "WITH gone AS (DELETE FROM ops.numbers RETURNING n) SELECT n FROM gone"
    with pytest.raises(InternalError):
        database.stream(sa.text(command), INTEGER).read_all()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "command",
    [
        "PRAGMA query_only = OFF",
        "SELECT * FROM pragma_table_info('numbers')",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "SELECT load_extension('/tmp/evil.so')",
        "SELECT length(zeroblob(1000000000))",
        "SAVEPOINT a",
        "BEGIN IMMEDIATE",
        "VACUUM",
        "ANALYZE",
        "UPDATE sqlite_master SET sql = NULL",
        "DELETE FROM sky_node",
    ],
)
def test_sqlite_lets_through_nothing_but_select(numbers: sa.Table, database: Database, command: str) -> None:
    with pytest.raises(InternalError):
        database.stream(sa.text(command), INTEGER).read_all()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_rtree_can_be_read_also_after_the_schema_changed(numbers: sa.Table, database: Database) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE VIRTUAL TABLE sky USING rtree(id, x0, x1)")
        connection.exec_driver_sql("INSERT INTO sky VALUES (7, 0.5, 0.5)")
    statement = sa.text("SELECT id FROM sky WHERE x0 > 0.25 AND x1 < 0.75")
    assert database.stream(statement, INTEGER).read_all()["n"].to_pylist() == [7]
    both = sa.text("SELECT s.id FROM sky s, numbers a, numbers b")
    with database.stream(both, INTEGER) as stream:
        rows = iter(stream)
        first = next(rows)
        with database.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE later (a INTEGER)")
        assert sum(batch.num_rows for batch in rows) == 1_000_000 - first.num_rows


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_too_deep_an_expression_reaches_a_limit(numbers: sa.Table, database: Database) -> None:
    with pytest.raises(ResourceLimitError):
        database.stream(sa.text(f"SELECT {'-(' * 1200}1{')' * 1200}"), INTEGER).read_all()


def test_timeout_ends_a_query_that_runs_too_long(endless: Endless, database: Database) -> None:
    with pytest.raises(QueryTimeoutError, match=r"within 0\.3 s"):
        database.stream(*endless, timeout_s=0.3).read_all()
    if database.dialect == "postgresql":
        assert wait_until(lambda: queries_running(database) == 0)


def test_timeout_of_the_database_holds_when_the_call_says_nothing(endless: Endless, database_url: str) -> None:
    with Database(database_url, timeout_s=0.2) as hasty, pytest.raises(QueryTimeoutError):
        hasty.stream(*endless).read_all()


def test_time_of_a_slow_reader_is_not_counted(numbers: sa.Table, database: Database) -> None:
    other = numbers.alias()
    with database.stream(
        sa.select(numbers.c.n).select_from(numbers, other).limit(40_000), INTEGER, timeout_s=3
    ) as stream:
        rows = iter(stream)
        first = next(rows)
        time.sleep(3.2)
        assert sum(batch.num_rows for batch in rows) == 40_000 - first.num_rows


def test_closing_from_another_thread_cancels_the_query(endless: Endless, database: Database) -> None:
    stream = database.stream(*endless)
    outcome: list[BaseException] = []

    def read() -> None:
        try:
            list(stream)
        except CatalogError as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    if database.dialect == "postgresql":
        assert wait_until(lambda: queries_running(database) == 1)
    else:
        time.sleep(0.2)
    stream.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert [type(error) for error in outcome] == [UnavailableError]
    if database.dialect == "postgresql":
        assert wait_until(lambda: queries_running(database) == 0)


def test_closing_midway_ends_the_query_in_the_database(numbers: sa.Table, database: Database) -> None:
    sources = [numbers.alias() for _ in range(4)]
    stream = database.stream(sa.select(sources[0].c.n).select_from(*sources), INTEGER)
    next(iter(stream))
    if database.dialect == "postgresql":
        assert queries_running(database) == 1
    stream.close()
    stream.close()
    assert list(stream) == []
    if database.dialect == "postgresql":
        assert wait_until(lambda: queries_running(database) == 0)


def test_closing_the_database_ends_what_runs(endless: Endless, database_url: str) -> None:
    closing = Database(database_url)
    stream = closing.stream(*endless)
    outcome: list[BaseException] = []

    def read() -> None:
        try:
            list(stream)
        except CatalogError as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.2)
    closing.close()
    reader.join(PATIENCE)
    assert [type(error) for error in outcome] == [UnavailableError]


def test_closed_database_refuses_to_read(numbers: sa.Table, database: Database) -> None:
    database.close()
    database.close()
    with pytest.raises(UnavailableError, match="closed"):
        database.stream(sa.select(numbers.c.n), INTEGER).read_all()


def test_batches_may_be_read_by_one_thread_after_another(numbers: sa.Table, database: Database) -> None:
    other = numbers.alias()
    total = 0
    with database.stream(sa.select(numbers.c.n).select_from(numbers, other).limit(50_000), INTEGER) as stream:
        rows = iter(stream)

        def step() -> None:
            nonlocal total
            total += sum(batch.num_rows for batch in [next(rows, None)] if batch is not None)

        for _ in range(5):
            thread = threading.Thread(target=step)
            thread.start()
            thread.join()
    assert total == 50_000


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_unparsable_cast_is_a_fault_that_hides_the_value(numbers: sa.Table, database: Database) -> None:
    for statement in (
        sa.select(sa.cast(sa.literal("secret-1"), sa.Integer)),
        sa.select(sa.cast(sa.literal("secret-1"), UTC_TIME)),
    ):
        with pytest.raises(QueryError) as caught:
            database.stream(statement, INTEGER).read_all()
        assert caught.value.code == "bad-cast"
        assert "secret" not in caught.value.message


UTC_TIME = sa.DateTime(timezone=True)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_overflow_is_a_fault_of_the_query(numbers: sa.Table, database: Database) -> None:
    with pytest.raises(QueryError) as caught:
        database.stream(sa.select(sa.literal(2**31 - 1) + numbers.c.n), INTEGER).read_all()
    assert caught.value.code == "out-of-range"


def refuse(_: object) -> int:
    raise ParameterError("the radius -1 is negative")


def to_integer(text: str) -> int:
    return int(text)


def broken(_: object) -> int:
    raise KeyError("inner detail")


@pytest.mark.parametrize(
    ("function", "expected", "words"),
    [
        (refuse, ParameterError, "the radius -1 is negative"),
        (to_integer, QueryError, "cannot be converted to the type that CAST asks for"),
        (broken, InternalError, "a function of the query failed"),
    ],
)
def test_what_a_function_raises_is_the_fault(
    tmp_path: Path, function: Callable[[object], int], expected: type[CatalogError], words: str
) -> None:
    functions = [SqlFunction("probe", 1, function)]
    with Database(f"sqlite:///{tmp_path}/a.db", functions=functions) as database:
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        with pytest.raises(expected) as caught:
            database.stream(sa.select(sa.func.probe("x")), INTEGER).read_all()
    assert words in caught.value.message
    assert "inner detail" not in caught.value.message


def test_functions_are_called_on_sqlite(tmp_path: Path) -> None:
    functions = [
        SqlFunction("twice", 1, lambda n: 2 * n),
        SqlFunction("total", -1, lambda *n: sum(n), deterministic=False),
    ]
    with Database(f"sqlite:///{tmp_path}/a.db", functions=functions) as database:
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        found = database.stream(sa.select(sa.func.twice(sa.func.total(1, 2, 3))), INTEGER).read_all()
    assert found["n"].to_pylist() == [12]


class Longest:
    """The longest text of a group."""

    def __init__(self) -> None:
        self.longest: str | None = None

    def step(self, text: str) -> None:
        if text == "forbidden":
            raise ParameterError("this text is forbidden")
        if self.longest is None or len(text) > len(self.longest):
            self.longest = text

    def finalize(self) -> int | None:
        if self.longest == "odd":
            raise KeyError("inner detail")
        return None if self.longest is None else len(self.longest)


def longest(texts: list[str], path: Path) -> list[int | None]:
    """The length of the longest text, by an aggregate that SQLite lacks."""
    values = sa.union_all(*(sa.select(sa.literal(text).label("text")) for text in texts)).subquery()
    functions = [SqlFunction("longest", 1, Longest, aggregate=True)]
    with Database(f"sqlite:///{path}/a.db", functions=functions) as database:
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        asked = sa.select(sa.func.longest(values.c.text))
        return database.stream(asked, INTEGER).read_all()["n"].to_pylist()


def test_aggregates_are_called_on_sqlite(tmp_path: Path) -> None:
    assert longest(["a", "ccc", "bb"], tmp_path) == [3]


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [("forbidden", ParameterError, "forbidden"), ("odd", InternalError, "a function of the query failed")],
)
def test_what_an_aggregate_raises_is_the_fault(
    tmp_path: Path, text: str, expected: type[CatalogError], words: str
) -> None:
    with pytest.raises(expected) as caught:
        longest([text], tmp_path)
    assert words in caught.value.message
    assert "inner detail" not in caught.value.message
