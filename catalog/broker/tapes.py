"""Packages on tape: asked for by those who may fetch them, brought by movers, and followed until they are there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from catalog.access import DATA_PERMISSION, Caller
from catalog.broker.service import Broker
from catalog.db import Database
from catalog.errors import AuthorizationError, IntegrityError, NotFoundError, UnavailableError
from catalog.opsdb.readable import Obstacle
from catalog.opsdb.requested import RequestedStaging, find_open_staging, read_staging
from catalog.opsdb.staging import StagingService

__all__ = ["Asked", "TapeService"]

_LOG = logging.getLogger(__name__)
_LARGEST = 2**31 - 1  # number that a job can have


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a request."""

    job_id: int | None = None
    """The job of who asked; None when there is nothing to wait for, or another's job brings the package."""

    is_ready: bool = False
    """Whether the package can be fetched at once."""


class TapeService:
    """Brings packages from tape on request.

    Args:
        database: The operations database.
        broker: Knows who may fetch what, and where copies are.
        staging: Keeps the jobs.
        location: ``SITE/NAME`` of the processing location that packages are brought to; None brings none.
        wait_s: How long it takes.
        per_user: Requests of one user that may be open at once.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        staging: StagingService,
        *,
        location: str | None,
        wait_s: int,
        per_user: int,
    ) -> None:
        self._database = database
        self._broker = broker
        self._staging = staging
        self._location = location
        self.wait_s = wait_s
        self._per_user = per_user

    def ask(self, package_id: UUID, caller: Caller) -> Asked:
        """Ask for a package; who asks again gets the same job.

        Raises:
            NotFoundError: There is no such package, it is on no tape, or none is brought.
            AuthorizationError: The caller is not known, or may not fetch it.
            QuotaError: The caller's requests are too many.
            UnavailableError: It cannot be asked for now.
            IntegrityError: It is at the processing location already, but cannot be fetched there.
        """
        package = self._broker.package(package_id, caller)
        copies = self._broker.copies(package)
        if self._location is None and all(copy.way is None for copy in copies):
            raise self._broker.explain(package, copies, ())
        if caller.username is None:
            raise AuthorizationError("packages are brought from tape for those who have logged in")
        if any(copy.way is not None for copy in copies):
            return Asked(is_ready=True)
        if self._location is None or not any(copy.obstacle is Obstacle.ON_TAPE for copy in copies):
            raise self._broker.explain(package, copies, ())
        try:
            asked = self._staging.request(
                [package.did], self._location, actor=caller.username, most_open=self._per_user, wait_s=self.wait_s
            )
        except NotFoundError as fault:
            _LOG.error("files.staging_location: %s", fault.message)
            raise UnavailableError("requests for packages from tape are not taken now") from None
        if asked.there:
            raise IntegrityError(f"the package {package_id} was brought already, but its files lie there unpacked")
        if asked.job_id is not None:
            return Asked(asked.job_id)
        running = find_open_staging(self._database, package_id, self._location)
        found = None if running is None else read_staging(self._database, running)
        return Asked(running if found is not None and _may_see(caller, found) else None)

    def job(self, job_id: int, caller: Caller) -> RequestedStaging:
        """A job, for who asked for it and for staff.

        Raises:
            AuthorizationError: The caller is not known.
            NotFoundError: The caller has no such job.
        """
        if caller.username is None:
            raise AuthorizationError("requests for packages from tape are shown to those who have logged in")
        found = read_staging(self._database, job_id) if 0 < job_id <= _LARGEST else None
        if found is None or not _may_see(caller, found):
            raise NotFoundError(f"you have made no request {job_id}")
        return found


def _may_see(caller: Caller, job: RequestedStaging) -> bool:
    return DATA_PERMISSION in caller.permissions or job.requester == caller.username
