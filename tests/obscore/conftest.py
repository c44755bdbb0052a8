"""A small observatory of ORM objects, and packages of every kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.db import Database, SqlFunction
from catalog.obscore.derived import PublishedObjects
from catalog.obscore.freshness import keep_resolved
from catalog.opsdb.enums import ChecksumAlgorithm, LocationType, ModuleKind, ScanMode, Verification
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import (
    ChaiModuleConfiguration,
    ChaiObservationConfiguration,
    ConstantElevationSource,
    DiskDataLocation,
    ExecutedObsUnit,
    FixedSource,
    Instrument,
    InstrumentModule,
    Observatory,
    ObservingProgram,
    ObsMode,
    ObsUnit,
    OpsBase,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
    RawDataPackagePhysicalCopy,
    Site,
    SolarSystemObject,
    Source,
    SubObservingProgram,
    Telescope,
)
from catalog.opsdb.publication import set_publication
from catalog.settings import PublicationSettings

NAMESPACE = UUID("8a1c3a4e-5c5f-4f3a-9d0e-0d6f3d2b7a11")
AUTHORITY = "org.example.fyst"
BASE_URL = "https://data.example.org/catalog"
START = datetime(2026, 3, 31, 22, 15, 30, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(slots=True)
class World:
    """Facts that packages share, and a maker of packages."""

    session: Session
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    things: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.things[name]
        except KeyError:
            raise AttributeError(name) from None

    def uuid(self) -> UUID:
        """The next of a fixed series of UUIDs."""
        return uuid5(NAMESPACE, str(next(self.numbers)))

    def unit(
        self,
        source: Source | None = None,
        *,
        start: datetime | None = START,
        end: datetime | None = START + HOUR,
        program: ObservingProgram | None = None,
        obs_unit: dict[str, Any] | None = None,
        **facts: Any,
    ) -> ExecutedObsUnit:
        """An execution of an observation of its own."""
        planned = ObsUnit(
            name=f"unit {next(self.numbers)}", program=program or self.geco, source=source, **(obs_unit or {})
        )
        return ExecutedObsUnit(id=self.uuid(), obs_unit=planned, start_time=start, end_time=end, **facts)

    def package(
        self,
        unit: ExecutedObsUnit,
        module: InstrumentModule | None = None,
        *,
        files: int = 0,
        exptime: float | None = 600.0,
        metadata: dict[str, Any] | None = None,
        copies: int = 1,
        size: int | None = 1_234_567_001,
        **facts: Any,
    ) -> RawDataPackage:
        """A package of the unit, with files side by side through the middle half of the unit, and copies."""
        identity = self.uuid()
        package = RawDataPackage(
            id=identity,
            executed_obs_unit=unit,
            instrument_module=module or self.prime280,
            name=f"{identity}.tar",
            relative_path=f"packages/{identity}.tar",
            size_bytes=size,
            checksum=None if size is None else "ab" * 32,
            checksum_algorithm=None if size is None else ChecksumAlgorithm.SHA256,
            **facts,
        )
        self.session.add(package)
        if metadata is not None:
            package.package_metadata = RawDataPackageMetadata(**metadata)
        for number in range(files):
            package.files.append(self.file(package, unit, number, exptime))
        for location in self.locations[:copies]:
            self.session.add(
                RawDataPackagePhysicalCopy(
                    raw_data_package=package, location=location, verification=Verification.OK, verified_at=START
                )
            )
        return package

    def file(self, package: RawDataPackage, unit: ExecutedObsUnit, number: int, exptime: float | None) -> RawDataFile:
        """A file of a package."""
        start = unit.start_time or START
        return RawDataFile(
            id=self.uuid(),
            instrument_module=package.instrument_module,
            executed_obs_unit_id=unit.id,
            name=f"{number}.g3",
            relative_path=f"{package.id}/{number}.g3",
            size_bytes=1000 + number,
            checksum="cd" * 32,
            checksum_algorithm=ChecksumAlgorithm.SHA256,
            start_time=start + timedelta(minutes=15 + number),
            end_time=start + timedelta(minutes=45 + number),
            exptime_s=exptime,
        )


def furnish(session: Session) -> World:
    """An observatory with modules, programmes, sources and sites."""
    world = World(session)
    fyst = Telescope(
        observatory=Observatory(name="CCAT Observatory"),
        name="Fred Young Submillimeter Telescope",
        short_name="FYST",
        latitude_deg=-22.985639,
        longitude_deg=-67.740278,
        altitude_m=5611.8,
        diameter_m=6.0,
    )
    prime_cam, chai = Instrument(telescope=fyst, name="Prime-Cam"), Instrument(telescope=fyst, name="CHAI")
    lfa = module(chai, "LFA", ModuleKind.HETERODYNE, 455, 495, beam_fwhm_arcsec=26, fov_deg=0.125, pixel_count=64)
    lfa.resolving_power = 4.75e6
    co43 = ChaiObservationConfiguration(
        name="CO(4-3)", line_id="CO43", line_frequency_ghz=461.0407682, bandwidth_ghz=4.0, parameters={}
    )
    world.things = {
        "fyst": fyst,
        "prime280": module(
            prime_cam,
            "280",
            ModuleKind.DETECTOR_STREAM,
            250,
            315,
            beam_fwhm_arcsec=47,
            fov_deg=1.3,
            pixel_count=10368,
            pol_states="/I/Q/U/",
        ),
        "lfa": lfa,
        "hfa": module(chai, "HFA", ModuleKind.HETERODYNE, 800, 820, beam_fwhm_arcsec=15, fov_deg=0.075, pixel_count=64),
        "weather": module(prime_cam, "weather", ModuleKind.OTHER, None, None),
        "co43": co43,
        "fine": ChaiModuleConfiguration(
            module=lfa, name="fine", if_min_ghz=4.0, if_max_ghz=8.0, channel_width_khz=100.0, parameters={}
        ),
        "otf": ObsMode(name="otf", scan_mode=ScanMode.ON_THE_FLY_MAP),
        "geco": ObservingProgram(name="Galactic Ecology", short_name="GEco", proposal_id="GE-1", release_months=12),
        "cal": ObservingProgram(name="Calibration", short_name="Cal", release_date=datetime(2020, 1, 1, tzinfo=UTC)),
        "closed": ObservingProgram(name="Engineering", short_name="ENG"),
        "orion": FixedSource(name="Orion-KL", ra_deg=83.80995, dec_deg=-5.374361),
        "field": FixedSource(name="COSMOS", ra_deg=150.119, dec_deg=2.2058, extent_deg=3.0),
        "pole": FixedSource(name="near the pole", ra_deg=359.9999, dec_deg=-89.9),
        "jupiter": SolarSystemObject(name="Jupiter", body="jupiter"),
        "ceres": SolarSystemObject(name="Ceres", body="ceres"),
        "stripe": ConstantElevationSource(
            name="stripe across RA 0",
            azimuth_min_deg=130.0,
            azimuth_max_deg=170.0,
            elevation_deg=50.0,
            ra_min_deg=350.0,
            ra_max_deg=20.0,
            dec_min_deg=-50.0,
            dec_max_deg=-40.0,
        ),
        "bounds": ConstantElevationSource(
            name="planned field", ra_min_deg=340.0, ra_max_deg=30.0, dec_min_deg=-5.0, dec_max_deg=5.0
        ),
    }
    world.things["deep"] = SubObservingProgram(
        program=world.geco, name="Deep", short_name="deep", release_date=datetime(2027, 1, 1, tzinfo=UTC)
    )
    world.things["shallow"] = SubObservingProgram(program=world.geco, name="Shallow", short_name="shallow")
    sites = [Site(key="ccat", name="Chajnantor", country="Chile"), Site(key="cologne", name="Cologne")]
    world.things["sites"] = sites
    kinds = (LocationType.BUFFER, LocationType.LONG_TERM_ARCHIVE)
    world.things["locations"] = [
        DiskDataLocation(site=site, name=kind.value, location_type=kind, host="secret.host", path="/secret/path")
        for site, kind in zip(sites, kinds, strict=True)
    ]
    for thing in world.things.values():
        session.add_all(thing if isinstance(thing, list) else [thing])
    number_apart(session)
    return world


def number_apart(session: Session) -> None:
    """Give no two rows of different tables the same key, so that none can stand for the other."""
    tables = [table.name for table in OpsBase.metadata.sorted_tables]
    numbers = count(1)
    for thing in session.new:
        table = sa.inspect(type(thing)).base_mapper.local_table
        thing.id = 1000 * (1 + tables.index(table.name)) + next(numbers)


def module(
    instrument: Instrument, name: str, kind: ModuleKind, low: float | None, high: float | None, **facts: Any
) -> InstrumentModule:
    """A module of an instrument."""
    return InstrumentModule(
        instrument=instrument, name=name, kind=kind, frequency_min_ghz=low, frequency_max_ghz=high, **facts
    )


def install(url: str) -> None:
    """Make an empty catalog."""
    with Database(url) as database:
        upgrade(database, derived=[PublishedObjects()])
        with database.begin() as connection:
            set_publication(connection, PublicationSettings(authority=AUTHORITY, path="raw"), base_url=BASE_URL)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an installed, empty catalog."""
    path = tmp_path_factory.mktemp("obscore") / "template.db"
    install(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Any) -> str:
    """Address of an installed, empty catalog."""
    url: str = postgres_server.create_database()
    install(url)
    return url


@pytest.fixture
def catalog(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An installed, empty catalog of its own."""
    if engine_name == "sqlite":
        path = tmp_path / "catalog.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        with Database(
            f"sqlite:///{path}", functions=[SqlFunction(*function) for function in SQLITE_FUNCTIONS]
        ) as database:
            yield database
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("postgres_template"))
    with Database(url) as database:
        yield database
    server.drop_database(url)


@pytest.fixture
def session(catalog: Database) -> Iterator[Session]:
    """A session that resolves what it changes."""
    with keep_resolved(catalog.session()) as session:
        yield session


@pytest.fixture(scope="session")
def furnish_observatory() -> Callable[[Session], World]:
    """Adds the observatory to a session."""
    return furnish


@pytest.fixture
def world(session: Session) -> World:
    """The observatory, not yet committed."""
    return furnish(session)


@pytest.fixture
def read_view() -> Callable[..., list[dict[str, Any]]]:
    """Reads a published view: rows in the order of their first column, and of the identifier where there is one."""

    def read(database: Database, name: str, where: str = "") -> list[dict[str, Any]]:
        qualified = ".".join(filter(None, database.published_name(name)))
        with database.engine.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT * FROM {qualified} {where}")).mappings().all()
        return sorted(map(dict, rows), key=lambda row: str(row.get("obs_publisher_did") or next(iter(row.values()))))

    return read
