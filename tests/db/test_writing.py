from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database, UtcDateTime, UuidText
from catalog.errors import IntegrityError, UnavailableError


class Phase(StrEnum):
    PENDING = "pending"
    DONE = "done"


PHASE = sa.Enum(Phase, native_enum=False, values_callable=lambda kind: [member.value for member in kind])
METADATA = sa.MetaData(schema="ops")
kinds = sa.Table(
    "kinds",
    METADATA,
    sa.Column("id", UuidText, primary_key=True),
    sa.Column("at", UtcDateTime),
    sa.Column("phase", PHASE),
    sa.Column("document", sa.JSON(none_as_null=True)),
    sa.Column("text", sa.Text),
    sa.Column("long", sa.BigInteger),
    sa.Column("double", sa.Double),
    sa.Column("flag", sa.Boolean),
    sa.Column("order", sa.Integer),
    sa.CheckConstraint("long > -10", name="ck_kinds_long"),
)
children = sa.Table(
    "children", METADATA, sa.Column("kind", UuidText, sa.ForeignKey("ops.kinds.id", name="fk_children_kind"))
)
ROWS: list[tuple[object, ...]] = [
    (
        UUID(int=1),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        Phase.DONE,
        {"a": [1, None, "ü"], "b": {"c": 1.5}},
        "tab\tnew\nline \\N 'quote' α\u2028",
        2**62,
        0.1,
        True,
        1,
    ),
    (UUID(int=2), None, None, None, None, None, None, None, 2),
    (UUID(int=3), datetime(1999, 12, 31, tzinfo=UTC), Phase.PENDING, [], "", 0, math.inf, False, 3),
]


@pytest.fixture
def made(database: Database) -> Database:
    with database.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("CREATE SCHEMA ops"))
        METADATA.create_all(connection)
    return database


def test_bulk_insert_of_every_type_comes_back_equal(made: Database) -> None:
    with made.begin() as connection:
        assert made.bulk_insert(connection, kinds, [c.name for c in kinds.c], iter(ROWS)) == 3
    with made.engine.connect() as connection:
        found = connection.execute(sa.select(kinds).order_by(kinds.c.order)).all()
    assert [tuple(row) for row in found] == ROWS


def test_bulk_insert_equals_an_ordinary_insert(made: Database) -> None:
    with made.begin() as connection:
        made.bulk_insert(connection, kinds, [c.name for c in kinds.c], ROWS[:1])
        connection.execute(
            kinds.insert().values({c.name: v for c, v in zip(kinds.c, ROWS[0], strict=True)} | {"id": UUID(int=9)})
        )
        texts = connection.execute(sa.select(*[sa.cast(c, sa.Text) for c in list(kinds.c)[1:]])).all()
    assert texts[0] == texts[1]


def test_bulk_insert_of_some_columns_leaves_the_rest_to_the_database(made: Database) -> None:
    with made.begin() as connection:
        assert made.bulk_insert(connection, kinds, ["order", "id"], [(5, UUID(int=5))]) == 1
        assert made.bulk_insert(connection, kinds, ["id"], []) == 0
        assert connection.execute(sa.select(kinds.c.id, kinds.c.long)).all() == [(UUID(int=5), None)]


def test_bulk_insert_reads_rows_once_and_never_holds_them(made: Database) -> None:
    alive = 0
    most = 0

    class Row(list[object]):
        def __init__(self, *cells: object) -> None:
            nonlocal alive, most
            super().__init__(cells)
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[Row]:
        for number in range(50_000):
            yield Row(UUID(int=number), number)

    with made.begin() as connection:
        assert made.bulk_insert(connection, kinds, ["id", "order"], rows()) == 50_000
    assert most <= 10_000


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([(UUID(int=1), 1), (UUID(int=1), 2)], "kinds"),
        ([(UUID(int=1), -10)], "ck_kinds_long"),
        ([(None, 1)], "id"),
    ],
)
def test_bulk_insert_names_the_rule_that_a_row_breaks(
    made: Database, rows: list[tuple[object, ...]], rule: str
) -> None:
    with pytest.raises(IntegrityError, match=rule), made.begin() as connection:
        made.bulk_insert(connection, kinds, ["id", "long"], rows)
    with made.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(kinds)).scalar_one() == 0


def test_foreign_keys_are_on(made: Database) -> None:
    with pytest.raises(IntegrityError), made.begin() as connection:
        made.bulk_insert(connection, children, ["kind"], [(UUID(int=404),)])


def test_error_from_the_rows_leaves_nothing_behind(made: Database) -> None:
    def rows() -> Iterator[tuple[object, ...]]:
        yield ROWS[0]
        raise OSError("the file broke off")

    with pytest.raises(OSError, match="broke off"), made.begin() as connection:
        made.bulk_insert(connection, kinds, [c.name for c in kinds.c], rows())
    with made.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(kinds)).scalar_one() == 0


def test_two_writers_wait_for_each_other(made: Database) -> None:
    """Each reads a number and writes the next: with deferred transactions SQLite would fail the second."""
    with made.begin() as connection:
        connection.execute(kinds.insert().values(id=UUID(int=0), order=0))
    failures: list[BaseException] = []

    def add() -> None:
        try:
            for _ in range(20):
                with made.session() as session, session.begin():
                    statement = sa.select(kinds.c.order).with_for_update()
                    number = session.execute(statement).scalar_one()
                    session.execute(kinds.update().values(order=number + 1))
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=add) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    with made.begin() as connection:
        assert connection.execute(sa.select(kinds.c.order)).scalar_one() == 60


def test_reader_sees_the_last_commit_while_another_writes(made: Database) -> None:
    with made.begin() as writing:
        writing.execute(kinds.insert().values(id=UUID(int=1)))
        with made.engine.connect() as reading:
            assert reading.execute(sa.select(sa.func.count()).select_from(kinds)).scalar_one() == 0


def test_error_rolls_back(made: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(kinds.insert().values(id=UUID(int=1)))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"), made.begin() as connection:
        fail(connection)
    with made.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(kinds)).scalar_one() == 0


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_file_is_kept_as_designed(made: Database) -> None:
    with made.engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 60_000}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_writer_that_waits_in_vain_says_so(made: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.db.database.BUSY_SECONDS", 0.1)
    with Database(str(made.engine.url)) as impatient, made.begin():
        waiting = impatient.begin()
        with pytest.raises(UnavailableError, match="another process is writing"):
            waiting.__enter__()


def test_a_log_that_grew_under_a_reader_shrinks_when_he_has_left(tmp_path: Path) -> None:
    limit = 64 * 2**20
    with Database(f"sqlite:///{tmp_path}/catalog.db") as database:
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE large (b BLOB)"))
        log = tmp_path / "catalog.db-wal"

        def write(megabytes: int) -> int:
            with database.begin() as connection:
                connection.execute(sa.text("INSERT INTO large VALUES (zeroblob(:size))"), {"size": megabytes * 2**20})
            return log.stat().st_size

        with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as reader:
            reader.execute("BEGIN").close()
            reader.execute("SELECT count(*) FROM large").fetchall()
            grown = [write(20) for _ in range(4)][-1]
        assert grown > limit
        assert [write(1) for _ in range(3)][-1] <= limit
