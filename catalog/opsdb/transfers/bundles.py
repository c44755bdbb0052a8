"""Plan bundles of the packages that are wanted elsewhere, and write them, each in a transaction of its own.

A package is wanted where a way leads if it was never sent there and no copy of it is there. Killed midway, the next
call goes on: what is in a bundle is on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database, UuidText
from catalog.db.clock import read_clock
from catalog.db.rows import stream_rows
from catalog.opsdb.enums import PackageState, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.identity import build_bundle_id
from catalog.opsdb.lifecycle.traffic import OPEN, is_under_way
from catalog.opsdb.models import (
    DataTransfer,
    DataTransferPackage,
    ExecutedObsUnit,
    ObsUnit,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    data_transfer_package_member,
)
from catalog.opsdb.schema import refuse_attached
from catalog.opsdb.transfers.plan import BundleLimits, PackageToSend, PlannedBundle, plan_bundles
from catalog.opsdb.transfers.settle import settle_packages
from catalog.opsdb.transfers.ways import Place, Way, read_ways

__all__ = ["NewBundle", "TransferSummary", "packages_to_send", "plan_transfers"]

_BAD = (Verification.MISMATCH, Verification.MISSING, Verification.UNREACHABLE)
_BUNDLE = sa.Table(
    "bundle_plan",
    sa.MetaData(),
    sa.Column("package_id", UuidText, primary_key=True),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
_MEMBER = data_transfer_package_member


@dataclass(frozen=True, slots=True)
class NewBundle:
    """A bundle that was planned."""

    name: str | None
    """None when it waits for more, or nothing was written."""

    routes: tuple[str, ...]
    origin: str
    destinations: tuple[str, ...]
    packages: int
    size_bytes: int
    goes: bool
    """False when it waits for more."""


@dataclass(slots=True)
class TransferSummary:
    """What was planned, and what waits."""

    bundles: int = 0
    transfers: int = 0
    packages: int = 0
    """In these bundles."""

    size_bytes: int = 0
    """Of these packages."""

    waiting: int = 0
    """Packages that wait until a bundle is full, or they have waited long enough."""

    unfinished: int = 0
    """Packages that wait until everything of their execution is built."""

    changed: int = 0
    """Bundles that were not written, because others had changed something of their packages meanwhile."""

    dry_run: bool = False


def plan_transfers(
    database: Database,
    limits: BundleLimits,
    *,
    overdue_after: timedelta,
    actor: str,
    route: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    planned: Callable[[NewBundle], None] | None = None,
) -> TransferSummary:
    """Bundle packages that are wanted elsewhere, with one transfer for each destination; two by way of a relay.

    Args:
        database: Opened with the owner's login.
        limits: How large a bundle becomes.
        overdue_after: What has waited so long goes in a bundle below the minimum.
        actor: Who plans; kept in the history.
        route: Name of the only route that counts.
        again: Send also what was sent there before and is not there, as after a transfer that failed for good.
        dry_run: Say what would be planned, and write nothing.
        planned: Told each bundle, those that wait too.

    Raises:
        NotFoundError: There is no active route of this name.
        IntegrityError: A route leads nowhere.
        SettingsError: The operations tables are another's.
    """
    summary = TransferSummary(dry_run=dry_run)
    with database.engine.connect() as reader:
        refuse_attached(reader)
        since = read_clock(reader) - overdue_after
        for wants in _wants(read_ways(reader, route), again=again):
            summary.unfinished += reader.scalar(_select_unfinished(wants, since)) or 0
            with closing(packages_to_send(reader, wants, since)) as packages:
                for bundle in plan_bundles(packages, limits):
                    name = _write(database, bundle, wants, actor) if bundle.goes and not dry_run else None
                    if bundle.goes and not dry_run and name is None:
                        summary.changed += 1
                        continue
                    _count(summary, bundle, wants)
                    if planned is not None:
                        planned(_described(name, bundle, wants))
    return summary


@dataclass(frozen=True, slots=True)
class _Wants:
    """What is asked of the packages at one origin."""

    origin: Place
    better: tuple[Place, ...]
    """Origins of the same site from which a package is sent rather, if it is there."""

    ways: tuple[Way, ...]
    again: bool

    @property
    def needs(self) -> list[sa.ColumnElement[bool]]:
        """For each way, whether a package has to go it."""
        return [self._is_wanted(way.destination.location_id) for way in self.ways]

    def _is_wanted(self, place: int) -> sa.ColumnElement[bool]:
        there = sa.exists().where(
            PhysicalCopy.raw_data_package_id == RawDataPackage.id,
            PhysicalCopy.data_location_id == place,
            PhysicalCopy.status != PhysicalCopyStatus.DELETED,
        )
        sent = sa.exists().where(
            _MEMBER.c.raw_data_package_id == RawDataPackage.id,
            DataTransfer.data_transfer_package_id == _MEMBER.c.data_transfer_package_id,
            sa.func.coalesce(DataTransfer.destination_location_id, 0) == place,  # not by an index: all transfers match
            *((is_under_way(),) if self.again else ()),
        )
        return sa.and_(sa.not_(there), sa.not_(sent))

    def is_ready(self) -> sa.ColumnElement[bool]:
        """A package is built, lies whole at the origin, and nobody wants that copy gone."""
        states = list(PackageState) if self.again else [s for s in PackageState if s is not PackageState.FAILED]
        conditions = [
            RawDataPackage.status == Status.COMPLETED,
            RawDataPackage.size_bytes.is_not(None),
            RawDataPackage.state.in_(states),
            _lies_at([self.origin]),
        ]
        if self.better:
            conditions.append(sa.not_(_lies_at(self.better)))
        return sa.and_(*conditions)


def _wants(ways: list[Way], *, again: bool) -> Iterator[_Wants]:
    """What is asked of each origin, the preferred of a site first."""
    for _, at_site in groupby(ways, key=lambda way: way.origin.site):
        better: list[Place] = []
        for origin, from_here in groupby(at_site, key=lambda way: way.origin):
            yield _Wants(origin, tuple(better), tuple(from_here), again)
            better.append(origin)


def _lies_at(places: Sequence[Place]) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        PhysicalCopy.raw_data_package_id == RawDataPackage.id,
        PhysicalCopy.data_location_id.in_([place.location_id for place in places]),
        PhysicalCopy.status != PhysicalCopyStatus.DELETED,  # the condition of the index, without which SQLite scans
        PhysicalCopy.status == PhysicalCopyStatus.PRESENT,
        PhysicalCopy.verification.not_in(_BAD),
    )


def packages_to_send(connection: sa.Connection, wants: _Wants, since: datetime) -> Generator[PackageToSend]:
    """Packages that wait at an origin, in the order in which they are planned.

    What has waited too long comes first, then the priority of the planned observation counts, then the time at which
    it was first begun. Of an execution of which something is not built yet only what has waited too long goes.
    """
    needs = [sa.case((need, 1), else_=0).label(f"need_{number}") for number, need in enumerate(wants.needs)]
    begun = sa.func.coalesce(ExecutedObsUnit.start_time, RawDataPackage.created_at)
    waiting = (
        sa.select(
            RawDataPackage.id,
            RawDataPackage.size_bytes,
            RawDataPackage.sequence,
            RawDataPackage.created_at,
            RawDataPackage.executed_obs_unit_id,
            ExecutedObsUnit.obs_unit_id,
            ExecutedObsUnit.start_time,
            sa.func.coalesce(ObsUnit.priority, 2).label("priority"),
            begun.label("begun"),
            *needs,
        )
        .join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataPackage.executed_obs_unit_id)
        .join(ObsUnit, ObsUnit.id == ExecutedObsUnit.obs_unit_id)
        .where(
            wants.is_ready(),
            sa.or_(*wants.needs),
            sa.or_(RawDataPackage.executed_obs_unit_id.not_in(_unfinished()), RawDataPackage.created_at <= since),
        )
        .subquery("waiting")
    )
    wanted = [waiting.c[need.name] for need in needs]
    together = [*wanted, waiting.c.obs_unit_id]
    alike = (
        sa.select(
            waiting,
            sa.cast(sa.func.sum(waiting.c.size_bytes).over(partition_by=together), sa.BigInteger).label("unit_bytes"),
            sa.func.min(waiting.c.begun).over(partition_by=together).label("unit_begun"),
            sa.case((sa.func.min(waiting.c.created_at).over(partition_by=together) <= since, 1), else_=0).label("late"),
        )
    ).subquery("alike")
    row = alike.c
    query = sa.select(alike).order_by(
        *(row[need.name].desc() for need in needs),
        row.late.desc(),
        row.priority,
        row.unit_begun,
        row.obs_unit_id,
        row.start_time.is_(None),
        row.start_time,
        row.executed_obs_unit_id,
        row.sequence,
        row.id,
    )
    with closing(stream_rows(connection, query)) as rows:
        for some in rows:
            yield PackageToSend(
                some.id,
                some.executed_obs_unit_id,
                some.obs_unit_id,
                some.size_bytes,
                tuple(number for number, need in enumerate(needs) if some._mapping[need.name]),
                bool(some.late),
                some.unit_bytes,
            )


def _unfinished() -> sa.CompoundSelect[Any]:
    """Executions that have files in no package, or packages that are still to be built."""
    loose = sa.select(RawDataFile.executed_obs_unit_id).where(
        RawDataFile.raw_data_package_id.is_(None), RawDataFile.executed_obs_unit_id.is_not(None)
    )
    other = RawDataPackage.__table__.alias("other")
    return sa.union(loose, sa.select(other.c.executed_obs_unit_id).where(other.c.status.in_(OPEN)))


def _select_unfinished(wants: _Wants, since: datetime) -> sa.Select[Any]:
    """How many packages wait for others of their execution."""
    return sa.select(sa.func.count(RawDataPackage.id)).where(
        wants.is_ready(),
        sa.or_(*wants.needs),
        RawDataPackage.executed_obs_unit_id.in_(_unfinished()),
        RawDataPackage.created_at > since,
    )


def _write(database: Database, bundle: PlannedBundle, wants: _Wants, actor: str) -> str | None:
    """Write a bundle and its transfers; None when its packages have changed since they were read.

    Whoever wants to delete a copy of a package waits for this transaction, and sees the transfers then.
    """
    with database.begin() as connection:
        _BUNDLE.create(connection, checkfirst=False)
        database.bulk_insert(connection, _BUNDLE, ("package_id",), ((package,) for package in bundle.packages))
        mine = sa.select(_BUNDLE.c.package_id)
        locked = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(mine)).order_by(RawDataPackage.id)
        connection.execute(locked.with_for_update()).all()
        needed = [need for number, need in enumerate(wants.needs) if number in bundle.ways]
        unchanged = sa.select(sa.func.count(RawDataPackage.id)).where(
            RawDataPackage.id.in_(mine), wants.is_ready(), *needed
        )
        if connection.scalar(unchanged) != len(bundle.packages):
            _BUNDLE.drop(connection)
            return None
        travelled = sa.select(sa.func.count()).where(_MEMBER.c.raw_data_package_id == bundle.packages[0])
        journey = connection.scalar(travelled) or 0
        identifier = build_bundle_id(str(wants.origin), journey, bundle.packages)
        name = f"{wants.origin.site}-{identifier.hex[:12]}"
        values = {"id": identifier, "name": name, "relative_path": f"transfers/{name}.tar"}
        connection.execute(sa.insert(DataTransferPackage).values(values))
        members = sa.select(sa.cast(sa.literal(identifier, UuidText), UuidText), _BUNDLE.c.package_id)
        columns = ["data_transfer_package_id", "raw_data_package_id"]
        connection.execute(sa.insert(_MEMBER).from_select(columns, members))
        connection.execute(sa.insert(DataTransfer), _transfers(identifier, bundle, wants))
        settle_packages(connection, identifier, actor=actor, reason=f"bundled as {name}")
        _BUNDLE.drop(connection)
    return name


def _transfers(bundle_id: UUID, bundle: PlannedBundle, wants: _Wants) -> list[dict[str, Any]]:
    """A transfer for each leg; where the next leg begins, nothing is unpacked."""
    return [
        {
            "data_transfer_package_id": bundle_id,
            "data_transfer_route_id": way.route_id,
            "origin_location_id": origin.location_id,
            "destination_location_id": destination.location_id,
            "unpack_status": Status.PENDING if destination == way.destination else Status.COMPLETED,
        }
        for way in _ways(bundle, wants)
        for origin, destination in way.legs
    ]


def _ways(bundle: PlannedBundle, wants: _Wants) -> list[Way]:
    return [wants.ways[number] for number in bundle.ways]


def _count(summary: TransferSummary, bundle: PlannedBundle, wants: _Wants) -> None:
    if not bundle.goes:
        summary.waiting += len(bundle.packages)
        return
    summary.bundles += 1
    summary.transfers += sum(len(way.legs) for way in _ways(bundle, wants))
    summary.packages += len(bundle.packages)
    summary.size_bytes += bundle.size_bytes


def _described(name: str | None, bundle: PlannedBundle, wants: _Wants) -> NewBundle:
    ways = _ways(bundle, wants)
    return NewBundle(
        name,
        tuple(way.route for way in ways),
        str(wants.origin),
        tuple(str(way.destination) for way in ways),
        len(bundle.packages),
        bundle.size_bytes,
        bundle.goes,
    )
