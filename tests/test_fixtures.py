"""The shared fixtures themselves: nothing that is missing may pass unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.sql import SQL

from catalog.db import Database


def test_missing_program_fails_in_ci(find_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        find_program("no-such-program")


def test_missing_program_is_a_skip_that_says_so_elsewhere(
    find_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED: the program no-such-program"):
        find_program("no-such-program")


def test_server_is_a_real_one_with_pgsphere(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    name = url.rpartition("/")[2]
    [(version,)] = postgres_server.execute(SQL("SELECT current_setting('server_version_num')::int"), name)
    assert version >= 150_000
    [(distance,)] = postgres_server.execute(SQL("SELECT spoint '(0d,0d)' <-> spoint '(0d,90d)'"), name)
    assert distance == pytest.approx(1.5707963267948966)
    postgres_server.drop_database(url)


def test_database_can_be_copied_from_another(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    postgres_server.execute(SQL("CREATE TABLE kept AS SELECT 7 AS n"), url.rpartition("/")[2])
    copy = postgres_server.create_database(url)
    assert copy != url
    assert postgres_server.execute(SQL("SELECT n FROM kept"), copy.rpartition("/")[2]) == [(7,)]
    for each in (url, copy):
        postgres_server.drop_database(each)


def test_reader_has_no_rights_by_default(postgres_server: Any) -> None:
    url = postgres_server.create_database()
    name = url.rpartition("/")[2]
    postgres_server.execute(SQL("CREATE TABLE kept AS SELECT 7 AS n"), name)
    asked = SQL("SELECT has_table_privilege('catalog_reader', 'kept', 'SELECT')")
    assert postgres_server.execute(asked, name) == [(False,)]
    assert postgres_server.reader_url(url).startswith("postgresql+psycopg://catalog_reader@127.0.0.1:")
    postgres_server.drop_database(url)


def test_each_engine_gets_its_turn(engine_name: str, database: Database) -> None:
    assert database.dialect == engine_name
