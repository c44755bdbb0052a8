"""Give up copies without losing content: each step decides and marks in one transaction, under the packages' locks.

Functions that change something take a connection in a writing transaction (`catalog.db.Database.begin`, durable, as
bytes are removed on its word). A step that is already done changes nothing, so that whoever did not hear the answer may
ask again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db.clock import read_clock
from catalog.errors import CatalogError, IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import LocationType, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.locks import select_locked
from catalog.opsdb.lifecycle.machines import SETTLED
from catalog.opsdb.lifecycle.rules import CLOCK_MARGIN_S, DeletionRules
from catalog.opsdb.lifecycle.survivors import NAMED_COPIES, Verdict, read_survivors, read_verdicts, subjects_of
from catalog.opsdb.models import DataLocation, LifecycleMove, MoveNote, OpsBase, PhysicalCopy
from catalog.opsdb.reports import require_actor
from catalog.opsdb.schema import refuse_attached

__all__ = [
    "CopyChange",
    "CopyStep",
    "VerificationReport",
    "record_verification",
    "record_verifications",
    "rehearse_steps",
    "take_step",
    "take_steps",
]

_COPIES = OpsBase.metadata.tables["ops.physical_copy"]
_C = PhysicalCopyStatus
_Path = tuple[PhysicalCopyStatus, ...]


class CopyStep(StrEnum):
    """What may be asked for or reported of a copy."""

    REQUEST = "request_deletion"
    """Ask for its deletion; from then on nobody counts on it."""

    SCHEDULE = "schedule_deletion"
    """Give its deletion, or one that has failed, to a worker."""

    START = "start_deletion"
    """Say that the bytes go now; decided once more."""

    CONFIRM = "confirm_deleted"
    """Say that the bytes are gone."""

    FAIL = "deletion_failed"
    """Say that nobody knows what is left of the bytes."""

    CANCEL = "cancel_deletion"
    """Take back a deletion that has not begun."""

    KEEP = "keep"
    """Take up again a copy whose deletion failed, once it was found whole."""

    UNPACK = "unpack"
    """Say that a package is unpacked at a processing location, so that its archive goes; guarded as a deletion."""

    RESTORE = "restore"
    """Say that the archive of an unpacked package is there again, not verified yet."""

    @property
    def decides(self) -> bool:
        """Whether content is at stake."""
        return self in (CopyStep.REQUEST, CopyStep.SCHEDULE, CopyStep.START, CopyStep.UNPACK)

    @property
    def origins(self) -> tuple[PhysicalCopyStatus, ...]:
        """States in which there is something to do."""
        return tuple(_STEPS[self].paths)


@dataclass(frozen=True, slots=True)
class CopyChange:
    """What a step does to one copy."""

    copy_id: int
    before: PhysicalCopyStatus | None
    """None when there is no such copy."""

    path: _Path = ()
    """States through which it goes; none when nothing changes."""

    verdict: Verdict | None = None
    """On what it is decided, when content is at stake."""

    fault: CatalogError | None = None
    """Why it may not be; None when it may, or is done already."""

    @property
    def obstacle(self) -> str | None:
        """The fault in a word: the refusal of the verdict, ``wrong_state`` or ``unknown_copy``."""
        if self.fault is None:
            return None
        if self.verdict is not None and self.verdict.refusal is not None:
            return str(self.verdict.refusal)
        return "unknown_copy" if self.before is None else "wrong_state"

    @property
    def after(self) -> PhysicalCopyStatus | None:
        """The state to which it leads."""
        return self.path[-1] if self.path else self.before


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a comparison of a copy with its size and checksum has shown."""

    copy_id: int
    outcome: Verification
    """Anything but ``never``."""

    verified_at: datetime | None = None
    """When; the database's time as it is recorded if None."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: the states through which it leads from each state in which it makes sense."""

    wish: str
    paths: Mapping[PhysicalCopyStatus, _Path]
    """Where a path is empty, it leads back to the state before the deletion was asked for."""

    done: tuple[PhysicalCopyStatus, ...]
    """States that say that it happened already."""

    forgets: bool = False
    """Whether nothing is known of the bytes after it, until they are verified again."""


_STEPS = {
    CopyStep.REQUEST: _Step(
        "asked to be deleted",
        {
            _C.PRESENT: (_C.DELETION_POSSIBLE, _C.DELETION_PENDING),
            _C.DELETION_POSSIBLE: (_C.DELETION_PENDING,),
            _C.STAGED: (_C.DELETION_SCHEDULED,),
        },
        (_C.DELETION_PENDING, _C.DELETION_SCHEDULED, _C.DELETION_IN_PROGRESS, _C.DELETED),
    ),
    CopyStep.SCHEDULE: _Step(
        "scheduled for deletion",
        {
            _C.PRESENT: (_C.DELETION_SCHEDULED,),
            _C.STAGED: (_C.DELETION_SCHEDULED,),
            _C.DELETION_POSSIBLE: (_C.DELETION_PENDING, _C.DELETION_SCHEDULED),
            _C.DELETION_PENDING: (_C.DELETION_SCHEDULED,),
            _C.DELETION_FAILED: (_C.DELETION_SCHEDULED,),
        },
        (_C.DELETION_SCHEDULED, _C.DELETION_IN_PROGRESS, _C.DELETED),
    ),
    CopyStep.START: _Step(
        "begun to be deleted",
        {_C.DELETION_SCHEDULED: (_C.DELETION_IN_PROGRESS,)},
        (_C.DELETION_IN_PROGRESS, _C.DELETED),
    ),
    CopyStep.CONFIRM: _Step("confirmed as deleted", {_C.DELETION_IN_PROGRESS: (_C.DELETED,)}, (_C.DELETED,)),
    CopyStep.FAIL: _Step(
        "reported as not deleted",
        {_C.DELETION_IN_PROGRESS: (_C.DELETION_FAILED,)},
        (_C.DELETION_FAILED,),
        forgets=True,
    ),
    CopyStep.CANCEL: _Step(
        "taken back from deletion",
        dict.fromkeys((_C.DELETION_POSSIBLE, _C.DELETION_PENDING, _C.DELETION_SCHEDULED), ()),
        SETTLED,
    ),
    CopyStep.KEEP: _Step("kept after a failed deletion", {_C.DELETION_FAILED: ()}, SETTLED),
    CopyStep.UNPACK: _Step("unpacked", {_C.PRESENT: (_C.STAGED,)}, (_C.STAGED,)),
    CopyStep.RESTORE: _Step("restored", {_C.STAGED: (_C.PRESENT,)}, (_C.PRESENT,), forgets=True),
}


def take_step(
    connection: sa.Connection,
    step: CopyStep,
    copy_id: int,
    *,
    rules: DeletionRules,
    actor: str,
    reason: str | None = None,
) -> CopyChange:
    """Do a step for one copy; arguments as of `take_steps`.

    Raises:
        NotFoundError: There is no such copy.
        IntegrityError: Too little would be left, or the state of the copy does not allow it; nothing is changed.
        UsageError: Nobody is named.
        SettingsError: The operations tables are another's.
    """
    (change,) = take_steps(connection, step, [copy_id], rules=rules, actor=actor, reason=reason)
    if change.fault is not None:
        raise change.fault
    return change


def take_steps(
    connection: sa.Connection,
    step: CopyStep,
    copy_ids: Iterable[int],
    *,
    rules: DeletionRules,
    actor: str,
    reason: str | None = None,
) -> list[CopyChange]:
    """Do a step for copies, as if for one after the other; those for which it is refused stay as they are.

    Args:
        connection: In a writing transaction.
        step: Which.
        copy_ids: Of which copies: some thousands at most, because their packages are locked until the transaction ends.
        rules: What must be left.
        actor: Who; kept in the history.
        reason: Why; kept in the history.

    Returns:
        What was done or refused, in the order of the numbers.

    Raises:
        UsageError: Nobody is named.
        SettingsError: The operations tables are another's.
    """
    require_actor(actor)
    keys = sorted(set(copy_ids))
    _lock(connection, keys)
    changes = rehearse_steps(connection, step, keys, rules=rules)
    moved = [change for change in changes if change.path]
    survivors = _survivors(connection, moved, rules) if step.decides else {}
    values: dict[str, Any] = {"deleted_at": read_clock(connection)} if step is CopyStep.CONFIRM else {}
    if _STEPS[step].forgets:
        values = {"verification": Verification.NEVER, "verified_at": None}
    for path, alike in groupby(sorted(moved, key=_path), _path):
        some = list(alike)
        for state in path:
            _leave_notes(connection, some, actor, reason, survivors)
            changed = {"status": state} | (values if state is path[-1] else {})
            connection.execute(sa.update(PhysicalCopy).where(_among(some)).values(changed))
    return changes


def rehearse_steps(
    connection: sa.Connection, step: CopyStep, copy_ids: Iterable[int], *, rules: DeletionRules
) -> list[CopyChange]:
    """What `take_steps` would do now, decided by the same code; nothing is changed."""
    keys = sorted(set(copy_ids))
    rule = _STEPS[step]
    facts = _read_facts(connection, keys)
    backwards = _read_states_before(connection, keys) if step in (CopyStep.CANCEL, CopyStep.KEEP) else {}
    changes = {}
    for key in keys:
        known = facts.get(key)
        if known is None:
            changes[key] = CopyChange(key, None, fault=NotFoundError(f"there is no copy {key}"))
            continue
        fault = _obstacle(step, known)
        if fault is None and known.status in rule.done:
            changes[key] = CopyChange(key, known.status)
        elif fault is None:
            changes[key] = CopyChange(key, known.status, rule.paths[known.status] or (backwards.get(key, _C.PRESENT),))
        else:
            changes[key] = CopyChange(key, known.status, fault=fault)
    if step.decides:
        _judge(connection, changes, facts, rule.wish, rules)
    return list(changes.values())


def record_verification(
    connection: sa.Connection, copy_id: int, outcome: Verification, *, verified_at: datetime | None = None
) -> None:
    """Record what a comparison of a copy with its size and checksum has shown; see `VerificationReport`.

    Raises:
        NotFoundError: There is no such copy.
        UsageError: The outcome says nothing, or the time is not over yet.
        IntegrityError: The copy is deleted, or a later verification is recorded already.
    """
    (fault,) = record_verifications(connection, [VerificationReport(copy_id, outcome, verified_at)])
    if fault is not None:
        raise fault


def record_verifications(connection: sa.Connection, reports: Sequence[VerificationReport]) -> list[CatalogError | None]:
    """Record verifications, one after the other.

    Args:
        connection: In a writing transaction.
        reports: Some thousands at most.

    Returns:
        For each why it was not recorded, or None; errors as of `record_verification`.
    """
    keys = sorted({report.copy_id for report in reports})
    _lock(connection, keys)
    now = read_clock(connection)
    facts = _read_facts(connection, keys)
    found: dict[int, tuple[Verification, datetime]] = {}
    faults = []
    for report in reports:
        known = facts.get(report.copy_id)
        moment = now if report.verified_at is None else report.verified_at
        last = found[report.copy_id][1] if report.copy_id in found else None if known is None else known.verified_at
        fault = _unrecordable(report, known, moment, last, now)
        faults.append(fault)
        if fault is None:
            found[report.copy_id] = (report.outcome, moment)
    if found:
        change = sa.update(_COPIES).where(_COPIES.c.id == sa.bindparam("key"))
        rows = [{"key": key, "outcome": outcome, "at": moment} for key, (outcome, moment) in sorted(found.items())]
        change = change.values(verification=sa.bindparam("outcome"), verified_at=sa.bindparam("at"))
        connection.execute(change, rows)
    return faults


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a copy."""

    copy_id: int
    status: PhysicalCopyStatus
    verification: Verification
    verified_at: datetime | None
    package_id: UUID | None
    location_type: LocationType


def _read_facts(connection: sa.Connection, keys: Sequence[int]) -> dict[int, _Facts]:
    rows = connection.execute(
        sa.select(
            PhysicalCopy.id,
            PhysicalCopy.status,
            PhysicalCopy.verification,
            PhysicalCopy.verified_at,
            PhysicalCopy.raw_data_package_id,
            DataLocation.location_type,
        )
        .join(DataLocation)
        .where(PhysicalCopy.id.in_(keys))
    )
    return {row.id: _Facts(*row) for row in rows}


def _read_states_before(connection: sa.Connection, keys: Sequence[int]) -> dict[int, PhysicalCopyStatus]:
    """Where copies were before their deletion was asked for, as far as the history knows."""
    last = (
        sa.select(sa.func.max(LifecycleMove.id))
        .where(
            LifecycleMove.entity_key.in_([str(key) for key in keys]),
            LifecycleMove.entity == "physical_copy",
            LifecycleMove.attribute == "status",
            LifecycleMove.from_state.in_(SETTLED),
        )
        .group_by(LifecycleMove.entity_key)
    )
    rows = sa.select(LifecycleMove.entity_key, LifecycleMove.from_state).where(LifecycleMove.id.in_(last))
    return {int(key): PhysicalCopyStatus(state) for key, state in connection.execute(rows)}


def _obstacle(step: CopyStep, known: _Facts) -> CatalogError | None:
    """What speaks against a step before survivors are looked at."""
    rule = _STEPS[step]
    if step is CopyStep.UNPACK and (known.package_id is None or known.location_type is not LocationType.PROCESSING):
        return IntegrityError("only a copy of a package is unpacked, and only at a processing location")
    if known.status in rule.done:
        return None
    if known.status not in rule.paths:
        wanted = " or ".join(f"'{state}'" for state in rule.paths)
        return IntegrityError(f"the copy {known.copy_id} cannot be {rule.wish}: it is '{known.status}', not {wanted}")
    if step is CopyStep.KEEP and known.verification is not Verification.OK:
        return IntegrityError(
            f"the copy {known.copy_id} cannot be kept: its deletion failed, and since then it was not found whole",
            hint="Record a verification first.",
        )
    return None


def _judge(
    connection: sa.Connection,
    changes: dict[int, CopyChange],
    facts: Mapping[int, _Facts],
    wish: str,
    rules: DeletionRules,
) -> None:
    """Decide on the copies whose state allows the step.

    Only copies of packages in archives are counted on. Of those of one package, each is judged without the ones that
    go before it; all other copies are judged together, at the end.
    """
    rounds: defaultdict[int, list[int]] = defaultdict(list)
    of_package: defaultdict[UUID, int] = defaultdict(int)
    last = len(changes)
    for key in (change.copy_id for change in changes.values() if change.path):
        package = facts[key].package_id
        if package is None or facts[key].location_type is not LocationType.LONG_TERM_ARCHIVE:
            rounds[last].append(key)
        else:
            rounds[of_package[package]].append(key)
            of_package[package] += 1
    gone: list[int] = []
    for _, keys in sorted(rounds.items()):
        for verdict in read_verdicts(connection, keys, rules, without=gone):
            key, fault = verdict.copy_id, None
            if verdict.refusal is not None:
                sentence = f"the copy {key} cannot be {wish}: {verdict.refusal.sentence} ({verdict.refusal})"
                fault = IntegrityError(sentence)
            before, path = changes[key].before, changes[key].path
            changes[key] = CopyChange(key, before, () if fault else path, verdict, fault)
        gone += [key for key in keys if changes[key].path and facts[key].package_id in of_package]


def _survivors(
    connection: sa.Connection, changes: Sequence[CopyChange], rules: DeletionRules
) -> dict[int, list[dict[str, Any]]]:
    """What is left of the packages that each copy carries, when all of these have gone."""
    gone = [change.copy_id for change in changes]
    carried = connection.execute(_carried(), {"keys": gone}).all()
    packages = sorted({row.package_id for row in carried})
    left = defaultdict(list)
    for survivor in read_survivors(connection, packages, rules, without=gone):
        left[survivor.package_id].append(survivor.as_dict())
    told: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in carried:
        told[row.copy_id] += left[str(row.package_id)]
    return told


@cache
def _carried() -> sa.Select[Any]:
    return sa.select(subjects_of(NAMED_COPIES).subquery())


def _leave_notes(
    connection: sa.Connection,
    changes: Sequence[CopyChange],
    actor: str,
    reason: str | None,
    survivors: Mapping[int, list[dict[str, Any]]],
) -> None:
    """Tell the history who acts and why; notes that somebody left behind without a move say nothing of this one."""
    where = {"entity": "physical_copy", "attribute": "status"}
    keys = [str(change.copy_id) for change in changes]
    connection.execute(sa.delete(MoveNote).filter_by(**where).where(MoveNote.entity_key.in_(keys)))
    notes: list[dict[str, Any]] = [
        where
        | {
            "entity_key": str(change.copy_id),
            "actor": actor,
            "reason": reason,
            "evidence": None if change.verdict is None else change.verdict.as_dict(),
            "survivors": survivors.get(change.copy_id),
        }
        for change in changes
    ]
    connection.execute(sa.insert(MoveNote), notes)


def _unrecordable(
    report: VerificationReport, known: _Facts | None, moment: datetime, last: datetime | None, now: datetime
) -> CatalogError | None:
    """Why a verification may not be recorded."""
    copy = f"the copy {report.copy_id}"
    if report.outcome is Verification.NEVER:
        return UsageError("a verification is ok, mismatch, missing or unreachable")
    if known is None:
        return NotFoundError(f"there is no copy {report.copy_id}")
    if moment > now + timedelta(seconds=CLOCK_MARGIN_S):
        return UsageError(f"the verification of {copy} lies in the future by the database's clock")
    if known.status is _C.DELETED:
        return IntegrityError(f"{copy} is deleted; there is nothing to verify")
    if last is not None and last > moment:
        return IntegrityError(f"a later verification of {copy} is recorded already")
    return None


def _path(change: CopyChange) -> _Path:
    return change.path


def _among(changes: Collection[CopyChange]) -> sa.ColumnElement[bool]:
    return PhysicalCopy.id.in_([change.copy_id for change in changes])


def _lock(connection: sa.Connection, keys: Sequence[int]) -> None:
    """Keep every other decision on the same content waiting until this transaction ends.

    Raises:
        SettingsError: The operations tables are another's.
    """
    refuse_attached(connection)
    if connection.dialect.name == "sqlite":
        return
    for rows in _locks():
        connection.execute(rows, {"keys": keys}).all()


@cache
def _locks() -> list[sa.Select[Any]]:
    return select_locked(NAMED_COPIES)
