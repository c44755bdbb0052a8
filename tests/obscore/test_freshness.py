"""Whoever writes, by whatever means and in whatever order: the stored rows end as a fresh full resolution has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.obscore.comparison import compare_with_fresh
from catalog.obscore.freshness import keep_resolved, refresh, resolve_own_changes, resolve_queued
from catalog.obscore.package_obscore import package_obscore
from catalog.opsdb.enums import ChecksumAlgorithm, DataRights, ScanMode
from catalog.opsdb.models import (
    ExecutedObsUnit,
    FixedSource,
    PackagePublication,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
    ResolveCause,
    ResolveQueue,
)
from catalog.opsdb.publication import restore, withdraw

START = datetime(2026, 3, 31, 22, 15, 30, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)
BYTES: dict[str, Any] = {"size_bytes": 1, "checksum": "ab", "checksum_algorithm": ChecksumAlgorithm.MD5}


@pytest.fixture
def settled(catalog: Database, world: Any) -> Any:
    """The observatory with a few packages of different kinds, all resolved, nothing in the queue."""
    w = world
    tuned = {"configuration": w.co43, "module_configurations": [w.fine], "sub_program": w.deep, "obs_mode": w.otf}
    w.things["packages"] = [
        w.package(w.unit(w.orion, obs_unit=tuned), w.lfa, files=2, metadata={"obs_title": "stated"}),
        w.package(w.unit(w.jupiter), files=1, copies=0),
        w.package(w.unit(w.stripe, program=w.closed)),
        w.package(w.unit(None, program=w.cal), w.weather, size=None),
    ]
    w.session.commit()
    refresh(catalog)
    assert waiting(catalog) == (0, 0)
    assert differences(catalog) == []
    return w


def differences(database: Database) -> list[Any]:
    """What differs from a fresh full resolution."""
    with database.engine.connect() as connection:
        if database.dialect == "sqlite":
            check_trees(connection)
        return list(compare_with_fresh(connection))


def check_trees(connection: sa.Connection) -> None:
    """The R*Trees hold exactly the rows that have a position, and a region."""
    for tree, column in (("package_position", "s_x"), ("package_region", "s_cap_ra")):
        kept = set(connection.exec_driver_sql(f"SELECT id FROM {tree}").scalars())
        query = f"SELECT obscore_key FROM package_obscore WHERE {column} IS NOT NULL"
        assert kept == set(connection.exec_driver_sql(query).scalars())


def waiting(database: Database) -> tuple[int, int]:
    """Lines that wait: packages, and rows from which packages hang."""
    with database.engine.connect() as connection:
        packages, causes = (connection.scalar(sa.select(sa.func.count(k.seq))) for k in (ResolveQueue, ResolveCause))
    return packages or 0, causes or 0


def first(session: Any, model: type[Any]) -> Any:
    return session.scalars(sa.select(model).order_by(sa.inspect(model).primary_key[0])).first()


def delete_metadata(world: Any) -> None:
    world.session.delete(world.packages[0].package_metadata)


def add_files(world: Any) -> None:
    package = world.packages[2]
    package.files.append(world.file(package, package.executed_obs_unit, 7, 12.5))


def complete(world: Any) -> None:
    package = world.packages[3]
    package.size_bytes, package.checksum, package.checksum_algorithm = 7, "ff", ChecksumAlgorithm.CRC32C


def observe_more(world: Any) -> None:
    world.package(world.packages[1].executed_obs_unit, sequence=1, files=1)


ORM_CHANGES: dict[str, Callable[[Any], object]] = {
    "a source is renamed": lambda w: setattr(w.orion, "name", "M 42"),
    "a fixed source moves": lambda w: setattr(w.orion, "ra_deg", 84.0),
    "another body is meant": lambda w: setattr(w.jupiter, "body", "saturn"),
    "a scan has another elevation": lambda w: setattr(w.stripe, "elevation_deg", 45.0),
    "an observation has another source": lambda w: setattr(w.packages[0].executed_obs_unit.obs_unit, "source", w.field),
    "an observation belongs to a programme": lambda w: setattr(
        w.packages[1].executed_obs_unit.obs_unit, "program", w.cal
    ),
    "a sub-programme releases earlier": lambda w: setattr(w.deep, "release_date", START),
    "a programme closes": lambda w: setattr(w.geco, "release_months", None),
    "a mode scans otherwise": lambda w: setattr(w.otf, "scan_mode", ScanMode.RASTER_MAP),
    "a line is tuned anew": lambda w: setattr(w.co43, "line_frequency_ghz", 470.0),
    "channels are finer": lambda w: setattr(w.fine, "channel_width_khz", 50.0),
    "a set-up is no longer used": lambda w: w.packages[0].executed_obs_unit.obs_unit.module_configurations.clear(),
    "a module has another band": lambda w: setattr(w.prime280, "frequency_max_ghz", 310.0),
    "an instrument is renamed": lambda w: setattr(w.prime280.instrument, "name", "Prime-Cam 2"),
    "a telescope is moved": lambda w: setattr(w.fyst, "longitude_deg", -60.0),
    "an execution ends later": lambda w: setattr(w.packages[2].executed_obs_unit, "end_time", START + 2 * HOUR),
    "an execution runs again": lambda w: setattr(w.packages[1].executed_obs_unit, "end_time", None),
    "a file ends later": lambda w: setattr(w.packages[1].files[0], "end_time", START + 2 * HOUR),
    "a file leaves its package": lambda w: setattr(w.packages[1].files[0], "package", None),
    "files come": add_files,
    "metadata override": lambda w: setattr(w.packages[0].package_metadata, "s_fov", 2.0),
    "metadata come": lambda w: setattr(w.packages[1], "package_metadata", RawDataPackageMetadata(em_min=1e-3)),
    "metadata go": delete_metadata,
    "a package becomes complete": complete,
    "a package comes": observe_more,
    "a package is of another format": lambda w: setattr(w.packages[1], "content_format", "application/fits"),
    "rights are declared": lambda w: setattr(w.packages[0].package_metadata, "data_rights", DataRights.SECURE),
}


@pytest.mark.parametrize("name", ORM_CHANGES)
def test_what_the_orm_changes_is_resolved_in_its_own_transaction(catalog: Database, settled: Any, name: str) -> None:
    before = stored(catalog)

    ORM_CHANGES[name](settled)
    settled.session.commit()

    assert stored(catalog) != before
    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)


def stored(database: Database) -> list[tuple[Any, ...]]:
    """Every resolved row, without the time of its making."""
    table = package_obscore()
    columns = [column for column in table.columns if column.name != "resolved_at"]
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.raw_data_package_id))]


def test_a_package_that_is_withdrawn_and_restored_goes_and_comes(catalog: Database, settled: Any) -> None:
    table = package_obscore()
    with catalog.engine.connect() as connection:
        did = connection.scalar(sa.select(table.c.obs_publisher_did).order_by(table.c.obscore_key).limit(1))
    for change, rows in ((lambda c: withdraw(c, did, "wrong target"), 2), (lambda c: restore(c, did), 3)):
        change(settled.session.connection())
        settled.session.commit()
        assert len(stored(catalog)) == rows
        assert differences(catalog) == []


PLAIN_CHANGES = {
    "a source is renamed": "UPDATE ops.source SET name = 'M 42' WHERE name = 'Orion-KL'",
    "a fixed source moves": "UPDATE ops.fixed_source SET dec_deg = dec_deg + 0.5",
    "an execution ends": "UPDATE ops.executed_obs_unit SET end_time = start_time",
    "metadata go": "DELETE FROM ops.raw_data_package_metadata",
    "set-ups are no longer used": "DELETE FROM ops.obs_unit_module_configuration",
    "files leave": (  # those whose package was found whole stay
        "UPDATE ops.raw_data_file SET raw_data_package_id = NULL WHERE raw_data_package_id NOT IN "
        "(SELECT raw_data_package_id FROM ops.physical_copy WHERE raw_data_package_id IS NOT NULL)"
    ),
    "an observation loses its source": "UPDATE ops.obs_unit SET source_id = NULL",
    "a programme releases": "UPDATE ops.observing_program SET release_months = 1 WHERE short_name = 'GEco'",
    "a package grows": "UPDATE ops.raw_data_package SET content_format = 'image/fits'",
    "all are withdrawn": "UPDATE catalog.package_publication SET withdrawn_at = created_at, withdrawn_reason = 'x'",
}


@pytest.mark.parametrize("name", PLAIN_CHANGES)
def test_what_plain_sql_changes_is_resolved_by_a_refresh(catalog: Database, settled: Any, name: str) -> None:
    run(catalog, PLAIN_CHANGES[name])
    assert differences(catalog) != [], "the change must be one that shows"

    refresh(catalog)

    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)


def run(database: Database, *statements: str) -> None:
    """Plain SQL in one transaction; ``ops.`` and ``catalog.`` fall away on SQLite."""
    with database.begin() as connection:
        for statement in statements:
            if database.dialect == "sqlite":
                statement = statement.replace("ops.", "").replace("catalog.", "")
            connection.exec_driver_sql(statement)


def test_a_session_resolves_its_own_changes_and_leaves_those_of_others_to_a_refresh(
    catalog: Database, settled: Any
) -> None:
    other = settled.packages[1].id
    settled.session.commit()
    run(catalog, "UPDATE ops.solar_system_object SET body = 'saturn' WHERE body = 'jupiter'")
    settled.orion.ra_deg = 84.0
    settled.session.commit()

    assert {difference.raw_data_package_id for difference in differences(catalog)} == {other}
    assert waiting(catalog) == (0, 1)
    refresh(catalog)
    assert differences(catalog) == []


def test_bulk_loads_are_resolved_by_a_refresh(catalog: Database, settled: Any) -> None:
    unit, module = settled.packages[0].executed_obs_unit_id, settled.lfa.id
    settled.session.commit()
    packages = [settled.uuid() for _ in range(30)]
    names = ("id", "executed_obs_unit_id", "instrument_module_id", "sequence", "name", "relative_path", "size_bytes")
    rows = [(p, unit, module, 100 + n, f"{n}", f"p/{n}", 1000 * n) for n, p in enumerate(packages)]
    with catalog.begin() as connection:
        table = RawDataPackage.__table__
        columns = (*names, "checksum", "checksum_algorithm")
        catalog.bulk_insert(connection, table, columns, [(*row, "ab" * 32, ChecksumAlgorithm.SHA256) for row in rows])
    refresh(catalog)
    assert len(stored(catalog)) == 3 + 30

    with catalog.begin() as connection:
        table = RawDataFile.__table__
        columns = ("id", "instrument_module_id", "raw_data_package_id", "name", "relative_path", "exptime_s")
        files = [(settled.uuid(), module, p, "f", f"f/{n}", 2.5 + n) for n, p in enumerate(packages)]
        catalog.bulk_insert(connection, table, columns, files)
    assert differences(catalog) != []
    refresh(catalog)
    assert differences(catalog) == []


def test_parts_that_come_in_the_wrong_order_end_right(catalog: Database, settled: Any) -> None:
    """First the package, then what it lies in, its files and its metadata, last its size and where it points."""
    package = settled.packages[3]
    unit = package.executed_obs_unit
    unit_id, planned_id, module_id, identifier = unit.id, unit.obs_unit_id, settled.weather.id, package.id
    pole, file = settled.pole.id, settled.uuid()
    settled.session.commit()
    file_row = f"'{file}', {module_id}, '{identifier}', 'late', 'late', '2026-05-01T00:00:00', '2026-05-01T00:10:00'"
    file_columns = "id, instrument_module_id, raw_data_package_id, name, relative_path, start_time, end_time"
    executed, bytes_known = (
        "UPDATE ops.executed_obs_unit SET",
        "size_bytes = 5, checksum = 'ab', checksum_algorithm = 'md5'",
    )
    steps = [
        f"{executed} start_time = NULL, end_time = NULL WHERE id = '{unit_id}'",
        f"INSERT INTO ops.raw_data_file ({file_columns}) VALUES ({file_row})",
        f"INSERT INTO ops.raw_data_package_metadata (raw_data_package_id, s_fov) VALUES ('{identifier}', 0.5)",
        f"UPDATE ops.raw_data_package SET {bytes_known} WHERE id = '{identifier}'",
        f"UPDATE ops.obs_unit SET source_id = {pole} WHERE id = {planned_id}",
        f"{executed} start_time = '2026-05-01T00:00:00.000000' WHERE id = '{unit_id}'",
        f"{executed} end_time = '2026-05-01T01:00:00.000000' WHERE id = '{unit_id}'",
    ]
    for number, step in enumerate(steps):
        run(catalog, step)
        if number % 2:
            refresh(catalog)
            assert differences(catalog) == []
    refresh(catalog)
    assert differences(catalog) == []
    (row,) = [row for row in rows_of(catalog) if row["raw_data_package_id"] == identifier]
    assert (row["s_fov"], row["s_dec"], row["access_estsize"]) == (0.5, -89.9, 1)
    assert row["t_max"] - row["t_min"] == pytest.approx(10 / 1440)


def rows_of(database: Database) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(package_obscore())).mappings()]


def test_a_rollback_leaves_nothing(catalog: Database, settled: Any) -> None:
    before = stored(catalog)
    settled.orion.ra_deg = 84.0
    observe_more(settled)
    settled.session.flush()
    settled.session.rollback()

    assert stored(catalog) == before
    assert waiting(catalog) == (0, 0)
    settled.session.commit()
    assert differences(catalog) == []


def test_a_commit_that_fails_leaves_nothing(catalog: Database, settled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(catalog)
    observe_more(settled)
    sa.event.listen(settled.session, "before_commit", fail)  # after the rows have been resolved
    with pytest.raises(RuntimeError, match="mine"):
        settled.session.commit()
    settled.session.rollback()

    assert stored(catalog) == before
    with catalog.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(PackagePublication)) == 3
    assert waiting(catalog) == (0, 0)


def fail(session: Any) -> None:
    raise RuntimeError("mine")


def test_savepoints_count_as_they_end(catalog: Database, settled: Any) -> None:
    with settled.session.begin_nested():
        settled.orion.ra_deg = 84.0
    queued = settled.session.scalars(sa.select(ResolveCause.entity)).all()
    assert queued == ["fixed_source"], "a savepoint is no reason to resolve: there may be thousands in a transaction"
    savepoint = settled.session.begin_nested()
    settled.jupiter.body = "saturn"
    settled.session.flush()
    savepoint.rollback()
    with settled.session.begin_nested(), settled.session.begin_nested():
        settled.otf.scan_mode = ScanMode.SKYDIP
    assert rows_of(catalog)[0]["s_ra"] == pytest.approx(83.80995), "others see nothing yet"
    settled.session.commit()

    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)
    found = {row["raw_data_package_id"]: row for row in rows_of(catalog)}
    assert found[settled.packages[0].id]["s_ra"] == 84.0
    assert found[settled.packages[0].id]["scan_mode"] == "skydip"


def test_a_commit_with_an_open_savepoint_resolves_too(catalog: Database, settled: Any) -> None:
    settled.session.begin_nested()
    settled.orion.ra_deg = 84.0
    settled.session.commit()

    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)


def test_core_statements_in_a_session_are_resolved_as_it_commits(catalog: Database, settled: Any) -> None:
    settled.session.execute(sa.update(FixedSource.__table__).values(ra_deg=10.0))
    settled.session.execute(sa.delete(RawDataPackageMetadata))
    settled.session.commit()

    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)


def test_a_changed_row_keeps_its_key_when_a_new_one_comes_with_it(catalog: Database, settled: Any) -> None:
    keys = {row["raw_data_package_id"]: row["obscore_key"] for row in rows_of(catalog)}
    settled.fyst.short_name = "FYST-2"
    observe_more(settled)
    settled.session.commit()

    after = {row["raw_data_package_id"]: row["obscore_key"] for row in rows_of(catalog)}
    assert keys.items() < after.items()
    assert len(set(after.values())) == len(after) == 4


def test_a_refresh_of_what_is_fresh_writes_nothing(catalog: Database, settled: Any) -> None:
    times = {row["raw_data_package_id"]: row["resolved_at"] for row in rows_of(catalog)}
    assert refresh(catalog).written == 0
    assert refresh(catalog, full=True).written == 0
    assert {row["raw_data_package_id"]: row["resolved_at"] for row in rows_of(catalog)} == times


def test_a_limited_part_of_the_queue_is_worked_off(catalog: Database, settled: Any) -> None:
    run(catalog, "UPDATE ops.telescope SET short_name = 'FYST-2'")
    for left in (3, 2, 1, 0):
        with catalog.begin() as connection:
            resolve_queued(connection, limit=1)
        assert waiting(catalog) == (left, 0)
    assert differences(catalog) == []


# While others write


def test_a_refresh_while_others_write_loses_nothing(catalog: Database, settled: Any) -> None:
    """Between two parts of a full refresh others change what it has done and what it has not."""
    numbers = iter(range(100))

    def disturb(done: int, total: int | None) -> None:
        number = next(numbers)
        if number < 3:
            run(catalog, f"UPDATE ops.fixed_source SET ra_deg = {number + 1}")
            settled.stripe.elevation_deg = 40.0 + number
            settled.session.commit()

    refresh(catalog, full=True, progress=disturb)

    assert next(numbers) > 0
    assert differences(catalog) == []


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("last", ["the source", "the package"])
@pytest.mark.parametrize("how", ["by sessions", "by plain SQL", "in part by plain SQL"])
def test_a_package_that_is_added_while_its_source_moves_is_published_where_that_is_in_the_end(
    catalog: Database, settled: Any, last: str, how: str
) -> None:
    """Neither transaction sees the other's work. SQLite has one writer at a time."""
    move = catalog.session() if how == "by plain SQL" else keep_resolved(catalog.session())
    add = keep_resolved(catalog.session()) if how == "by sessions" else catalog.session()
    package = settled.packages[0]
    identity = {"executed_obs_unit_id": package.executed_obs_unit_id, "instrument_module_id": settled.lfa.id}
    with move, add:
        move.execute(sa.update(FixedSource.__table__).values(ra_deg=84.0))
        add.add(RawDataPackage(id=settled.uuid(), **identity, sequence=9, name="x", relative_path="x", **BYTES))
        add.flush()
        for session in (move, add) if last == "the package" else (add, move):
            session.commit()
    refresh(catalog)

    assert differences(catalog) == []
    assert [row["s_ra"] for row in rows_of(catalog) if row["target_name"] == "Orion-KL"] == [84.0, 84.0]


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_a_refresh_waits_for_a_package_that_was_resolved_and_is_not_committed_yet(
    catalog: Database, settled: Any
) -> None:
    """It would follow the moved source to the packages that it sees, and nobody would ask for this one again."""
    add = keep_resolved(catalog.session())
    package = settled.packages[0]
    identity = {"executed_obs_unit_id": package.executed_obs_unit_id, "instrument_module_id": settled.lfa.id}
    settled.session.commit()
    add.add(RawDataPackage(id=settled.uuid(), **identity, sequence=9, name="x", relative_path="x", **BYTES))
    resolve_own_changes(add)
    run(catalog, "UPDATE ops.fixed_source SET ra_deg = 84")
    refreshing = Thread(target=refresh, args=(catalog,))
    refreshing.start()
    wait_until_somebody_waits(catalog)
    add.commit()
    refreshing.join()
    add.close()

    assert differences(catalog) == []
    assert [row["s_ra"] for row in rows_of(catalog) if row["target_name"] == "Orion-KL"] == [84.0, 84.0]


def wait_until_somebody_waits(database: Database) -> None:
    query = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with database.engine.connect() as connection:
            if connection.scalar(query):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_two_sessions_that_change_the_same_package_agree(catalog: Database, settled: Any) -> None:
    """The second resolves when the first has ended, and sees what it did."""
    one, two = keep_resolved(catalog.session()), keep_resolved(catalog.session())
    with one, two:
        one.execute(sa.update(ExecutedObsUnit.__table__).values(end_time=START + 2 * HOUR))
        two.execute(sa.update(FixedSource.__table__).values(ra_deg=84.0))
        one.commit()
        two.commit()

    assert differences(catalog) == []
    assert waiting(catalog) == (0, 0)


def test_many_writers_and_refreshers_at_once_end_right(catalog: Database, settled: Any) -> None:
    """Sessions, plain SQL and refreshes side by side, each in a thread of its own."""
    ids = [package.id for package in settled.packages]
    sources = {"fixed_source": settled.orion.id, "constant_elevation_source": settled.stripe.id}
    unit, module = settled.packages[0].executed_obs_unit_id, settled.lfa.id
    settled.session.close()
    start = Barrier(4)
    faults: list[BaseException] = []

    def through_sessions(number: int) -> None:
        with keep_resolved(catalog.session()) as session:
            source = session.get(FixedSource, sources["fixed_source"])
            assert source is not None
            source.ra_deg = 100.0 + number
            session.commit()
            execution = session.get(ExecutedObsUnit, unit)
            assert execution is not None
            execution.elevation_deg = 30.0 + number
            session.commit()

    def by_plain_sql(number: int) -> None:
        run(
            catalog,
            f"UPDATE ops.constant_elevation_source SET elevation_deg = {40 + number}",
            f"UPDATE ops.executed_obs_unit SET elevation_deg = {50 + number}",
        )
        run(catalog, f"UPDATE ops.raw_data_file SET exptime_s = {number} WHERE raw_data_package_id = '{ids[1]}'")

    def adding(number: int) -> None:
        run(
            catalog,
            "INSERT INTO ops.raw_data_package (id, executed_obs_unit_id, instrument_module_id, sequence, name, "
            "relative_path, size_bytes, checksum, checksum_algorithm) VALUES "
            f"('{UUID(int=number + 1)}', '{unit}', {module}, {500 + number}, 'x', 'x', 1, 'ab', 'md5')",
        )

    def refreshing(number: int) -> None:
        refresh(catalog, full=number % 4 == 3)

    def repeat(step: Callable[[int], None]) -> None:
        try:
            start.wait()
            for number in range(12):
                step(number)
        except BaseException as fault:  # a thread's own is lost otherwise
            faults.append(fault)

    threads = [Thread(target=repeat, args=(step,)) for step in (through_sessions, by_plain_sql, adding, refreshing)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    refresh(catalog)

    assert differences(catalog) == []
    assert len(stored(catalog)) == 3 + 12
    assert waiting(catalog) == (0, 0)
