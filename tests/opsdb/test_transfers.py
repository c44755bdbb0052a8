"""Which packages travel together, and what becomes of them on the way; on both engines."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from catalog.db import Database
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, RouteType, Status, Verification
from catalog.opsdb.lifecycle.copies import CopyService
from catalog.opsdb.lifecycle.deletion import CopyStep
from catalog.opsdb.lifecycle.package_state import select_states
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferLog,
    DataTransferPackage,
    DataTransferRoute,
    DiskDataLocation,
    ExecutedObsUnit,
    InstrumentModule,
    LifecycleMove,
    MoveNote,
    ObservingProgram,
    ObsUnit,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    S3DataLocation,
    Site,
    data_transfer_package_member,
)
from catalog.opsdb.transfers.bundles import NewBundle, TransferSummary
from catalog.opsdb.transfers.plan import BundleLimits, PackageToSend, plan_bundles
from catalog.opsdb.transfers.service import TransferService
from catalog.opsdb.transfers.steps import TransferStep
from catalog.opsdb.triggers import Triggers
from catalog.opsdb.work import RetryRules

SHA = "ef" * 32
LIMITS = BundleLimits(100, 500, 1000)
BUNDLE, MOVE, UNPACK = TransferStep
OLD = timedelta(days=3)


# The plan


def waiting(*executions: tuple[int, int, int], ways: tuple[int, ...] = (0,), late: bool = False) -> list[PackageToSend]:
    """Packages of executions, each given by the number of its planned observation, of packages and of their bytes."""
    totals: Counter[int] = Counter()
    for unit, packages, size in executions:
        totals[unit] += packages * size
    return [
        PackageToSend(UUID(int=1000 * (number + 1) + index), UUID(int=number), unit, size, ways, late, totals[unit])
        for number, (unit, packages, size) in enumerate(executions)
        for index in range(packages)
    ]


def sizes(packages: Iterable[PackageToSend], limits: BundleLimits = LIMITS) -> list[tuple[int, bool]]:
    return [(bundle.size_bytes, bundle.goes) for bundle in plan_bundles(packages, limits)]


@pytest.mark.parametrize(("size", "goes"), [(99, False), (100, True), (101, True)])
def test_a_bundle_goes_from_the_minimum_on(size: int, goes: bool) -> None:
    assert sizes(waiting((1, 1, size))) == [(size, goes)]
    assert sizes(waiting((1, 1, size), late=True)) == [(size, True)]


@pytest.mark.parametrize(("second", "bundles"), [(299, [499]), (300, [500]), (301, [200, 301])])
def test_a_bundle_is_as_large_as_the_limit_and_no_larger(second: int, bundles: list[int]) -> None:
    assert [size for size, _ in sizes(waiting((1, 1, 200), (2, 1, second)))] == bundles


def test_an_execution_is_never_separated_even_when_it_is_larger_than_the_limit() -> None:
    plan = waiting((1, 3, 10), (2, 7, 100), (3, 2, 45))
    assert sizes(plan) == [(700, True), (120, True)]


def test_what_does_not_fit_leaves_what_is_too_small_to_wait_for_more() -> None:
    assert sizes(waiting((1, 1, 50), (2, 1, 460), (3, 1, 60))) == [(460, True), (110, True)]


def test_a_planned_observation_stays_together_when_a_bundle_has_room_for_it() -> None:
    plan = waiting((1, 1, 300), (2, 1, 150), (2, 1, 150))
    assert sizes(plan) == [(300, True), (300, True)]
    torn = waiting((1, 1, 90), (2, 1, 300), (2, 1, 300))  # 90 is too small to go alone
    assert sizes(torn) == [(390, True), (300, True)]


def test_a_bundle_has_no_more_packages_than_the_limit() -> None:
    plan = waiting(*((number, 2, 1) for number in range(5)))
    assert sizes(plan, BundleLimits(100, 500, 4)) == [(4, True), (4, True), (2, False)]


def test_packages_that_go_other_ways_are_in_other_bundles() -> None:
    plan = waiting((1, 1, 200), ways=(0, 1)) + waiting((1, 1, 200), ways=(1,))
    assert [bundle.ways for bundle in plan_bundles(plan, LIMITS)] == [(0, 1), (1,)]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 300)), max_size=20),
    st.integers(1, 12),
    st.booleans(),
)
def test_nothing_is_lost_doubled_or_torn(executions: list[tuple[int, int, int]], max_packages: int, late: bool) -> None:
    executions.sort(key=lambda some: some[0])
    packages = waiting(*executions, late=late)
    limits = BundleLimits(100, 500, max_packages)
    bundles = list(plan_bundles(packages, limits))
    execution = {some.package_id: some.executed_obs_unit_id for some in packages}
    count = Counter(key for bundle in bundles for key in bundle.packages)
    assert set(count) == set(execution)
    assert not count or max(count.values()) == 1
    for bundle in bundles:
        inside = {execution[key] for key in bundle.packages}
        assert {key for key, unit in execution.items() if unit in inside} == set(bundle.packages)
        assert len(inside) == 1 or (bundle.size_bytes <= 500 and len(bundle.packages) <= max_packages)
    assert sum(not bundle.goes for bundle in bundles) <= (0 if late else 1)


def test_planning_holds_one_bundle_at_a_time() -> None:
    def many() -> Iterator[PackageToSend]:
        for number in range(200_000):
            execution = UUID(int=number // 4)
            yield PackageToSend(UUID(int=number), execution, number // 40, 10, (0,), False, 400)

    sum(1 for _ in plan_bundles(many(), BundleLimits(1_000, 5_000, 100_000)))
    tracemalloc.start()
    try:
        packages = sum(len(bundle.packages) for bundle in plan_bundles(many(), BundleLimits(1_000, 5_000, 100_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert packages == 200_000
    assert peak < 1_000_000  # 200,000 of them would take 40 MB


# In the database


@dataclass
class World:
    """Chile with a source and a buffer, a relay in Ithaca, archives in Cologne and Ithaca, and routes to both."""

    database: Database
    places: dict[str, int]
    module_id: int

    def service(self, limits: BundleLimits = LIMITS, overdue: timedelta = OLD, **rules: Any) -> TransferService:
        retries = RetryRules(**{"backoff_s": 0.0, **rules})
        return TransferService(self.database, limits, retries, overdue_after=overdue, writing=self.database.begin)

    def plan(self, service: TransferService | None = None, **options: Any) -> tuple[TransferSummary, list[NewBundle]]:
        bundles: list[NewBundle] = []
        summary = (service or self.service()).plan(actor="ada", planned=bundles.append, **options)
        return summary, bundles

    def packages(
        self, *sizes: int, place: str = "buffer", unit: int = 1, execution: UUID | None = None, **values: Any
    ) -> list[UUID]:
        """Built packages of one execution, that lie at a place."""
        identifier = execution or uuid4()
        keys = [uuid4() for _ in sizes]
        with self.database.session() as session:
            if session.get(ExecutedObsUnit, identifier) is None:
                times = (datetime(2026, 5, unit, 3, tzinfo=UTC), datetime(2026, 5, unit, 4, tzinfo=UTC))
                mine = session.scalars(sa.select(ObsUnit).where(ObsUnit.name == f"unit {unit}")).one()
                session.add(ExecutedObsUnit(id=identifier, obs_unit=mine, start_time=times[0], end_time=times[1]))
                session.flush()
            for number, (key, size) in enumerate(zip(keys, sizes, strict=True)):
                stated = {
                    "id": key,
                    "executed_obs_unit_id": identifier,
                    "instrument_module_id": self.module_id,
                    "sequence": number,
                    "name": f"{key}.tar",
                    "relative_path": f"CHAI/{key}.tar",
                    "size_bytes": size,
                    "checksum": SHA,
                    "checksum_algorithm": "sha256",
                    "status": Status.COMPLETED,
                }
                package = RawDataPackage(**stated | values)
                session.add(package)
                session.flush()
                session.add(RawDataPackagePhysicalCopy(raw_data_package_id=key, data_location_id=self.places[place]))
            session.commit()
        return keys

    def run(self, *statements: sa.Executable) -> None:
        with self.database.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def one(self, query: sa.Select[Any]) -> Any:
        with self.database.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        with self.database.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def states(self) -> set[str]:
        return {str(state) for (state,) in self.rows(sa.select(RawDataPackage.state))}

    def copies(self, *packages: UUID) -> list[tuple[str, str, str]]:
        """Place, status and verification of the copies of packages that are not deleted."""
        query = (
            sa.select(DataLocation.name, PhysicalCopy.status, PhysicalCopy.verification)
            .join(DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
            .where(PhysicalCopy.raw_data_package_id.in_(packages), PhysicalCopy.status != "deleted")
        )
        return sorted(tuple(map(str, row)) for row in self.rows(query))

    def members(self) -> list[set[UUID]]:
        member = data_transfer_package_member.c
        found: dict[UUID, set[UUID]] = {}
        for bundle, package in self.rows(sa.select(member.data_transfer_package_id, member.raw_data_package_id)):
            found.setdefault(bundle, set()).add(package)
        return sorted(found.values(), key=len)

    def consistent(self, packages: list[UUID]) -> bool:
        """Whether the state of packages is what their copies and transfers say, and no note is left over."""
        states = select_states(lambda column: column.in_(packages)).subquery()
        wrong = sa.select(sa.func.count()).where(states.c.wanted != sa.type_coerce(states.c.state, sa.Text()))
        return self.one(wrong) == 0 and self.one(sa.select(sa.func.count()).select_from(MoveNote)) == 0


@pytest.fixture
def world(observed: Database) -> World:
    """The tables of `observed` without its packages: what it holds is never sent, since nothing of it is built."""
    with observed.session() as session:
        program = session.scalars(sa.select(ObservingProgram)).one()
        for number in range(1, 6):
            session.add(ObsUnit(name=f"unit {number}", program=program))
        chile = session.scalars(sa.select(Site).where(Site.key == "ccat")).one()
        cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
        us = Site(key="us", name="Cornell")
        session.add_all(
            [
                DiskDataLocation(site=chile, name="source", location_type=LocationType.SOURCE, path="/tel"),
                DiskDataLocation(site=us, name="relay", location_type=LocationType.BUFFER, path="/relay"),
                S3DataLocation(site=us, name="ithaca", location_type=LocationType.LONG_TERM_ARCHIVE, bucket="i"),
            ]
        )
        session.execute(sa.update(DataLocation).where(DataLocation.name == "tape").values(priority=1))
        session.flush()
        session.add(route("ccat_to_cologne", chile, cologne))
        session.commit()
        places = {row.name: row.id for row in session.execute(sa.select(DataLocation.name, DataLocation.id))}
        module = session.scalars(sa.select(InstrumentModule)).one()
        world = World(observed, places, module.id)
    world.run(sa.update(DataTransferPackage).values(status=Status.FAILED))
    return world


def route(name: str, origin: Site, destination: Site, **values: Any) -> DataTransferRoute:
    return DataTransferRoute(
        name=name, origin_site_id=origin.id, destination_site_id=destination.id, method="bbcp", **values
    )


def add_route(world: World, name: str, destination: str, relay: str | None = None, **values: Any) -> None:
    with world.database.session() as session:
        sites = {site.key: site for site in session.scalars(sa.select(Site))}
        if relay is not None:
            values |= {"relay_site_id": sites[relay].id, "route_type": RouteType.RELAY}
        session.add(route(name, sites["ccat"], sites[destination], **values))
        session.commit()


def carry(service: TransferService, *steps: TransferStep, verified: bool = True) -> None:
    """Do what is due of each step in turn."""
    for step in steps:
        while (task := service.take(step, actor="mover")) is not None:
            options: dict[str, Any] = {"size_bytes": 1, "checksum": SHA} if step is BUNDLE else {}
            if step is MOVE:
                options = {"checksum": SHA, "size_bytes": 1}
            service.complete(step, task.key, attempt=task.attempt, actor="mover", is_verified=verified, **options)


def test_packages_travel_in_one_bundle_to_the_archive_and_are_archived_there(world: World) -> None:
    packages = world.packages(60, 60)
    service = world.service()
    summary, (bundle,) = world.plan(service)
    assert (summary.bundles, summary.transfers, summary.packages, summary.size_bytes) == (1, 1, 2, 120)
    assert (bundle.origin, bundle.destinations, bundle.goes) == ("ccat/buffer", ("cologne/archive",), True)
    assert world.plan(service)[0] == TransferSummary()
    (record,) = service.transfers()
    assert (record.route, record.packages, record.size_bytes) == ("ccat_to_cologne", 2, 120)
    assert (record.bundle_status, record.status, record.unpack_status) == ("pending", "pending", "pending")
    assert service.take(MOVE, actor="m") is None  # nothing is built yet
    assert service.take(UNPACK, actor="m") is None
    states = sa.select(RawDataPackage.state).where(RawDataPackage.id.in_(packages))
    assert set(world.rows(states)) == {("transferring",)}
    assert world.consistent(packages)

    task = service.take(BUNDLE, actor="mover", site="ccat")
    assert task is not None
    assert (task.packages, task.size_bytes, task.origin_path) == (2, 120, f"/data/fyst/transfers/{bundle.name}.tar")
    assert sorted(service.contents(task.bundle_id)) == sorted(f"CHAI/{key}.tar" for key in packages)
    service.complete(BUNDLE, task.key, attempt=1, actor="mover", size_bytes=130, checksum=SHA)
    assert service.take(MOVE, actor="m", site="cologne") is None
    task = service.take(MOVE, actor="mover", site="ccat")
    assert task is not None
    assert task.destination_path == f"s3://fyst/raw/transfers/{bundle.name}.tar"
    assert (task.size_bytes, task.checksum) == (130, SHA)
    service.log(int(str(task.key)), "/log/1")
    service.log(int(str(task.key)), "/log/1")
    assert world.one(sa.select(sa.func.count(DataTransferLog.id))) == 1
    service.complete(MOVE, task.key, attempt=1, actor="mover", checksum=SHA, size_bytes=130)
    assert set(world.rows(states)) == {("transferring",)}
    assert service.take(UNPACK, actor="m", site="ccat") is None
    task = service.take(UNPACK, actor="mover", site="cologne")
    assert task is not None
    service.complete(UNPACK, task.key, attempt=1, actor="mover", is_verified=True, reason="all 2 are whole")
    assert set(world.rows(states)) == {("archived",)}
    assert world.copies(packages[0]) == [("archive", "present", "ok"), ("buffer", "present", "never")]
    assert list(service.transfers()) == []
    assert len(list(service.transfers(everything=True))) == 1
    moves = sa.select(LifecycleMove.verb, LifecycleMove.actor, LifecycleMove.reason).order_by(LifecycleMove.id)
    mine = moves.where(LifecycleMove.entity == "raw_data_package", LifecycleMove.entity_key == str(packages[0]))
    assert world.rows(mine) == [
        ("send", "ada", f"bundled as {bundle.name}"),
        ("archive", "mover", "all 2 are whole"),
    ]
    assert world.plan(service)[0] == TransferSummary()


def test_every_report_may_come_twice_and_one_of_an_attempt_that_is_over_changes_nothing(world: World) -> None:
    packages = world.packages(120)
    service = world.service(attempts=3)
    world.plan(service)
    (record,) = service.transfers()
    carry(service, BUNDLE)
    key = record.transfer_id
    with pytest.raises(IntegrityError, match="is 'pending'; its attempt 1 has not begun"):
        service.complete(MOVE, key, attempt=1, actor="m")
    with pytest.raises(IntegrityError, match="has not arrived at the destination"):
        service.start(UNPACK, key, actor="m")
    task = service.start(MOVE, key, actor="m")
    assert service.start(MOVE, key, actor="m") == task
    with pytest.raises(IntegrityError, match="is being done by m"):
        service.start(MOVE, key, actor="other")
    with pytest.raises(IntegrityError, match="another size or checksum"):
        service.complete(MOVE, key, attempt=1, actor="m", checksum="00")
    assert service.fail(MOVE, key, attempt=1, reason="cut cable", actor="m").after == "pending"
    assert not service.fail(MOVE, key, attempt=1, reason="cut cable", actor="m").is_new
    assert service.start(MOVE, key, actor="m").attempt == 2
    assert not service.fail(MOVE, key, attempt=1, reason="cut cable", actor="m").is_new
    assert not service.complete(MOVE, key, attempt=1, actor="m").is_new
    with pytest.raises(IntegrityError, match="attempt 3 has not begun"):
        service.complete(MOVE, key, attempt=3, actor="m")
    assert service.complete(MOVE, key, attempt=2, actor="m").is_new
    assert not service.complete(MOVE, key, attempt=2, actor="m").is_new
    assert service.start(MOVE, key, actor="m").status == "completed"
    with pytest.raises(IntegrityError, match="is completed already"):
        service.fail(MOVE, key, attempt=2, reason="?", actor="m")
    carry(service, UNPACK)
    assert world.copies(*packages) == [("archive", "present", "ok"), ("buffer", "present", "never")]
    row = world.rows(sa.select(DataTransfer.retry_count, DataTransfer.unpack_retry_count, DataTransfer.failure))
    assert row == [(1, 0, None)]


def test_unknown_ids_and_empty_names_are_told(world: World) -> None:
    service = world.service()
    unknown = uuid4()
    for call in (
        lambda: service.start(MOVE, 999, actor="m"),
        lambda: service.complete(UNPACK, 999, attempt=1, actor="m"),
        lambda: service.fail(MOVE, 999, attempt=1, reason="x", actor="m"),
        lambda: service.start(BUNDLE, unknown, actor="m"),
        lambda: service.log(999, "/x"),
        lambda: list(service.contents(unknown)),
        lambda: world.plan(service, route="nowhere"),
    ):
        with pytest.raises(NotFoundError, match="there is no"):
            call()
    for wrong in (
        lambda: service.take(MOVE, actor=""),
        lambda: service.plan(actor=" "),
        lambda: service.complete(BUNDLE, unknown, attempt=1, actor="m"),
        lambda: service.log(999, " "),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_one_bundle_goes_to_several_destinations(world: World) -> None:
    add_route(world, "ccat_to_us", "us")
    packages = world.packages(120)
    service = world.service()
    summary, (bundle,) = world.plan(service)
    assert (summary.bundles, summary.transfers) == (1, 2)
    assert bundle.destinations == ("cologne/archive", "us/ithaca")
    carry(service, BUNDLE, MOVE, UNPACK)
    assert [copy[0] for copy in world.copies(*packages)] == ["archive", "buffer", "ithaca"]
    assert world.consistent(packages)
    assert world.plan(service)[0] == TransferSummary()


def test_what_is_archived_travels_once_more_when_a_route_is_added(world: World) -> None:
    packages = world.packages(120)
    service = world.service()
    world.plan(service)
    carry(service, *TransferStep)
    add_route(world, "ccat_to_us", "us")
    assert world.plan(service)[1][0].destinations == ("us/ithaca",)
    assert world.one(sa.select(RawDataPackage.state).where(RawDataPackage.id == packages[0])) == "archived"
    carry(service, *TransferStep)
    assert [copy[0] for copy in world.copies(*packages)] == ["archive", "buffer", "ithaca"]


def test_by_way_of_a_relay_the_second_leg_waits_for_the_first(world: World) -> None:
    world.run(sa.update(DataTransferRoute).values(active=False))
    add_route(world, "by_cornell", "cologne", relay="us")
    packages = world.packages(120)
    service = world.service()
    summary, (bundle,) = world.plan(service)
    assert (summary.transfers, bundle.destinations) == (2, ("cologne/archive",))
    carry(service, BUNDLE)
    first = service.take(MOVE, actor="m")
    assert first is not None
    assert service.take(MOVE, actor="m") is None
    with pytest.raises(IntegrityError, match="does not lie at the origin"):
        service.start(MOVE, int(str(first.key)) + 1, actor="m")
    service.complete(MOVE, first.key, attempt=1, actor="m", checksum=SHA)
    assert service.take(UNPACK, actor="m") is None  # nothing is unpacked at the relay
    second = service.take(MOVE, actor="m")
    assert second is not None
    assert second.origin_path == f"/relay/transfers/{bundle.name}.tar"
    service.complete(MOVE, second.key, attempt=1, actor="m", checksum=SHA)
    carry(service, UNPACK)
    assert [copy[0] for copy in world.copies(*packages)] == ["archive", "buffer"]
    assert world.one(sa.select(RawDataPackage.state).where(RawDataPackage.id == packages[0])) == "archived"


@pytest.mark.parametrize("step", [BUNDLE, MOVE, UNPACK])
def test_a_step_that_fails_for_good_takes_along_what_follows_and_its_packages(world: World, step: TransferStep) -> None:
    world.run(sa.update(DataTransferRoute).values(active=False))
    add_route(world, "by_cornell", "cologne", relay="us")
    (package,) = world.packages(120)
    service = world.service(attempts=2)
    world.plan(service)
    carry(service, *list(TransferStep)[: list(TransferStep).index(step)])
    for attempt in (1, 2):
        task = service.take(step, actor="m")
        assert task is not None
        assert task.attempt == attempt
        change = service.fail(step, task.key, attempt=attempt, reason="no use", actor="m")
        assert change.after == ("pending" if attempt == 1 else "failed")
    assert list(service.transfers()) == []
    state = sa.select(RawDataPackage.state).where(RawDataPackage.id == package)
    assert world.one(state) == "failed"
    assert world.consistent([package])
    assert all(service.take(each, actor="m") is None for each in TransferStep)
    assert world.plan(service)[0] == TransferSummary()
    assert world.plan(service, again=True)[0].packages == 1
    assert world.one(state) == "transferring"
    carry(service, *TransferStep)
    assert world.one(state) == "archived"


def test_a_failure_to_one_destination_leaves_the_other(world: World) -> None:
    add_route(world, "ccat_to_us", "us")
    (package,) = world.packages(120)
    service = world.service()
    world.plan(service)
    carry(service, BUNDLE)
    task = service.take(MOVE, actor="m")
    assert task is not None
    service.fail(MOVE, task.key, attempt=1, reason="no use", actor="m", is_final=True)
    state = sa.select(RawDataPackage.state).where(RawDataPackage.id == package)
    assert world.one(state) == "transferring"
    carry(service, MOVE, UNPACK)
    assert world.one(state) == "archived"


def test_a_failure_to_one_destination_does_not_undo_the_arrival_at_another(world: World) -> None:
    world.run(sa.update(DataLocation).where(DataLocation.name == "ithaca").values(active=False))
    add_route(world, "ccat_to_us", "us")
    (package,) = world.packages(120)
    service = world.service()
    _, (bundle,) = world.plan(service)
    assert sorted(bundle.destinations) == ["cologne/archive", "us/relay"]
    carry(service, BUNDLE)
    tasks = [service.take(MOVE, actor="m"), service.take(MOVE, actor="m")]
    for task in tasks:
        assert task is not None
        if "/relay/" in str(task.destination_path):
            service.complete(MOVE, task.key, attempt=1, actor="m", checksum=SHA)
            carry(service, UNPACK)
    for task in tasks:
        assert task is not None
        if "/relay/" not in str(task.destination_path):
            service.fail(MOVE, task.key, attempt=1, reason="no use", actor="m", is_final=True)
    assert world.one(sa.select(RawDataPackage.state).where(RawDataPackage.id == package)) == "transferring"
    assert world.consistent([package])


def test_a_failed_step_rests_twice_as_long_each_time(world: World) -> None:
    rules = RetryRules(5, 300.0, 1000.0)
    assert [rules.rest(count).total_seconds() for count in (1, 2, 3, 4, 400)] == [300, 600, 1000, 1000, 1000]
    world.packages(120)
    service, patient = world.service(), world.service(backoff_s=3600.0)
    world.plan(service)
    carry(service, BUNDLE)
    task = service.take(MOVE, actor="m")
    assert task is not None
    patient.fail(MOVE, task.key, attempt=1, reason="cut cable", actor="m")
    assert patient.take(MOVE, actor="m") is None
    assert service.take(MOVE, actor="m") is not None


# What is planned


def test_small_bundles_wait_until_something_in_them_is_too_old(world: World) -> None:
    world.packages(60)
    summary, (bundle,) = world.plan()
    assert (summary.bundles, summary.waiting, bundle.name, bundle.goes) == (0, 1, None, False)
    world.packages(10, created_at=datetime(2026, 5, 1, tzinfo=UTC))
    summary, (bundle,) = world.plan(dry_run=True)
    assert (summary.bundles, summary.packages, bundle.name) == (1, 2, None)
    assert world.plan()[0].packages == 2


def test_the_most_urgent_goes_first_then_what_was_observed_first(world: World) -> None:
    late = world.packages(300, unit=4)
    urgent = world.packages(300, unit=5)
    early = world.packages(300, unit=2)
    world.run(sa.update(ObsUnit).where(ObsUnit.name == "unit 5").values(priority=0))
    limits = BundleLimits(100, 300)
    world.plan(world.service(limits))
    member = data_transfer_package_member.c
    query = (
        sa.select(member.raw_data_package_id)
        .join(DataTransfer, DataTransfer.data_transfer_package_id == member.data_transfer_package_id)
        .order_by(DataTransfer.id)
    )
    assert [key for (key,) in world.rows(query)] == urgent + early + late


def test_an_execution_goes_when_all_of_it_is_built_or_it_has_waited_too_long(world: World) -> None:
    execution = uuid4()
    world.packages(200, execution=execution)
    world.run(
        sa.insert(RawDataFile).values(
            id=uuid4(),
            instrument_module_id=world.module_id,
            executed_obs_unit_id=execution,
            name="late",
            relative_path="late.fits",
        )
    )
    assert world.plan()[0] == TransferSummary(unfinished=1)
    assert world.plan(world.service(overdue=timedelta()))[0].packages == 1
    other = uuid4()
    world.packages(200, execution=other)
    half = world.packages(
        200, execution=other, sequence=7, status=Status.PENDING, checksum=None, checksum_algorithm=None
    )
    assert world.plan()[0] == TransferSummary(unfinished=1)
    done = {"status": Status.COMPLETED, "checksum": SHA, "checksum_algorithm": "sha256"}
    world.run(sa.update(RawDataPackage).where(RawDataPackage.id.in_(half)).values(done))
    assert world.plan()[0].packages == 2


def test_a_copy_that_is_going_or_bad_is_no_origin(world: World) -> None:
    (package,) = world.packages(200)
    copy = sa.update(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == package)
    for bad in (Verification.MISMATCH, Verification.MISSING, Verification.UNREACHABLE):
        world.run(copy.values(verification=bad))
        assert world.plan()[0] == TransferSummary()
    world.run(copy.values(verification=Verification.NEVER))
    for going in (
        PhysicalCopyStatus.DELETION_POSSIBLE,
        PhysicalCopyStatus.DELETION_PENDING,
        PhysicalCopyStatus.DELETION_SCHEDULED,
        PhysicalCopyStatus.DELETION_IN_PROGRESS,
        PhysicalCopyStatus.DELETED,
    ):
        place_copy(world, package, going)
        assert world.plan()[0] == TransferSummary()


def place_copy(world: World, package: UUID, status: PhysicalCopyStatus) -> None:
    """Let the package have one copy, of this state; states that are not reached by legal moves are written anew."""
    with world.database.begin() as connection:
        Triggers().drop(connection)
        update = sa.update(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == package)
        connection.execute(update.values(status=status))
        Triggers().install(connection)


def test_the_buffer_is_preferred_to_the_source_unless_its_copy_is_no_good(world: World) -> None:
    (package,) = world.packages(200)
    with world.database.session() as session:
        session.add(RawDataPackagePhysicalCopy(raw_data_package_id=package, data_location_id=world.places["source"]))
        session.commit()
    assert world.plan(dry_run=True)[1][0].origin == "ccat/buffer"
    at_buffer = sa.update(PhysicalCopy).where(
        PhysicalCopy.raw_data_package_id == package, PhysicalCopy.data_location_id == world.places["buffer"]
    )
    world.run(at_buffer.values(verification=Verification.MISSING))
    assert [bundle.origin for bundle in world.plan(dry_run=True)[1]] == ["ccat/source"]
    world.run(sa.update(DataLocation).where(DataLocation.name == "source").values(active=False))
    assert world.plan()[0] == TransferSummary()


def test_a_route_may_name_its_locations_and_leads_nowhere_without_any(world: World) -> None:
    world.packages(200)
    add_route(world, "to_tape", "cologne", destination_location_id=world.places["tape"])
    assert world.plan(dry_run=True)[1][0].destinations == ("cologne/archive", "cologne/tape")
    assert world.plan(dry_run=True, route="to_tape")[1][0].destinations == ("cologne/tape",)
    with world.database.session() as session:
        session.add(Site(key="void", name="Nowhere"))
        session.commit()
    add_route(world, "to_void", "void")
    with pytest.raises(IntegrityError, match="to_void leads nowhere: void has no active location"):
        world.plan()


def test_the_source_of_a_transfer_cannot_be_deleted_until_it_is_over(world: World) -> None:
    (package,) = world.packages(200)
    service = world.service()
    world.plan(service)
    copy = world.one(sa.select(PhysicalCopy.id).where(PhysicalCopy.raw_data_package_id == package))

    def request() -> None:
        CopyService(world.database, DeletionRules()).take(CopyStep.REQUEST, copy, actor="ada")

    for step in TransferStep:
        with pytest.raises(IntegrityError, match="in_use"):
            request()
        carry(service, step)
    request()
    assert ("buffer", "deletion_pending", "never") in world.copies(package)


# At once, and killed


def test_movers_at_once_never_get_the_same(world: World) -> None:
    for _ in range(30):
        world.packages(100)
    service = world.service(BundleLimits(100, 100))
    assert world.plan(service)[0].bundles == 30
    taken: dict[TransferStep, list[Any]] = {step: [] for step in TransferStep}

    def work(name: str, step: TransferStep) -> None:
        while (task := service.take(step, actor=name)) is not None:
            taken[step].append(task.key)
            known: dict[str, Any] = {} if step is UNPACK else {"size_bytes": 1, "checksum": SHA}
            service.complete(step, task.key, attempt=task.attempt, actor=name, is_verified=True, **known)

    for step in TransferStep:
        with ThreadPoolExecutor(6) as threads:
            for done in [threads.submit(work, f"mover-{number}", step) for number in range(6)]:
                done.result()
        assert len(taken[step]) == len(set(taken[step])) == 30
    assert (
        world.rows(sa.select(RawDataPackage.state).where(RawDataPackage.name.like("%.tar"))).count(("archived",)) == 30
    )


def test_two_who_plan_at_once_send_everything_once(world: World) -> None:
    packages = [key for _ in range(20) for key in world.packages(100)]
    with ThreadPoolExecutor(4) as threads:
        plans = [threads.submit(world.plan, world.service(BundleLimits(100, 200))) for _ in range(4)]
        done = [plan.result()[0] for plan in plans]
    while world.plan(world.service(BundleLimits(100, 200)))[0].bundles:
        pass
    assert sum(summary.packages for summary in done) <= 20
    sent = Counter(key for members in world.members() for key in members if key in set(packages))
    assert sent == Counter(packages)


KILLED = """
    import os, signal, sys
    import sqlalchemy as sa
    from datetime import timedelta
    from catalog.db import Database
    from catalog.opsdb.transfers.plan import BundleLimits
    from catalog.opsdb.transfers.service import TransferService
    from catalog.opsdb.transfers.steps import TransferStep
    from catalog.opsdb.work import RetryRules

    database, left = Database(sys.argv[1]), [int(sys.argv[2])]

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def die(connection, cursor, statement, *rest):
        if statement.split()[0] in ("INSERT", "UPDATE"):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    service = TransferService(
        database, BundleLimits(100, 200), RetryRules(backoff_s=0), overdue_after=timedelta(1), writing=database.begin
    )
    service.plan(actor="m")
    for step in TransferStep:
        for record in list(service.transfers()):
            key = record.bundle_id if step is TransferStep.BUNDLE else record.transfer_id
            task = service.start(step, key, actor="m")
            known = {} if step is TransferStep.UNPACK else {"size_bytes": 1, "checksum": "ef" * 32}
            service.complete(step, key, attempt=task.attempt, actor="m", is_verified=True, **known)
    print("done")
"""


def test_whatever_is_killed_leaves_a_state_from_which_the_same_commands_go_on(world: World) -> None:
    packages = [*world.packages(100, 100), *world.packages(100)]
    url = world.database.engine.url.render_as_string(hide_password=False)
    script = textwrap.dedent(KILLED)
    killed = 0
    for statements in (1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 1000):
        ended = subprocess.run(
            [sys.executable, "-c", script, url, str(statements)],
            check=False,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert ended.returncode in (0, -9), ended.stderr
        killed += ended.returncode == -9
    assert ended.stdout == "done\n"
    assert killed >= 5
    assert [copy[0] for copy in world.copies(*packages)] == ["archive"] * 3 + ["buffer"] * 3
    mine = sa.select(RawDataPackage.state).where(RawDataPackage.id.in_(packages))
    assert world.rows(mine) == [(PackageState.ARCHIVED,)] * 3
    sent = Counter(key for members in world.members() for key in members if key in set(packages))
    assert sent == Counter(packages)
    assert world.one(sa.select(sa.func.count()).select_from(MoveNote)) == 0


def test_the_plan_does_not_depend_on_the_order_of_recording(world: World) -> None:
    executions = [(UUID(int=number), number % 5 + 1, 40 + number) for number in range(12)]
    plans: list[list[tuple[str, ...]]] = []
    for turn in (1, -1):
        for execution, unit, size in executions[::turn]:
            world.packages(size, size + 1, unit=unit, execution=execution)
        world.plan(world.service(BundleLimits(100, 300)))
        query = (
            sa.select(data_transfer_package_member.c.data_transfer_package_id, RawDataPackage.size_bytes)
            .join(RawDataPackage, RawDataPackage.id == data_transfer_package_member.c.raw_data_package_id)
            .join(
                DataTransfer,
                DataTransfer.data_transfer_package_id == data_transfer_package_member.c.data_transfer_package_id,
            )
            .order_by(DataTransfer.id, RawDataPackage.size_bytes)
        )
        bundles: dict[UUID, list[int]] = {}
        for bundle, size in world.rows(query):
            bundles.setdefault(bundle, []).append(size)
        plans.append([tuple(map(str, some)) for some in bundles.values()])
        forget(world)
    assert plans[0] == plans[1]
    assert len(plans[0]) > 3


def forget(world: World) -> None:
    """Remove what was planned and the packages, as if they had never been."""
    with world.database.begin() as connection:
        Triggers().drop(connection)
        mine = sa.select(RawDataPackage.id).where(RawDataPackage.relative_path.like("CHAI/%"))
        connection.execute(sa.delete(DataTransfer))
        connection.execute(
            sa.delete(data_transfer_package_member).where(data_transfer_package_member.c.raw_data_package_id.in_(mine))
        )
        connection.execute(sa.delete(PhysicalCopy).where(PhysicalCopy.raw_data_package_id.in_(mine)))
        connection.execute(sa.delete(RawDataPackage).where(RawDataPackage.relative_path.like("CHAI/%")))
        Triggers().install(connection)
