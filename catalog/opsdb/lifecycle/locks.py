"""Who decides on content on PostgreSQL keeps all others waiting who would decide on the same.

On SQLite there is one writer at a time.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from catalog.opsdb.enums import LocationType
from catalog.opsdb.lifecycle.survivors import subjects_of
from catalog.opsdb.models import DataLocation, PhysicalCopy, RawDataPackage

__all__ = ["select_locked"]


def select_locked(which: sa.ColumnElement[bool]) -> list[sa.Select[Any]]:
    """SELECTs that lock, in this order: packages, then all that could be counted on, each in the order of their keys.

    A transfer or staging that begins waits for the packages, through its foreign keys.

    Args:
        which: Condition on `PhysicalCopy`: the copies that are decided on.
    """
    packages = sa.select(subjects_of(which).subquery().c.package_id)
    copies = sa.union(
        sa.select(PhysicalCopy.id).where(which),
        sa.select(PhysicalCopy.id).where(PhysicalCopy.raw_data_package_id.in_(packages)),
    )
    archives = DataLocation.location_type == LocationType.LONG_TERM_ARCHIVE
    return [
        sa.select(column).where(rows).order_by(column).with_for_update(read=read)
        for column, rows, read in (
            (RawDataPackage.id, RawDataPackage.id.in_(packages), False),
            (PhysicalCopy.id, PhysicalCopy.id.in_(copies), False),
            (DataLocation.id, archives, True),
        )
    ]
