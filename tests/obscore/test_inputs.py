"""Everything that the mapping reads is watched: the list is taken from the mapping's own query, not written here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import visitors

from catalog.db import Database, UtcDateTime
from catalog.obscore.comparison import compare_with_fresh
from catalog.obscore.freshness import refresh
from catalog.obscore.resolve import core_select
from catalog.opsdb.enums import TrackingType
from catalog.opsdb.models import (
    ChaiModuleConfiguration,
    ChaiObservationConfiguration,
    Observatory,
    ObsMode,
    OpsBase,
    OurBase,
    PackagePublication,
    RawDataPackageMetadata,
    SubObservingProgram,
    Telescope,
)

FIXED_BY_RULE = {"created_at", "obs_publisher_did"}
"""Columns that the database does not let anybody change."""

WORDS = {
    "body": "saturn",
    "s_region": "CIRCLE ICRS 1 2 0.5",
    "checksum": "cd",
    "pol_states": "/I/",
    "content_format": "application/fits",
}
TABLES = {table.name: table for base in (OpsBase, OurBase) for table in base.metadata.sorted_tables}
MOMENT = datetime(2026, 4, 2, tzinfo=UTC)


def inputs() -> dict[str, set[str]]:
    """Columns that the query of the mapping names, in its SELECT list, joins and conditions, by table."""
    found: dict[str, set[str]] = {}
    for element in visitors.iterate(core_select(lambda _: sa.true())):
        if isinstance(element, sa.Column) and element.table is not None:
            table = element.table
            while isinstance(table, sa.Alias):
                table = table.element
            if isinstance(table, sa.Table):
                found.setdefault(table.name, set()).add(element.name)
    return found


def test_the_list_is_that_of_the_mapping() -> None:
    """It would be empty if SQLAlchemy hid its columns from us."""
    found = inputs()
    assert len(found) == 20
    assert sum(map(len, found.values())) > 110
    assert {"em_min", "scan_mode", "target_name"} <= found["raw_data_package_metadata"]
    assert found["chai_module_configuration"] == {"id", "channel_width_khz"}


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_every_table_that_feeds_obscore_has_its_triggers(catalog: Database, event: str) -> None:
    if catalog.dialect == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'O'"
    with catalog.engine.connect() as connection:
        made = set(connection.exec_driver_sql(query).scalars())
    tables = set(inputs()) - {PackagePublication.__tablename__}

    assert {f"opsdb_queue_{table}_{event}" for table in tables} - made == set()


def test_a_change_of_every_column_that_feeds_obscore_is_noticed_and_resolved(catalog: Database, world: Any) -> None:
    everything(world)
    world.session.commit()
    refresh(catalog)
    unnoticed, wrong, changed = [], [], 0
    for name, columns in sorted(inputs().items(), key=lambda item: (item[0] == "package_publication", item)):
        table = (OpsBase.metadata.tables.get(f"ops.{name}"), PackagePublication.__table__)[
            name == "package_publication"
        ]
        for column in sorted(columns - FIXED_BY_RULE - set(table.primary_key.columns.keys())):
            undo = change(catalog, table, column)
            changed += 1
            if not refresh(catalog).resolved:
                unnoticed.append(f"{name}.{column}")
            with catalog.engine.connect() as connection:
                wrong += [(name, column, difference) for difference in compare_with_fresh(connection)]
            with catalog.begin() as connection:
                for statement in undo:
                    connection.execute(statement)

    assert unnoticed == []
    assert wrong == []
    assert changed > 90


def everything(world: Any) -> None:
    """Packages that together have a value in every column that is read."""
    w = world
    stated = {
        column.key: value_for(column)
        for column in sa.inspect(RawDataPackageMetadata).columns
        if column.nullable and column.key not in ("s_ra", "s_dec", "generated_at")
    }
    stated |= {
        "s_ra": 10.0,
        "s_dec": 20.0,
        "t_min": 61000.0,
        "t_max": 61000.5,
        "em_max": 4e-3,
        "s_region": "CIRCLE ICRS 10 20 1",
    }
    tuned = {"configuration": w.co43, "module_configurations": [w.fine], "obs_mode": w.otf, "sub_program": w.deep}
    w.otf.tracking_type = TrackingType.SIDEREAL
    w.orion.extent_deg = 2.0
    w.session.add_all([
        ObsMode(name="another"),
        ChaiObservationConfiguration(name="another", line_id="CI10", line_frequency_ghz=492.16, bandwidth_ghz=4.0),
        Telescope(
            observatory=Observatory(name="another"),
            name="another",
            short_name="another",
            latitude_deg=-20.0,
            longitude_deg=-60.0,
            altitude_m=5000.0,
            diameter_m=10.0,
        ),
        ChaiModuleConfiguration(
            module=w.lfa, name="coarse", if_min_ghz=4.0, if_max_ghz=8.0, channel_width_khz=200.0, parameters={}
        ),
    ])  # fmt: skip
    w.geco.release_months, w.shallow.release_months = 12, 6
    w.package(w.unit(w.orion, obs_unit=tuned, elevation_deg=40.0), w.lfa, files=2, copies=0, content_format="a/b")
    w.package(w.unit(w.orion), copies=0, sequence=1, files=1, metadata=stated)
    w.package(w.unit(w.jupiter), copies=0, sequence=2)
    w.package(w.unit(w.stripe, program=w.cal), copies=0, sequence=3)
    w.package(w.unit(w.bounds, obs_unit={"sub_program": w.shallow, "obs_mode": w.otf}), copies=0, sequence=4)
    w.package(w.unit(w.field, obs_unit={"configuration": w.co43}), w.hfa, copies=0, sequence=5)


def value_for(column: sa.Column[Any]) -> Any:
    """Some value of the column's type."""
    if isinstance(column.type, sa.Enum):
        return next(iter(column.type.enum_class or column.type.enums))
    if isinstance(column.type, UtcDateTime):
        return MOMENT
    return {float: 1e-3, int: 2, str: "word"}[column.type.python_type]


def change(database: Database, table: sa.Table, name: str) -> list[Any]:
    """Give every row that has a value another one, by plain SQL. What brings the old keys of other rows back."""
    column, undo = table.c[name], []
    key = list(table.primary_key.columns)
    with database.begin() as connection:
        rows = connection.execute(sa.select(*key, column).where(column.is_not(None))).all()
        if not rows and name == "withdrawn_at":
            connection.execute(sa.update(table).values(withdrawn_at=MOMENT, withdrawn_reason="wrong"))
        assert rows or name == "withdrawn_at", f"no row has a value in {table.name}.{name}: nothing is shown"
        for row in rows:
            value = other_key(connection, table, row) if column.foreign_keys else another(name, row[-1])
            values = {name: value}
            if value is not None:
                which = sa.and_(*(part == row[n] for n, part in enumerate(key)))
                connection.execute(sa.update(table).where(which).values(values))
                if column.foreign_keys:
                    undo.append(sa.update(table).where(which).values({name: row[-1]}))
    return undo


def another(name: str, value: Any) -> Any:
    if name in WORDS:
        return WORDS[name]
    if isinstance(value, Enum):
        kinds: list[Any] = list(type(value))
        return kinds[(kinds.index(value) + 1) % len(kinds)]
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, datetime):
        return value + timedelta(seconds=1)
    if isinstance(value, int):
        return value + (1 if name == "calib_level" else 100)
    return value + 0.001 if name in ("t_min", "t_max") else value * 0.999


def other_key(connection: sa.Connection, table: sa.Table, row: Any) -> Any:
    """Another row of the table that a foreign key refers to; None where the row must stay with its own."""
    name = row._fields[-1]
    if name == "sub_observing_program_id":
        query = sa.select(SubObservingProgram.id).where(SubObservingProgram.id != row[-1])
        return connection.scalar(query)
    if name == "observing_program_id" and row[0] in set(
        connection.scalars(sa.select(table.c.id).where(table.c.sub_observing_program_id.is_not(None)))
    ):
        return None
    target = next(key.column for key in table.c[name].foreign_keys if key.column.name == "id")
    return connection.scalar(sa.select(target).where(target != row[-1]).order_by(target).limit(1))
