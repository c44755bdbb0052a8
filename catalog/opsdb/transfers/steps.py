"""The steps of a transfer: bundle, move, unpack. What is due, what must be done before, and what follows from each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.db.clock import read_clock
from catalog.errors import IntegrityError
from catalog.opsdb.arrivals import record_arrivals
from catalog.opsdb.enums import PhysicalCopyStatus, Status
from catalog.opsdb.lifecycle.traffic import OPEN
from catalog.opsdb.models import DataLocation, DataTransfer, DataTransferPackage, PhysicalCopy, RawDataPackage, Site
from catalog.opsdb.transfers.settle import fail_packages, members_of, settle_packages
from catalog.opsdb.work import RetryRules, Work, governed_by, is_rested, move_rows

__all__ = [
    "EFFECTS",
    "WORKS",
    "Key",
    "StepReport",
    "TransferStep",
    "first_legs",
    "give_up_what_follows",
    "refuse_early",
    "select_due",
]

Key = int | UUID
"""Of a transfer package, or number of a transfer."""


class TransferStep(StrEnum):
    """What movers do, in this order."""

    BUNDLE = "bundle"
    """Build the transfer package at the origin; its key is that of the transfer package."""

    MOVE = "move"
    """Bring it to the destination; the key of this and the next is the number of the transfer."""

    UNPACK = "unpack"
    """Unpack it there, so that there are copies of the packages."""


WORKS: Mapping[TransferStep, Work] = {
    TransferStep.BUNDLE: Work(governed_by(DataTransferPackage, "status")),
    TransferStep.MOVE: Work(governed_by(DataTransfer, "status"), "retry_count", is_timed=True),
    TransferStep.UNPACK: Work(governed_by(DataTransfer, "unpack_status"), "unpack_retry_count"),
}
"""Which column each step moves."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a mover says of a step that is done."""

    actor: str
    reason: str | None
    known: dict[str, Any]
    size_bytes: int | None
    is_verified: bool


# What is due


def select_due(connection: sa.Connection, step: TransferStep, rules: RetryRules, site: str | None) -> sa.Select[Any]:
    """Keys of what is due, what has waited longest first; of one site when it is named."""
    work = WORKS[step]
    rested = is_rested(work, rules, read_clock(connection))
    if step is TransferStep.BUNDLE:
        begins = first_legs(DataTransferPackage.id)
        if site is not None:
            begins = begins.where(_at_site(DataTransfer.origin_location_id, site))
        bundles = sa.select(DataTransferPackage.id).where(rested, begins.exists())
        return bundles.order_by(DataTransferPackage.created_at, DataTransferPackage.id)
    query = sa.select(DataTransfer.id).where(rested, _may_begin(step))
    if site is not None:
        place = DataTransfer.origin_location_id if step is TransferStep.MOVE else DataTransfer.destination_location_id
        query = query.where(_at_site(place, site))
    return query.order_by(DataTransfer.created_at, DataTransfer.id)


def first_legs(bundle: Any) -> sa.Select[Any]:
    """Transfers of a bundle that are not over and begin where it is built."""
    before = aliased(DataTransfer)
    leads_here = sa.exists().where(
        before.data_transfer_package_id == DataTransfer.data_transfer_package_id,
        before.destination_location_id == DataTransfer.origin_location_id,
    )
    return sa.select(DataTransfer.origin_location_id).where(
        DataTransfer.data_transfer_package_id == bundle, DataTransfer.status.in_(OPEN), sa.not_(leads_here)
    )


def _may_begin(step: TransferStep) -> sa.ColumnElement[bool]:
    """What comes before a step is done, and the transfer package lies where the step begins."""
    place = DataTransfer.origin_location_id if step is TransferStep.MOVE else DataTransfer.destination_location_id
    lies = sa.exists().where(
        PhysicalCopy.data_transfer_package_id == DataTransfer.data_transfer_package_id,
        PhysicalCopy.data_location_id == place,
        PhysicalCopy.status != PhysicalCopyStatus.DELETED,  # the condition of the index, without which SQLite scans
        PhysicalCopy.status == PhysicalCopyStatus.PRESENT,
    )
    built = sa.exists().where(
        DataTransferPackage.id == DataTransfer.data_transfer_package_id, DataTransferPackage.status == Status.COMPLETED
    )
    return sa.and_(built if step is TransferStep.MOVE else DataTransfer.status == Status.COMPLETED, lies)


def _at_site(location: Any, site: str) -> sa.ColumnElement[bool]:
    there = sa.select(DataLocation.id).join(Site, Site.id == DataLocation.site_id).where(Site.key == site)
    return sa.cast(location.in_(there), sa.Boolean)


def refuse_early(connection: sa.Connection, step: TransferStep, key: Key) -> None:
    """See that a step that was begun by name may be begun.

    Raises:
        IntegrityError: What comes before it is not done.
    """
    if step is TransferStep.BUNDLE:
        if connection.scalar(first_legs(key).limit(1)) is None:
            raise IntegrityError(f"no transfer of the transfer package {key} waits for it")
        return
    if connection.scalar(sa.select(DataTransfer.id).where(DataTransfer.id == key, _may_begin(step))) is None:
        before = "its transfer package does not lie" if step is TransferStep.MOVE else "it has not arrived"
        where = "at the origin" if step is TransferStep.MOVE else "at the destination"
        raise IntegrityError(f"the transfer {key} cannot begin to {step}: {before} {where}")


# What a step brings about


def _built(connection: sa.Connection, key: Key, report: StepReport) -> None:
    for place in connection.scalars(first_legs(key).distinct()).all():
        _record_bundle(connection, key, place, report.known)


def _moved(connection: sa.Connection, key: Key, report: StepReport) -> None:
    query = sa.select(
        DataTransfer.data_transfer_package_id,
        DataTransfer.destination_location_id,
        DataTransferPackage.size_bytes,
        DataTransferPackage.checksum,
        DataTransferPackage.checksum_algorithm,
    ).join(DataTransferPackage)
    row = connection.execute(query.where(DataTransfer.id == key)).one()
    known = dict(report.known)
    same_kind = known.get("checksum_algorithm") == row.checksum_algorithm
    if report.size_bytes not in (None, row.size_bytes) or (same_kind and known["checksum"] != row.checksum):
        raise IntegrityError(
            f"what the transfer {key} has brought has another size or checksum than what was sent",
            hint="StepReport that it has failed.",
        )
    _record_bundle(connection, row.data_transfer_package_id, row.destination_location_id, known, is_whole=same_kind)


def _unpacked(connection: sa.Connection, key: Key, report: StepReport) -> None:
    query = sa.select(DataTransfer.data_transfer_package_id, DataTransfer.destination_location_id)
    bundle, place = connection.execute(query.where(DataTransfer.id == key)).one()
    members = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(members_of(bundle)))
    connection.execute(members.order_by(RawDataPackage.id).with_for_update()).all()
    record_arrivals(
        connection,
        "raw_data_package",
        members_of(bundle),
        place,
        now=read_clock(connection),
        is_verified=report.is_verified,
    )
    settle_packages(connection, bundle, actor=report.actor, reason=report.reason)


EFFECTS: Mapping[TransferStep, Callable[[sa.Connection, Key, StepReport], None]] = {
    TransferStep.BUNDLE: _built,
    TransferStep.MOVE: _moved,
    TransferStep.UNPACK: _unpacked,
}


def _record_bundle(
    connection: sa.Connection, bundle: Any, place: int, known: dict[str, Any], *, is_whole: bool = False
) -> None:
    record_arrivals(
        connection,
        "data_transfer_package",
        sa.select(DataTransferPackage.id).where(DataTransferPackage.id == bundle),
        place,
        now=read_clock(connection),
        is_verified=is_whole,
        checksum=known.get("checksum"),
        checksum_algorithm=known.get("checksum_algorithm"),
    )


def give_up_what_follows(connection: sa.Connection, step: TransferStep, key: Key, actor: str, reason: str) -> None:
    """Steps that can never begin now have failed, too, and packages that nothing else brings anywhere."""
    transfer = DataTransfer.__table__.c
    if step is TransferStep.BUNDLE:
        bundle: Any = key
        follows = transfer.data_transfer_package_id == key
    else:
        query = sa.select(DataTransfer.data_transfer_package_id, DataTransfer.destination_location_id)
        bundle, place = connection.execute(query.where(DataTransfer.id == key)).one()
        follows = sa.and_(transfer.data_transfer_package_id == bundle, transfer.origin_location_id == place)
    work = WORKS[TransferStep.MOVE]
    why = f"what leads to it has failed: {reason}"
    waits = sa.and_(follows, transfer.status.in_((Status.PENDING, Status.SCHEDULED)))
    move_rows(connection, work.governed, waits, Status.FAILED, actor=actor, reason=why, failure=why)
    fail_packages(connection, bundle, actor=actor, reason=reason)
