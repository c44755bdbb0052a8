"""Stagings that users have asked for: which job brings a package, how many one has open, where each stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import QuotaError
from catalog.opsdb.arrivals import place_name
from catalog.opsdb.enums import Status
from catalog.opsdb.lifecycle.traffic import OPEN
from catalog.opsdb.models import DataLocation, Site, StagingJob, User, staging_job_package

__all__ = ["RequestedStaging", "check_share", "find_open_staging", "read_staging"]

_MEMBER = staging_job_package.c
_SHOWN = 100  # packages of a job that are named


@dataclass(frozen=True, slots=True)
class RequestedStaging:
    """A staging job, as who asked for it is told."""

    job_id: int
    requester: str | None
    """Name of the user; None when no user asked."""

    destination: str
    """``SITE/NAME``."""

    status: Status
    attempts: int
    """How often it failed."""

    requested_at: datetime
    finished_at: datetime | None
    failure: str | None
    packages: tuple[UUID, ...]
    """The first of them."""

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.status in OPEN


def check_share(connection: sa.Connection, username: str, most: int, *, retry_after: int) -> None:
    """See that a user has not as many open jobs as one may have; nobody else asks for the same user meanwhile.

    Args:
        connection: In the writing transaction that makes the job.
        username: Who asks.
        most: How many jobs of one user may be open.
        retry_after: Seconds after which asking again may help.

    Raises:
        QuotaError: The user has so many.
    """
    user = sa.select(User.id).where(User.username == username)
    user_id = connection.scalar(user.with_for_update())
    mine = sa.select(sa.func.count()).where(StagingJob.requested_by_user_id == user_id, StagingJob.status.in_(OPEN))
    if (connection.scalar(mine) or 0) >= most:
        raise QuotaError(f"{most:,} of your requests for packages from tape are not over yet", retry_after=retry_after)


def find_open_staging(database: Database, package_id: UUID, place: str) -> int | None:
    """The job that brings a package to a place, ``SITE/NAME``; the latest of several, None of none."""
    query = (
        sa.select(sa.func.max(StagingJob.id))
        .join(staging_job_package, _MEMBER.staging_job_id == StagingJob.id)
        .join(DataLocation, DataLocation.id == StagingJob.destination_location_id)
        .join(Site, Site.id == DataLocation.site_id)
        .where(_MEMBER.raw_data_package_id == package_id, StagingJob.status.in_(OPEN), place_name() == place)
    )
    with database.engine.connect() as connection:
        return connection.scalar(query)


def read_staging(database: Database, job_id: int) -> RequestedStaging | None:
    """A job by its number; None when there is none."""
    query = (
        sa.select(
            StagingJob.id,
            User.username,
            place_name(),
            StagingJob.status,
            StagingJob.retry_count,
            StagingJob.created_at,
            StagingJob.finished_at,
            StagingJob.failure,
        )
        .join(DataLocation, DataLocation.id == StagingJob.destination_location_id)
        .join(Site, Site.id == DataLocation.site_id)
        .outerjoin(User, User.id == StagingJob.requested_by_user_id)
        .where(StagingJob.id == job_id)
    )
    members = sa.select(_MEMBER.raw_data_package_id).where(_MEMBER.staging_job_id == job_id)
    with database.engine.connect() as connection:
        found = connection.execute(query).one_or_none()
        if found is None:
            return None
        packages = connection.scalars(members.order_by(_MEMBER.raw_data_package_id).limit(_SHOWN))
        return RequestedStaging(*found, packages=tuple(packages))
