"""The migrations make what the models say, and carry rows up and down unharmed."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from catalog.db import Database
from catalog.errors import IntegrityError, SettingsError
from catalog.opsdb.migrate import downgrade, upgrade
from catalog.opsdb.models import (
    FixedSource,
    OpsBase,
    OurBase,
    PackagePublication,
    RawDataPackage,
    ResolveQueue,
    StagingJob,
)
from catalog.opsdb.models.declarative import NAMING
from catalog.opsdb.schema import STEPS, current_revision, head_revision


@pytest.fixture
def merged() -> sa.MetaData:
    """The tables of both bases in one, as one database holds them; on SQLite without schemas."""
    return sa.MetaData(naming_convention=NAMING)


def copy_tables(target: sa.MetaData, database: Database) -> sa.MetaData:
    """Every table of the models, as the engine has it."""
    for base in (OpsBase, OurBase):
        for table in base.metadata.sorted_tables:
            if database.dialect == "sqlite":
                table.to_metadata(target, schema=None, referred_schema_fn=lambda *_: sa.BLANK_SCHEMA)
            else:
                table.to_metadata(target)
    return target


def test_models_and_migrations_agree(migrated: Database, merged: sa.MetaData) -> None:
    wanted = copy_tables(merged, migrated)
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_schemas": migrated.dialect == "postgresql",
        "include_name": lambda name, kind, _: kind != "schema" or name in (None, "ops", "catalog"),
        "include_object": lambda item, name, kind, *_: name != "alembic_version",
    }
    with migrated.engine.connect() as connection:
        context = MigrationContext.configure(connection.execution_options(schema_translate_map={}), opts=options)
        assert compare_metadata(context, wanted) == []


def checks_of(database: Database) -> dict[str, set[str]]:
    """Names of the CHECKs of every table, read back."""
    with database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        return {
            table.name: {
                str(check["name"])
                for check in inspector.get_check_constraints(
                    table.name, schema=None if database.dialect == "sqlite" else table.schema
                )
            }
            for base in (OpsBase, OurBase)
            for table in base.metadata.sorted_tables
        }


def test_every_check_of_the_models_is_in_the_database(migrated: Database) -> None:
    """Alembic's comparison leaves CHECKs out."""
    wanted = {}
    for base in (OpsBase, OurBase):
        for table in base.metadata.sorted_tables:
            names = {str(c.name) for c in table.constraints if isinstance(c, sa.CheckConstraint)}
            if migrated.dialect == "postgresql":  # which has a type for truth values
                names -= {f"ck_{table.name}_{c.name}" for c in table.columns if isinstance(c.type, sa.Boolean)}
            wanted[table.name] = names
    assert checks_of(migrated) == wanted


def test_the_checks_say_the_same(migrated: Database) -> None:
    """On SQLite, where a CHECK is kept as it was written."""
    if migrated.dialect == "postgresql":
        return
    with migrated.engine.connect() as connection:
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    for name, text in made:
        table = OpsBase.metadata.tables.get(f"ops.{name}")
        if table is None:
            continue
        wanted = str(sa.schema.CreateTable(table).compile(migrated.engine))
        found = set(re.findall(r"CONSTRAINT (\w+) CHECK (\(.*\))[,\n]", text))
        assert found == set(re.findall(r"CONSTRAINT (\w+) CHECK (\(.*\))[,\n]", wanted)), name


def test_every_foreign_key_has_an_index() -> None:
    """One that starts with its columns: a primary key, a unique constraint or an index."""
    lacking = []
    for table in OpsBase.metadata.sorted_tables:
        indexes = [list(index.columns.keys()) for index in table.indexes]
        indexes += [list(c.columns.keys()) for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
        indexes.append(list(table.primary_key.columns.keys()))
        for key in table.foreign_key_constraints:
            first = key.column_keys[0]
            if not any(index[0] == first for index in indexes):
                lacking.append(f"{table.name}.{first}")
    assert lacking == []


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    rows = {}
    with database.engine.connect() as connection:
        for base in (OpsBase, OurBase):
            for table in base.metadata.sorted_tables:
                keys = list(table.primary_key.columns)
                rows[table.name] = [tuple(row) for row in connection.execute(sa.select(table).order_by(*keys))]
    return rows


def definitions(database: Database) -> dict[str, str]:
    """Text of every trigger, function, view and index in the database, by name."""
    if database.dialect == "sqlite":
        query = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master WHERE type <> 'table'"
    else:
        query = (
            "SELECT 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
            "UNION ALL SELECT 'function ' || proname, prosrc FROM pg_proc WHERE pronamespace = 'catalog'::regnamespace "
            "UNION ALL SELECT 'view ' || viewname, definition FROM pg_views WHERE schemaname IN ('ivoa', 'fyst') "
            "UNION ALL SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname IN ('ops', 'catalog')"
        )
    with database.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


class Watched:
    """A view over core tables, as the publishers install them."""

    def install(self, connection: sa.Connection) -> None:
        self.drop(connection)
        view, tables = ("", "") if connection.dialect.name == "sqlite" else ("ivoa.", "ops.")
        connection.exec_driver_sql(
            f"CREATE VIEW {view}watched AS SELECT j.id, j.status, p.raw_data_package_id "
            f"FROM {tables}staging_job j JOIN {tables}staging_job_package p ON p.staging_job_id = j.id"
        )

    def drop(self, connection: sa.Connection) -> None:
        schema = "" if connection.dialect.name == "sqlite" else "ivoa."
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {schema}watched")


def test_down_and_up_again_keeps_rows_triggers_and_views(observed: Database) -> None:
    """The step to people copies staging_job on SQLite, which other tables and a view refer to."""
    derived = [Watched()]
    upgrade(observed, derived=derived)
    before, made = contents(observed), definitions(observed)
    assert all(before[name] for name in ("staging_job", "staging_job_package", "physical_copy", "user"))
    downgrade(observed, revision="0004", derived=derived)
    assert current_revision(observed) == "0004"
    assert [name for name in definitions(observed) if name.startswith(("trigger", "function", "view"))] == []
    upgrade(observed, derived=derived)
    after = contents(observed)
    people = {"user", "role", "permission", "user_role", "role_permission", "api_token", "program_membership"}
    assert {name for name, rows in after.items() if rows != before[name]} == {"user"} <= people
    assert definitions(observed) == made


def test_every_step_goes_down_and_up_with_rows(observed: Database) -> None:
    steps = [script.revision for script in ScriptDirectory(str(STEPS)).walk_revisions()]
    assert steps[0] == head_revision()
    made = definitions(observed)
    checks = checks_of(observed)
    for revision in [*steps[1:], "base"]:
        downgrade(observed, revision=revision)
        assert current_revision(observed) == (None if revision == "base" else revision)
    with observed.engine.connect() as connection:
        schemas = [None] if observed.dialect == "sqlite" else ["ops", "catalog"]
        tables = [name for schema in schemas for name in sa.inspect(connection).get_table_names(schema=schema)]
        assert tables == ["alembic_version"]
    for revision in reversed(steps):
        upgrade(observed, revision=revision)
    assert current_revision(observed) == head_revision()
    assert definitions(observed) == made
    assert checks_of(observed) == checks


def test_changes_that_wait_to_be_followed_are_not_lost_on_the_way_down(observed: Database) -> None:
    with observed.begin() as connection:
        connection.execute(sa.update(FixedSource).values(ra_deg=84))
    downgrade(observed, revision="0005")
    with observed.engine.connect() as connection:
        waiting = set(connection.scalars(sa.select(ResolveQueue.raw_data_package_id)))
        assert waiting == set(connection.scalars(sa.select(RawDataPackage.id)))


def test_upgrading_again_changes_nothing(observed: Database) -> None:
    before, made = contents(observed), definitions(observed)
    upgrade(observed)
    assert (contents(observed), definitions(observed)) == (before, made)


def test_foreign_keys_hold_after_a_migration(migrated: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), migrated.begin() as connection:
        connection.execute(sa.insert(StagingJob).values(destination_location_id=12))


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_migration_that_leaves_rows_without_parents_is_undone(observed: Database) -> None:
    downgrade(observed, revision="0004")
    with observed.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("UPDATE staging_job SET destination_location_id = 99")
        raw.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(IntegrityError, match="staging_job refers to a row of data_location that does not exist"):
        upgrade(observed)
    assert current_revision(observed) == "0004"
    with observed.engine.connect() as connection:
        assert "user" not in sa.inspect(connection).get_table_names()


def test_an_unknown_revision_is_refused(database: Database) -> None:
    with pytest.raises(SettingsError, match="there is no revision '0099'"):
        upgrade(database, revision="0099")
    assert current_revision(database) is None


def test_defaults_are_the_databases_own(migrated: Database) -> None:
    """Plain SQL that gives only what is required makes the rows that the ORM would make."""
    lacking = []
    for base in (OpsBase, OurBase):
        for table in base.metadata.sorted_tables:
            for column in table.columns:
                if column.default is not None and column.server_default is None:
                    lacking.append(str(column))
    assert lacking == []
    names = (
        ("package_publication", "obs_publisher_did")
        if migrated.dialect == "sqlite"
        else (
            "catalog.package_publication",
            "obs_publisher_did",
        )
    )
    with migrated.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {names[0]} (raw_data_package_id, {names[1]}) "
            "VALUES ('00000000-0000-4000-8000-000000000001', 'ivo://x.example/raw?1')"
        )
        row = connection.execute(sa.select(PackagePublication)).one()
    assert row.created_at == row.updated_at
    assert row.created_at.tzinfo is not None


def test_the_order_of_columns_is_the_models(migrated: Database) -> None:
    """Rows read by position are the same on a new database as on one that has grown."""
    with migrated.engine.connect() as connection:
        schema = None if migrated.dialect == "sqlite" else "ops"
        columns = [c["name"] for c in sa.inspect(connection).get_columns("raw_data_package", schema=schema)]
    table = RawDataPackage.__table__
    assert columns == list(table.columns.keys())
