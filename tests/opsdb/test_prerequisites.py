"""A login that may not make schemas or pg_sphere is told what a superuser must run, and then it works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import sql

from catalog.db import Database
from catalog.errors import SettingsError
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.prerequisites import SCHEMAS
from catalog.opsdb.schema import current_revision, head_revision


@pytest.fixture
def bare(postgres_server: Any) -> Iterator[str]:
    """Name of a database without extension, of whose login nothing is expected but that it may connect."""
    name = "bare_database"
    if not postgres_server.execute(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = 'modest'")):
        postgres_server.execute(sql.SQL("CREATE ROLE modest LOGIN"))
    postgres_server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield name
    postgres_server.drop_database(name)


def test_each_refusal_names_the_superusers_command_until_nothing_is_missing(postgres_server: Any, bare: str) -> None:
    commands = []
    with Database(postgres_server.url(bare, "modest")) as database:
        for _ in range(10):
            try:
                upgrade(database)
            except SettingsError as error:
                command = f"{error.message} {error.hint or ''}"
            else:
                break
            assert f"psql -U postgres -h 127.0.0.1 -p {postgres_server.port} -d {bare} -c '" in command
            statement = command.partition(" -c '")[2].partition("'")[0]
            commands.append(statement)
            postgres_server.execute(sql.SQL(statement), bare)
        assert current_revision(database) == head_revision()
    assert commands == [
        *(f"CREATE SCHEMA {name} AUTHORIZATION modest" for name in SCHEMAS),
        "CREATE EXTENSION pg_sphere",
    ]


def test_a_schema_that_belongs_to_somebody_else_is_named(postgres_server: Any, bare: str) -> None:
    postgres_server.execute(sql.SQL("CREATE SCHEMA ops"), bare)
    with (
        Database(postgres_server.url(bare, "modest")) as database,
        pytest.raises(SettingsError, match="may not make tables in the schema ops") as refused,
    ):
        upgrade(database)
    assert "ALTER SCHEMA ops OWNER TO modest" in str(refused.value.hint)


def test_a_superuser_needs_nothing_prepared(postgres_server: Any, bare: str) -> None:
    with Database(postgres_server.url(bare)) as database:
        upgrade(database)
        with database.engine.connect() as connection:
            assert set(sa.inspect(connection).get_schema_names()) >= set(SCHEMAS)
            assert connection.scalar(sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'pg_sphere'")) == 1
