"""The synthetic observatory in a database of either engine."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database, UtcDateTime, UuidText
from catalog.errors import UsageError
from catalog.ingest.synthetic import SyntheticSummary, build_observatory, load_synthetic
from catalog.ingest.synthetic.load import SETTING
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import (
    OpsBase,
    OurBase,
    PublicationSetting,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    RawDataPackageMetadata,
    Role,
    Site,
    User,
)

PACKAGES = 200
Stored = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def empty(database: Database) -> Database:
    """A database at the newest revision."""
    upgrade(database)
    return database


@pytest.fixture
def loaded(empty: Database) -> Database:
    load_synthetic(empty, packages=PACKAGES)
    return empty


def content(database: Database) -> Stored:
    """Every row of every operations table, in an order of its own."""
    with database.engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for name, table in OpsBase.metadata.tables.items()
        }


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order of their own; JSONB keeps no order of keys."""
    return sorted(rows, key=lambda row: repr([sorted(cell) if isinstance(cell, dict) else cell for cell in row]))


def count(database: Database, table: sa.FromClause) -> int:
    with database.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def typed(column: sa.Column[Any], value: Any) -> Any:
    """What SQLAlchemy should read for a value in its stored form."""
    if value is None:
        return None
    if isinstance(column.type, UuidText):
        return UUID(value)
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if isinstance(column.type, sa.Enum):
        assert column.type.enum_class is not None
        return column.type.enum_class(value)
    if isinstance(column.type, sa.JSON):
        return json.loads(value)
    return value


def test_database_holds_exactly_the_rows_that_were_built(loaded: Database) -> None:
    built: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for batch in build_observatory(PACKAGES, 1):
        built[f"ops.{batch.table.name}"].extend(dict(zip(batch.columns, row, strict=True)) for row in batch.rows())
    with loaded.engine.connect() as connection:
        for name, rows in built.items():
            table = OpsBase.metadata.tables[name]
            names = {column for row in rows for column in row}
            columns = [column for column in table.columns if column.name in names]
            expected = [tuple(typed(column, row.get(column.name)) for column in columns) for row in rows]
            found = [tuple(row) for row in connection.execute(sa.select(*columns))]
            assert in_order(found) == in_order(expected), name


def test_every_table_of_the_operations_database_has_rows(loaded: Database) -> None:
    for name, table in OpsBase.metadata.tables.items():
        assert count(loaded, table), name


def test_every_foreign_key_holds(loaded: Database) -> None:
    with loaded.engine.connect() as connection:
        if loaded.dialect == "sqlite":
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        else:
            query = "SELECT count(*) FROM pg_constraint WHERE contype IN ('f', 'c') AND NOT convalidated"
            assert connection.exec_driver_sql(query).scalar() == 0


def test_orm_reads_what_was_loaded(loaded: Database) -> None:
    with loaded.session() as session:
        package = session.scalars(sa.select(RawDataPackage).where(RawDataPackage.size_bytes.is_not(None))).first()
        assert package is not None
        assert len(package.files) == 3
        assert package.executed_obs_unit.obs_unit.program.short_name
        metadata = session.get(RawDataPackageMetadata, package.id)
        assert metadata is not None
        assert metadata.document["synthetic"] is True
        copies = session.scalars(sa.select(RawDataFilePhysicalCopy)).all()
        assert all(copy.full_path.startswith("/synthetic/") for copy in copies)


def test_nothing_is_queued_and_the_queue_works_again(loaded: Database) -> None:
    queue = OurBase.metadata.tables["catalog.resolve_queue"]
    assert count(loaded, queue) == 0
    with loaded.session() as session:
        package = session.scalars(sa.select(RawDataPackage)).first()
        assert package is not None
        package.name = "synthetic, renamed"
        session.commit()
    assert count(loaded, queue) > 0


def test_second_load_changes_nothing(loaded: Database) -> None:
    before = content(loaded)
    summary = load_synthetic(loaded, packages=PACKAGES)
    assert not summary.loaded
    assert content(loaded) == before


def test_summary_counts_what_the_database_holds(empty: Database) -> None:
    summary = load_synthetic(empty, packages=PACKAGES, files_per_package=2)
    tables = OpsBase.metadata.tables
    assert summary == SyntheticSummary(
        packages=PACKAGES,
        files=2 * PACKAGES,
        package_copies=summary.package_copies,
        executed_units=count(empty, tables["ops.executed_obs_unit"]),
        transfer_packages=count(empty, tables["ops.data_transfer_package"]),
        seed=1,
        loaded=True,
    )
    assert asdict(summary)["package_copies"] > 2 * PACKAGES


@pytest.mark.parametrize(
    "other", [{"packages": 300}, {"packages": PACKAGES, "seed": 2}, {"packages": PACKAGES, "files_per_package": 1}]
)
def test_another_synthetic_observatory_is_refused(loaded: Database, other: dict[str, Any]) -> None:
    before = content(loaded)
    with pytest.raises(UsageError, match=r"another synthetic observatory \(200 packages, seed 1, 3 files"):
        load_synthetic(loaded, **other)
    assert content(loaded) == before


def test_database_with_rows_of_its_own_is_refused(empty: Database) -> None:
    with empty.session() as session:
        session.add(Site(key="somewhere", name="Somewhere"))
        session.commit()
    before = content(empty)
    with pytest.raises(UsageError, match="already holds rows in site"):
        load_synthetic(empty, packages=PACKAGES)
    assert content(empty) == before
    assert count(empty, PublicationSetting.__table__) == 0


def test_users_that_are_there_stay_and_none_are_added(empty: Database) -> None:
    with empty.session() as session:
        session.add(User(username="operator", roles=[Role(name="admin")]))
        session.commit()
    load_synthetic(empty, packages=PACKAGES)
    assert count(empty, User.__table__) == 1
    assert count(empty, OpsBase.metadata.tables["ops.program_membership"]) == 0
    assert not load_synthetic(empty, packages=PACKAGES).loaded


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_interrupted_load_goes_on_and_ends_the_same(
    empty: Database, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.ingest.synthetic.observatory.BATCH_PACKAGES", 70)
    left = calls

    def stop(done: int, total: int | None) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_synthetic(empty, packages=PACKAGES, progress=stop)
    assert count(empty, RawDataPackage.__table__) == min(70 * calls, PACKAGES)
    assert load_synthetic(empty, packages=PACKAGES).loaded
    whole = content(empty)
    assert len(whole["ops.raw_data_package"]) == PACKAGES
    expected = sum(len(batch) for batch in build_observatory(PACKAGES, 1))
    assert sum(len(rows) for rows in whole.values()) == expected


def test_progress_ends_at_the_number_of_packages(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.ingest.synthetic.observatory.BATCH_PACKAGES", 80)
    seen: list[tuple[int, int | None]] = []
    load_synthetic(empty, packages=PACKAGES, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(80, PACKAGES), (160, PACKAGES), (200, PACKAGES)]


def test_new_rows_get_numbers_after_those_loaded(loaded: Database) -> None:
    with loaded.session() as session:
        site = Site(key="new", name="New")
        session.add(site)
        session.flush()
        assert site.id == 4


def test_mark_says_that_the_catalog_is_synthetic(loaded: Database) -> None:
    with loaded.session() as session:
        setting = session.get(PublicationSetting, SETTING)
        assert setting is not None
        assert '"packages_done": 200' in setting.value


def test_load_that_broke_at_its_end_is_finished_by_the_next(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("catalog.ingest.synthetic.load._SAMPLE", "nonsense (")
        broken.setattr("catalog.ingest.synthetic.load._finish_table", lambda *_: 1 / 0)
        with pytest.raises((sa.exc.DBAPIError, ZeroDivisionError)):
            load_synthetic(empty, packages=PACKAGES)
    assert load_synthetic(empty, packages=PACKAGES).loaded
    assert not load_synthetic(empty, packages=PACKAGES).loaded
    with empty.session() as session:
        site = Site(key="new", name="New")
        session.add(site)
        session.flush()
        assert site.id == 4
