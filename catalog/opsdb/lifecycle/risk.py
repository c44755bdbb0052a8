"""Which packages are at risk: one set of conditions, for the command that lists them and for the published column."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.availability import is_offered
from catalog.opsdb.lifecycle.rules import Bounds
from catalog.opsdb.lifecycle.survivors import is_survivor
from catalog.opsdb.models import DataLocation, PackagePublication, PhysicalCopy, RawDataPackage

__all__ = ["Risk", "count_sites", "find_risks", "select_risks"]


class Risk(StrEnum):
    """Why a package is at risk."""

    BELOW_RULE = "below_rule"
    """It is archived, and archives keep verified copies at fewer sites than the rules want."""

    ONLY_TRANSIENT = "only_transient"
    """What can be read of it lies at sources and buffers only."""

    VERIFICATION_EXPIRED = "verification_expired"
    """An archive copy was found whole, but too long ago."""


def find_risks(
    copy: type[PhysicalCopy], location: type[DataLocation], package: type[RawDataPackage], bounds: Bounds
) -> dict[Risk, sa.ColumnElement[bool]]:
    """Whether each risk applies, over the copies of one package: aggregates.

    Args:
        copy: The copies.
        location: Where they lie.
        package: The package, which is the same for all of them.
        bounds: What counts now.
    """
    in_archive = location.location_type == LocationType.LONG_TERM_ARCHIVE
    in_transit = location.location_type.in_((LocationType.SOURCE, LocationType.BUFFER))
    is_readable = is_offered(copy.status, copy.verification)
    expired = sa.and_(
        in_archive,
        copy.status == PhysicalCopyStatus.PRESENT,
        copy.verification == Verification.OK,
        sa.func.coalesce(copy.verified_at < bounds.oldest, sa.true()),
    )
    few = count_sites(copy, location, package, bounds) < bounds.archive_sites
    return {
        Risk.BELOW_RULE: sa.and_(package.state == PackageState.ARCHIVED, few),
        Risk.ONLY_TRANSIENT: sa.and_(
            _any(sa.and_(is_readable, in_transit)), sa.not_(_any(sa.and_(is_readable, sa.not_(in_transit))))
        ),
        Risk.VERIFICATION_EXPIRED: _any(expired),
    }


def count_sites(
    copy: type[PhysicalCopy], location: type[DataLocation], package: type[RawDataPackage], bounds: Bounds
) -> sa.ColumnElement[int]:
    """At how many sites archives keep verified copies of one package: an aggregate."""
    return sa.func.count(sa.case((is_survivor(copy, location, package, bounds), location.site_id)).distinct())


def select_risks(bounds: Bounds) -> sa.Select[*tuple[Any, ...]]:
    """SELECT of the packages at risk: ``id``, ``obs_publisher_did``, ``sites``, and a column for each risk."""
    copy, location, package = aliased(PhysicalCopy), aliased(DataLocation), aliased(RawDataPackage)
    flags = find_risks(copy, location, package, bounds)
    published = PackagePublication.raw_data_package_id == package.id
    return (
        sa.select(
            package.id,
            sa.select(PackagePublication.obs_publisher_did)
            .where(published)
            .scalar_subquery()
            .label("obs_publisher_did"),
            count_sites(copy, location, package, bounds).label("sites"),
            *(flag.label(risk.value) for risk, flag in flags.items()),
        )
        .outerjoin(copy, copy.raw_data_package_id == package.id)
        .outerjoin(location, location.id == copy.data_location_id)
        .group_by(package.id)
        .having(sa.or_(*flags.values()))
        .order_by(package.id)
    )


def _any(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.func.count(sa.case((condition, 1))) > 0
