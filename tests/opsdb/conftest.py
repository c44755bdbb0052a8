"""A migrated database and one observation in it, with everything that hangs on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.opsdb.enums import (
    ChecksumAlgorithm,
    LocationType,
    ModuleKind,
    PackageState,
    Status,
    Verification,
)
from catalog.opsdb.lifecycle import deletion
from catalog.opsdb.lifecycle.deletion import CopyStep
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.lifecycle.survivors import Refusal, read_verdicts
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import (
    ChaiModuleConfiguration,
    ChaiObservationConfiguration,
    ConstantElevationSource,
    DataLocation,
    DataTransferPackage,
    DataTransferPackagePhysicalCopy,
    DiskDataLocation,
    ExecutedObsUnit,
    FixedSource,
    Instrument,
    InstrumentModule,
    LifecycleMove,
    Observatory,
    ObservingProgram,
    ObsMode,
    ObsUnit,
    OpsBase,
    PackagePublication,
    PhysicalCopy,
    RawDataFile,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    RawDataPackageMetadata,
    RawDataPackagePhysicalCopy,
    ResolveCause,
    ResolveQueue,
    S3DataLocation,
    Site,
    SolarSystemObject,
    StagingJob,
    SubObservingProgram,
    TapeDataLocation,
    Telescope,
    User,
)
from catalog.opsdb.routes import follow_causes

PACKAGE = UUID("00000000-0000-4000-8000-000000000001")
SECOND_PACKAGE = UUID("00000000-0000-4000-8000-000000000002")
FILE = UUID("00000000-0000-4000-8000-00000000000f")
TRANSFER_PACKAGE = UUID("00000000-0000-4000-8000-0000000000dd")
EXECUTED = UUID("00000000-0000-4000-8000-0000000000ee")
SHA = "ab" * 32
RULES = DeletionRules()
ARCHIVES = ("archive", "tape", "cornell")


@pytest.fixture
def migrated(database: Database) -> Database:
    """A database of the newest revision, without rows."""
    upgrade(database)
    return database


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """Addresses of filled databases that tests copy, by engine."""
    return {}


@pytest.fixture
def observed(
    engine_name: str,
    templates: dict[str, str],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Database]:
    """One executed unit of CHAI with two packages, a file, copies of every kind and at every kind of location."""
    if engine_name == "sqlite":
        if engine_name not in templates:
            templates[engine_name] = str(tmp_path_factory.mktemp("template") / "observed.db")
            fill(f"sqlite:///{templates[engine_name]}")
        path = tmp_path_factory.mktemp("observed") / "catalog.db"
        shutil.copyfile(templates[engine_name], path)
        with Database(f"sqlite:///{path}") as database:
            yield database
        return
    server = request.getfixturevalue("postgres_server")
    if engine_name not in templates:
        templates[engine_name] = server.create_database()
        fill(templates[engine_name])
    url = server.create_database(templates[engine_name])
    with Database(url) as database:
        yield database
    server.drop_database(url)


def fill(url: str) -> None:
    """Make the database with the rows of `observation`, and nothing in the queue."""
    with Database(url) as database:
        upgrade(database)
        with database.session() as session:
            session.add_all(observation())
            session.flush()
            location = session.scalars(sa.select(DataLocation.id).where(DataLocation.name == "archive")).one()
            packages = session.scalars(sa.select(RawDataPackage)).all()
            session.add(StagingJob(destination_location_id=location, packages=list(packages)))
            session.flush()
            session.execute(sa.delete(ResolveQueue))
            session.execute(sa.delete(ResolveCause))
            session.commit()


@pytest.fixture
def fill_database() -> Callable[[str], None]:
    """Makes a database with one executed unit in it, at any address."""
    return fill


@pytest.fixture
def many_packages() -> Callable[[Database, int], dict[str, int]]:
    """Adds as many packages as are wanted; the keys of their locations by name."""
    return make_packages


@dataclass
class Holdings:
    """The observed database with an archived package that has a verified copy in each of three archives."""

    database: Database
    copies: dict[str, int] = field(default_factory=dict)
    """By the location's name; of the file and the transfer package, by ``file`` and ``transfer``."""

    places: dict[str, int] = field(default_factory=dict)

    def take(self, step: str, name: str, **values: Any) -> deletion.CopyChange:
        """One step in a transaction of its own."""
        with self.database.begin() as connection:
            chosen = {"rules": RULES, "actor": "ada", **values}
            return deletion.take_step(connection, CopyStep(step), self.copies[name], **chosen)

    def refusal(self, name: str, rules: DeletionRules = RULES, **values: Any) -> Refusal | None:
        with self.database.engine.connect() as connection:
            (verdict,) = read_verdicts(connection, [self.copies[name]], rules, **values)
            return verdict.refusal

    def run(self, *statements: sa.Executable) -> None:
        with self.database.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def set(self, name: str, **values: Any) -> None:
        self.run(sa.update(PhysicalCopy).where(PhysicalCopy.id == self.copies[name]).values(values))

    def status(self, name: str) -> str:
        with self.database.engine.connect() as connection:
            found = connection.execute(sa.select(PhysicalCopy.status).where(PhysicalCopy.id == self.copies[name]))
            return str(found.scalar_one())

    def history(self, name: str) -> list[sa.RowMapping]:
        lines = sa.select(LifecycleMove.__table__).where(
            LifecycleMove.entity == "physical_copy", LifecycleMove.entity_key == str(self.copies[name])
        )
        with self.database.engine.connect() as connection:
            return list(connection.execute(lines.order_by(LifecycleMove.id)).mappings())


@pytest.fixture
def holdings(observed: Database) -> Holdings:
    made = Holdings(observed)
    with observed.session() as session:
        session.execute(sa.update(StagingJob).values(status=Status.FAILED))
        package = session.get_one(RawDataPackage, PACKAGE)
        package.state = PackageState.ARCHIVED
        cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
        cornell = Site(key="cornell", name="Cornell")
        session.add_all(
            DiskDataLocation(site=site, name=name, location_type=kind, path="/x")
            for site, name, kind in (
                (cornell, "cornell", LocationType.LONG_TERM_ARCHIVE),
                (cologne, "scratch", LocationType.PROCESSING),
            )
        )
        session.flush()
        places = {location.name: location for location in session.scalars(sa.select(DataLocation))}
        made.places = {name: location.id for name, location in places.items()}
        for name in ("tape", "cornell", "scratch"):
            session.add(RawDataPackagePhysicalCopy(raw_data_package=package, location=places[name]))
        session.flush()
        now = read_clock(session.connection())
        for copy in session.scalars(sa.select(PhysicalCopy)):
            if isinstance(copy, RawDataPackagePhysicalCopy):
                made.copies[copy.location.name] = copy.id
                if copy.location.name in ARCHIVES:
                    copy.verification, copy.verified_at = Verification.OK, now
            else:
                made.copies["file" if isinstance(copy, RawDataFilePhysicalCopy) else "transfer"] = copy.id
        session.commit()
    return made


@pytest.fixture
def queued(observed: Database) -> Callable[[], set[UUID]]:
    """Packages that wait for being resolved; asking empties the queue."""

    def take() -> set[UUID]:
        table = physical(observed, "catalog.resolve_queue")
        with observed.begin() as connection:
            follow_causes(connection, connection.scalars(sa.select(ResolveCause.seq)).all())
            rows = connection.exec_driver_sql(f"SELECT raw_data_package_id FROM {table}").scalars().all()
            connection.exec_driver_sql(f"DELETE FROM {table}")
        return {UUID(str(row)) for row in rows}

    return take


MANY_PLACES = {
    "buffer": ("ccat", "buffer"),
    **{name: (name, "long_term_archive") for name in ("bonn", "cornell", "cologne")},
}
"""Site and kind of each location."""


def make_packages(database: Database, count: int) -> dict[str, int]:
    """Archived packages on locations of their own: a copy of each at a buffer, and verified ones at three archives.

    Returns:
        Keys of the locations: ``many_buffer``, ``many_bonn``, ``many_cornell``, ``many_cologne``.
    """
    tables = OpsBase.metadata.tables
    with database.session() as session:
        sites = {site.key: site for site in session.scalars(sa.select(Site))}
        for name, (site, kind) in MANY_PLACES.items():
            where = sites.setdefault(site, Site(key=site, name=site))
            session.add(DiskDataLocation(site=where, name=f"many_{name}", location_type=kind, path="/x"))
        session.flush()
        places = {place.name: place.id for place in session.scalars(sa.select(DataLocation))}
        known = session.scalars(sa.select(RawDataPackage)).first()
        assert known is not None
        of_package = {
            "executed_obs_unit_id": known.executed_obs_unit_id,
            "instrument_module_id": known.instrument_module_id,
            "size_bytes": 1,
            "checksum": "ab",
            "checksum_algorithm": "md5",
            "state": "archived",
            "status": "completed",
        }
        connection = session.connection()
        now = read_clock(connection)
        database.bulk_insert(
            connection,
            tables["ops.raw_data_package"],
            ["id", "sequence", "name", "relative_path", *of_package],
            ((UUID(int=10_000 + n), 100 + n, f"many_{n}", f"many/{n}", *of_package.values()) for n in range(count)),
        )
        database.bulk_insert(
            connection,
            tables["ops.physical_copy"],
            ["type", "raw_data_package_id", "data_location_id", "status", "verification", "verified_at"],
            (
                ("raw_data_package_physical_copy", UUID(int=10_000 + n), places[f"many_{name}"], "present", "ok", now)
                for n in range(count)
                for name in MANY_PLACES
            ),
        )
        session.commit()
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    return {name: key for name, key in places.items() if name.startswith("many_")}


def physical(database: Database, name: str) -> str:
    """Name of a table in SQL text: ``catalog.resolve_queue`` loses its schema on SQLite."""
    return name.partition(".")[2] if database.dialect == "sqlite" else name


def observation() -> list[object]:
    """Rows of every core entity, related."""
    module = InstrumentModule(name="LFA", kind=ModuleKind.HETERODYNE, frequency_min_ghz=455, frequency_max_ghz=495)
    telescope = Telescope(name="Fred Young Submillimeter Telescope", short_name="FYST")
    telescope.observatory = Observatory(name="CCAT Observatory")
    module.instrument = Instrument(name="CHAI", telescope=telescope)
    program = ObservingProgram(name="Galactic Ecology", short_name="GEco")
    unit = ObsUnit(
        name="Orion-KL CO(4-3)",
        program=program,
        sub_program=SubObservingProgram(program=program, name="Orion", short_name="Ori"),
        source=FixedSource(name="Orion-KL", ra_deg=83.8, dec_deg=-5.4),
        obs_mode=ObsMode(name="OTF"),
        configuration=ChaiObservationConfiguration(
            name="CO43", line_id="CO43", line_frequency_ghz=461.0408, bandwidth_ghz=4
        ),
        module_configurations=[
            ChaiModuleConfiguration(module=module, name="wide", if_min_ghz=4, if_max_ghz=8, channel_width_khz=100)
        ],
    )
    executed = ExecutedObsUnit(
        id=EXECUTED,
        obs_unit=unit,
        start_time=datetime(2026, 5, 1, 3, tzinfo=UTC),
        end_time=datetime(2026, 5, 1, 4, tzinfo=UTC),
    )
    packages = [package(PACKAGE, executed, module, 0), package(SECOND_PACKAGE, executed, module, 1)]
    file = RawDataFile(
        id=FILE, instrument_module=module, package=packages[0], name="a.fits", relative_path="2026/a.fits"
    )
    transfer = DataTransferPackage(id=TRANSFER_PACKAGE, name="t1", relative_path="transfer/t1.tar", packages=packages)
    chile = Site(key="ccat", name="CCAT", country="Chile")
    cologne = Site(key="cologne", name="Cologne", country="Germany")
    disk = DiskDataLocation(site=chile, name="buffer", location_type=LocationType.BUFFER, path="/data/fyst")
    bucket = S3DataLocation(
        site=cologne, name="archive", location_type=LocationType.LONG_TERM_ARCHIVE, bucket="fyst", prefix="raw"
    )
    tape = TapeDataLocation(site=cologne, name="tape", location_type=LocationType.LONG_TERM_ARCHIVE, path="/hsm/fyst")
    return [
        unit,
        *packages,
        file,
        RawDataPackageMetadata(package=packages[0], target_name="Orion"),
        RawDataPackagePhysicalCopy(raw_data_package=packages[0], location=disk),
        RawDataPackagePhysicalCopy(raw_data_package=packages[0], location=bucket, verification=Verification.NEVER),
        RawDataFilePhysicalCopy(raw_data_file=file, location=tape),
        DataTransferPackagePhysicalCopy(data_transfer_package=transfer, location=disk),
        SolarSystemObject(name="Jupiter", body="jupiter"),
        ConstantElevationSource(name="Stripe 82", elevation_deg=50),
        User(username="ada"),
        PackagePublication(raw_data_package_id=PACKAGE, obs_publisher_did=f"ivo://ccat.example/raw?{PACKAGE}"),
    ]


def package(identifier: UUID, executed: ExecutedObsUnit, module: InstrumentModule, sequence: int) -> RawDataPackage:
    """A finished package."""
    return RawDataPackage(
        id=identifier,
        executed_obs_unit=executed,
        instrument_module=module,
        sequence=sequence,
        name=f"{identifier}.tar",
        relative_path=f"2026/05/{identifier}.tar",
        size_bytes=10_240,
        checksum=SHA,
        checksum_algorithm=ChecksumAlgorithm.SHA256,
    )
