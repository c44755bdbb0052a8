"""Packages for those who plan and build them, each step in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.rows import stream_rows
from catalog.errors import IntegrityError, NotFoundError
from catalog.opsdb.arrivals import find_location, record_arrivals
from catalog.opsdb.enums import ChecksumAlgorithm, PhysicalCopyStatus, Status
from catalog.opsdb.models import DataLocation, PhysicalCopy, RawDataFile, RawDataPackage, Site
from catalog.opsdb.packaging.build import PackagingSummary, Progress, build_packages
from catalog.opsdb.packaging.members import Member, record_members, unindexed_packages
from catalog.opsdb.packaging.plan import PackageLimits, PlannedPackage
from catalog.opsdb.reports import Writing, check_bytes, reporting
from catalog.opsdb.schema import refuse_attached
from catalog.opsdb.work import (
    RetryRules,
    Work,
    WorkChange,
    begin_next,
    begin_work,
    complete_work,
    current_attempt,
    fail_work,
    governed_by,
    is_rested,
)

__all__ = ["PackageFile", "PackageTask", "PackagingService"]

BUILDING = Work(governed_by(RawDataPackage, "status"))


@dataclass(frozen=True, slots=True)
class PackageTask:
    """A package to be built, as its builder is told."""

    package_id: UUID
    attempt: int
    """To be repeated in the report."""

    status: Status
    relative_path: str
    """Where the tar belongs, below the root of whatever location."""

    files: int
    size_bytes: int
    """Of the files together."""


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file that belongs into a package."""

    relative_path: str
    """Inside the tar."""

    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: ChecksumAlgorithm | None


class PackagingService:
    """Packages from their plan until they are built.

    Args:
        database: The operations database.
        limits: How large a package becomes.
        rules: How often building is tried.
        writing: Opens the transactions in which builders report; what they change is published as they commit.
    """

    def __init__(self, database: Database, limits: PackageLimits, rules: RetryRules, writing: Writing) -> None:
        self._database = database
        self._limits = limits
        self._rules = rules
        self._writing = writing

    def build(
        self,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
        planned: Callable[[PlannedPackage], None] | None = None,
    ) -> PackagingSummary:
        """Put every file that is in no package into one; see `catalog.opsdb.packaging.build.build_packages`."""
        return build_packages(self._database, self._limits, dry_run=dry_run, progress=progress, planned=planned)

    def take(self, *, actor: str, site: str | None = None) -> PackageTask | None:
        """Begin to build the package that waits longest; two builders never get the same.

        Args:
            actor: Who builds; kept in the history.
            site: Key of a site: only packages all of whose files lie there.

        Returns:
            None when nothing is due.

        Raises:
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            due = _due(self._rules, connection, site)
            change = begin_next(connection, BUILDING, due, actor=actor)
            return None if change is None else _task(connection, change)

    def start(self, package_id: UUID, *, actor: str) -> PackageTask:
        """Begin to build a package; who has begun it already may ask again.

        Raises:
            NotFoundError: There is no such package.
            IntegrityError: Somebody else builds it, its building has failed for good, or no files are to go into it.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            change = begin_work(connection, BUILDING, package_id, actor=actor)
            if change.is_new and not connection.scalar(_has_files(package_id)):
                raise IntegrityError(f"no files are to go into the package {package_id}")
            return _task(connection, change)

    def complete(
        self,
        package_id: UUID,
        *,
        attempt: int,
        size_bytes: int,
        checksum: str,
        location: str,
        actor: str,
        checksum_algorithm: ChecksumAlgorithm = ChecksumAlgorithm.SHA256,
        members: Mapping[str, Member] | None = None,
        reason: str | None = None,
    ) -> WorkChange:
        """Say that a package is built: its bytes are known, and a copy lies at a location, not verified yet.

        Args:
            package_id: Which package.
            attempt: As told when it was begun.
            size_bytes: Of the tar.
            checksum: Of the tar, hexadecimal.
            location: ``SITE/NAME`` of the location where it lies.
            actor: Who says so; kept in the history.
            checksum_algorithm: Of the checksum.
            members: The files in the tar by their paths, if somebody has looked.
            reason: Anything worth knowing; kept in the history.

        Raises:
            NotFoundError: There is no such package or location.
            IntegrityError: The attempt has not begun, or other bytes are recorded, of the package or of a member.
            UsageError: Size or checksum are none, or nobody is named.
        """
        known = check_bytes(size_bytes, checksum, checksum_algorithm)
        with reporting(actor, self._writing) as connection:
            current_attempt(connection, BUILDING, package_id)
            _refuse_other_bytes(connection, RawDataPackage.__table__, package_id, known, "the package")
            place = find_location(connection, location)
            change = complete_work(
                connection, BUILDING, package_id, attempt=attempt, actor=actor, reason=reason, **known
            )
            if change.is_new:
                record_arrivals(
                    connection,
                    "raw_data_package",
                    sa.select(RawDataPackage.id).where(RawDataPackage.id == package_id),
                    place,
                    now=read_clock(connection),
                    is_verified=False,
                    checksum=known["checksum"],
                    checksum_algorithm=known["checksum_algorithm"],
                )
            if members is not None:
                record_members(connection, package_id, members)
            return change

    def record_members(self, package_id: UUID, members: Mapping[str, Member], *, size_bytes: int, checksum: str) -> int:
        """Record where the files of a package lie in its tar, which was read to its end.

        Args:
            package_id: Which package.
            members: Of the tar, by their paths.
            size_bytes: Of the tar.
            checksum: Of the tar, by the algorithm that is recorded.

        Returns:
            How many files the package has.

        Raises:
            NotFoundError: There is no such package.
            IntegrityError: The tar is not that of the package, or lacks one of its files.
        """
        with self._writing() as connection:
            refuse_attached(connection)
            query = sa.select(RawDataPackage.size_bytes, RawDataPackage.checksum)
            row = connection.execute(query.where(RawDataPackage.id == package_id).with_for_update()).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no package {package_id}")
            if tuple(row) != (size_bytes, checksum):
                raise IntegrityError(f"the tar has other bytes than the package {package_id}; nothing is recorded")
            return record_members(connection, package_id, members)

    def unindexed(self) -> Generator[UUID]:
        """Built packages of a file of which nobody knows where it begins; close it, if it is not read to its end."""
        with self._database.engine.connect() as connection:
            yield from unindexed_packages(connection)

    def fail(self, package_id: UUID, *, attempt: int, reason: str, actor: str, is_final: bool = False) -> WorkChange:
        """Say that a package could not be built; it is due again after a rest, or never.

        Args:
            package_id: Which package.
            attempt: As told when it was begun.
            reason: Why; kept in the history.
            actor: Who says so; kept in the history.
            is_final: Whether trying again is no use.

        Raises:
            NotFoundError: There is no such package.
            IntegrityError: The attempt has not begun, or it has succeeded.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            return fail_work(
                connection,
                BUILDING,
                package_id,
                attempt=attempt,
                actor=actor,
                reason=reason,
                rules=self._rules,
                is_final=is_final,
            )

    def files(self, package_id: UUID) -> Generator[PackageFile]:
        """The files that belong into a package, by their paths; close it, if it is not read to its end.

        Raises:
            NotFoundError: There is no such package.
        """
        columns = (RawDataFile.relative_path, RawDataFile.size_bytes)
        query = sa.select(*columns, RawDataFile.checksum, RawDataFile.checksum_algorithm)
        mine = query.where(RawDataFile.raw_data_package_id == package_id).order_by(RawDataFile.relative_path)
        with self._database.engine.connect() as connection:
            if connection.scalar(sa.select(RawDataPackage.id).where(RawDataPackage.id == package_id)) is None:
                raise NotFoundError(f"there is no package {package_id}")
            with closing(stream_rows(connection, mine)) as rows:
                for row in rows:
                    yield PackageFile(*row)


def _refuse_other_bytes(connection: sa.Connection, table: Any, key: UUID, known: dict[str, Any], noun: str) -> None:
    row = connection.execute(
        sa.select(table.c.size_bytes, table.c.checksum, table.c.checksum_algorithm).where(table.c.id == key)
    ).one()
    same_kind = row.checksum_algorithm == known["checksum_algorithm"]
    if row.size_bytes not in (None, known["size_bytes"]) or (same_kind and row.checksum != known["checksum"]):
        raise IntegrityError(f"{noun} {key} is recorded with other bytes; what was built is not it")


def _due(rules: RetryRules, connection: sa.Connection, site: str | None) -> sa.Select[Any]:
    """Packages that have files and are to be built, the oldest first."""
    inside = sa.exists().where(RawDataFile.raw_data_package_id == RawDataPackage.id)
    query = sa.select(RawDataPackage.id).where(inside, is_rested(BUILDING, rules, read_clock(connection)))
    if site is not None:
        here = (
            sa.exists()
            .where(
                PhysicalCopy.raw_data_file_id == RawDataFile.id,
                PhysicalCopy.status == PhysicalCopyStatus.PRESENT,
                DataLocation.id == PhysicalCopy.data_location_id,
                Site.id == DataLocation.site_id,
                Site.key == site,
            )
            .correlate(RawDataFile)
        )
        elsewhere = sa.exists().where(RawDataFile.raw_data_package_id == RawDataPackage.id, sa.not_(here))
        query = query.where(sa.not_(elsewhere))
    group = (RawDataPackage.executed_obs_unit_id, RawDataPackage.instrument_module_id)
    return query.order_by(RawDataPackage.created_at, *group, RawDataPackage.sequence)


def _has_files(package_id: UUID) -> sa.Select[Any]:
    return sa.select(sa.exists().where(RawDataFile.raw_data_package_id == package_id))


def _task(connection: sa.Connection, change: WorkChange) -> PackageTask:
    content = sa.select(
        sa.func.count(), sa.cast(sa.func.coalesce(sa.func.sum(RawDataFile.size_bytes), 0), sa.BigInteger)
    )
    files, size = connection.execute(content.where(RawDataFile.raw_data_package_id == change.key)).one()
    path = connection.scalar(sa.select(RawDataPackage.relative_path).where(RawDataPackage.id == change.key))
    assert isinstance(change.key, UUID)  # noqa: S101  (packages have no other keys)
    return PackageTask(change.key, change.attempt, change.after, str(path), files, size)
