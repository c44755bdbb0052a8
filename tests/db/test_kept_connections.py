"""SQLite's reading connections are kept between queries; nothing of a query is."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog.db import Database, SqlFunction
from catalog.errors import QueryError, QueryTimeoutError, UnavailableError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

ONE = Table("one", (Column("n", Datatype.LONG),))
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"


def refuse(value: object) -> object:
    if value == 13:
        raise ValueError("not this one")
    return value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make(tmp_path / "one.db", 1)


def make(path: Path, value: int) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute(f"INSERT INTO t VALUES ({value})")
        connection.commit()
    return path


@pytest.fixture
def opened(file: Path) -> Database:
    return Database(f"sqlite:///{file}", functions=[SqlFunction("refuse", 1, refuse)])


def ask(database: Database, query: str, **options: float) -> int:
    with database.stream(sa.text(query), ONE, **options) as rows:
        return int(rows.read_all()["n"][0].as_py())


def descriptors(file: Path) -> int:
    """How often this process has the file open."""
    return sum(link.resolve() == file for link in Path("/proc/self/fd").iterdir() if link.exists())


def test_one_connection_serves_one_query_after_another(opened: Database, file: Path) -> None:
    with opened:
        assert [ask(opened, "SELECT n FROM t") for _ in range(5)] == [1] * 5
        assert descriptors(file) == 1
    assert descriptors(file) == 0


def test_a_fault_is_that_of_its_own_query(opened: Database) -> None:
    with opened:
        for _ in range(2):
            with pytest.raises(QueryError) as fault:
                ask(opened, "SELECT refuse(13) AS n")
            assert fault.value.code == "bad-cast"
            assert ask(opened, "SELECT refuse(12) AS n") == 12
            with pytest.raises(QueryTimeoutError):
                ask(opened, ENDLESS, timeout_s=0.05)
            assert ask(opened, "SELECT n FROM t", timeout_s=20) == 1


def test_a_kept_connection_sees_what_others_write_and_keeps_nobody_waiting(opened: Database, file: Path) -> None:
    with opened, closing(sqlite3.connect(file, isolation_level=None)) as writer:
        assert ask(opened, "SELECT n FROM t") == 1
        writer.execute("UPDATE t SET n = 2")
        assert ask(opened, "SELECT n FROM t") == 2
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        writer.execute("ALTER TABLE t ADD COLUMN m INTEGER DEFAULT 7")
        assert ask(opened, "SELECT m AS n FROM t") == 7


def test_a_file_that_was_replaced_is_read_anew(opened: Database, file: Path, tmp_path: Path) -> None:
    with opened:
        assert ask(opened, "SELECT n FROM t") == 1
        another = make(tmp_path / "two.db", 2)
        for ending in ("-wal", "-shm"):
            file.with_name(file.name + ending).unlink(missing_ok=True)
        shutil.move(another, file)
        assert ask(opened, "SELECT n FROM t") == 2
        file.unlink()
        with pytest.raises(UnavailableError):
            ask(opened, "SELECT n FROM t")


def test_what_is_asked_at_once_has_connections_of_its_own(opened: Database, file: Path) -> None:
    with opened:
        streams = [opened.stream(sa.text("SELECT n FROM t"), ONE) for _ in range(11)]
        batches = [next(iter(stream)) for stream in streams]
        assert [batch.column(0)[0].as_py() for batch in batches] == [1] * 11
        for stream in streams:
            stream.close()
        assert len(opened._reader._idle) == 11  # type: ignore[union-attr]
    assert descriptors(file) == 0
