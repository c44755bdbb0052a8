"""Every entity, list and value that the design document of the operations database names exists and works.

The names below are the document's, written down by hand; what it calls each thing is what the models call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.db import Database, UtcDateTime, UuidText
from catalog.opsdb import enums, models
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers import Triggers

ENTITIES = """
Observatory Telescope Instrument InstrumentModule InstrumentModuleConfiguration ChaiModuleConfiguration
ObservingProgram SubObservingProgram
Source FixedSource SolarSystemObject ConstantElevationSource
ObsMode ObservationConfiguration ChaiObservationConfiguration ObsUnit ObsUnitSlot ExecutedObsUnit
RawDataFile RawDataPackage RawDataPackageMetadata DataTransferPackage
PhysicalCopy RawDataFilePhysicalCopy RawDataPackagePhysicalCopy DataTransferPackagePhysicalCopy
Site DataLocation DiskDataLocation S3DataLocation TapeDataLocation
DataTransfer DataTransferRoute DataTransferLog LongTermArchiveTransfer StagingJob
User Role Permission ApiToken ProgramMembership
""".split()

LISTS = {
    "PhysicalCopyStatus": "PRESENT STAGED DELETION_POSSIBLE DELETION_PENDING DELETION_SCHEDULED "
    "DELETION_IN_PROGRESS DELETION_FAILED DELETED",
    "Status": "PENDING SCHEDULED IN_PROGRESS COMPLETED FAILED",
    "PackageState": "WAITING TRANSFERRING ARCHIVED FAILED",
    "LocationType": "SOURCE BUFFER LONG_TERM_ARCHIVE PROCESSING",
    "StorageType": "DISK S3 TAPE",
    "RouteType": "DIRECT RELAY CUSTOM",
    "Verification": "NEVER OK MISMATCH MISSING UNREACHABLE",
}

FAMILIES = {
    "PhysicalCopy": "RawDataFilePhysicalCopy RawDataPackagePhysicalCopy DataTransferPackagePhysicalCopy",
    "Source": "FixedSource SolarSystemObject ConstantElevationSource",
    "DataLocation": "DiskDataLocation S3DataLocation TapeDataLocation",
    "ObservationConfiguration": "ChaiObservationConfiguration PrimeCamObservationConfiguration",
    "InstrumentModuleConfiguration": "ChaiModuleConfiguration",
}

ABSTRACT = {"PhysicalCopy", "DataLocation"}
"""Every row is one of the kinds; there is none that is the parent alone."""


def test_every_entity_is_a_model_with_a_table_and_a_description(migrated: Database) -> None:
    with migrated.engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names(schema=None if migrated.dialect == "sqlite" else "ops"))
    for name in ENTITIES:
        model = getattr(models, name)
        assert issubclass(model, OpsBase), name
        assert model.__doc__, name
        assert model.__table__.name in tables, name


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_its_values_in_their_order_stored_in_lower_case(name: str) -> None:
    closed = getattr(enums, name)
    assert [member.name for member in closed] == LISTS[name].split()
    assert [member.value for member in closed] == LISTS[name].lower().split()


@pytest.mark.parametrize("parent", FAMILIES)
def test_every_kind_belongs_to_its_family(parent: str) -> None:
    kinds = {mapper.class_.__name__ for mapper in sa.inspect(getattr(models, parent)).self_and_descendants}
    assert kinds - {parent} == set(FAMILIES[parent].split())


# Every column of every entity, every value of every list


class Maker:
    """Makes rows with a value in every column, with all that they refer to."""

    def __init__(self, session: Session, numbers: Iterator[int]) -> None:
        self.session = session
        self.numbers = numbers
        self.made: dict[type[Any], Any] = {}

    def one(self, model: type[Any]) -> Any:
        """A row of the model that others may refer to."""
        known = next((row for kind, row in self.made.items() if issubclass(kind, model)), None)
        if known is None:
            known = self.made[model] = self.row(model)
        return known

    def row(self, model: type[Any], **stated: Any) -> Any:
        """A new row."""
        if model is models.DataTransferRoute:
            stated |= {f"{role}_site_id": self.row(models.Site).id for role in ("origin", "destination", "relay")}
        if model.__name__ in ABSTRACT:
            model = getattr(models, FAMILIES[model.__name__].split()[1])
        values = {
            column.key: self.value(model, column)
            for column in sa.inspect(model).columns
            if column.key not in KEPT_BY_THE_DATABASE and not is_made_key(column)
        }
        values |= {name: value for name, value in SPECIAL.get(model.__name__, {}).items() if name in values}
        row = model(**(values | stated))
        self.session.add(row)
        self.session.flush()
        return row

    def value(self, model: type[Any], column: sa.Column[Any]) -> Any:
        if column.foreign_keys and column.key != "id":
            return self.referred(model, column)
        number = next(self.numbers)
        if isinstance(column.type, sa.Enum) and column.type.enum_class:
            return list(column.type.enum_class)[number % len(column.type.enum_class)]
        if isinstance(column.type, UuidText):
            return UUID(int=number)
        if isinstance(column.type, UtcDateTime):
            return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(microseconds=number)
        if isinstance(column.type, sa.JSON):
            return {"observation": {"frequency_ghz": number / 2, "note": "é 'x' \"y\"", "deep": [None, True, {}]}}
        if isinstance(column.type, sa.Boolean):
            return number % 2 == 0
        kind = column.type.python_type
        return {str: f"{column.key} {number}", int: number, float: number / 8}[kind]

    def referred(self, model: type[Any], column: sa.Column[Any]) -> Any:
        """Key of a row that this column may refer to; None where the table forbids it."""
        if column.key in FREE.get(model.__name__, ()):
            return None
        key = next(key.column for key in column.foreign_keys if key.column.name == "id")
        target = next(m.class_ for m in OpsBase.registry.mappers if m.local_table is key.table and m.inherits is None)
        return self.one(target).id


KEPT_BY_THE_DATABASE = {"created_at", "updated_at", "last_ok_at", "type", "storage_type"}
SHA = {"checksum": "ab" * 32, "checksum_algorithm": enums.ChecksumAlgorithm.SHA256}
TIMES = {"start_time": datetime(2026, 5, 1, tzinfo=UTC), "end_time": datetime(2026, 5, 2, tzinfo=UTC)}
ATTEMPT = {"started_at": TIMES["start_time"], "finished_at": TIMES["end_time"], "retry_count": 2}
COPY = SHA | {"status": enums.PhysicalCopyStatus.PRESENT, "deleted_at": TIMES["end_time"]}
SPECIAL: dict[str, dict[str, Any]] = {
    "Telescope": {"latitude_deg": -22.985639, "longitude_deg": -67.740278},
    "InstrumentModule": {"frequency_min_ghz": 455.0, "frequency_max_ghz": 495.0, "fov_deg": 1.3},
    "ChaiModuleConfiguration": {"if_min_ghz": 4.0, "if_max_ghz": 8.0},
    "ObservingProgram": {"release_date": None, "release_months": 12},
    "SubObservingProgram": {"release_months": None},
    "FixedSource": {"ra_deg": 359.999999999, "dec_deg": -89.999999999, "extent_deg": 2.5},
    "ConstantElevationSource": {"azimuth_min_deg": 130.0, "azimuth_max_deg": 170.0, "elevation_deg": 50.0}
    | {"ra_min_deg": 350.0, "ra_max_deg": 20.0, "dec_min_deg": -50.0, "dec_max_deg": -40.0},
    "ObsUnit": {"priority": 2},
    "ObsUnitSlot": TIMES,
    "ExecutedObsUnit": TIMES | {"elevation_deg": 48.25},
    "RawDataFile": TIMES | SHA,
    "RawDataPackage": SHA,
    "DataTransferPackage": SHA,
    "RawDataPackageMetadata": {"s_ra": 359.5, "s_dec": -5.5, "s_fov": 1.3, "calib_level": 0}
    | {"t_min": 61000.25, "t_max": 61000.5, "em_min": 6.4e-4, "em_max": 6.6e-4},
    **dict.fromkeys(FAMILIES["PhysicalCopy"].split(), COPY),
    **dict.fromkeys(("DataTransfer", "LongTermArchiveTransfer", "StagingJob"), ATTEMPT),
    "DataTransferRoute": {"route_type": enums.RouteType.RELAY},
    "ApiToken": {"prefix": "abcdefgh"},
}
FREE: dict[str, set[str]] = {
    "RawDataPackage": {"supersedes_id"},
    "RawDataFilePhysicalCopy": {"raw_data_package_id", "data_transfer_package_id"},
    "RawDataPackagePhysicalCopy": {"raw_data_file_id", "data_transfer_package_id"},
    "DataTransferPackagePhysicalCopy": {"raw_data_file_id", "raw_data_package_id"},
}


def is_made_key(column: sa.Column[Any]) -> bool:
    """Numbers are made by the database."""
    return column.primary_key and column.key == "id" and isinstance(column.type, sa.Integer)


CONCRETE = sorted(
    mapper.class_.__name__ for mapper in OpsBase.registry.mappers if mapper.class_.__name__ not in ABSTRACT
)


def test_every_entity_keeps_every_value(migrated: Database) -> None:
    """What is written comes back equal, in another session, of the same type."""
    numbers = count(1)
    for name in CONCRETE:
        model = getattr(models, name)
        keys = [column.key for column in sa.inspect(model).columns]
        with migrated.session() as session:
            row = Maker(session, numbers).row(model)
            session.commit()
            identity = sa.inspect(row).identity
            written = {key: getattr(row, key) for key in keys}
        with migrated.session() as session:
            again = session.get(model, identity)
            assert type(again) is model
            read = {key: getattr(again, key) for key in keys}
        assert read == written, name
        assert {key: type(value) for key, value in read.items()} == {k: type(v) for k, v in written.items()}, name
        empty = {key for key, value in read.items() if value is None}
        allowed = set(FREE.get(name, ())) | {key for key, value in SPECIAL.get(name, {}).items() if value is None}
        assert empty <= allowed | {"last_ok_at"}, name


LISTED = sorted(
    f"{table.schema}.{table.name}.{column.name}"
    for base in (OpsBase, OurBase)
    for table in base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.Enum)
)


def test_the_document_s_lists_are_used(migrated: Database) -> None:
    """Each list guards a column."""
    tables = OpsBase.metadata.tables
    used = set()
    for place in LISTED:
        table, _, column = place.rpartition(".")
        kind = tables[table].c[column].type
        assert isinstance(kind, sa.Enum)
        used.add(kind.enum_class)
    assert {getattr(enums, name) for name in LISTS} <= used


def test_every_value_of_a_list_is_stored_and_no_other(migrated: Database) -> None:
    """Which values follow each other is another matter."""
    with migrated.begin() as connection:
        Triggers().drop(connection)
    numbers = count(1)
    for place in LISTED:
        qualified, _, name = place.rpartition(".")
        table = OpsBase.metadata.tables[qualified]
        kind = table.c[name].type
        assert isinstance(kind, sa.Enum)
        assert kind.enum_class is not None
        model = next(m.class_ for m in OpsBase.registry.mappers if m.local_table is table and m.inherits is None)
        with migrated.session() as session:
            row = Maker(session, numbers).row(model)
            session.commit()
            key = sa.inspect(row).identity[0]
        column = next(iter(table.primary_key))
        for member in kind.enum_class:
            if place not in BOUND and not is_bound(qualified, member):
                write(migrated, sa.update(table).where(column == key).values({name: member}))
                assert read_text(migrated, table, name, column, key) == member.value
        for wrong in ("gone", member.name if member.name != member.value else "X", ""):
            with pytest.raises(sa.exc.IntegrityError):
                write_text(migrated, table, name, column, key, wrong)


BOUND = {"ops.data_location.storage_type"}
"""What a row of another table goes with."""


def is_bound(table: str, member: StrEnum) -> bool:
    """A route has a relay site exactly when it is one."""
    return table == "ops.data_transfer_route" and member is not enums.RouteType.RELAY


def write(database: Database, statement: Any) -> None:
    with database.begin() as connection:
        connection.execute(statement)


def write_text(database: Database, table: sa.Table, name: str, column: Any, key: Any, value: str) -> None:
    literal = {name: sa.literal_column("'" + value + "'")}
    write(database, sa.update(table).where(column == key).values(literal))


def read_text(database: Database, table: sa.Table, name: str, column: Any, key: Any) -> str:
    with database.engine.connect() as connection:
        return str(connection.scalar(sa.select(sa.type_coerce(table.c[name], sa.Text())).where(column == key)))
