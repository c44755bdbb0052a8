"""The copies of packages in the order in which to turn to them: what can be read now, where, and why another cannot.

The order is a total one and depends on what is recorded and set alone, so that two services, and two requests, choose
the same copy: readable now, not to be deleted, verified recently, kept for good, near, of high priority; last a hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.opsdb.enums import ChecksumAlgorithm, LocationType, PhysicalCopyStatus, StorageType, Verification
from catalog.opsdb.lifecycle.availability import OFFERED
from catalog.opsdb.models import DataLocation, PhysicalCopy, RawDataPackage, Site

__all__ = ["CopyReader", "Latency", "Obstacle", "PackageCopy", "ReadingRules", "StoredCopy", "Way", "rank_copies"]


class Way(StrEnum):
    """How a client gets the bytes of a copy."""

    STREAM = "stream"
    """From this service, which reads a disk."""

    REDIRECT = "redirect"
    """From another server, to which this service sends the client."""


class Latency(StrEnum):
    """How soon the bytes of a copy are there."""

    ONLINE = "online"
    NEARLINE = "nearline"
    """On tape."""

    OFFLINE = "offline"
    """Its location is out of service."""


class Obstacle(StrEnum):
    """Why a copy cannot be fetched now, what passes soonest first; of several that apply it is the last."""

    ON_TAPE = "on_tape"
    AVOIDED = "avoided"
    NOT_SERVED = "not_served"
    INACTIVE = "inactive"
    UNPACKED = "unpacked"
    GOING = "going"
    DAMAGED = "damaged"
    MISSING = "missing"

    @property
    def sentence(self) -> str:
        """In words."""
        return _SENTENCES[self]


_SENTENCES = {
    Obstacle.ON_TAPE: "it lies on tape and has to be staged first",
    Obstacle.AVOIDED: "its location is out of service now",
    Obstacle.NOT_SERVED: "it is not served over the network",
    Obstacle.INACTIVE: "its location is not in use any more",
    Obstacle.UNPACKED: "its files lie unpacked, and the package itself is gone from there",
    Obstacle.GOING: "it is being deleted",
    Obstacle.DAMAGED: "it was found damaged",
    Obstacle.MISSING: "it was found missing",
}
_OBSTACLES = list(Obstacle)


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What the operator has declared of locations, and of distances."""

    ways: Mapping[str, Way] = field(default_factory=dict)
    """How the bytes of a location, ``SITE/NAME``, are had; no other location is ever read."""

    regions: Mapping[str, str] = field(default_factory=dict)
    """Region of a site, by its key."""

    near: Sequence[str] = ()
    """Regions, the nearest first; others, and sites whose region nobody has declared, come after them."""

    avoid: frozenset[str] = frozenset()
    """Sites, and locations ``SITE/NAME``, that are not to be used now."""

    verified_within: timedelta = timedelta(days=365)
    """How old a verification may be to count as recent."""


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """A copy of a package, as it is recorded."""

    package_id: UUID
    copy_id: int
    site: str
    """Key of the site."""

    site_name: str
    location: str
    """Name of the location at the site."""

    location_type: LocationType
    storage_type: StorageType
    is_active: bool
    """Whether the location is in use."""

    priority: int
    """Of the location; the lowest is used first."""

    status: PhysicalCopyStatus
    verification: Verification
    verified_at: datetime | None
    checksum: str | None
    """As computed from this copy, hexadecimal."""

    checksum_algorithm: ChecksumAlgorithm | None
    contradicts: bool
    """Whether its checksum is another than that of the package, by the same algorithm."""

    @property
    def place(self) -> str:
        """``SITE/NAME``."""
        return f"{self.site}/{self.location}"


@dataclass(frozen=True, slots=True)
class PackageCopy:
    """A copy in its place in the order, and whether it can be fetched."""

    stored: StoredCopy
    rank: int
    """0 for the one to turn to first."""

    latency: Latency
    region: str | None
    """Of its site; None when nobody has declared it."""

    is_verified: bool
    """Whether it was found whole recently."""

    is_last_resort: bool
    """Whether its deletion is asked for already."""

    way: Way | None
    """How it is fetched; None when it cannot be."""

    obstacle: Obstacle | None
    """Why it cannot be fetched now; None when it can."""


class CopyReader:
    """Finds the copies of packages, in their order.

    Args:
        database: The operations database.
        rules: What is declared of locations.
    """

    def __init__(self, database: Database, rules: ReadingRules) -> None:
        self._database = database
        self.rules = rules

    def of(self, packages: Iterable[UUID]) -> dict[UUID, tuple[PackageCopy, ...]]:
        """The copies of some packages that are not deleted, each package's in the order of `rank_copies`.

        Args:
            packages: Their ids; one that has no copy, or is unknown, has none in the result.

        Raises:
            UnavailableError: The database does not answer.
        """
        found: dict[UUID, list[StoredCopy]] = {}
        with self._database.engine.connect() as connection:
            now = read_clock(connection)
            for some in listed(packages):
                for row in connection.execute(_SELECT, {"packages": some}):
                    found.setdefault(row[0], []).append(StoredCopy(*row))
        return {package: rank_copies(copies, self.rules, now) for package, copies in found.items()}


def rank_copies(copies: Iterable[StoredCopy], rules: ReadingRules, now: datetime) -> tuple[PackageCopy, ...]:
    """Copies of one package, the one to turn to first at the beginning.

    Readable now; not to be deleted; found whole recently, and not out of reach when last looked for; in an archive or
    for processing rather than at a source or buffer, which are emptied; nearest by declared region; of the lowest
    number of priority; and among equal ones by a hash, which spreads packages over copies and never changes.

    Args:
        copies: In any order.
        rules: What is declared of locations.
        now: The database's time, aware.
    """
    judged = sorted((_key(copy, rules, now), copy.copy_id, copy) for copy in copies)
    return tuple(_package_copy(copy, rank, rules, now) for rank, (_, _, copy) in enumerate(judged))


def _package_copy(copy: StoredCopy, rank: int, rules: ReadingRules, now: datetime) -> PackageCopy:
    obstacle = _obstacle(copy, rules)
    is_out = obstacle in (Obstacle.AVOIDED, Obstacle.INACTIVE)
    is_tape = copy.storage_type is StorageType.TAPE
    return PackageCopy(
        copy,
        rank,
        latency=Latency.OFFLINE if is_out else Latency.NEARLINE if is_tape else Latency.ONLINE,
        region=rules.regions.get(copy.site),
        is_verified=_is_verified(copy, rules, now),
        is_last_resort=copy.status is not PhysicalCopyStatus.PRESENT,
        way=None if obstacle is not None else rules.ways[copy.place],
        obstacle=obstacle,
    )


def _key(copy: StoredCopy, rules: ReadingRules, now: datetime) -> tuple[int | str, ...]:
    obstacle = _obstacle(copy, rules)
    region = rules.regions.get(copy.site)
    return (
        0 if obstacle is None else 1 + _OBSTACLES.index(obstacle),
        copy.status is not PhysicalCopyStatus.PRESENT,
        not _is_verified(copy, rules, now),
        copy.verification is Verification.UNREACHABLE,
        copy.location_type in (LocationType.SOURCE, LocationType.BUFFER),
        rules.near.index(region) if region in rules.near else len(rules.near),
        copy.priority,
        hashlib.sha256(f"{copy.package_id} {copy.place}".encode()).hexdigest(),
    )


def _obstacle(copy: StoredCopy, rules: ReadingRules) -> Obstacle | None:
    applies = {
        Obstacle.ON_TAPE: copy.storage_type is StorageType.TAPE,
        Obstacle.AVOIDED: copy.site in rules.avoid or copy.place in rules.avoid,
        Obstacle.NOT_SERVED: copy.storage_type is not StorageType.TAPE and copy.place not in rules.ways,
        Obstacle.INACTIVE: not copy.is_active,
        Obstacle.UNPACKED: copy.status is PhysicalCopyStatus.STAGED,
        Obstacle.GOING: copy.status not in (*OFFERED, PhysicalCopyStatus.STAGED),
        Obstacle.DAMAGED: copy.verification is Verification.MISMATCH or copy.contradicts,
        Obstacle.MISSING: copy.verification is Verification.MISSING,
    }
    return next((obstacle for obstacle in reversed(_OBSTACLES) if applies[obstacle]), None)


def _is_verified(copy: StoredCopy, rules: ReadingRules, now: datetime) -> bool:
    found = copy.verified_at
    is_recent = found is not None and now - rules.verified_within <= found <= now
    return is_recent and copy.verification is Verification.OK


_SELECT: sa.Select[*tuple[Any, ...]] = (
    sa.select(
        PhysicalCopy.raw_data_package_id,
        PhysicalCopy.id,
        Site.key,
        Site.name,
        DataLocation.name,
        DataLocation.location_type,
        DataLocation.storage_type,
        DataLocation.active,
        DataLocation.priority,
        PhysicalCopy.status,
        PhysicalCopy.verification,
        PhysicalCopy.verified_at,
        PhysicalCopy.checksum,
        PhysicalCopy.checksum_algorithm,
        sa.func.coalesce(
            sa.and_(
                PhysicalCopy.checksum_algorithm == RawDataPackage.checksum_algorithm,
                PhysicalCopy.checksum != RawDataPackage.checksum,
            ),
            sa.false(),
        ),
    )
    .join_from(PhysicalCopy, DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
    .join(Site, Site.id == DataLocation.site_id)
    .join(RawDataPackage, RawDataPackage.id == PhysicalCopy.raw_data_package_id)
    .where(
        PhysicalCopy.raw_data_package_id.in_(sa.bindparam("packages", expanding=True)),
        PhysicalCopy.status != PhysicalCopyStatus.DELETED,
    )
)
