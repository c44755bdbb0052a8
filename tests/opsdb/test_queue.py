"""Whoever changes what ObsCore may show, by whatever means, queues the packages concerned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.models import PhysicalCopy, RawDataFile, RawDataPackage, ResolveQueue, Source
from catalog.opsdb.routes import ROUTES
from catalog.opsdb.triggers import queue_suspended

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
SECOND_PACKAGE = UUID("00000000-0000-4000-8000-000000000002")
BOTH = {PACKAGE, SECOND_PACKAGE}

Queued = Callable[[], set[UUID]]
Force = Callable[[Database, sa.Executable], None]


def run(database: Database, statement: str) -> None:
    """Plain SQL; ``ops.`` and ``catalog.`` fall away on SQLite."""
    if database.dialect == "sqlite":
        statement = statement.replace("ops.", "").replace("catalog.", "")
    with database.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"UPDATE ops.raw_data_package SET size_bytes = 5 WHERE id = '{PACKAGE}'", {PACKAGE}),
        (
            f"UPDATE ops.raw_data_package_metadata SET s_ra = 1, s_dec = 2 WHERE raw_data_package_id = '{PACKAGE}'",
            {PACKAGE},
        ),
        (f"DELETE FROM ops.raw_data_package_metadata WHERE raw_data_package_id = '{PACKAGE}'", {PACKAGE}),
        (
            f"INSERT INTO ops.raw_data_package_metadata (raw_data_package_id) VALUES ('{SECOND_PACKAGE}')",
            {SECOND_PACKAGE},
        ),
        ("UPDATE ops.raw_data_file SET exptime_s = 9", {PACKAGE}),
        (f"UPDATE ops.raw_data_file SET raw_data_package_id = '{SECOND_PACKAGE}'", BOTH),
        ("UPDATE ops.raw_data_file SET raw_data_package_id = NULL", {PACKAGE}),
        ("DELETE FROM ops.raw_data_package_metadata", {PACKAGE}),
        ("UPDATE ops.executed_obs_unit SET end_time = NULL", BOTH),
        ("UPDATE ops.obs_unit SET source_id = NULL", BOTH),
        (
            "INSERT INTO ops.obs_unit_slot (obs_unit_id, start_time, end_time) "  # noqa: ISC004
            "SELECT id, created_at, '2100-01-01T00:00:00.000000' FROM ops.obs_unit",
            set(),
        ),
        ("UPDATE ops.source SET name = 'Orion IRc2' WHERE name = 'Orion-KL'", BOTH),
        ("UPDATE ops.source SET name = 'Io' WHERE name = 'Jupiter'", set()),
        ("UPDATE ops.fixed_source SET ra_deg = 84", BOTH),
        ("DELETE FROM ops.fixed_source", BOTH),
        ("UPDATE ops.constant_elevation_source SET elevation_deg = 40", set()),
        ("UPDATE ops.obs_mode SET scan_mode = 'raster-map'", BOTH),
        ("UPDATE ops.observation_configuration SET name = 'other'", BOTH),
        ("UPDATE ops.chai_observation_configuration SET bandwidth_ghz = 2", BOTH),
        ("UPDATE ops.instrument_module_configuration SET name = 'narrow'", BOTH),
        ("UPDATE ops.chai_module_configuration SET channel_width_khz = 50", BOTH),
        ("DELETE FROM ops.obs_unit_module_configuration", BOTH),
        ("UPDATE ops.observing_program SET release_months = 12", BOTH),
        ("UPDATE ops.sub_observing_program SET release_months = 12", BOTH),
        ("UPDATE ops.instrument_module SET frequency_max_ghz = 500", BOTH),
        ("UPDATE ops.instrument SET name = 'CHAI-2'", BOTH),
        ("UPDATE ops.telescope SET short_name = 'FYST-2'", BOTH),
        (
            "UPDATE catalog.package_publication SET withdrawn_at = created_at, withdrawn_reason = 'wrong target'",
            {PACKAGE},
        ),
        ("UPDATE ops.raw_data_package SET state = 'archived', status = 'completed'", set()),
        ("UPDATE ops.raw_data_package SET size_bytes = size_bytes", set()),
        ("UPDATE ops.observing_program SET updated_at = created_at", set()),
        ("UPDATE ops.observatory SET name = 'Another'", set()),
        ("UPDATE ops.physical_copy SET status = 'deletion_scheduled'", set()),
        ("UPDATE ops.site SET name = 'Chajnantor'", set()),
    ],
)
def test_plain_sql_queues_the_packages_that_it_touches(
    observed: Database, queued: Queued, statement: str, expected: set[UUID]
) -> None:
    run(observed, statement)
    assert queued() == expected


def test_every_table_that_feeds_obscore_is_watched_by_the_test_above() -> None:
    """The list of cases is complete: it names every table that has a route to packages."""
    cases = test_plain_sql_queues_the_packages_that_it_touches.pytestmark[0].args[1]
    named = " ".join(statement for statement, _ in cases)
    missing = [table for table in ROUTES if f"ops.{table} " not in f"{named} "]
    assert missing == ["solar_system_object", "prime_cam_observation_configuration"]


@pytest.mark.parametrize(
    ("subclass", "parent"),
    [
        (
            "INSERT INTO ops.solar_system_object (id, body) SELECT id, 'io' FROM ops.source WHERE name = 'late'",
            "source",
        ),
        (
            "INSERT INTO ops.prime_cam_observation_configuration (id) "  # noqa: ISC004
            "SELECT id FROM ops.observation_configuration WHERE name = 'late'",
            "observation_configuration",
        ),
    ],
)
def test_a_subclass_row_that_comes_after_its_packages_queues_them(
    observed: Database, queued: Queued, subclass: str, parent: str
) -> None:
    kind = "solar_system_object" if parent == "source" else "prime_cam_observation_configuration"
    run(observed, f"INSERT INTO ops.{parent} (type, name) VALUES ('{kind}', 'late')")
    assert queued() == set()
    run(observed, f"UPDATE ops.obs_unit SET {parent}_id = (SELECT id FROM ops.{parent} WHERE name = 'late')")
    assert queued() == BOTH
    run(observed, subclass)
    assert queued() == BOTH


def test_the_orm_queues_too(observed: Database, queued: Queued) -> None:
    with observed.session() as session:
        source = session.scalars(sa.select(Source).where(Source.name == "Orion-KL")).one()
        source.name = "Orion IRc2"
        session.commit()
    assert queued() == BOTH


def test_a_bulk_load_queues_too(observed: Database, queued: Queued) -> None:
    table = RawDataFile.__table__
    assert isinstance(table, sa.Table)
    rows = [(UUID(int=number), 1, PACKAGE, "f", f"f/{number}") for number in range(3)]
    columns = ("id", "instrument_module_id", "raw_data_package_id", "name", "relative_path")
    with observed.begin() as connection:
        observed.bulk_insert(connection, table, columns, rows)
    assert queued() == {PACKAGE}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        (
            "REPLACE INTO raw_data_file (id, instrument_module_id, raw_data_package_id, name, relative_path) "
            f"SELECT id, instrument_module_id, '{SECOND_PACKAGE}', name, relative_path FROM raw_data_file"
        ),
        (
            "REPLACE INTO raw_data_file (id, instrument_module_id, raw_data_package_id, name, relative_path) "
            f"SELECT '{UUID(int=9)}', instrument_module_id, '{SECOND_PACKAGE}', name, relative_path FROM raw_data_file"
        ),
    ],
)
def test_a_row_in_the_place_of_another_queues_the_packages_of_both(
    observed: Database, queued: Queued, force: Force, statement: str
) -> None:
    force(observed, sa.update(PhysicalCopy).values(status="deleted"))
    with observed.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(statement)
        connection.invalidate()
    assert queued() == BOTH


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["raw_data_package_metadata", "obs_unit_module_configuration", "fixed_source"])
def test_an_emptied_table_queues_every_package(observed: Database, queued: Queued, table: str) -> None:
    run(observed, f"TRUNCATE ops.{table}")
    assert queued() == BOTH


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_many_rows_of_one_statement_are_queued_once_on_postgresql(observed: Database) -> None:
    """SQLite's triggers look at each row."""
    run(observed, f"UPDATE ops.raw_data_file SET raw_data_package_id = '{SECOND_PACKAGE}'")
    with observed.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ResolveQueue)) == 2


def test_a_package_that_comes_while_its_source_changes_is_found(observed: Database, queued: Queued) -> None:
    """The statement that changes the source cannot see it; who follows the change later does."""
    run(observed, "UPDATE ops.fixed_source SET ra_deg = 84")
    run(observed, f"UPDATE ops.raw_data_package SET sequence = 7 WHERE id = '{SECOND_PACKAGE}'")
    with observed.begin() as connection:
        connection.execute(sa.delete(ResolveQueue))
    assert queued() == BOTH


def test_a_rolled_back_change_queues_nothing(observed: Database, queued: Queued) -> None:
    with observed.session() as session:
        session.execute(sa.update(RawDataPackage).values(size_bytes=7))
        session.rollback()
    assert queued() == set()


def test_a_suspended_queue_takes_nothing_and_comes_back(observed: Database, queued: Queued) -> None:
    with observed.begin() as connection:
        with queue_suspended(connection):
            connection.execute(sa.update(RawDataPackage).values(size_bytes=7))
        connection.execute(sa.update(RawDataPackage).where(RawDataPackage.id == PACKAGE).values(size_bytes=8))
    assert queued() == {PACKAGE}
    run(observed, "UPDATE ops.raw_data_package SET size_bytes = 9")
    assert queued() == BOTH


def test_a_suspension_that_fails_leaves_the_queue_as_it_was(observed: Database, queued: Queued) -> None:
    def fail() -> None:
        with observed.begin() as connection, queue_suspended(connection):
            connection.execute(sa.update(RawDataPackage).values(size_bytes=7))
            connection.execute(sa.update(RawDataPackage).values(size_bytes=-1))

    with pytest.raises(sa.exc.IntegrityError):
        fail()
    run(observed, "UPDATE ops.raw_data_package SET size_bytes = 9")
    assert queued() == BOTH


def test_a_suspension_ended_by_a_caught_error_leaves_the_queue_on(observed: Database, queued: Queued) -> None:
    with observed.begin() as connection:
        with pytest.raises(ValueError, match="mine"), queue_suspended(connection):
            raise ValueError("mine")
        connection.execute(sa.update(RawDataPackage).values(size_bytes=7))
    assert queued() == BOTH


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_a_login_without_rights_in_our_schema_queues_what_it_writes(
    observed: Database, queued: Queued, postgres_server: Any
) -> None:
    """The functions behind the triggers have their owner's rights."""
    with observed.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'observer') "
            "THEN CREATE ROLE observer LOGIN; END IF; END $$"
        )
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA ops TO observer")
        connection.exec_driver_sql("GRANT SELECT, UPDATE ON ops.source, ops.fixed_source TO observer")
        address = postgres_server.url(connection.scalar(sa.func.current_database().select()), "observer")
    with Database(address) as other:
        run(other, "UPDATE ops.fixed_source SET ra_deg = 84")
    assert queued() == BOTH
