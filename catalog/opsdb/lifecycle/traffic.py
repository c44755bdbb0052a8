"""Which copies a transfer or a staging that is not over reads or brings; unpacking is part of a transfer."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.enums import Status
from catalog.opsdb.models import (
    DataTransfer,
    LongTermArchiveTransfer,
    PhysicalCopy,
    StagingJob,
    data_transfer_package_member,
    staging_job_package,
)

__all__ = ["OPEN", "is_arriving", "is_under_way", "is_used"]

OPEN = (Status.PENDING, Status.SCHEDULED, Status.IN_PROGRESS)
"""An operation that is not over."""

_MEMBER = data_transfer_package_member.c
_STAGED = staging_job_package.c


def is_arriving(copy: type[PhysicalCopy]) -> sa.ColumnElement[bool]:
    """A package's copy is where a transfer of the package that is not over ends."""
    archived = sa.exists().where(
        LongTermArchiveTransfer.raw_data_package_id == copy.raw_data_package_id,
        LongTermArchiveTransfer.destination_location_id == copy.data_location_id,
        LongTermArchiveTransfer.status.in_(OPEN),
    )
    brought = sa.exists().where(
        _MEMBER.raw_data_package_id == copy.raw_data_package_id,
        DataTransfer.data_transfer_package_id == _MEMBER.data_transfer_package_id,
        DataTransfer.destination_location_id == copy.data_location_id,
        is_under_way(),
    )
    return sa.or_(archived, brought)


def is_under_way() -> sa.ColumnElement[bool]:
    """A transfer has not arrived, or what has arrived is not unpacked."""
    unpacks = sa.and_(DataTransfer.status == Status.COMPLETED, DataTransfer.unpack_status.in_(OPEN))
    return sa.or_(DataTransfer.status.in_(OPEN), unpacks)


def is_used(*, chosen: bool = False) -> sa.ColumnElement[bool]:
    """A transfer or staging that is not over begins or ends with the copy.

    Args:
        chosen: Pass over stagings that have not chosen what they read; else they may read any copy.
    """
    here = PhysicalCopy.data_location_id
    archiving = sa.exists().where(
        LongTermArchiveTransfer.raw_data_package_id == PhysicalCopy.raw_data_package_id,
        here.in_((LongTermArchiveTransfer.origin_location_id, LongTermArchiveTransfer.destination_location_id)),
        LongTermArchiveTransfer.status.in_(OPEN),
    )
    moving = sa.exists().where(
        DataTransfer.data_transfer_package_id == PhysicalCopy.data_transfer_package_id,
        here.in_((DataTransfer.origin_location_id, DataTransfer.destination_location_id)),
        is_under_way(),
    )
    inside = sa.exists().where(
        _MEMBER.raw_data_package_id == PhysicalCopy.raw_data_package_id,
        DataTransfer.data_transfer_package_id == _MEMBER.data_transfer_package_id,
        here.in_((DataTransfer.origin_location_id, DataTransfer.destination_location_id)),
        is_under_way(),
    )
    staging = sa.exists().where(
        _STAGED.raw_data_package_id == PhysicalCopy.raw_data_package_id,
        StagingJob.id == _STAGED.staging_job_id,
        StagingJob.status.in_(OPEN),
        sa.or_(
            sa.false() if chosen else StagingJob.origin_location_id.is_(None),
            here.in_((StagingJob.origin_location_id, StagingJob.destination_location_id)),
        ),
    )
    return sa.or_(archiving, moving, inside, staging)
