"""Time and memory of planning packages and bundles of very many rows, printed by `make soak`."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import (
    DataTransferRoute,
    DiskDataLocation,
    ExecutedObsUnit,
    Instrument,
    InstrumentModule,
    Observatory,
    ObservingProgram,
    ObsUnit,
    OpsBase,
    PhysicalCopy,
    RawDataPackage,
    Site,
    Telescope,
)
from catalog.opsdb.packaging.build import build_packages
from catalog.opsdb.packaging.plan import PackageLimits
from catalog.opsdb.transfers.plan import BundleLimits
from catalog.opsdb.transfers.service import TransferService
from catalog.opsdb.work import RetryRules

pytestmark = pytest.mark.slow

FILES = 200_000
EXECUTIONS = 2_000
GROWTH_MB = 60


def test_two_hundred_thousand_files_are_planned_bundled_and_moved(database: Database) -> None:
    module = observatory(database)
    record_files(database, module)
    before = peak()
    began = time.perf_counter()
    summary = build_packages(database, PackageLimits(50_000_000_000, 100_000), dry_run=True)
    planned = time.perf_counter() - began
    assert summary.files == FILES
    began = time.perf_counter()
    assert build_packages(database, PackageLimits(10_000_000_000, 100_000)).files == FILES
    written = time.perf_counter() - began
    packages = build_all(database)
    service = TransferService(
        database,
        BundleLimits(10**13, 5 * 10**13, 100_000),
        RetryRules(),
        overdue_after=timedelta(days=3),
        writing=database.begin,
    )
    began = time.perf_counter()
    rehearsed = service.plan(actor="soak", dry_run=True)
    bundled = time.perf_counter() - began
    began = time.perf_counter()
    done = service.plan(actor="soak")
    sent = time.perf_counter() - began
    assert rehearsed.packages == done.packages
    grown = peak() - before
    print(
        f"\n{database.dialect}: {FILES:,} files planned in {planned:.1f} s, written as {packages:,} packages in "
        f"{written:.1f} s; {done.packages:,} of them in {done.bundles} bundles planned in {bundled:.1f} s, written in "
        f"{sent:.1f} s; memory has grown by {grown:.0f} MB"
    )
    assert grown < GROWTH_MB


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def observatory(database: Database) -> int:
    upgrade(database)
    with database.session() as session:
        telescope = Telescope(name="FYST", short_name="FYST", observatory=Observatory(name="CCAT"))
        module = InstrumentModule(
            name="280", kind="other", instrument=Instrument(name="Prime-Cam", telescope=telescope)
        )
        program = ObservingProgram(name="survey", short_name="survey")
        sites = [Site(key=key, name=key) for key in ("ccat", "cologne")]
        session.add_all(
            [
                module,
                *(ObsUnit(name=f"field {number}", program=program) for number in range(50)),
                DiskDataLocation(site=sites[0], name="buffer", location_type="buffer", path="/b"),
                DiskDataLocation(site=sites[1], name="archive", location_type="long_term_archive", path="/a"),
            ]
        )
        session.flush()
        ends = {"origin_site_id": sites[0].id, "destination_site_id": sites[1].id}
        session.add(DataTransferRoute(name="home", method="bbcp", **ends))
        units = session.scalars(sa.select(ObsUnit.id)).all()
        start = datetime(2026, 5, 1, tzinfo=UTC)
        session.add_all(
            ExecutedObsUnit(
                id=UUID(int=number + 1),
                obs_unit_id=units[number % 50],
                start_time=start + timedelta(minutes=number),
                end_time=start + timedelta(minutes=number + 1),
            )
            for number in range(EXECUTIONS)
        )
        session.commit()
        return module.id


def record_files(database: Database, module: int) -> None:
    columns = ("id", "instrument_module_id", "executed_obs_unit_id", "name", "relative_path", "size_bytes")
    rows = (
        (UUID(int=n + 1), module, UUID(int=n % EXECUTIONS + 1), "f", f"rfsoc01/f{n:08d}.g3", 500_000_000)
        for n in range(FILES)
    )
    with database.begin() as connection:
        database.bulk_insert(connection, OpsBase.metadata.tables["ops.raw_data_file"], columns, rows)


def build_all(database: Database) -> int:
    """Let every package be built and lie in the buffer."""
    with database.begin() as connection:
        done = {"status": "completed", "size_bytes": 10**10, "checksum": "ab" * 32, "checksum_algorithm": "sha256"}
        connection.execute(sa.update(RawDataPackage).values(done))
        place = connection.scalar(sa.select(DiskDataLocation.id).where(DiskDataLocation.path == "/b"))
        copies = sa.select(RawDataPackage.id, sa.literal("raw_data_package_physical_copy"), sa.literal(place))
        columns = ["raw_data_package_id", "type", "data_location_id"]
        table = PhysicalCopy.__table__
        connection.execute(sa.insert(table).from_select(columns, copies, include_defaults=False))  # type: ignore[arg-type]
        return connection.scalar(sa.select(sa.func.count(RawDataPackage.id))) or 0
