"""SELECTs on the operations tables that more than one part of the toolkit needs."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from catalog.opsdb.enums import PackageState, PhysicalCopyStatus
from catalog.opsdb.models import DataLocation, ObservingProgram, PhysicalCopy, RawDataPackage, Site

__all__ = ["Holdings", "SiteCopies", "read_holdings"]


@dataclass(frozen=True, slots=True)
class SiteCopies:
    """How many copies of packages a site holds in one status."""

    site: str
    """Key of the site."""

    status: PhysicalCopyStatus
    copies: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """Counts for people: what the observatory has."""

    packages: dict[PackageState, int]
    """Packages in each state; every state occurs."""

    copies: tuple[SiteCopies, ...]
    """Copies of packages by site and status, in the order of the sites' keys."""

    programs: int


def read_holdings(connection: sa.Connection, packages: sa.Select[tuple[UUID]] | None = None) -> Holdings:
    """Count packages by state, copies of packages by site and status, and programmes.

    Args:
        connection: Of the owner.
        packages: Ids of the packages that count; None for all.
    """
    among = RawDataPackage.id.in_(packages) if packages is not None else sa.true()
    of_these = PhysicalCopy.raw_data_package_id.in_(packages) if packages is not None else sa.true()
    states = connection.execute(
        sa.select(RawDataPackage.state, sa.func.count()).where(among).group_by(RawDataPackage.state)
    )
    counts = {row[0]: row[1] for row in states}
    copies = connection.execute(
        sa.select(Site.key, PhysicalCopy.status, sa.func.count())
        .join(DataLocation, PhysicalCopy.data_location_id == DataLocation.id)
        .join(Site, DataLocation.site_id == Site.id)
        .where(PhysicalCopy.raw_data_package_id.is_not(None), of_these)
        .group_by(Site.key, PhysicalCopy.status)
    )
    order = list(PhysicalCopyStatus)
    found = sorted((SiteCopies(*row) for row in copies), key=lambda c: (c.site, order.index(c.status)))
    return Holdings(
        {state: counts.get(state, 0) for state in PackageState},
        tuple(found),
        connection.scalar(sa.select(sa.func.count()).select_from(ObservingProgram)) or 0,
    )
