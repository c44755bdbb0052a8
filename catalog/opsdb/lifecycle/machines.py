"""The legal moves of every state that the operations database keeps, as data.

The triggers of `catalog.opsdb.triggers.moves` are made of it, so that it holds for every writer; a new row may start in
any state, because records reach the database in any order. ``docs/decisions/`` says where the sources disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from catalog.opsdb.enums import PackageState, PhysicalCopyStatus, Status
from catalog.opsdb.models import (
    DataTransfer,
    DataTransferPackage,
    LongTermArchiveTransfer,
    OpsBase,
    PhysicalCopy,
    RawDataPackage,
    StagingJob,
)

__all__ = [
    "BUILD",
    "COPY",
    "GOVERNED",
    "PACKAGE",
    "SETTLED",
    "WORK",
    "Governed",
    "Guard",
    "Machine",
    "Move",
]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold besides for a move."""

    sentence: str
    """What the writer reads when it does not hold."""

    condition: str
    """SQL on the row before (``OLD``) and after (``NEW``); tables stand in braces, by their names."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step from a state to another."""

    verb: str
    origin: StrEnum
    target: StrEnum
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of one kind of thing and the moves between them; every other move is refused."""

    states: type[StrEnum]
    moves: tuple[Move, ...]

    def targets(self, origin: StrEnum) -> tuple[StrEnum, ...]:
        """Where a state leads; nowhere when it is final."""
        return tuple(move.target for move in self.moves if move.origin is origin)

    def move(self, origin: StrEnum, target: StrEnum) -> Move | None:
        """The move from one state to another, if it is legal."""
        return next((move for move in self.moves if move.origin is origin and move.target is target), None)


@dataclass(frozen=True, slots=True)
class Governed:
    """A column whose values move as a machine says."""

    model: type[OpsBase]
    column: str
    machine: Machine
    noun: str
    """What a row is called in sentences."""

    @property
    def table(self) -> sa.Table:
        """The table of the column."""
        table = self.model.__table__
        assert isinstance(table, sa.Table)  # noqa: S101  (every model is mapped to one)
        return table


_C = PhysicalCopyStatus
SETTLED = (_C.PRESENT, _C.STAGED)
"""States of a copy that nobody wants to delete."""

# "+ 0": PostgreSQL would else go through the history from its end, which is not where the lines of this copy are.
_BEFORE_DELETION = (
    "NEW.status = coalesce((SELECT m.from_state FROM {lifecycle_move} m WHERE m.entity_key = CAST(NEW.id AS text) "
    "AND m.entity = 'physical_copy' AND m.attribute = 'status' AND m.from_state IN ('present', 'staged') "
    "ORDER BY m.id + 0 DESC LIMIT 1), NEW.status)"
)
_BACK = Guard("a copy goes back to the state in which it was before its deletion was asked for", _BEFORE_DELETION)
_FOUND = Guard(
    "a copy whose deletion failed is kept once it was found whole, in the state in which it was before",
    f"NEW.verification = 'ok' AND {_BEFORE_DELETION}",
)
_UNPACKED = Guard(
    "only a package is unpacked, and only at a processing location",
    "NEW.raw_data_package_id IS NOT NULL AND EXISTS "
    "(SELECT 1 FROM {data_location} l WHERE l.id = NEW.data_location_id AND l.location_type = 'processing')",
)
_UNKNOWN = Guard(
    "what a failed deletion has left is not known; set the verification of the copy to 'never'",
    "NEW.verification = 'never'",
)


def _cancels() -> Iterator[Move]:
    for origin in (_C.DELETION_POSSIBLE, _C.DELETION_PENDING, _C.DELETION_SCHEDULED):
        for target in SETTLED:
            yield Move("cancel", origin, target, _BACK)


COPY = Machine(
    PhysicalCopyStatus,
    (
        Move("unpack", _C.PRESENT, _C.STAGED, _UNPACKED),
        Move("restore", _C.STAGED, _C.PRESENT),
        Move("offer", _C.PRESENT, _C.DELETION_POSSIBLE),
        Move("request", _C.DELETION_POSSIBLE, _C.DELETION_PENDING),
        Move("schedule", _C.DELETION_PENDING, _C.DELETION_SCHEDULED),
        Move("schedule", _C.PRESENT, _C.DELETION_SCHEDULED),
        Move("schedule", _C.STAGED, _C.DELETION_SCHEDULED),
        Move("start", _C.DELETION_SCHEDULED, _C.DELETION_IN_PROGRESS),
        Move("confirm", _C.DELETION_IN_PROGRESS, _C.DELETED),
        Move("fail", _C.DELETION_IN_PROGRESS, _C.DELETION_FAILED, _UNKNOWN),
        Move("retry", _C.DELETION_FAILED, _C.DELETION_SCHEDULED),
        *(Move("keep", _C.DELETION_FAILED, target, _FOUND) for target in SETTLED),
        *_cancels(),
    ),
)
"""A stored instance: deletion is asked for, scheduled, done and confirmed; what is deleted stays so."""

_P = PackageState
PACKAGE = Machine(
    PackageState,
    (
        Move("send", _P.WAITING, _P.TRANSFERRING),
        Move("archive", _P.WAITING, _P.ARCHIVED),
        Move("archive", _P.TRANSFERRING, _P.ARCHIVED),
        Move("archive", _P.FAILED, _P.ARCHIVED),
        Move("recall", _P.TRANSFERRING, _P.WAITING),
        Move("fail", _P.WAITING, _P.FAILED),
        Move("fail", _P.TRANSFERRING, _P.FAILED),
        Move("lose", _P.ARCHIVED, _P.FAILED),
        Move("resend", _P.FAILED, _P.TRANSFERRING),
        Move("recall", _P.FAILED, _P.WAITING),
    ),
)
"""Where a package stands; an archived one that travels once more stays archived."""

_S = Status
_WORK = (
    Move("assign", _S.PENDING, _S.SCHEDULED),
    Move("start", _S.PENDING, _S.IN_PROGRESS),
    Move("start", _S.SCHEDULED, _S.IN_PROGRESS),
    Move("release", _S.SCHEDULED, _S.PENDING),
    Move("retry", _S.IN_PROGRESS, _S.PENDING),
    Move("complete", _S.IN_PROGRESS, _S.COMPLETED),
    Move("give up", _S.PENDING, _S.FAILED),
    Move("give up", _S.SCHEDULED, _S.FAILED),
    Move("give up", _S.IN_PROGRESS, _S.FAILED),
)
WORK = Machine(Status, _WORK)
"""An operation: an attempt that fails and may be tried again goes back to pending; failed means that it never will."""

_BUILT = Guard("what was built elsewhere has a size and a checksum", "NEW.size_bytes >= 0 AND NEW.checksum <> ''")
BUILD = Machine(
    Status,
    (
        *_WORK,
        Move("take in", _S.PENDING, _S.COMPLETED, _BUILT),
        Move("take in", _S.SCHEDULED, _S.COMPLETED, _BUILT),
    ),
)
"""The building of a package, which may have happened where nobody reported its beginning."""

GOVERNED = (
    Governed(PhysicalCopy, "status", COPY, "a physical copy"),
    Governed(RawDataPackage, "state", PACKAGE, "a package"),
    Governed(RawDataPackage, "status", BUILD, "the building of a package"),
    Governed(DataTransferPackage, "status", BUILD, "the building of a transfer package"),
    Governed(DataTransfer, "status", WORK, "a transfer"),
    Governed(DataTransfer, "unpack_status", WORK, "the unpacking of a transfer"),
    Governed(LongTermArchiveTransfer, "status", WORK, "an archive transfer"),
    Governed(StagingJob, "status", WORK, "a staging job"),
)
"""Every column that has a machine."""
