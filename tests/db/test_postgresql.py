"""What only a server does: logins, restarts, broken connections, its own zone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg.sql import SQL

from catalog.db import Database
from catalog.errors import InternalError, QueryError, UnavailableError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

TEXT = Table("result", (Column("t", Datatype.CHAR, "*"),))
LONG = Table("result", (Column("n", Datatype.LONG),))


@pytest.fixture
def engine_name() -> str:
    return "postgresql"


@pytest.fixture
def public(database_url: str, postgres_server: Any) -> Iterator[Database]:
    """A database whose streams use a login without rights."""
    with Database(database_url, public_url=postgres_server.reader_url(database_url)) as opened:
        yield opened


def end_readers(database: Database) -> None:
    """Break every reading connection, as a restart of the server would."""
    with database.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'catalog'"
            )
        )


LASTING = """
import sys
import sqlalchemy as sa
from catalog.db import Database
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype
table = Table("result", (Column("n", Datatype.LONG),))
with Database(sys.argv[1]) as database:
    database.stream(sa.text("SELECT count(*) FROM generate_series(1, 1000000000000) AS n"), table).read_all()
"""


def test_a_query_of_a_killed_process_ends_soon(database_url: str, postgres_server: Any) -> None:
    def is_running() -> bool:
        query = SQL("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'")
        return bool(postgres_server.execute(query, sa.make_url(database_url).database))

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    with subprocess.Popen([sys.executable, "-c", LASTING, database_url]) as process:
        wait_for(is_running)
        process.kill()
    wait_for(lambda: not is_running())


def test_streams_use_the_public_login(public: Database) -> None:
    found = public.stream(sa.text("SELECT current_user::text"), TEXT).read_all()
    assert found["t"].to_pylist() == ["catalog_reader"]


def test_public_login_sees_only_what_is_granted(public: Database) -> None:
    with public.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA ops"))
        connection.execute(sa.text("CREATE TABLE ops.secret AS SELECT 1 AS n"))
        connection.execute(sa.text("CREATE SCHEMA ivoa"))
        connection.execute(sa.text("CREATE VIEW ivoa.shown AS SELECT n FROM ops.secret"))
        connection.execute(sa.text("GRANT USAGE ON SCHEMA ivoa TO catalog_reader"))
        connection.execute(sa.text("GRANT SELECT ON ivoa.shown TO catalog_reader"))
    assert public.stream(sa.text("SELECT n FROM ivoa.shown"), LONG).read_all()["n"].to_pylist() == [1]
    with pytest.raises(InternalError):
        public.stream(sa.text("SELECT n FROM ops.secret"), LONG).read_all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "UTC"),
        ("transaction_read_only", "on"),
        ("default_transaction_read_only", "on"),
        ("jit", "off"),
        ("standard_conforming_strings", "on"),
    ],
)
def test_session_of_a_stream_is_settled(database: Database, setting: str, value: str) -> None:
    statement = sa.select(sa.func.current_setting(setting))
    assert database.stream(statement, TEXT, timeout_s=42).read_all()["t"].to_pylist() == [value]


def test_session_of_the_owner_is_in_utc(database: Database) -> None:
    with database.begin() as connection:
        assert connection.execute(sa.text("SHOW timezone")).scalar_one() == "UTC"


def test_options_in_the_address_are_kept(database_url: str) -> None:
    address = f"{database_url}?options=-c%20geqo_threshold%3D7&application_name=telescope"
    with Database(address) as database:
        statement = sa.text(
            "SELECT current_setting('geqo_threshold') || current_setting('application_name')"
            " || current_setting('TimeZone')"
        )
        assert database.stream(statement, TEXT).read_all()["t"].to_pylist() == ["7telescopeUTC"]
        with database.begin() as connection:
            assert connection.execute(statement).scalar_one() == "7telescopeUTC"


def test_clock_moves_between_queries_on_one_connection(database: Database) -> None:
    statement = sa.text("SELECT pg_backend_pid()::text || ' ' || now()::text")
    first, second = (database.stream(statement, TEXT).read_all()["t"].to_pylist()[0].split(" ", 1) for _ in range(2))
    assert first[0] == second[0]
    assert first[1] < second[1]


def test_restart_of_the_server_is_not_noticed_by_the_next_query(database: Database) -> None:
    with database.stream(sa.select(sa.literal(1)), LONG) as one, database.stream(sa.select(sa.literal(2)), LONG) as two:
        assert [b.num_rows for s in (one, two) for b in s] == [1, 1]
    end_readers(database)
    assert database.stream(sa.select(sa.literal(3)), LONG).read_all()["n"].to_pylist() == [3]


def test_connection_that_breaks_midway_is_a_fault(database: Database) -> None:
    with database.stream(sa.text("SELECT generate_series(1, 1000000)::bigint"), LONG) as stream:
        rows = iter(stream)
        next(rows)
        end_readers(database)
        with pytest.raises(UnavailableError):
            list(rows)
    assert database.stream(sa.select(sa.literal(3)), LONG).read_all()["n"].to_pylist() == [3]


def test_connection_is_used_again_after_a_fault_of_the_query(database: Database) -> None:
    pid = sa.text("SELECT pg_backend_pid()")
    first = database.stream(pid, LONG).read_all()["n"].to_pylist()
    with database.stream(sa.text("SELECT generate_series(1, 100000)::bigint"), LONG) as stream:
        next(iter(stream))
    assert database.stream(pid, LONG).read_all()["n"].to_pylist() == first


def test_wrong_login_is_unavailable(postgres_server: Any, database_url: str) -> None:
    stranger = postgres_server.url(database_url.rpartition("/")[2], "stranger")
    with Database(database_url, public_url=stranger) as database, pytest.raises(UnavailableError):
        database.stream(sa.select(sa.literal(1)), LONG).read_all()


def test_restart_of_the_server_is_not_noticed_by_the_next_writer(database: Database, postgres_server: Any) -> None:
    with database.begin() as connection:
        name, pid = connection.execute(sa.text("SELECT current_database(), pg_backend_pid()")).one()
    postgres_server.execute(SQL("SELECT pg_terminate_backend({})").format(pid))
    with database.begin() as connection:
        assert connection.execute(sa.text("SELECT current_database()")).scalar_one() == name


def test_connection_that_breaks_in_a_transaction_is_a_fault(database: Database, postgres_server: Any) -> None:
    with database.engine.connect() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        postgres_server.execute(SQL("SELECT pg_terminate_backend({})").format(pid))
        with pytest.raises(UnavailableError):
            connection.execute(sa.text("SELECT 1"))


def test_a_value_is_a_quoted_literal_whatever_it_holds(database: Database) -> None:
    texts = [
        "it's",
        "''",
        "\\",
        "\\'; DROP TABLE x; --",
        "$1 %(v1)s %% %s",
        ":name",
        "E'\\n'",
        "é\U0001f52d",
        "",
        "a\nb\rc\td",
        "$$",
    ]
    for text in texts:
        statement = sa.select(sa.literal(text)).where(sa.literal(text) == text)
        assert database.stream(statement, TEXT).read_all()["t"].to_pylist() == [text]
    for number in (-(2**63), 2**63 - 1, 0, -1):
        statement = sa.select(sa.literal(number, sa.BigInteger))
        assert database.stream(statement, LONG).read_all()["n"].to_pylist() == [number]
    for real in (1e-300, -1.7976931348623157e308, 0.1, float("inf")):
        table = Table("result", (Column("x", Datatype.DOUBLE),))
        assert database.stream(sa.select(sa.literal(real, sa.Double)), table).read_all()["x"].to_pylist() == [real]
    with pytest.raises(QueryError, match="NUL character"):
        database.stream(sa.select(sa.literal("a\0b")), TEXT).read_all()
    assert database.stream(sa.select(sa.literal("still here")), TEXT).read_all()["t"].to_pylist() == ["still here"]
