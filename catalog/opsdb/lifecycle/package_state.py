"""Which state a package should be in, by what is recorded of its copies and of its way: one table, one SELECT.

The first rule that applies decides. What is not known decides nothing: a copy in an archive that may or may not be
there, or an arrival of which nobody has recorded a copy, leaves the state as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from catalog.db import UtcDateTime
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, Status, Verification
from catalog.opsdb.lifecycle.traffic import OPEN, is_under_way
from catalog.opsdb.models import (
    DataLocation,
    DataTransfer,
    LifecycleMove,
    LongTermArchiveTransfer,
    PhysicalCopy,
    RawDataPackage,
    data_transfer_package_member,
)

__all__ = ["RULES", "Condition", "Ground", "Rule", "select_states"]

Condition = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Says of a column of package ids which packages are meant."""

_Flag = sa.ColumnElement[bool]
_MEMBER = data_transfer_package_member.c


class Ground(StrEnum):
    """What a state follows from."""

    STORED = "stored"
    STILL_ARCHIVED = "still_archived"
    UNDER_WAY = "under_way"
    IN_DOUBT = "in_doubt"
    LOST = "lost"
    NOT_ARCHIVED = "not_archived"
    ARRIVED = "arrived"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    NOTHING_LEFT = "nothing_left"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Rule:
    """A ground, and the state that follows from it."""

    ground: Ground
    state: PackageState | None
    """None: whatever it is."""

    sentence: str


_P = PackageState
RULES = (
    Rule(Ground.STORED, _P.ARCHIVED, "a long-term archive has a copy"),
    Rule(Ground.STILL_ARCHIVED, None, "it is archived, and a long-term archive may have a copy"),
    Rule(Ground.UNDER_WAY, _P.TRANSFERRING, "a transfer of it is not over"),
    Rule(Ground.IN_DOUBT, None, "a long-term archive may have a copy, or it has arrived where no copy is recorded"),
    Rule(Ground.LOST, _P.FAILED, "long-term archives have lost every copy"),
    Rule(Ground.NOT_ARCHIVED, _P.FAILED, "its archiving failed for good"),
    Rule(Ground.ARRIVED, _P.TRANSFERRING, "it has arrived, and its archiving has not begun"),
    Rule(Ground.NOT_SENT, _P.FAILED, "its transfer or its unpacking failed for good"),
    Rule(Ground.UNKNOWN, None, "no copy is recorded"),
    Rule(Ground.NOTHING_LEFT, _P.FAILED, "every copy is deleted, missing or damaged"),
    Rule(Ground.HELD, _P.WAITING, "it has not set out"),
)
"""In the order in which they are asked.

A loss or a failure counts until the package is taken up again (`recall`, `resend`), by whomever; what fails after that
counts anew. A copy in an archive is there when it is present, at an active location, not found missing, damaged or
unreachable, and no transfer still writes it; it is lost when it is deleted, missing or damaged; else it may be there.
"""


def select_states(which: Condition) -> sa.Select[*tuple[Any, ...]]:
    """SELECT of packages with what they should be: ``package_id``, ``state``, ``ground``, ``wanted``."""
    facts = _facts(which)
    package: Any = RawDataPackage.id
    is_archived = RawDataPackage.state == PackageState.ARCHIVED
    known = {name: sa.func.coalesce(facts.c[name], 0) > 0 for name in _FLAGS}
    holds: dict[Ground, _Flag] = {
        Ground.STORED: known["stored"],
        Ground.STILL_ARCHIVED: sa.and_(known["doubtful"], is_archived),
        Ground.UNDER_WAY: known["moving"],
        Ground.IN_DOUBT: known["doubtful"],
        Ground.LOST: _is_news(facts, "lost_at"),
        Ground.NOT_ARCHIVED: _is_news(facts, "archiving_failed_at"),
        Ground.ARRIVED: known["arrived"],
        Ground.NOT_SENT: _is_news(facts, "transfer_failed_at"),
        Ground.UNKNOWN: sa.not_(known["recorded"]),
        Ground.NOTHING_LEFT: sa.not_(known["remaining"]),
        Ground.HELD: sa.true(),
    }
    ground = sa.case(*((holds[rule.ground], str(rule.ground)) for rule in RULES))
    state = sa.type_coerce(RawDataPackage.state, sa.Text())
    judged = (
        sa.select(package.label("package_id"), RawDataPackage.state, state.label("word"), ground.label("ground"))
        .outerjoin(facts, facts.c.package_id == package)
        .where(which(package))
        .subquery("judged")
    )
    states = {str(rule.ground): str(rule.state) for rule in RULES if rule.state is not None}
    wanted = sa.case(states, value=judged.c.ground, else_=judged.c.word)
    return sa.select(judged.c.package_id, judged.c.state, judged.c.ground, wanted.label("wanted"))


_FLAGS = ("stored", "doubtful", "moving", "arrived", "recorded", "remaining")
_TIMES = ("lost_at", "archiving_failed_at", "transfer_failed_at", "recalled_at")


def _facts(which: Condition) -> sa.Subquery:
    """What is known of each package, from what is known of it at each place."""
    rows = sa.union_all(_copies(which), _transfers(which), _archivings(which), _recalls(which)).subquery("rows")
    names = ("in_archive", "recorded", "remaining", "whole", "moving", "arrived", *_TIMES)
    at = (
        sa.select(rows.c.package_id, *(sa.func.max(rows.c[name]).label(name) for name in names))
        .group_by(rows.c.package_id, rows.c.place)
        .subquery("at")
    )
    has = {name: at.c[name] == 1 for name in names if name not in _TIMES}
    stored = sa.and_(has["in_archive"], has["whole"], sa.not_(has["moving"]))
    unsure = sa.and_(has["in_archive"], has["remaining"], sa.not_(stored))
    flags = {
        "stored": stored,
        "doubtful": sa.or_(unsure, sa.and_(has["arrived"], sa.not_(has["recorded"]))),
        "moving": has["moving"],
        "arrived": sa.and_(has["arrived"], has["remaining"]),
        "recorded": has["recorded"],
        "remaining": has["remaining"],
    }
    return (
        sa.select(
            at.c.package_id,
            *(sa.func.max(sa.case((flag, 1), else_=0)).label(name) for name, flag in flags.items()),
            *(sa.func.max(at.c[name]).label(name) for name in _TIMES),
        )
        .group_by(at.c.package_id)
        .subquery("facts")
    )


def _copies(which: Condition) -> sa.Select[Any]:
    """Copies of packages."""
    in_archive = DataLocation.location_type == LocationType.LONG_TERM_ARCHIVE
    gone = sa.or_(
        PhysicalCopy.status == PhysicalCopyStatus.DELETED,
        PhysicalCopy.verification.in_((Verification.MISMATCH, Verification.MISSING)),
    )
    whole = sa.and_(
        PhysicalCopy.status == PhysicalCopyStatus.PRESENT,
        PhysicalCopy.verification.in_((Verification.NEVER, Verification.OK)),
        DataLocation.active,
    )
    return _rows(
        sa.select().join_from(PhysicalCopy, DataLocation, DataLocation.id == PhysicalCopy.data_location_id),
        PhysicalCopy.raw_data_package_id,
        PhysicalCopy.data_location_id,
        which,
        in_archive=in_archive,
        recorded=sa.true(),
        remaining=sa.not_(gone),
        whole=whole,
        lost_at=sa.case((sa.and_(in_archive, gone), PhysicalCopy.updated_at)),
    )


def _transfers(which: Condition) -> sa.Select[Any]:
    """Transfers of the bundles that hold packages; a bundle that goes on from where it comes to has not arrived."""
    onward = aliased(DataTransfer)
    sent = DataTransfer.status == Status.COMPLETED
    failed = sa.or_(DataTransfer.status == Status.FAILED, sa.and_(sent, DataTransfer.unpack_status == Status.FAILED))
    same = DataTransfer.data_transfer_package_id == _MEMBER.data_transfer_package_id
    goes_on = sa.and_(
        onward.data_transfer_package_id == DataTransfer.data_transfer_package_id,
        onward.origin_location_id == DataTransfer.destination_location_id,
    )
    legs = sa.select().join_from(data_transfer_package_member, DataTransfer, same).outerjoin(onward, goes_on)
    return _rows(
        legs,
        _MEMBER.raw_data_package_id,
        DataTransfer.destination_location_id,
        which,
        moving=is_under_way(),
        arrived=sa.and_(sent, DataTransfer.unpack_status == Status.COMPLETED, onward.id.is_(None)),
        transfer_failed_at=sa.case((failed, DataTransfer.updated_at)),
    )


def _archivings(which: Condition) -> sa.Select[Any]:
    """Archive transfers of packages."""
    status = LongTermArchiveTransfer.status
    return _rows(
        sa.select().select_from(LongTermArchiveTransfer),
        LongTermArchiveTransfer.raw_data_package_id,
        LongTermArchiveTransfer.destination_location_id,
        which,
        moving=status.in_(OPEN),
        arrived=status == Status.COMPLETED,
        archiving_failed_at=sa.case((status == Status.FAILED, LongTermArchiveTransfer.updated_at)),
    )


def _recalls(which: Condition) -> sa.Select[Any]:
    """When packages were taken up again, wherever they are."""
    recalled = sa.and_(
        LifecycleMove.entity_key == sa.cast(RawDataPackage.id, sa.Text()),
        LifecycleMove.entity == "raw_data_package",
        LifecycleMove.attribute == "state",
        LifecycleMove.verb.in_(("recall", "resend")),
    )
    return _rows(
        sa.select().join_from(RawDataPackage, LifecycleMove, recalled),
        RawDataPackage.id,
        sa.cast(sa.null(), sa.Integer()),
        which,
        recalled_at=LifecycleMove.moved_at,
    )


def _rows(rows: sa.Select[Any], package: Any, place: Any, which: Condition, **columns: Any) -> sa.Select[Any]:
    """Rows of a package at a place: flags as 0 or 1, times when they are known."""
    never = sa.cast(sa.null(), UtcDateTime())
    flags = ("in_archive", "recorded", "remaining", "whole", "moving", "arrived")
    return rows.add_columns(
        package.label("package_id"),
        place.label("place"),
        *(sa.case((columns.get(name, sa.false()), 1), else_=0).label(name) for name in flags),
        *(columns.get(name, never).label(name) for name in _TIMES),
    ).where(package.is_not(None), which(package))


def _is_news(facts: sa.Subquery, name: str) -> _Flag:
    """Something has happened, and since then the package was not taken up again."""
    return sa.and_(facts.c[name].is_not(None), sa.func.coalesce(facts.c[name] > facts.c.recalled_at, sa.true()))
