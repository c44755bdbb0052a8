"""Transfers as movers and operators are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from catalog.opsdb.enums import ChecksumAlgorithm, Status
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferRoute,
    RawDataPackage,
    Site,
    data_transfer_package_member,
)
from catalog.opsdb.transfers.settle import members_of
from catalog.opsdb.transfers.steps import Key, TransferStep, first_legs
from catalog.opsdb.work import WorkChange

__all__ = ["TransferRecord", "TransferTask", "read_task", "select_records"]

_CONTENT = (
    sa.func.count(RawDataPackage.id),
    sa.cast(sa.func.coalesce(sa.func.sum(RawDataPackage.size_bytes), 0), sa.BigInteger),
)


@dataclass(frozen=True, slots=True)
class TransferTask:
    """One step, as the mover is told."""

    step: TransferStep
    key: Key
    attempt: int
    """To be repeated in the report."""

    status: Status
    bundle_id: UUID
    bundle: str
    packages: int
    size_bytes: int | None
    """Of the transfer package; of its packages together before it is built."""

    checksum: str | None
    checksum_algorithm: ChecksumAlgorithm | None
    origin_path: str
    """Where the transfer package lies, or is to be built."""

    destination_path: str | None
    """Where it goes, when it is moved."""


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """A transfer and where it stands."""

    transfer_id: int
    bundle_id: UUID
    bundle: str
    route: str
    origin: str
    destination: str
    packages: int
    size_bytes: int
    """Of these packages together."""

    bundle_status: Status
    status: Status
    failed_attempts: int
    unpack_status: Status
    failed_unpackings: int
    failure: str | None
    started_at: datetime | None
    finished_at: datetime | None


def read_task(connection: sa.Connection, step: TransferStep, change: WorkChange) -> TransferTask:
    """What a mover is told of a step, in the transaction in which it was begun."""
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        if step is TransferStep.BUNDLE:
            bundle = session.get_one(DataTransferPackage, change.key)
            begins = session.scalars(first_legs(bundle.id).limit(1)).one_or_none()
            origin, destination = begins, None
        else:
            transfer = session.get_one(DataTransfer, change.key)
            bundle = transfer.transfer_package
            origin, destination = transfer.origin_location_id, transfer.destination_location_id
            if step is TransferStep.UNPACK:
                origin, destination = destination, None
        count, size = connection.execute(_size_of(bundle.id)).one()
        return TransferTask(
            step,
            change.key,
            change.attempt,
            change.after,
            bundle.id,
            bundle.name,
            count,
            size if bundle.size_bytes is None else bundle.size_bytes,
            bundle.checksum,
            bundle.checksum_algorithm,
            "" if origin is None else session.get_one(DataLocation, origin).full_path(bundle.relative_path),
            None if destination is None else session.get_one(DataLocation, destination).full_path(bundle.relative_path),
        )


def _size_of(bundle: UUID) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*_CONTENT).where(RawDataPackage.id.in_(members_of(bundle)))


def select_records() -> sa.Select[*tuple[Any, ...]]:
    """SELECT of transfers in the order in which they were planned; columns as in `TransferRecord`."""
    places = {name: aliased(DataLocation) for name in ("origin", "destination")}
    sites = {name: aliased(Site) for name in places}
    member = data_transfer_package_member.alias()
    inside = sa.select().join_from(member, RawDataPackage, RawDataPackage.id == member.c.raw_data_package_id)
    mine = inside.where(member.c.data_transfer_package_id == DataTransferPackage.id).correlate(DataTransferPackage)
    count, size = (mine.add_columns(column).scalar_subquery() for column in _CONTENT)
    query = (
        sa.select(
            DataTransfer.id,
            DataTransferPackage.id,
            DataTransferPackage.name,
            DataTransferRoute.name,
            *(sites[name].key + "/" + places[name].name for name in places),
            count,
            size,
            DataTransferPackage.status,
            DataTransfer.status,
            DataTransfer.retry_count,
            DataTransfer.unpack_status,
            DataTransfer.unpack_retry_count,
            DataTransfer.failure,
            DataTransfer.started_at,
            DataTransfer.finished_at,
        )
        .join(DataTransferPackage, DataTransferPackage.id == DataTransfer.data_transfer_package_id)
        .join(DataTransferRoute, DataTransferRoute.id == DataTransfer.data_transfer_route_id)
    )
    for name, column in (
        ("origin", DataTransfer.origin_location_id),
        ("destination", DataTransfer.destination_location_id),
    ):
        query = query.join(places[name], places[name].id == column).join(
            sites[name], sites[name].id == places[name].site_id
        )
    return query.order_by(DataTransfer.created_at, DataTransfer.id)
