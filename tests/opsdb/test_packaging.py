"""Which files go into which package, and what becomes of the packages until they are built; on both engines."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import Status
from catalog.opsdb.identity import build_package_id
from catalog.opsdb.models import (
    DataLocation,
    ExecutedObsUnit,
    InstrumentModule,
    LifecycleMove,
    ObsUnit,
    PhysicalCopy,
    RawDataFile,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    ResolveQueue,
)
from catalog.opsdb.packaging import build as building
from catalog.opsdb.packaging.build import PackagingSummary, build_packages, files_to_pack
from catalog.opsdb.packaging.plan import (
    FileToPack,
    PackageLimits,
    PlannedPackage,
    UnsizedFiles,
    plan_packages,
    set_name,
)
from catalog.opsdb.packaging.service import PackagingService
from catalog.opsdb.work import RetryRules

UNIT = UUID("11111111-2222-4333-8444-555555555555")
OTHER_UNIT = UUID("99999999-2222-4333-8444-555555555555")
SHA = "cd" * 32
LIMITS = PackageLimits(100, 1000)


def file(path: str, size: int | None = 10, unit: UUID = UNIT, module: int = 1) -> FileToPack:
    return FileToPack(uuid5(unit, f"{module} {path}"), unit, module, path, size, "application/fits")


def planned(files: Iterable[FileToPack], limits: PackageLimits = LIMITS) -> list[list[str]]:
    """Paths of the files of each package."""
    rows = sorted(files, key=lambda some: (*some.group, some.relative_path))
    paths = {some.file_id: some.relative_path for some in rows}
    plan = [some for some in plan_packages(rows, limits) if isinstance(some, PlannedPackage)]
    return [[paths[identifier] for identifier in package.files] for package in plan]


# The plan


@pytest.mark.parametrize(("second", "packages"), [(59, 1), (60, 1), (61, 2)])
def test_a_package_is_as_large_as_the_limit_and_no_larger(second: int, packages: int) -> None:
    assert len(planned([file("a.fits", 40), file("b.fits", second)])) == packages


@pytest.mark.parametrize("size", [99, 100])
def test_a_file_up_to_the_limit_shares_a_package_with_what_takes_no_room(size: int) -> None:
    assert planned([file("a", size), file("b", 0), file("c", 5)]) == [["a", "b"], ["c"]]


def test_a_file_above_the_limit_is_packaged_alone() -> None:
    files = [file("a", 1), file("b", 101), file("c", 0), file("d", 1)]
    assert planned(files) == [["a"], ["b"], ["c", "d"]]


def test_a_package_has_no_more_files_than_the_limit() -> None:
    files = [file(f"{number}.fits", 0) for number in range(7)]
    assert [len(package) for package in planned(files, PackageLimits(100, 3))] == [3, 3, 1]


def test_executions_and_modules_share_no_package() -> None:
    files = [file("a", unit=UNIT), file("b", unit=OTHER_UNIT), file("c", module=2), file("d", module=2)]
    assert planned(files) == [["a"], ["c", "d"], ["b"]]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("2026/scan_1.fits", "2026/scan_1"),
        ("2026/scan_1.fits.gz", "2026/scan_1"),
        ("2026/scan_1.fits.sha256", "2026/scan_1"),
        ("2026/scan_1.json", "2026/scan_1"),
        ("2026/scan_1.zarr/0.0", "2026/scan_1"),
        ("2026/scan_1.zarr/a/b/c.fits", "2026/scan_1"),
        ("2026/HAWKI.2026-05-01T03:00:00.123.fits", "2026/HAWKI.2026-05-01T03:00:00.123"),
        ("2026/chai.lfa.fits", "2026/chai.lfa"),
        ("v1.2/rfsoc01/r01d02_1700000000_005.g3", "v1.2/rfsoc01/r01d02_1700000000_005"),
        (".hidden", ".hidden"),
        ("a/.hidden.fits", "a/.hidden"),
        ("plain", "plain"),
        ("x.", "x."),
    ],
)
def test_what_files_of_a_set_have_in_common(path: str, name: str) -> None:
    assert set_name(path) == name


def test_what_belongs_together_is_never_split_and_may_exceed_the_limit() -> None:
    files = [
        *(file(f"scan.zarr/{number}", 30) for number in range(5)),
        file("scan.json", 1),
        file("scan", 1),
        file("scan-1.fits", 60),
        file("scan.x.y.fits", 60),
    ]
    packages = planned(files)
    assert sorted(map(sorted, packages)) == [
        ["scan", "scan.json", *(f"scan.zarr/{number}" for number in range(5))],
        ["scan-1.fits"],
        ["scan.x.y.fits"],
    ]


def test_a_set_of_which_a_size_is_not_known_waits_whole() -> None:
    files = [file("a.fits", 1), file("b.fits", 1), file("b.json", None)]
    assert planned(files) == [["a.fits"]]
    rows = sorted(files, key=lambda some: some.relative_path)
    assert UnsizedFiles(2) in list(plan_packages(rows, LIMITS))


def test_files_in_another_order_are_refused() -> None:
    with pytest.raises(UsageError, match="order of execution, module and path"):
        list(plan_packages([file("b"), file("a")], LIMITS))
    with pytest.raises(UsageError, match="each once"):
        list(plan_packages([file("a"), file("a")], LIMITS))


paths = st.builds(
    lambda folder, stem, ending: folder + stem + ending,
    st.sampled_from(["", "d/", "d.1/"]),
    st.sampled_from(["a", "a-b", "a.1", "ab", "b", "a.x.y"]),
    st.sampled_from(["", ".fits", ".fits.gz", ".json", ".zarr/0", ".zarr/1.2", ".md5", ".é"]),
)
some_files = st.lists(
    st.builds(
        file,
        paths,
        st.one_of(st.integers(0, 120), st.none()),
        st.sampled_from([UNIT, OTHER_UNIT]),
        st.sampled_from([1, 2]),
    ),
    unique_by=lambda some: some.file_id,
    max_size=40,
)


@given(some_files, st.integers(1, 8))
def test_nothing_is_lost_doubled_or_torn(files: list[FileToPack], max_files: int) -> None:
    limits = PackageLimits(100, max_files)
    rows = sorted(files, key=lambda some: (*some.group, some.relative_path))
    plan = list(plan_packages(rows, limits))
    packages = [some for some in plan if isinstance(some, PlannedPackage)]
    by_id = {some.file_id: some for some in files}
    sets: dict[tuple[Any, ...], set[UUID]] = {}
    for some in files:
        sets.setdefault((*some.group, set_name(some.relative_path)), set()).add(some.file_id)
    waiting = {
        key for key in by_id if any(key in s and any(by_id[k].size_bytes is None for k in s) for s in sets.values())
    }
    count = Counter(key for package in packages for key in package.files)
    assert set(count) == set(by_id) - waiting
    assert not count or max(count.values()) == 1
    assert sum(some.files for some in plan if isinstance(some, UnsizedFiles)) == len(waiting)
    for package in packages:
        inside = set(package.files)
        mine = [members for members in sets.values() if members & inside]
        assert all(members <= inside for members in mine)
        assert {by_id[key].group for key in inside} == {(package.executed_obs_unit_id, package.instrument_module_id)}
        assert package.size_bytes == sum(by_id[key].size_bytes or 0 for key in inside)
        assert len(mine) == 1 or (package.size_bytes <= 100 and len(inside) <= max_files)


def test_planning_holds_one_package_at_a_time() -> None:
    def many() -> Iterator[FileToPack]:
        for number in range(200_000):
            yield FileToPack(UUID(int=number), UNIT, 1, f"2026/f{number:07d}.fits", 1_000_000, None)

    sum(1 for _ in plan_packages(many(), PackageLimits(1_000_000_000, 100_000)))
    tracemalloc.start()
    try:
        packages = sum(1 for _ in plan_packages(many(), PackageLimits(1_000_000_000, 100_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert packages == 200
    assert peak < 2_000_000  # a package of a thousand files; 200,000 of them would take 40 MB


# In the database


@dataclass
class Filed:
    """A database with two executions of CHAI that are over, and no files of them."""

    database: Database
    module_id: int = 0
    location: str = "ccat/buffer"

    def record(self, *files: tuple[str, int | None], unit: UUID | None = UNIT) -> None:
        with self.database.begin() as connection:
            record(connection, self.module_id, files, unit)

    def build(self, limits: PackageLimits = LIMITS, **options: Any) -> PackagingSummary:
        return build_packages(self.database, limits, **options)

    def packages(self, unit: UUID = UNIT) -> list[list[str]]:
        """Paths of the files of each package by its number."""
        query = (
            sa.select(RawDataPackage.sequence, RawDataFile.relative_path)
            .join(RawDataFile, RawDataFile.raw_data_package_id == RawDataPackage.id)
            .where(RawDataPackage.executed_obs_unit_id == unit)
            .order_by(RawDataPackage.sequence, RawDataFile.relative_path)
        )
        found: dict[int, list[str]] = {}
        with self.database.engine.connect() as connection:
            for sequence, path in connection.execute(query):
                found.setdefault(sequence, []).append(path)
        assert list(found) == list(range(len(found)))
        return list(found.values())

    def service(self, **rules: Any) -> PackagingService:
        return PackagingService(self.database, LIMITS, RetryRules(**rules), self.database.begin)


def record(
    connection: sa.Connection, module_id: int, files: Iterable[tuple[str, int | None]], unit: UUID | None
) -> None:
    values = [
        {
            "id": uuid5(UNIT, f"{unit} {path}"),
            "instrument_module_id": module_id,
            "executed_obs_unit_id": unit,
            "name": path.rpartition("/")[2],
            "relative_path": path,
            "size_bytes": size,
            "file_type": "application/fits",
        }
        for path, size in files
    ]
    if values:
        connection.execute(sa.insert(RawDataFile), values)


@pytest.fixture
def filed(observed: Database) -> Filed:
    with observed.session() as session:
        unit = session.scalars(sa.select(ObsUnit)).one()
        for identifier in (UNIT, OTHER_UNIT):
            times = (datetime(2026, 5, 3, 3, tzinfo=UTC), datetime(2026, 5, 3, 4, tzinfo=UTC))
            session.add(ExecutedObsUnit(id=identifier, obs_unit=unit, start_time=times[0], end_time=times[1]))
        session.execute(sa.update(RawDataPackage).values(status=Status.COMPLETED))
        session.commit()
        module = session.scalars(sa.select(InstrumentModule)).one()
        return Filed(observed, module.id)


def test_files_become_packages_once_with_the_identity_that_others_would_give_them(filed: Filed) -> None:
    filed.record(("a.fits", 40), ("b.fits", 40), ("c.fits", 40))
    summary = filed.build()
    assert (summary.packages, summary.files, summary.size_bytes) == (2, 3, 120)
    assert filed.packages() == [["a.fits", "b.fits"], ["c.fits"]]
    with filed.database.engine.connect() as connection:
        rows = connection.execute(
            sa.select(RawDataPackage.__table__).where(RawDataPackage.executed_obs_unit_id == UNIT)
        ).all()
        assert {row.id for row in rows} == {build_package_id(UNIT, "CHAI", "LFA", number) for number in (0, 1)}
        assert {(row.state, row.status, row.size_bytes, row.checksum) for row in rows} == {
            ("waiting", "pending", None, None)
        }
        assert {row.content_format for row in rows} == {"application/fits"}
        assert {row.relative_path for row in rows} == {f"CHAI/LFA/{UNIT}_{number}.tar" for number in (0, 1)}
        assert connection.scalar(sa.select(sa.func.count()).select_from(ResolveQueue)) == 0
    assert filed.build() == PackagingSummary()


def test_a_dry_run_says_the_same_and_writes_nothing(filed: Filed) -> None:
    filed.record(("a.fits", 40), ("b.fits", 80))
    told: list[PlannedPackage] = []
    summary = filed.build(dry_run=True, planned=told.append)
    assert (summary.packages, summary.files, summary.dry_run) == (2, 2, True)
    assert [package.size_bytes for package in told] == [40, 80]
    assert filed.packages() == []
    assert (filed.build().packages, len(filed.packages())) == (2, 2)


def test_late_files_go_into_a_further_package(filed: Filed) -> None:
    filed.record(("b.fits", 10))
    filed.build()
    filed.record(("a.fits", 10), ("b.json", 10))
    filed.build()
    assert filed.packages() == [["b.fits"], ["a.fits", "b.json"]]


def test_files_wait_for_the_end_of_the_observation_their_size_and_their_observation(filed: Filed) -> None:
    with filed.database.begin() as connection:
        connection.execute(sa.update(ExecutedObsUnit).where(ExecutedObsUnit.id == OTHER_UNIT).values(end_time=None))
    filed.record(("a.fits", 10), unit=OTHER_UNIT)
    filed.record(("b.fits", None), ("b.json", 1), ("c.fits", 1))
    filed.record(("d.fits", 1), ("e.fits", 1), ("f.fits", 1), unit=None)
    summary = filed.build()
    assert (summary.packages, summary.running, summary.unsized, summary.unplaced) == (1, 1, 2, 3)
    with filed.database.begin() as connection:
        ended = {"end_time": datetime(2026, 5, 4, tzinfo=UTC)}
        connection.execute(sa.update(ExecutedObsUnit).where(ExecutedObsUnit.id == OTHER_UNIT).values(ended))
        connection.execute(sa.update(RawDataFile).where(RawDataFile.size_bytes.is_(None)).values(size_bytes=5))
    assert filed.build().packages == 2
    assert filed.packages() == [["c.fits"], ["b.fits", "b.json"]]


def test_what_is_larger_than_the_limit_is_told(filed: Filed) -> None:
    filed.record(("a.fits", 101), ("b.fits", 100))
    assert filed.build().larger == 1


def test_the_plan_does_not_depend_on_the_order_of_recording(filed: Filed) -> None:
    files = [(path, size) for size, path in enumerate(("B.fits", "a.fits", "a.json", "a_1.fits", "é.fits", "Z/1"), 30)]
    seen: set[tuple[PlannedPackage | UnsizedFiles, ...]] = set()

    @settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.permutations(files))
    def in_any_order(shuffled: list[tuple[str, int]]) -> None:
        with filed.database.begin() as connection:
            savepoint = connection.begin_nested()
            record(connection, filed.module_id, shuffled, UNIT)
            seen.add(tuple(plan_packages(list(files_to_pack(connection)), LIMITS)))
            savepoint.rollback()

    in_any_order()
    assert len(seen) == 1
    (plan,) = seen
    names = {uuid5(UNIT, f"{UNIT} {path}"): path for path, _ in files}
    packages = [[names[key] for key in package.files] for package in plan if isinstance(package, PlannedPackage)]
    assert packages == [["B.fits", "Z/1"], ["a.fits", "a.json", "a_1.fits"], ["é.fits"]]


def test_two_who_plan_at_once_neither_lose_nor_double_anything(filed: Filed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_FILES_AT_ONCE", 20)
    filed.record(*((f"f{number:04d}.fits", 10) for number in range(400)))
    with ThreadPoolExecutor(4) as threads:
        summaries = [done.result() for done in [threads.submit(filed.build) for _ in range(4)]]
    assert sum(summary.files for summary in summaries) == 400
    files = [path for package in filed.packages() for path in package]
    assert sorted(files) == [f"f{number:04d}.fits" for number in range(400)]
    assert filed.build() == PackagingSummary()


KILLED = """
    import os, signal, sys
    from catalog.db import Database
    from catalog.opsdb.packaging import build
    from catalog.opsdb.packaging.plan import PackageLimits

    build._FILES_AT_ONCE = 20
    fill, left = build._fill, [int(sys.argv[2])]

    def die(*arguments):
        fill(*arguments)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    build._fill = die
    build.build_packages(Database(sys.argv[1]), PackageLimits(100, 1000))
"""


def test_a_plan_that_is_killed_between_its_steps_is_gone_on_with(filed: Filed) -> None:
    filed.record(*((f"f{number:04d}.fits", 10) for number in range(100)))
    url = filed.database.engine.url.render_as_string(hide_password=False)
    for transactions, done in ((1, 0), (3, 40)):
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), url, str(transactions)], check=False, timeout=120
        )
        assert ended.returncode == -9
        assert sum(map(len, filed.packages())) == done
    assert filed.build().files == 60
    files = [path for package in filed.packages() for path in package]
    assert files == [f"f{number:04d}.fits" for number in range(100)]
    assert {len(package) for package in filed.packages()} == {10}


# Building


def test_a_package_is_built_and_lies_where_its_builder_says(filed: Filed) -> None:
    filed.record(("a.fits", 40))
    filed.build()
    service = filed.service()
    task = service.take(actor="builder-1")
    assert task is not None
    assert (task.attempt, task.status, task.files, task.size_bytes) == (1, "in_progress", 1, 40)
    assert [some.relative_path for some in service.files(task.package_id)] == ["a.fits"]
    assert service.take(actor="builder-2") is None
    assert service.start(task.package_id, actor="builder-1") == task
    with pytest.raises(IntegrityError, match="is being done by builder-1"):
        service.start(task.package_id, actor="builder-2")
    report = {"attempt": 1, "size_bytes": 2048, "checksum": SHA.upper(), "location": filed.location}
    change = service.complete(task.package_id, **report, actor="builder-1", reason="tar 1.35")  # type: ignore[arg-type]
    assert (change.before, change.after) == ("in_progress", "completed")
    again = service.complete(task.package_id, **report, actor="builder-1")  # type: ignore[arg-type]
    assert (again.before, again.after) == ("completed", "completed")
    with pytest.raises(IntegrityError, match="recorded with other bytes"):
        service.complete(task.package_id, **report | {"size_bytes": 2049}, actor="x")  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="completed already"):
        service.fail(task.package_id, attempt=1, reason="disk full", actor="builder-1")
    with filed.database.engine.connect() as connection:
        row = connection.execute(sa.select(RawDataPackage.__table__).where(RawDataPackage.id == task.package_id)).one()
        assert (row.status, row.size_bytes, row.checksum) == ("completed", 2048, SHA)
        copies = connection.execute(
            sa.select(PhysicalCopy.__table__, DataLocation.name)
            .join(DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
            .where(PhysicalCopy.raw_data_package_id == task.package_id)
        ).all()
        assert [(copy.name, copy.status, copy.verification, copy.checksum) for copy in copies] == [
            ("buffer", "present", "never", SHA)
        ]
        moves = connection.execute(
            sa.select(LifecycleMove.verb, LifecycleMove.actor, LifecycleMove.reason)
            .where(LifecycleMove.entity_key == str(task.package_id))
            .order_by(LifecycleMove.id)
        ).all()
        assert moves == [("start", "builder-1", None), ("complete", "builder-1", "tar 1.35")]


def test_a_failed_building_rests_and_fails_for_good_after_so_many_attempts(filed: Filed) -> None:
    filed.record(("a.fits", 40))
    filed.build()
    patient = filed.service(attempts=2)
    task = patient.take(actor="builder")
    assert task is not None
    key = task.package_id
    assert patient.fail(key, attempt=1, reason="disk full", actor="builder").after == "pending"
    assert not patient.fail(key, attempt=1, reason="disk full", actor="builder").is_new
    assert patient.take(actor="builder") is None  # it rests
    hasty = filed.service(attempts=2, backoff_s=0.0)
    task = hasty.take(actor="builder")
    assert task is not None
    assert task.attempt == 2
    assert not hasty.fail(key, attempt=1, reason="late news", actor="builder").is_new
    late = {"size_bytes": 1, "checksum": SHA, "location": filed.location}
    assert not hasty.complete(key, attempt=1, actor="builder", **late).is_new  # type: ignore[arg-type]
    assert hasty.fail(key, attempt=2, reason="disk full", actor="builder").after == "failed"
    assert not hasty.fail(key, attempt=2, reason="disk full", actor="builder").is_new
    assert hasty.take(actor="builder") is None
    with pytest.raises(IntegrityError, match="has failed for good"):
        hasty.start(key, actor="builder")


def test_wrong_reports_are_refused_and_change_nothing(filed: Filed) -> None:
    filed.record(("a.fits", 40))
    filed.build()
    service = filed.service()
    key = build_package_id(UNIT, "CHAI", "LFA", 0)
    good: dict[str, Any] = {"attempt": 1, "size_bytes": 1, "checksum": SHA, "location": filed.location, "actor": "b"}
    with pytest.raises(IntegrityError, match="is 'pending'; its attempt 1 has not begun"):
        service.complete(key, **good)
    service.start(key, actor="b")
    with pytest.raises(IntegrityError, match="its attempt 2 has not begun"):
        service.complete(key, **good | {"attempt": 2})
    for wrong, message in (
        ({"attempt": 0}, "counted from 1"),
        ({"size_bytes": -1}, "number of bytes"),
        ({"checksum": "xyz"}, "hexadecimal"),
        ({"location": "ccat/nowhere"}, "expected SITE/NAME"),
        ({"location": "ccat"}, "expected SITE/NAME"),
        ({"actor": " "}, "name somebody"),
    ):
        with pytest.raises(UsageError, match=message):
            service.complete(key, **good | wrong)
    unknown = uuid4()
    for call in (
        lambda: service.start(unknown, actor="b"),
        lambda: service.complete(unknown, **good),
        lambda: service.fail(unknown, attempt=1, reason="x", actor="b"),
        lambda: list(service.files(unknown)),
    ):
        with pytest.raises(NotFoundError, match=str(unknown)):
            call()
    with filed.database.engine.connect() as connection:
        assert connection.scalar(sa.select(RawDataPackage.status).where(RawDataPackage.id == key)) == "in_progress"
        copies = sa.select(sa.func.count(PhysicalCopy.id)).where(PhysicalCopy.raw_data_package_id == key)
        assert connection.scalar(copies) == 0


def test_a_builder_gets_what_lies_at_its_site(filed: Filed) -> None:
    filed.record(("a.fits", 40), ("b.fits", 40))
    filed.build()
    with filed.database.session() as session:
        location = session.scalars(sa.select(DataLocation).where(DataLocation.name == "buffer")).one()
        files = session.scalars(sa.select(RawDataFile).where(RawDataFile.executed_obs_unit_id == UNIT)).all()
        session.add(RawDataFilePhysicalCopy(raw_data_file=files[0], location=location))
        session.commit()
        assert filed.service().take(actor="b", site="ccat") is None  # one of the two files is not known to be there
        session.add(RawDataFilePhysicalCopy(raw_data_file=files[1], location=location))
        session.commit()
    assert filed.service().take(actor="b", site="cologne") is None
    assert filed.service().take(actor="b", site="ccat") is not None


def test_builders_at_once_never_get_the_same_package(filed: Filed) -> None:
    filed.record(*((f"f{number:03d}.fits", 100) for number in range(60)))
    filed.build()
    service = filed.service()

    def work(name: str) -> list[UUID]:
        found = []
        while (task := service.take(actor=name)) is not None:
            found.append(task.package_id)
        return found

    with ThreadPoolExecutor(6) as threads:
        taken = [done.result() for done in [threads.submit(work, f"builder-{number}") for number in range(6)]]
    keys = [key for some in taken for key in some]
    assert len(keys) == len(set(keys)) == 60


def test_many_files_are_written_in_several_transactions(filed: Filed) -> None:
    """More files than one transaction takes; `make bench` measures more."""
    count = 30_000
    columns = ("id", "instrument_module_id", "executed_obs_unit_id", "name", "relative_path", "size_bytes")
    with filed.database.begin() as connection:
        rows = (
            (UUID(int=number + 1), filed.module_id, (UNIT, OTHER_UNIT)[number % 2], "f", f"{number:07d}.fits", 1)
            for number in range(count)
        )
        filed.database.bulk_insert(connection, RawDataFile.__table__, columns, rows)  # type: ignore[arg-type]
    assert filed.build(PackageLimits(1000, 100_000)).files == count
    assert {len(package) for package in filed.packages()} == {1000}
