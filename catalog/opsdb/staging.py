"""Packages that are wanted at a processing location: asked for, brought there by movers, and unpacked."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.db.rows import stream_rows
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.arrivals import find_location, place_name, record_arrivals
from catalog.opsdb.enums import ChecksumAlgorithm, LocationType, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.lifecycle.availability import LOST, is_offered
from catalog.opsdb.lifecycle.machines import SETTLED
from catalog.opsdb.lifecycle.traffic import OPEN
from catalog.opsdb.models import (
    DataLocation,
    PackagePublication,
    PhysicalCopy,
    RawDataPackage,
    Site,
    StagingJob,
    User,
    staging_job_package,
)
from catalog.opsdb.reports import Writing, reporting
from catalog.opsdb.requested import check_share
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
    move_rows,
)

__all__ = ["StagedPackage", "StagingRecord", "StagingRequest", "StagingService", "StagingTask"]

STAGING = Work(governed_by(StagingJob, "status"), counter="retry_count", is_timed=True)

_MEMBER = staging_job_package.c


@dataclass(frozen=True, slots=True)
class StagingRequest:
    """What became of a request."""

    job_id: int | None
    """The new job; None when nothing has to be brought."""

    packages: int
    """How many packages it brings."""

    there: int
    """How many lie at the location already."""

    under_way: int
    """How many an earlier job brings."""


@dataclass(frozen=True, slots=True)
class StagingTask:
    """A job, as its mover is told."""

    job_id: int
    attempt: int
    """To be repeated in the report."""

    status: Status
    destination: str
    """``SITE/NAME``."""

    packages: int


@dataclass(frozen=True, slots=True)
class StagedPackage:
    """A package of a job, and the copy from which it is best read."""

    relative_path: str
    origin: str | None
    """``SITE/NAME``; None when no copy can be read now."""

    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: ChecksumAlgorithm | None


@dataclass(frozen=True, slots=True)
class StagingRecord:
    """A job and where it stands."""

    job_id: int
    destination: str
    packages: int
    status: Status
    retry_count: int
    requested_at: datetime
    failure: str | None


class StagingService:
    """Everything about staging, each step in a transaction of its own.

    Args:
        database: The operations database.
        rules: How often a job is tried.
        writing: Opens the transactions in which movers report; what they change is published as they commit.
    """

    def __init__(self, database: Database, rules: RetryRules, writing: Writing) -> None:
        self._database = database
        self._rules = rules
        self._writing = writing

    def request(
        self, dids: Sequence[str], location: str, *, actor: str, most_open: int | None = None, wait_s: int = 0
    ) -> StagingRequest:
        """Ask for packages at a processing location. What is there or under way is not brought once more.

        Args:
            dids: obs_publisher_dids.
            location: ``SITE/NAME``.
            actor: Who asks; the job keeps it when it is the name of a user.
            most_open: How many jobs of this user may be open; any number when None.
            wait_s: After how many seconds one of them is likely to be over.

        Raises:
            QuotaError: The user has so many open jobs, and a new one is needed.
            NotFoundError: A package or the location is not known, or the location is not active.
            IntegrityError: The location is not for processing, a copy there is being given up, or no copy can be read.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            refuse_attached(connection)
            place = _find_processing(connection, location)
            packages = _lock_packages(connection, dids)
            there = _at_place(connection, packages, place, location)
            under_way = _in_open_jobs(connection, packages.keys() - there, place)
            wanted = [key for key in packages if key not in there and key not in under_way]
            _require_readable(connection, {key: packages[key] for key in wanted}, place)
            if wanted and most_open is not None:
                check_share(connection, actor, most_open, retry_after=wait_s)
            job = _insert_job(connection, place, wanted, actor) if wanted else None
        return StagingRequest(job, len(wanted), len(there), len(under_way))

    def jobs(self, *, everything: bool = False) -> Generator[StagingRecord]:
        """Jobs in the order in which they were asked for; only those that are not over, unless all are wanted.

        Close it, if it is not read to its end.
        """
        query = _with_places(sa.select(StagingJob.id, place_name(), _count_packages(), *_PROGRESS))
        if not everything:
            query = query.where(StagingJob.status.in_(OPEN))
        query = query.order_by(StagingJob.id)
        with self._database.engine.connect() as connection, closing(stream_rows(connection, query)) as rows:
            for row in rows:
                yield StagingRecord(*row)

    def contents(self, job_id: int) -> Generator[StagedPackage]:
        """Packages of a job by their paths, and where each is best read; close it, if it is not read to its end.

        Raises:
            NotFoundError: There is no such job.
        """
        with self._database.engine.connect() as connection:
            if connection.scalar(sa.select(StagingJob.id).where(StagingJob.id == job_id)) is None:
                raise NotFoundError(f"there is no staging job {job_id}")
            with closing(stream_rows(connection, _select_contents(job_id))) as rows:
                for row in rows:
                    yield StagedPackage(*row)

    def take(self, *, actor: str, location: str | None = None) -> StagingTask | None:
        """Begin the job that waits longest; two movers never get the same.

        Args:
            actor: Who brings the packages; kept in the history.
            location: ``SITE/NAME``: only jobs that end there.

        Returns:
            None when nothing is due.

        Raises:
            NotFoundError: There is no such location, or it is not active.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            due = sa.select(StagingJob.id).where(is_rested(STAGING, self._rules, read_clock(connection)))
            if location is not None:
                due = due.where(StagingJob.destination_location_id == find_location(connection, location))
            change = begin_next(connection, STAGING, due.order_by(StagingJob.id), actor=actor)
            return None if change is None else _task(connection, change)

    def start(self, job_id: int, *, actor: str) -> StagingTask:
        """Begin a job; who has begun it already may ask again.

        Raises:
            NotFoundError: There is no such job.
            IntegrityError: Somebody else does it, or it has failed for good.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            return _task(connection, begin_work(connection, STAGING, job_id, actor=actor))

    def complete(
        self,
        job_id: int,
        *,
        attempt: int,
        actor: str,
        is_unpacked: bool = True,
        is_verified: bool = False,
        reason: str | None = None,
    ) -> WorkChange:
        """Say that the packages of a job are there; a copy of each is recorded that has none there.

        Args:
            job_id: Which job.
            attempt: As told when it was begun.
            actor: Who says so; kept in the history.
            is_unpacked: Whether the tars are gone after unpacking: such copies are staged, others present.
            is_verified: Whether each package was compared with its size and checksum, and is whole.
            reason: Anything worth knowing; kept in the history.

        Raises:
            NotFoundError: There is no such job.
            IntegrityError: The attempt has not begun, or the job has failed for good.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            change = complete_work(connection, STAGING, job_id, attempt=attempt, actor=actor, reason=reason)
            if change.is_new:
                status = PhysicalCopyStatus.STAGED if is_unpacked else PhysicalCopyStatus.PRESENT
                _record_copies(connection, job_id, status, is_verified=is_verified)
            return change

    def fail(self, job_id: int, *, attempt: int, reason: str, actor: str, is_final: bool = False) -> WorkChange:
        """Say that an attempt has failed; the job is due again after a rest, or never.

        Args:
            job_id: Which job.
            attempt: As told when it was begun.
            reason: Why; kept in the history, and with the job.
            actor: Who says so; kept in the history.
            is_final: Whether trying again is no use.

        Raises:
            NotFoundError: There is no such job.
            IntegrityError: The attempt has not begun, or it has succeeded.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            return fail_work(
                connection,
                STAGING,
                job_id,
                attempt=attempt,
                actor=actor,
                reason=reason,
                rules=self._rules,
                is_final=is_final,
            )

    def cancel(self, job_id: int, *, actor: str, reason: str) -> WorkChange:
        """Give a job up that nobody has begun; the copies that it would have read are free again.

        Raises:
            NotFoundError: There is no such job.
            IntegrityError: It has begun, or it is completed.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            status, attempt = current_attempt(connection, STAGING, job_id)
            if status in (Status.IN_PROGRESS, Status.COMPLETED):
                raise IntegrityError(f"the staging job {job_id} is '{status}'; it cannot be cancelled")
            if status is not Status.FAILED:
                move_rows(
                    connection,
                    STAGING.governed,
                    StagingJob.id == job_id,
                    Status.FAILED,
                    actor=actor,
                    reason=reason,
                    failure=reason,
                )
            return WorkChange(job_id, attempt, status, Status.FAILED)


_PROGRESS = (StagingJob.status, StagingJob.retry_count, StagingJob.created_at, StagingJob.failure)


def _find_processing(connection: sa.Connection, location: str) -> int:
    place = find_location(connection, location)
    kind = connection.scalar(sa.select(DataLocation.location_type).where(DataLocation.id == place))
    if kind is not LocationType.PROCESSING:
        raise IntegrityError(f"packages are staged at a processing location, and {location} is '{kind}'")
    return place


def _lock_packages(connection: sa.Connection, dids: Sequence[str]) -> dict[UUID, str]:
    """Identifiers by package, in the order of the packages, which are locked: so nobody asks for them meanwhile."""
    wanted = dict.fromkeys(dids)
    if not wanted:
        raise UsageError("no package is named")
    found: dict[UUID, str] = {}
    for some in listed(wanted):
        query = sa.select(PackagePublication.raw_data_package_id, PackagePublication.obs_publisher_did)
        rows = connection.execute(query.where(PackagePublication.obs_publisher_did.in_(some)))
        found |= {row.raw_data_package_id: row.obs_publisher_did for row in rows}
    unknown = next((did for did in wanted if did not in set(found.values())), None)
    if unknown is not None:
        raise NotFoundError(f"no package has the identifier {unknown}")
    for keys in listed(sorted(found)):
        locked = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(keys)).order_by(RawDataPackage.id)
        connection.execute(locked.with_for_update()).all()
    return dict(sorted(found.items()))


def _at_place(connection: sa.Connection, packages: dict[UUID, str], place: int, location: str) -> set[UUID]:
    """Packages that lie at a place, unpacked or not."""
    there: set[UUID] = set()
    for some in listed(packages):
        query = sa.select(PhysicalCopy.id, RawDataPackage.id, PhysicalCopy.status).where(
            RawDataPackage.id == PhysicalCopy.raw_data_package_id,
            RawDataPackage.id.in_(some),
            PhysicalCopy.data_location_id == place,
            PhysicalCopy.status != PhysicalCopyStatus.DELETED,
            PhysicalCopy.verification.not_in(LOST),
        )
        for key, package, status in connection.execute(query):
            if status not in SETTLED:
                raise IntegrityError(
                    f"the copy {key} of {packages[package]} at {location} is '{status}'; it is being given up"
                )
            there.add(package)
    return there


def _in_open_jobs(connection: sa.Connection, packages: set[UUID], place: int) -> set[UUID]:
    found: set[UUID] = set()
    for some in listed(packages):
        query = sa.select(_MEMBER.raw_data_package_id).join(StagingJob, StagingJob.id == _MEMBER.staging_job_id)
        mine = (_MEMBER.raw_data_package_id.in_(some), StagingJob.destination_location_id == place)
        found |= set(connection.scalars(query.where(*mine, StagingJob.status.in_(OPEN))))
    return found


def _require_readable(connection: sa.Connection, packages: dict[UUID, str], place: int) -> None:
    readable: set[UUID] = set()
    for some in listed(packages):
        query = sa.select(PhysicalCopy.raw_data_package_id).join(DataLocation)
        mine = (PhysicalCopy.raw_data_package_id.in_(some), PhysicalCopy.data_location_id != place)
        readable |= {key for key in connection.scalars(query.where(*mine, _is_readable())) if key is not None}
    for key, did in packages.items():
        if key not in readable:
            raise IntegrityError(f"no copy of {did} can be read, so that it cannot be staged")


def _is_readable() -> sa.ColumnElement[bool]:
    return sa.and_(is_offered(PhysicalCopy.status, PhysicalCopy.verification), DataLocation.active)


def _insert_job(connection: sa.Connection, place: int, packages: Sequence[UUID], actor: str) -> int:
    user = sa.select(User.id).where(User.username == actor).scalar_subquery()
    made = sa.insert(StagingJob).values(destination_location_id=place, requested_by_user_id=user)
    job = connection.execute(made.returning(StagingJob.id)).scalar_one()
    for some in listed(packages):
        members = [{"staging_job_id": job, "raw_data_package_id": key} for key in some]
        connection.execute(sa.insert(staging_job_package), members)
    return job


def _count_packages() -> sa.ColumnElement[int]:
    query = sa.select(sa.func.count()).select_from(staging_job_package).where(_MEMBER.staging_job_id == StagingJob.id)
    return query.correlate(StagingJob.__table__).scalar_subquery()


def _with_places(query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    joined = query.select_from(StagingJob).join(DataLocation, DataLocation.id == StagingJob.destination_location_id)
    return joined.join(Site, Site.id == DataLocation.site_id)


def _task(connection: sa.Connection, change: WorkChange) -> StagingTask:
    query = _with_places(sa.select(place_name(), _count_packages())).where(StagingJob.id == change.key)
    place, packages = connection.execute(query).one()
    assert isinstance(change.key, int)  # noqa: S101  (jobs have no other keys)
    return StagingTask(change.key, change.attempt, change.after, place, packages)


def _select_contents(job_id: int) -> sa.Select[*tuple[Any, ...]]:
    """Packages with the best of their copies: not to be deleted, verified, in an archive, as far as there is such."""
    origin, job = aliased(DataLocation), aliased(StagingJob)
    rank = (
        PhysicalCopy.status != PhysicalCopyStatus.PRESENT,
        PhysicalCopy.verification != Verification.OK,
        origin.location_type != LocationType.LONG_TERM_ARCHIVE,
        origin.priority,
        PhysicalCopy.id,
    )
    order = [sa.case((each, 1), else_=0) for each in rank[:3]]
    number = sa.func.row_number().over(partition_by=PhysicalCopy.raw_data_package_id, order_by=[*order, *rank[3:]])
    copies = (
        sa.select(PhysicalCopy.raw_data_package_id, (Site.key + "/" + origin.name).label("origin"), number.label("n"))
        .join(origin, origin.id == PhysicalCopy.data_location_id)
        .join(Site, Site.id == origin.site_id)
        .join(staging_job_package, _MEMBER.raw_data_package_id == PhysicalCopy.raw_data_package_id)
        .join(job, job.id == _MEMBER.staging_job_id)
        .where(
            job.id == job_id,
            is_offered(PhysicalCopy.status, PhysicalCopy.verification),
            origin.active,
            origin.id != job.destination_location_id,
            sa.func.coalesce(job.origin_location_id, origin.id) == origin.id,
        )
        .subquery("copies")
    )
    best = sa.and_(copies.c.raw_data_package_id == RawDataPackage.id, copies.c.n == 1)
    return (
        sa.select(
            RawDataPackage.relative_path,
            copies.c.origin,
            RawDataPackage.size_bytes,
            RawDataPackage.checksum,
            RawDataPackage.checksum_algorithm,
        )
        .join(staging_job_package, _MEMBER.raw_data_package_id == RawDataPackage.id)
        .outerjoin(copies, best)
        .where(_MEMBER.staging_job_id == job_id)
        .order_by(RawDataPackage.relative_path)
    )


def _record_copies(connection: sa.Connection, job_id: int, status: PhysicalCopyStatus, *, is_verified: bool) -> None:
    members = sa.select(_MEMBER.raw_data_package_id).where(_MEMBER.staging_job_id == job_id)
    locked = sa.select(RawDataPackage.id).where(RawDataPackage.id.in_(members)).order_by(RawDataPackage.id)
    connection.execute(locked.with_for_update()).all()
    place = connection.execute(
        sa.select(StagingJob.destination_location_id).where(StagingJob.id == job_id)
    ).scalar_one()
    record_arrivals(
        connection,
        "raw_data_package",
        members,
        place,
        now=read_clock(connection),
        is_verified=is_verified,
        status=status,
    )
