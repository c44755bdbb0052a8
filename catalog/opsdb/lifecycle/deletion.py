"""Give up copies without losing content: each step decides and marks in one transaction, under the package's lock.

Every function takes a connection in a writing transaction (`catalog.db.Database.begin`). A step that is already done
changes nothing, so that whoever did not hear the answer may ask again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog.db.clock import read_clock
from catalog.errors import IntegrityError, NotFoundError, SettingsError, UsageError
from catalog.opsdb.enums import PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.machines import SETTLED
from catalog.opsdb.lifecycle.survivors import (
    CLOCK_MARGIN_S,
    DeletionRules,
    Verdict,
    read_packages,
    read_survivors,
    read_verdicts,
    subjects_of,
)
from catalog.opsdb.models import DataLocation, LifecycleMove, MoveNote, PhysicalCopy, RawDataPackage
from catalog.opsdb.schema import operations_attached

__all__ = [
    "CopyChange",
    "cancel_deletion",
    "confirm_deleted",
    "deletion_failed",
    "keep",
    "record_verification",
    "request_deletion",
    "restore",
    "schedule_deletion",
    "start_deletion",
    "unpack",
]

_C = PhysicalCopyStatus
_Paths = Mapping[PhysicalCopyStatus, tuple[PhysicalCopyStatus, ...]]


@dataclass(frozen=True, slots=True)
class CopyChange:
    """What a step has done."""

    copy_id: int
    before: PhysicalCopyStatus
    after: PhysicalCopyStatus
    verdict: Verdict | None = None
    """On what it was decided, when content was at stake."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One request: the states through which it leads from each state in which it makes sense."""

    wish: str
    paths: _Paths
    done: tuple[PhysicalCopyStatus, ...]
    """States that say that it happened already."""

    decides: bool = False
    """Whether content is at stake."""


_REQUEST = _Step(
    "asked to be deleted",
    {
        _C.PRESENT: (_C.DELETION_POSSIBLE, _C.DELETION_PENDING),
        _C.DELETION_POSSIBLE: (_C.DELETION_PENDING,),
        _C.STAGED: (_C.DELETION_SCHEDULED,),
    },
    (_C.DELETION_PENDING, _C.DELETION_SCHEDULED, _C.DELETION_IN_PROGRESS, _C.DELETED),
    decides=True,
)
_SCHEDULE = _Step(
    "scheduled for deletion",
    {
        _C.PRESENT: (_C.DELETION_SCHEDULED,),
        _C.STAGED: (_C.DELETION_SCHEDULED,),
        _C.DELETION_POSSIBLE: (_C.DELETION_PENDING, _C.DELETION_SCHEDULED),
        _C.DELETION_PENDING: (_C.DELETION_SCHEDULED,),
        _C.DELETION_FAILED: (_C.DELETION_SCHEDULED,),
    },
    (_C.DELETION_SCHEDULED, _C.DELETION_IN_PROGRESS, _C.DELETED),
    decides=True,
)
_START = _Step(
    "begun to be deleted",
    {_C.DELETION_SCHEDULED: (_C.DELETION_IN_PROGRESS,)},
    (_C.DELETION_IN_PROGRESS, _C.DELETED),
    decides=True,
)
_CONFIRM = _Step("confirmed as deleted", {_C.DELETION_IN_PROGRESS: (_C.DELETED,)}, (_C.DELETED,))
_FAIL = _Step("reported as not deleted", {_C.DELETION_IN_PROGRESS: (_C.DELETION_FAILED,)}, (_C.DELETION_FAILED,))
_UNPACK = _Step("unpacked", {_C.PRESENT: (_C.STAGED,)}, (_C.STAGED,), decides=True)
_RESTORE = _Step("restored", {_C.STAGED: (_C.PRESENT,)}, (_C.PRESENT,))
_MARKED = (_C.DELETION_POSSIBLE, _C.DELETION_PENDING, _C.DELETION_SCHEDULED)


def request_deletion(
    connection: sa.Connection, copy_id: int, *, rules: DeletionRules, actor: str, reason: str | None = None
) -> CopyChange:
    """Ask for the deletion of a copy; from then on nobody counts on it.

    Args:
        connection: In a writing transaction.
        copy_id: Which copy.
        rules: What must be left.
        actor: Who asks; kept in the history.
        reason: Why; kept in the history.

    Raises:
        NotFoundError: There is no such copy.
        IntegrityError: Too little would be left, or the state of the copy does not allow it; nothing is changed.
    """
    return _take(connection, copy_id, _REQUEST, rules, actor, reason)


def schedule_deletion(
    connection: sa.Connection, copy_id: int, *, rules: DeletionRules, actor: str, reason: str | None = None
) -> CopyChange:
    """Give the deletion of a copy, or one that has failed, to a worker; arguments and errors as `request_deletion`."""
    return _take(connection, copy_id, _SCHEDULE, rules, actor, reason)


def start_deletion(
    connection: sa.Connection, copy_id: int, *, rules: DeletionRules, actor: str, reason: str | None = None
) -> CopyChange:
    """Say that the bytes go now; decided once more. Arguments and errors as `request_deletion`."""
    return _take(connection, copy_id, _START, rules, actor, reason)


def confirm_deleted(connection: sa.Connection, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
    """Say that the bytes are gone; arguments and errors as `request_deletion`."""
    return _take(connection, copy_id, _CONFIRM, None, actor, reason, deleted_at=read_clock(connection))


def deletion_failed(connection: sa.Connection, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
    """Say that nobody knows what is left of the bytes; arguments and errors as `request_deletion`."""
    unknown = {"verification": Verification.NEVER, "verified_at": None}
    return _take(connection, copy_id, _FAIL, None, actor, reason, **unknown)


def cancel_deletion(connection: sa.Connection, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
    """Take back a deletion that has not begun; arguments and errors as `request_deletion`."""
    _lock(connection, copy_id)
    before = (_state_before(connection, copy_id),)
    step = _Step("taken back from deletion", dict.fromkeys(_MARKED, before), SETTLED)
    return _take(connection, copy_id, step, None, actor, reason)


def keep(connection: sa.Connection, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
    """Take up again a copy whose deletion failed, once it was found whole; as `request_deletion`."""
    _lock(connection, copy_id)
    before = (_state_before(connection, copy_id),)
    step = _Step("kept after a failed deletion", {_C.DELETION_FAILED: before}, SETTLED)
    found = connection.scalar(sa.select(PhysicalCopy.verification).where(PhysicalCopy.id == copy_id))
    if _status(connection, copy_id) is _C.DELETION_FAILED and found is not Verification.OK:
        raise IntegrityError(
            f"the copy {copy_id} cannot be kept: its deletion failed, and since then it was not found whole",
            hint="Record a verification first.",
        )
    return _take(connection, copy_id, step, None, actor, reason)


def unpack(
    connection: sa.Connection, copy_id: int, *, rules: DeletionRules, actor: str, reason: str | None = None
) -> CopyChange:
    """Say that a package was unpacked at a processing location, so that its archive goes; it is guarded as a deletion.

    Arguments and errors as `request_deletion`.
    """
    _lock(connection, copy_id)
    place = sa.select(PhysicalCopy.raw_data_package_id, DataLocation.location_type).join(DataLocation)
    row = connection.execute(place.where(PhysicalCopy.id == copy_id)).one()
    if row.raw_data_package_id is None or row.location_type != "processing":
        raise IntegrityError("only a copy of a package is unpacked, and only at a processing location")
    return _take(connection, copy_id, _UNPACK, rules, actor, reason)


def restore(connection: sa.Connection, copy_id: int, *, actor: str, reason: str | None = None) -> CopyChange:
    """Say that the archive of an unpacked package is there again, not verified yet; as `request_deletion`."""
    unknown = {"verification": Verification.NEVER, "verified_at": None}
    return _take(connection, copy_id, _RESTORE, None, actor, reason, **unknown)


def record_verification(
    connection: sa.Connection, copy_id: int, outcome: Verification, *, verified_at: datetime | None = None
) -> None:
    """Record what a comparison of a copy with its size and checksum has shown.

    Args:
        connection: In a writing transaction.
        copy_id: Which copy.
        outcome: Anything but ``never``.
        verified_at: When; the database's time now if None.

    Raises:
        NotFoundError: There is no such copy.
        UsageError: The outcome says nothing, or the time is not over yet.
        IntegrityError: The copy is deleted, or a later verification is recorded already.
    """
    if outcome is Verification.NEVER:
        raise UsageError("a verification is ok, mismatch, missing or unreachable")
    _lock(connection, copy_id)
    now = read_clock(connection)
    moment = now if verified_at is None else verified_at
    if moment > now + timedelta(seconds=CLOCK_MARGIN_S):
        raise UsageError(f"the verification of the copy {copy_id} lies in the future by the database's clock")
    row = connection.execute(
        sa.select(PhysicalCopy.status, PhysicalCopy.verified_at).where(PhysicalCopy.id == copy_id)
    ).one()
    if row.status is _C.DELETED:
        raise IntegrityError(f"the copy {copy_id} is deleted; there is nothing to verify")
    if row.verified_at is not None and row.verified_at > moment:
        raise IntegrityError(f"a later verification of the copy {copy_id} is recorded already")
    values = {"verification": outcome, "verified_at": moment}
    connection.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == copy_id).values(values))


def _take(
    connection: sa.Connection,
    copy_id: int,
    step: _Step,
    rules: DeletionRules | None,
    actor: str,
    reason: str | None,
    **values: Any,
) -> CopyChange:
    """Do a step, or find it done."""
    _lock(connection, copy_id)
    before = _status(connection, copy_id)
    if before in step.done:
        return CopyChange(copy_id, before, before)
    path = step.paths.get(before)
    if path is None:
        wanted = " or ".join(f"'{state}'" for state in step.paths)
        raise IntegrityError(f"the copy {copy_id} cannot be {step.wish}: it is '{before}', not {wanted}")
    verdict, survivors = None, None
    if step.decides:
        assert rules is not None  # noqa: S101  (every step that decides is called with rules)
        (verdict,) = read_verdicts(connection, PhysicalCopy.id == copy_id, rules)
        if verdict.refusal is not None:
            raise IntegrityError(
                f"the copy {copy_id} cannot be {step.wish}: {verdict.refusal.sentence} ({verdict.refusal})"
            )
        left = read_survivors(connection, read_packages(connection, copy_id), rules, without_copy=copy_id)
        survivors = [survivor.as_dict() for survivor in left]
    evidence = None if verdict is None else verdict.as_dict()
    for state in path:
        note = {"actor": actor, "reason": reason, "evidence": evidence, "survivors": survivors}
        where = {"entity": "physical_copy", "attribute": "status", "entity_key": str(copy_id)}
        connection.execute(sa.insert(MoveNote).values(where | note))
        changed = {"status": state} | (values if state is path[-1] else {})
        connection.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == copy_id).values(changed))
    return CopyChange(copy_id, before, path[-1], verdict)


def _status(connection: sa.Connection, copy_id: int) -> PhysicalCopyStatus:
    return connection.execute(sa.select(PhysicalCopy.status).where(PhysicalCopy.id == copy_id)).scalar_one()


def _state_before(connection: sa.Connection, copy_id: int) -> PhysicalCopyStatus:
    """Where a copy was before its deletion was asked for; present when the history does not know."""
    found = connection.scalar(
        sa.select(LifecycleMove.from_state)
        .where(
            LifecycleMove.entity_key == str(copy_id),
            LifecycleMove.entity == "physical_copy",
            LifecycleMove.attribute == "status",
            LifecycleMove.from_state.in_(SETTLED),
        )
        .order_by(LifecycleMove.id.desc())
        .limit(1)
    )
    return _C.PRESENT if found is None else PhysicalCopyStatus(found)


def _lock(connection: sa.Connection, copy_id: int) -> None:
    """Keep every other decision on the same content waiting until this transaction ends.

    On PostgreSQL: the packages, then everything that could be counted on. On SQLite there is one writer at a time.

    Raises:
        NotFoundError: There is no such copy.
        SettingsError: The operations tables are another's.
    """
    if operations_attached(connection):
        raise SettingsError("the operations tables are another's, and the toolkit changes nothing in them")
    if connection.scalar(sa.select(PhysicalCopy.id).where(PhysicalCopy.id == copy_id)) is None:
        raise NotFoundError(f"there is no copy {copy_id}")
    if connection.dialect.name == "sqlite":
        return
    packages = _locked(
        connection,
        sa.select(RawDataPackage.id).where(
            RawDataPackage.id.in_(sa.select(subjects_of(PhysicalCopy.id == copy_id).subquery().c.package_id))
        ),
        RawDataPackage.id,
    )
    mine = sa.or_(PhysicalCopy.id == copy_id, PhysicalCopy.raw_data_package_id.in_(packages))
    _locked(connection, sa.select(PhysicalCopy.id).where(mine), PhysicalCopy.id)
    connection.execute(
        sa.select(DataLocation.id)
        .where(DataLocation.location_type == "long_term_archive")
        .order_by(DataLocation.id)
        .with_for_update(read=True, of=DataLocation.__table__)
    ).all()


def _locked(connection: sa.Connection, rows: sa.Select[Any], order: Any) -> Sequence[Any]:
    return connection.scalars(rows.order_by(order).with_for_update()).all()
