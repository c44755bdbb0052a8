"""Which copies may be deleted, and what is left then: one SELECT, for rehearsal, for execution and for the audit.

A copy stands for the packages whose content it carries: itself a package, a file of one, or a transfer package of
many. What is counted on are survivors: copies of these packages in long-term archives that were found whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.db import UtcDateTime
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.rules import Bounds, DeletionRules
from catalog.opsdb.lifecycle.traffic import is_arriving, is_used
from catalog.opsdb.models import (
    DataLocation,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    Site,
    data_transfer_package_member,
)

__all__ = [
    "NAMED_COPIES",
    "Refusal",
    "Survivor",
    "Verdict",
    "is_survivor",
    "read_survivors",
    "read_verdicts",
    "select_survivors",
    "subjects_of",
    "verdicts",
]


class Refusal(StrEnum):
    """Why a copy may not go; the first that applies."""

    IN_USE = "in_use"
    NOT_PACKAGED = "not_packaged"
    CONTENTS_UNKNOWN = "contents_unknown"
    NOT_ARCHIVED = "not_archived"
    NO_SURVIVOR = "no_survivor"
    TOO_FEW_SURVIVORS = "too_few_survivors"
    TOO_FEW_SITES = "too_few_sites"
    TOO_FEW_MEDIA = "too_few_media"

    @property
    def sentence(self) -> str:
        """In words."""
        return _SENTENCES[self]


_SENTENCES = {
    Refusal.IN_USE: "a transfer or a staging that is not over begins or ends with it",
    Refusal.NOT_PACKAGED: "its file is in no package",
    Refusal.CONTENTS_UNKNOWN: "nothing says which packages the transfer package holds",
    Refusal.NOT_ARCHIVED: "a package that it carries is not archived",
    Refusal.NO_SURVIVOR: "no verified copy in a long-term archive would be left",
    Refusal.TOO_FEW_SURVIVORS: "too few verified copies in long-term archives would be left",
    Refusal.TOO_FEW_SITES: "verified copies in long-term archives would be left at too few sites",
    Refusal.TOO_FEW_MEDIA: "verified copies in long-term archives would be left on too few kinds of storage",
}


@dataclass(frozen=True, slots=True)
class Survivor:
    """A copy that is counted on."""

    copy_id: int
    package_id: str
    site: str
    location: str
    medium: str
    verified_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """For the history."""
        return {
            "copy_id": self.copy_id,
            "package_id": self.package_id,
            "site": self.site,
            "location": self.location,
            "medium": self.medium,
            "verified_at": self.verified_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one copy may go."""

    copy_id: int
    status: PhysicalCopyStatus
    site: str
    location: str
    location_type: LocationType
    packages: int
    """How many packages it carries content of."""

    survivors: int
    """Verified archive copies that would be left, of the package that has fewest."""

    sites: int
    media: int
    refusal: Refusal | None
    """None when it may go."""

    def as_dict(self) -> dict[str, Any]:
        """For the history, and for programs that read JSON."""
        return {
            "copy_id": self.copy_id,
            "status": str(self.status),
            "site": self.site,
            "location": self.location,
            "location_type": str(self.location_type),
            "packages": self.packages,
            "survivors": self.survivors,
            "sites": self.sites,
            "media": self.media,
            "refusal": None if self.refusal is None else str(self.refusal),
        }


_MEMBER = data_transfer_package_member.c


def read_verdicts(
    connection: sa.Connection,
    copy_ids: Sequence[int],
    rules: DeletionRules,
    *,
    without: Collection[int] = (),
    without_site: str | None = None,
) -> list[Verdict]:
    """Judge some copies; what is deleted or unknown is left out.

    Args:
        connection: Any; who wants to act on the verdict holds the lock of `catalog.opsdb.lifecycle.deletion`.
        copy_ids: Some thousands at most.
        rules: What must be left.
        without: Copies that do not count.
        without_site: Key of a site whose copies do not count.
    """
    values = asdict(rules.at(read_clock(connection)))
    values |= {"keys": list(copy_ids), "without": list(without), "without_site": without_site}
    return [
        Verdict(
            row.copy_id,
            row.status,
            row.site,
            row.location,
            row.location_type,
            row.packages,
            row.survivors,
            row.sites,
            row.media,
            None if row.refusal is None else Refusal(row.refusal),
        )
        for row in connection.execute(_verdicts_of_named(), values)
    ]


def read_survivors(
    connection: sa.Connection,
    packages: Sequence[UUID],
    rules: DeletionRules,
    *,
    without: Collection[int] = (),
    without_site: str | None = None,
) -> list[Survivor]:
    """The copies of packages that are counted on.

    Args:
        connection: Any.
        packages: Their ids.
        rules: What counts.
        without: Copies that do not count.
        without_site: Key of a site whose copies do not count.
    """
    values = asdict(rules.at(read_clock(connection))) | {"without": list(without), "without_site": without_site}
    found: list[Survivor] = []
    for some in listed(packages):
        found += [
            Survivor(row.copy_id, str(row.package_id), row.site, row.location, str(row.medium), row.verified_at)
            for row in connection.execute(_survivors_of_named(), values | {"packages": some})
        ]
    return found


_NAMED_BOUNDS = Bounds(
    *(sa.bindparam(name, type_=sa.Integer) for name in ("survivors", "archive_sites", "archive_media")),
    *(sa.bindparam(name, type_=UtcDateTime) for name in ("oldest", "latest")),
)
_NAMED: dict[str, Any] = {
    "without": sa.bindparam("without", type_=sa.BigInteger, expanding=True),
    "without_site": sa.bindparam("without_site", type_=sa.Text),
}
NAMED_COPIES = PhysicalCopy.id.in_(sa.bindparam("keys", expanding=True))
"""Condition: the copies whose numbers are given as ``keys`` when the statement runs. Such statements are made once."""


@cache
def _verdicts_of_named() -> sa.Select[*tuple[Any, ...]]:
    return verdicts(NAMED_COPIES, _NAMED_BOUNDS, **_NAMED).order_by("copy_id")


@cache
def _survivors_of_named() -> sa.Select[*tuple[Any, ...]]:
    counted = select_survivors(_NAMED_BOUNDS, **_NAMED).subquery()
    named = counted.c.package_id.in_(sa.bindparam("packages", expanding=True))
    return sa.select(counted).where(named).order_by(counted.c.package_id, counted.c.site, counted.c.copy_id)


def verdicts(
    which: sa.ColumnElement[bool],
    bounds: Bounds,
    *,
    without: sa.BindParameter[Any] | None = None,
    without_site: sa.BindParameter[Any] | None = None,
) -> sa.Select[*tuple[Any, ...]]:
    """SELECT of the verdicts, a row for each copy that is not deleted; columns as in `Verdict`.

    Args:
        which: Condition on `PhysicalCopy`.
        bounds: What must be left.
        without: Numbers of copies that do not count.
        without_site: Key of a site whose copies do not count; none if it is NULL.
    """
    counted = select_survivors(bounds, without=without, without_site=without_site).subquery("counted")
    subjects = subjects_of(which).subquery("subjects")
    left = (
        sa.select(
            subjects.c.copy_id,
            subjects.c.package_id,
            sa.func.count(counted.c.copy_id).label("survivors"),
            sa.func.count(counted.c.site_id.distinct()).label("sites"),
            sa.func.count(counted.c.medium.distinct()).label("media"),
        )
        .join_from(
            subjects,
            counted,
            sa.and_(counted.c.package_id == subjects.c.package_id, counted.c.copy_id != subjects.c.copy_id),
        )
        .group_by(subjects.c.copy_id, subjects.c.package_id)
        .subquery("survivors_left")
    )
    carried = subjects_of(which).subquery("carried")
    least = (
        sa.select(
            carried.c.copy_id,
            sa.func.count(RawDataPackage.id).label("packages"),
            sa.func.count(RawDataPackage.id).filter(RawDataPackage.state == PackageState.ARCHIVED).label("archived"),
            *(
                sa.func.min(sa.func.coalesce(left.c[name], sa.literal_column("0"))).label(name)
                for name in ("survivors", "sites", "media")
            ),
        )
        .join_from(carried, RawDataPackage, RawDataPackage.id == carried.c.package_id)
        .outerjoin(left, sa.and_(left.c.copy_id == carried.c.copy_id, left.c.package_id == carried.c.package_id))
        .group_by(carried.c.copy_id)
        .subquery("least")
    )
    counts = {name: sa.func.coalesce(least.c[name], 0) for name in ("packages", "survivors", "sites", "media")}
    return (
        sa.select(
            PhysicalCopy.id.label("copy_id"),
            PhysicalCopy.status,
            Site.key.label("site"),
            DataLocation.name.label("location"),
            DataLocation.location_type,
            *(column.label(name) for name, column in counts.items()),
            _refusal(least, counts, bounds).label("refusal"),
        )
        .join_from(PhysicalCopy, DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
        .join(Site, Site.id == DataLocation.site_id)
        .outerjoin(least, least.c.copy_id == PhysicalCopy.id)
        .where(which, PhysicalCopy.status != PhysicalCopyStatus.DELETED)
    )


def subjects_of(which: sa.ColumnElement[bool]) -> sa.CompoundSelect[Any]:
    """SELECT of copies and the packages whose content they carry: ``copy_id``, ``package_id``."""
    package = sa.select(PhysicalCopy.id.label("copy_id"), PhysicalCopy.raw_data_package_id.label("package_id"))
    file = sa.select(PhysicalCopy.id, RawDataFile.raw_data_package_id).join(
        RawDataFile, RawDataFile.id == PhysicalCopy.raw_data_file_id
    )
    member = sa.select(PhysicalCopy.id, _MEMBER.raw_data_package_id).join(
        data_transfer_package_member, _MEMBER.data_transfer_package_id == PhysicalCopy.data_transfer_package_id
    )
    return sa.union_all(
        package.where(which, PhysicalCopy.raw_data_package_id.is_not(None)),
        file.where(which, RawDataFile.raw_data_package_id.is_not(None)),
        member.where(which),
    )


def is_survivor(
    copy: type[PhysicalCopy], location: type[DataLocation], package: type[RawDataPackage], bounds: Bounds
) -> sa.ColumnElement[bool]:
    """Condition: a copy of the package at the location counts."""
    contradicts = sa.and_(
        copy.checksum_algorithm == package.checksum_algorithm,
        sa.func.coalesce(copy.checksum != package.checksum, sa.false()),
    )
    return sa.and_(
        copy.status == PhysicalCopyStatus.PRESENT,
        copy.verification == Verification.OK,
        copy.verified_at.between(bounds.oldest, bounds.latest),
        sa.not_(sa.func.coalesce(contradicts, sa.false())),
        location.location_type == LocationType.LONG_TERM_ARCHIVE,
        location.active,
        sa.not_(is_arriving(copy)),
    )


def select_survivors(
    bounds: Bounds,
    *,
    without: sa.BindParameter[Any] | None = None,
    without_site: sa.BindParameter[Any] | None = None,
) -> sa.Select[*tuple[Any, ...]]:
    """SELECT of the copies of packages that count: present, whole when last verified, settled in an active archive."""
    copy, location = aliased(PhysicalCopy), aliased(DataLocation)
    package, site = aliased(RawDataPackage), aliased(Site)
    conditions = [is_survivor(copy, location, package, bounds)]
    if without is not None:
        conditions.append(copy.id.not_in(without))
    if without_site is not None:
        conditions.append(site.key.is_distinct_from(without_site))
    return (
        sa.select(
            copy.raw_data_package_id.label("package_id"),
            copy.id.label("copy_id"),
            copy.verified_at,
            site.id.label("site_id"),
            site.key.label("site"),
            location.name.label("location"),
            location.storage_type.label("medium"),
        )
        .join_from(copy, location, location.id == copy.data_location_id)
        .join(site, site.id == location.site_id)
        .join(package, package.id == copy.raw_data_package_id)
        .where(*conditions)
    )


def _refusal(
    least: sa.Subquery, counts: Mapping[str, sa.ColumnElement[int]], bounds: Bounds
) -> sa.ColumnElement[str | None]:
    is_archive = DataLocation.location_type == LocationType.LONG_TERM_ARCHIVE
    return sa.case(
        (is_used(), sa.literal(str(Refusal.IN_USE))),
        (sa.and_(least.c.copy_id.is_(None), PhysicalCopy.raw_data_file_id.is_not(None)), str(Refusal.NOT_PACKAGED)),
        (least.c.copy_id.is_(None), str(Refusal.CONTENTS_UNKNOWN)),
        (sa.and_(sa.not_(is_archive), least.c.archived < counts["packages"]), str(Refusal.NOT_ARCHIVED)),
        (counts["survivors"] < 1, str(Refusal.NO_SURVIVOR)),
        (sa.and_(sa.not_(is_archive), counts["survivors"] < bounds.survivors), str(Refusal.TOO_FEW_SURVIVORS)),
        (sa.and_(is_archive, counts["sites"] < bounds.archive_sites), str(Refusal.TOO_FEW_SITES)),
        (sa.and_(is_archive, counts["media"] < bounds.archive_media), str(Refusal.TOO_FEW_MEDIA)),
        else_=None,
    )
