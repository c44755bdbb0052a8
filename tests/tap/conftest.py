"""A small synthetic observatory, open, on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.sql import SQL

from catalog import Catalog, open_catalog

SQLITE_KEYWORDS = """
abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case
cast check collate column commit conflict constraint create cross current current_date current_time current_timestamp
database default deferrable deferred delete desc detach distinct do drop each else end escape except exclude exclusive
exists explain fail filter first following for foreign from full generated glob group groups having if ignore immediate
in index indexed initially inner insert instead intersect into is isnull join key last left like limit match
materialized natural no not nothing notnull null nulls of offset on or order others outer over partition plan pragma
preceding primary query raise range recursive references regexp reindex release rename replace restrict returning right
rollback row rows savepoint select set table temp temporary then ties to transaction trigger unbounded union unique
update using vacuum values view virtual when where window with without
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A catalog that tests only read."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('tap')}/catalog.db"
    else:
        server: Any = request.getfixturevalue("postgres_server")
        url = server.create_database()
    with open_catalog(url) as opened:
        opened.init()
        opened.load_synthetic(packages=60, seed=3)
        opened.accounts.add_user("alice")
        yield opened


@pytest.fixture(scope="session")
def words_of_engines(postgres_server: Any) -> list[str]:
    """Every keyword of PostgreSQL, as it tells them, and of SQLite."""
    keywords = postgres_server.execute(SQL("SELECT word FROM pg_get_keywords()"))
    return sorted({row[0] for row in keywords} | set(SQLITE_KEYWORDS.split()))
