"""Sets of keys bound as one value, on both engines."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database, UuidText
from catalog.db.keys import is_one_of

KEYED = sa.Table(
    "keyed",
    sa.MetaData(),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("id", UuidText()),
)
NAMES = ["plain", "", "NULL", "null", 'a "quoted" one', "a\\b", "{a,b}", "comma, blank ", "new\nline", "übersicht", "'"]
ROWS = [(2**40 + number, name, UUID(int=number)) for number, name in enumerate(NAMES)]


@pytest.fixture
def keyed(database: Database) -> Database:
    with database.begin() as connection:
        KEYED.create(connection)
        database.bulk_insert(connection, KEYED, ["number", "name", "id"], [*ROWS, (1, "another", UUID(int=99))])
        database.bulk_insert(connection, KEYED, ["number"], [(2,)])
    return database


@pytest.mark.parametrize("column", ["number", "name", "id"])
def test_each_key_is_found_and_nothing_else(keyed: Database, column: str) -> None:
    keys = [row[list(KEYED.c.keys()).index(column)] for row in ROWS]
    with keyed.engine.connect() as connection:
        for some in (keys, keys[:1], keys[3:5], []):
            query = sa.select(KEYED.c[column]).where(is_one_of(KEYED.c[column], some))
            assert sorted(connection.scalars(query)) == sorted(some)


def test_one_statement_serves_sets_of_any_size(keyed: Database) -> None:
    statements: list[str] = []
    sa.event.listen(keyed.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    with keyed.engine.connect() as connection:
        for count in (1, 100_000):
            query = sa.select(sa.func.count()).where(is_one_of(KEYED.c.id, map(UUID, map(hex_of, range(count)))))
            assert connection.scalar(query) == min(count, len(ROWS) + 1)
    assert len({statement for statement in statements if "keyed" in statement}) == 1


def hex_of(number: int) -> str:
    return f"{number:032x}"
