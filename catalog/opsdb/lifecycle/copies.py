"""The copies of packages for those who look after them: list them, prove what is safe, give them up step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.clock import read_clock
from catalog.errors import NotFoundError, UsageError
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle import deletion
from catalog.opsdb.lifecycle.deletion import CopyChange
from catalog.opsdb.lifecycle.survivors import (
    DeletionRules,
    Refusal,
    Survivor,
    Verdict,
    read_survivors,
    read_verdicts,
    select_survivors,
)
from catalog.opsdb.models import DataLocation, LifecycleMove, PackagePublication, PhysicalCopy, RawDataPackage, Site
from catalog.opsdb.refusals import translate_integrity

__all__ = ["CopyRecord", "CopyService", "CopyStep", "Move", "Proof", "Risk", "RiskFinding"]


class CopyStep(StrEnum):
    """What may be asked for or reported of a copy; each is a function of `catalog.opsdb.lifecycle.deletion`."""

    REQUEST = "request_deletion"
    SCHEDULE = "schedule_deletion"
    START = "start_deletion"
    CONFIRM = "confirm_deleted"
    FAIL = "deletion_failed"
    CANCEL = "cancel_deletion"
    KEEP = "keep"
    UNPACK = "unpack"
    RESTORE = "restore"

    @property
    def decides(self) -> bool:
        """Whether content is at stake."""
        return self in (CopyStep.REQUEST, CopyStep.SCHEDULE, CopyStep.START, CopyStep.UNPACK)


class Risk(StrEnum):
    """Why a package is at risk."""

    BELOW_RULE = "below_rule"
    """It is archived, and archives keep verified copies at fewer sites than the rules want."""

    ONLY_TRANSIENT = "only_transient"
    """What can be read of it lies at sources and buffers only."""

    VERIFICATION_EXPIRED = "verification_expired"
    """An archive copy was found whole, but too long ago."""


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
            verdicts = read_verdicts(connection, which, self.rules, without_site=without_site)
            survivors = read_survivors(connection, [package], self.rules, without_site=without_site)
        found = [verdict.refusal for verdict in verdicts if verdict.refusal is not None]
        if not survivors:
            found = [Refusal.NO_SURVIVOR]
        elif without_site is None:
            enough = len({survivor.site for survivor in survivors}) >= self.rules.archive_sites
            found = [] if enough else [Refusal.TOO_FEW_SITES]
        return Proof(did, tuple(survivors), tuple(verdicts), found[0] if found else None)

    def rehearse(self, copy_id: int) -> Verdict:
        """Whether a copy may go now; nothing is changed.

        Raises:
            NotFoundError: There is no such copy, or it is deleted.
        """
        with self._database.engine.connect() as connection:
            found = read_verdicts(connection, PhysicalCopy.id == copy_id, self.rules)
        if not found:
            raise NotFoundError(f"there is no copy {copy_id}, or it is deleted")
        return found[0]

    def take(self, step: CopyStep, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
        """Do a step of a deletion, or report one.

        Args:
            step: Which.
            copy_id: Of which copy.
            actor: Who; kept in the history.
            reason: Why; kept in the history.

        Raises:
            NotFoundError: There is no such copy.
            IntegrityError: Too little would be left, or the state of the copy does not allow it; nothing is changed.
            UsageError: Nobody is named.
        """
        if not actor.strip():
            raise UsageError("the history wants to know who acts; name somebody")
        rules = {"rules": self.rules} if step.decides else {}
        with self._writing() as connection:
            change: CopyChange = getattr(deletion, step)(connection, copy_id, actor=actor, reason=reason, **rules)
            return change

    def verify(self, copy_id: int, outcome: Verification, *, verified_at: datetime | None = None) -> None:
        """Record a verification; see `catalog.opsdb.lifecycle.deletion.record_verification`."""
        with self._writing() as connection:
            deletion.record_verification(connection, copy_id, outcome, verified_at=verified_at)

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
            rows = connection.execution_options(yield_per=1000).execute(_risks(self.rules, read_clock(connection)))
            for row in rows:
                for risk in Risk:
                    if row._mapping[risk.value]:
                        yield RiskFinding(row.id, row.obs_publisher_did, risk, row.sites)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._database.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise translate_integrity(error) from None


def _find(connection: sa.Connection, did: str) -> UUID:
    found = connection.scalar(
        sa.select(PackagePublication.raw_data_package_id).where(PackagePublication.obs_publisher_did == did)
    )
    if found is None:
        raise NotFoundError(f"no package has the identifier {did}")
    return found


_READABLE = (PhysicalCopyStatus.PRESENT, PhysicalCopyStatus.DELETION_POSSIBLE, PhysicalCopyStatus.DELETION_PENDING)


def _risks(rules: DeletionRules, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    """A row for each package at risk, with a column for each risk."""
    counted = select_survivors(rules, now).subquery("counted")
    safe = (
        sa.select(counted.c.package_id, sa.func.count(counted.c.site_id.distinct()).label("sites"))
        .group_by(counted.c.package_id)
        .subquery("safe")
    )
    in_archive = DataLocation.location_type == LocationType.LONG_TERM_ARCHIVE
    in_transit = DataLocation.location_type.in_((LocationType.SOURCE, LocationType.BUFFER))
    readable = sa.and_(
        PhysicalCopy.status.in_(_READABLE),
        PhysicalCopy.verification.not_in((Verification.MISMATCH, Verification.MISSING)),
    )
    expired = sa.and_(
        in_archive,
        PhysicalCopy.status == PhysicalCopyStatus.PRESENT,
        PhysicalCopy.verification == Verification.OK,
        sa.func.coalesce(PhysicalCopy.verified_at < now - timedelta(days=rules.verified_within_days), sa.true()),
    )
    held = (
        sa.select(
            PhysicalCopy.raw_data_package_id.label("package_id"),
            sa.func.count().filter(readable, sa.not_(in_transit)).label("lasting"),
            sa.func.count().filter(readable, in_transit).label("passing"),
            sa.func.count().filter(expired).label("expired"),
        )
        .join(DataLocation, DataLocation.id == PhysicalCopy.data_location_id)
        .where(PhysicalCopy.raw_data_package_id.is_not(None))
        .group_by(PhysicalCopy.raw_data_package_id)
        .subquery("held")
    )
    sites = sa.func.coalesce(safe.c.sites, 0)
    flags = {
        Risk.BELOW_RULE: sa.and_(RawDataPackage.state == PackageState.ARCHIVED, sites < rules.archive_sites),
        Risk.ONLY_TRANSIENT: sa.func.coalesce(sa.and_(held.c.lasting == 0, held.c.passing > 0), sa.false()),
        Risk.VERIFICATION_EXPIRED: sa.func.coalesce(held.c.expired, 0) > 0,
    }
    return (
        sa.select(
            RawDataPackage.id,
            PackagePublication.obs_publisher_did,
            sites.label("sites"),
            *(flag.label(risk.value) for risk, flag in flags.items()),
        )
        .outerjoin(PackagePublication, PackagePublication.raw_data_package_id == RawDataPackage.id)
        .outerjoin(safe, safe.c.package_id == RawDataPackage.id)
        .outerjoin(held, held.c.package_id == RawDataPackage.id)
        .where(sa.or_(*flags.values()))
        .order_by(RawDataPackage.id)
    )
