"""The copies of packages for those who look after them: list them, prove what is safe, give them up step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.errors import CatalogError, NotFoundError, UnavailableError
from catalog.opsdb.enums import LocationType, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.deletion import (
    CopyChange,
    CopyStep,
    VerificationReport,
    record_verifications,
    rehearse_steps,
    take_step,
    take_steps,
)
from catalog.opsdb.lifecycle.risk import Risk, select_risks
from catalog.opsdb.lifecycle.rules import DeletionRules
from catalog.opsdb.lifecycle.survivors import (
    Refusal,
    Survivor,
    Verdict,
    read_survivors,
    read_verdicts,
)
from catalog.opsdb.models import DataLocation, LifecycleMove, PackagePublication, PhysicalCopy, Site
from catalog.opsdb.refusals import translate_integrity

__all__ = ["CopyRecord", "CopyService", "Move", "Proof", "RiskFinding"]

_T = TypeVar("_T")
_AT_ONCE = 1_000  # copies in one transaction
_TRIES = 5  # of a transaction that met another in the opposite order


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """One copy of a package."""

    copy_id: int
    site: str
    location: str
    location_type: LocationType
    medium: str
    status: PhysicalCopyStatus
    verification: Verification
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the history of a package or of a copy of it."""

    moved_at: datetime
    subject: str
    """``package``, or ``copy`` with its number."""

    attribute: str
    verb: str
    from_state: str
    to_state: str
    actor: str | None
    reason: str | None
    survivors: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a package stands on, and which of its copies may go."""

    did: str
    survivors: tuple[Survivor, ...]
    """Verified archive copies that count."""

    verdicts: tuple[Verdict, ...]
    """Of every copy that is not deleted; of those at the site only, when one is left out."""

    refusal: Refusal | None
    """Why what would be left is too little; None when it is enough."""


@dataclass(frozen=True, slots=True)
class RiskFinding:
    """A package at risk."""

    package_id: UUID
    did: str | None
    risk: Risk
    sites: int
    """Sites with a verified archive copy."""


class CopyService:
    """Everything about copies, each step in a transaction of its own.

    Args:
        database: The operations database.
        rules: What must be left when a copy goes.
    """

    def __init__(self, database: Database, rules: DeletionRules) -> None:
        self._database = database
        self.rules = rules

    def copies(self, did: str) -> list[CopyRecord]:
        """Every copy of a package, deleted ones too.

        Raises:
            NotFoundError: No package has this identifier.
        """
        with self._database.engine.connect() as connection:
            rows = connection.execute(
                sa.select(
                    PhysicalCopy.id,
                    Site.key,
                    DataLocation.name,
                    DataLocation.location_type,
                    DataLocation.storage_type,
                    PhysicalCopy.status,
                    PhysicalCopy.verification,
                    PhysicalCopy.verified_at,
                )
                .join(DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
                .join(Site, Site.id == DataLocation.site_id)
                .where(PhysicalCopy.raw_data_package_id == _find(connection, did))
                .order_by(PhysicalCopy.id)
            )
            return [CopyRecord(*row) for row in rows]

    def prove(self, did: str, *, without_site: str | None = None) -> Proof:
        """What a package stands on: enough archive sites, or enough for all copies at one site to go at once.

        Args:
            did: obs_publisher_did.
            without_site: Key of a site all of whose copies are imagined to go at once.

        Raises:
            NotFoundError: No package has this identifier, or no site this key.
        """
        with self._database.engine.connect() as connection:
            package = _find(connection, did)
            which: sa.ColumnElement[bool] = PhysicalCopy.raw_data_package_id == package
            if without_site is not None:
                site = connection.scalar(sa.select(Site.id).where(Site.key == without_site))
                if site is None:
                    raise NotFoundError(f"there is no site {without_site}")
                there = sa.select(DataLocation.id).where(DataLocation.site_id == site)
                which = sa.and_(which, PhysicalCopy.data_location_id.in_(there))
            copies = connection.scalars(sa.select(PhysicalCopy.id).where(which)).all()
            verdicts = read_verdicts(connection, copies, self.rules, without_site=without_site)
            survivors = read_survivors(connection, [package], self.rules, without_site=without_site)
        found = [verdict.refusal for verdict in verdicts if verdict.refusal is not None]
        if not survivors:
            found = [Refusal.NO_SURVIVOR]
        elif without_site is None:
            enough = len({survivor.site for survivor in survivors}) >= self.rules.archive_sites
            found = [] if enough else [Refusal.TOO_FEW_SITES]
        return Proof(did, tuple(survivors), tuple(verdicts), found[0] if found else None)

    def chosen(
        self, step: CopyStep, location: str, *, older_than: timedelta | None = None, limit: int | None = None
    ) -> Iterator[int]:
        """Numbers of the copies at a location for which a step would do something, in their order; read bit by bit.

        Args:
            step: Which step.
            location: ``SITE/NAME``.
            older_than: Only copies that have been on record for so long, by the database's clock.
            limit: At most so many.

        Raises:
            NotFoundError: There is no such location.
        """
        site, _, name = location.partition("/")
        place = sa.select(DataLocation.id).join(Site).where(Site.key == site, DataLocation.name == name)
        with self._database.engine.connect() as connection:
            found = connection.scalar(place)
            now = read_clock(connection)
        if found is None:
            raise NotFoundError(f"there is no location {location}", hint="It is SITE/NAME, as `copies list` shows it.")
        wanted = sa.select(PhysicalCopy.id).where(
            PhysicalCopy.data_location_id == found, PhysicalCopy.status.in_(step.origins)
        )
        if older_than is not None:
            wanted = wanted.where(PhysicalCopy.created_at < now - older_than)
        last, left = 0, limit
        while left is None or left > 0:
            some = wanted.where(PhysicalCopy.id > last).order_by(PhysicalCopy.id)
            with self._database.engine.connect() as connection:
                keys = connection.scalars(some.limit(_AT_ONCE if left is None else min(left, _AT_ONCE))).all()
            if not keys:
                return
            yield from keys
            last, left = keys[-1], None if left is None else left - len(keys)

    def take(self, step: CopyStep, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
        """Do a step of a deletion, or report one; see `catalog.opsdb.lifecycle.deletion.take_step`."""
        return self._committed(
            lambda connection: take_step(connection, step, copy_id, rules=self.rules, actor=actor, reason=reason)
        )

    def take_all(
        self, step: CopyStep, copy_ids: Iterable[int], *, actor: str, reason: str | None = None
    ) -> Iterator[CopyChange]:
        """Do a step for any number of copies, a thousand in each transaction.

        What has been handed out is committed. Broken off, it is taken up again by the same call: what is done already
        changes nothing.

        Args:
            step: Which.
            copy_ids: Read as the changes are asked for.
            actor: Who; kept in the history.
            reason: Why; kept in the history.

        Raises:
            UsageError: Nobody is named.
            UnavailableError: The database does not answer.
        """
        rules = self.rules
        for some in listed(copy_ids, _AT_ONCE):

            def work(connection: sa.Connection, keys: list[int] = some) -> list[CopyChange]:
                return take_steps(connection, step, keys, rules=rules, actor=actor, reason=reason)

            yield from self._committed(work)

    def rehearse(self, step: CopyStep, copy_ids: Iterable[int]) -> Iterator[CopyChange]:
        """What `take_all` would do now; nothing is changed."""
        for some in listed(copy_ids, _AT_ONCE):
            with self._database.engine.connect() as connection:
                changes = rehearse_steps(connection, step, some, rules=self.rules)
            yield from changes

    def verify(self, copy_id: int, outcome: Verification, *, verified_at: datetime | None = None) -> None:
        """Record a verification; see `catalog.opsdb.lifecycle.deletion.record_verification`."""
        ((_, fault),) = self.verify_all([VerificationReport(copy_id, outcome, verified_at)])
        if fault is not None:
            raise fault

    def verify_all(
        self, reports: Iterable[VerificationReport]
    ) -> Iterator[tuple[VerificationReport, CatalogError | None]]:
        """Record any number of verifications, a thousand in each transaction.

        Yields:
            Each report, and why it was not recorded if it was not.
        """
        for some in listed(reports, _AT_ONCE):

            def work(connection: sa.Connection, told: list[VerificationReport] = some) -> list[CatalogError | None]:
                return record_verifications(connection, told)

            yield from zip(some, self._committed(work), strict=True)

    def history(self, did: str) -> list[Move]:
        """Every move of a package and of its copies, in order.

        Raises:
            NotFoundError: No package has this identifier.
        """
        with self._database.engine.connect() as connection:
            package = _find(connection, did)
            copies = connection.scalars(sa.select(PhysicalCopy.id).where(PhysicalCopy.raw_data_package_id == package))
            of_copy = sa.and_(
                LifecycleMove.entity == "physical_copy", LifecycleMove.entity_key.in_([str(key) for key in copies])
            )
            of_package = sa.and_(LifecycleMove.entity == "raw_data_package", LifecycleMove.entity_key == str(package))
            lines = sa.select(LifecycleMove.__table__).where(sa.or_(of_copy, of_package)).order_by(LifecycleMove.id)
            return [
                Move(
                    row.moved_at,
                    "package" if row.entity == "raw_data_package" else f"copy {row.entity_key}",
                    row.attribute,
                    row.verb,
                    row.from_state,
                    row.to_state,
                    row.actor,
                    row.reason,
                    row.survivors,
                )
                for row in connection.execute(lines)
            ]

    def at_risk(self) -> Iterator[RiskFinding]:
        """Packages below their rule, that only sources and buffers hold, or whose verifications are too old."""
        with self._database.engine.connect() as connection:
            risks = select_risks(self.rules.at(read_clock(connection)))
            for row in connection.execution_options(yield_per=1000).execute(risks):
                for risk in Risk:
                    if row._mapping[risk.value]:
                        yield RiskFinding(row.id, row.obs_publisher_did, risk, row.sites)

    def _committed(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Do something in a transaction of its own; again when it met another that wanted the same rows.

        Raises:
            UnavailableError: It met others every time.
        """
        for _ in range(_TRIES):
            with suppress(_Collision):
                try:
                    with self._database.begin(durable=True) as connection:
                        return work(connection)
                except sa.exc.DBAPIError as error:
                    if isinstance(error.orig, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
                        raise _Collision from error
                    raise translate_integrity(error) from None
        raise UnavailableError("others are changing the same copies; try again later")


class _Collision(Exception):  # noqa: N818  (never leaves this module)
    """Two transactions wait for each other, and this one was chosen to give way."""


def _find(connection: sa.Connection, did: str) -> UUID:
    found = connection.scalar(
        sa.select(PackagePublication.raw_data_package_id).where(PackagePublication.obs_publisher_did == did)
    )
    if found is None:
        raise NotFoundError(f"no package has the identifier {did}")
    return found
