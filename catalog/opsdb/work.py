"""Operations that movers do: begin the next that is due, or a named one, and report what came of it.

Every attempt has a number, which whoever begins it is told and repeats in the report. A report that comes twice, or
after the attempt is over, changes nothing. Every function takes a connection in a writing transaction
(`catalog.db.Database.begin`); the moves are those of `catalog.opsdb.lifecycle.machines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db.clock import read_clock
from catalog.db.listed import listed
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.enums import Status
from catalog.opsdb.lifecycle.machines import GOVERNED, Governed
from catalog.opsdb.models import LifecycleMove, MoveNote, OpsBase
from catalog.opsdb.schema import refuse_attached

__all__ = [
    "RetryRules",
    "Work",
    "WorkChange",
    "begin_next",
    "begin_work",
    "complete_work",
    "current_attempt",
    "fail_work",
    "governed_by",
    "is_rested",
    "move_rows",
]

Key = int | UUID


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often something is tried, and how long it rests after a failure."""

    attempts: int = 5
    """After so many failed attempts it is not tried again."""

    backoff_s: float = 300.0
    """Seconds until the second attempt; twice as long before each further one."""

    backoff_max_s: float = 21_600.0

    def rest(self, failures: int) -> timedelta:
        """Time between the failure and the next attempt."""
        return timedelta(seconds=min(self.backoff_s * 2.0 ** min(failures - 1, 64), self.backoff_max_s))


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of operation: a column with the machine of its moves."""

    governed: Governed
    counter: str | None = None
    """Column that counts failed attempts; when there is none, the history tells."""

    is_timed: bool = False
    """Whether ``started_at``, ``finished_at`` and ``failure`` speak of it."""

    @property
    def table(self) -> sa.Table:
        """Where the operations are."""
        return self.governed.table

    @property
    def status(self) -> sa.Column[Any]:
        """Where they stand."""
        return self.governed.table.c[self.governed.column]

    @property
    def failures(self) -> sa.ColumnElement[int]:
        """How many attempts have failed."""
        if self.counter is not None:
            return self.table.c[self.counter]
        return (
            sa.select(sa.func.count())
            .where(
                LifecycleMove.entity_key == sa.cast(self.table.c.id, sa.Text),
                LifecycleMove.entity == self.table.name,
                LifecycleMove.attribute == self.governed.column,
                LifecycleMove.from_state == Status.IN_PROGRESS,
                LifecycleMove.to_state.in_((Status.PENDING, Status.FAILED)),
            )
            .correlate(self.table)
            .scalar_subquery()
        )


@dataclass(frozen=True, slots=True)
class WorkChange:
    """What a step has done; nothing when both states are the same."""

    key: Key
    attempt: int
    """Of which the step was; the one that runs, or would be next, when nothing was done."""

    before: Status
    after: Status

    @property
    def is_new(self) -> bool:
        """Whether something was done."""
        return self.before is not self.after


def governed_by(model: type[OpsBase], column: str) -> Governed:
    """The machine of a column."""
    return next(governed for governed in GOVERNED if (governed.model, governed.column) == (model, column))


def is_rested(work: Work, rules: RetryRules, now: datetime) -> sa.ColumnElement[bool]:
    """Whether enough time has passed since the last failed attempt, which was the last change of the row.

    Args:
        work: Which kind.
        rules: How long it rests.
        now: The database's time.
    """
    since, failures = work.table.c.updated_at, work.failures
    rested = {count: since <= now - rules.rest(count) for count in range(1, rules.attempts + 1)}
    return sa.case(
        (failures == 0, sa.true()),
        *((failures == count, due) for count, due in rested.items()),
        else_=since <= now - rules.rest(rules.attempts + 1),
    )


def begin_next(connection: sa.Connection, work: Work, due: sa.Select[Any], *, actor: str) -> WorkChange | None:
    """Begin the first operation of a SELECT of keys; two movers never get the same.

    Args:
        connection: In a writing transaction.
        work: Which kind.
        due: Keys in the order of their urgency; what it joins is not locked.
        actor: Who begins; kept in the history.

    Returns:
        None when nothing is due that nobody else is about to take.
    """
    refuse_attached(connection)
    found = connection.scalar(
        due.where(work.status == Status.PENDING).limit(1).with_for_update(of=work.table, skip_locked=True)
    )
    return None if found is None else begin_work(connection, work, found, actor=actor)


def begin_work(connection: sa.Connection, work: Work, key: Key, *, actor: str) -> WorkChange:
    """Begin a named operation; who has begun it already may ask again.

    Args:
        connection: In a writing transaction.
        work: Which kind.
        key: Which.
        actor: Who begins; kept in the history.

    Raises:
        NotFoundError: There is no such operation.
        IntegrityError: Somebody else is doing it, or it has failed for good.
    """
    status, attempt = current_attempt(connection, work, key)
    if status is Status.IN_PROGRESS and (holder := _holder(connection, work, key)) != actor:
        raise IntegrityError(f"{work.governed.noun}, {key}, is being done by {holder or 'somebody else'}")
    if status is Status.FAILED:
        raise IntegrityError(f"{work.governed.noun}, {key}, has failed for good; it is not tried again")
    if status in (Status.IN_PROGRESS, Status.COMPLETED):
        return WorkChange(key, attempt, status, status)
    times = {"started_at": read_clock(connection), "finished_at": None} if work.is_timed else {}
    _move(connection, work, key, Status.IN_PROGRESS, actor, None, times)
    return WorkChange(key, attempt, status, Status.IN_PROGRESS)


def complete_work(
    connection: sa.Connection,
    work: Work,
    key: Key,
    *,
    attempt: int,
    actor: str,
    reason: str | None = None,
    **values: Any,
) -> WorkChange:
    """Say that an attempt has succeeded.

    Args:
        connection: In a writing transaction.
        work: Which kind.
        key: Of which operation.
        attempt: Its number, as told when it was begun.
        actor: Who says so; kept in the history.
        reason: Anything worth knowing; kept in the history.
        values: Columns that are known now.

    Raises:
        NotFoundError: There is no such operation.
        IntegrityError: The attempt has not begun, or the operation has failed for good.
    """
    status, current = current_attempt(connection, work, key)
    if _is_over(work, key, status, current, attempt):
        return WorkChange(key, current, status, status)
    if work.is_timed:
        values |= {"finished_at": read_clock(connection), "failure": None}
    _move(connection, work, key, Status.COMPLETED, actor, reason, values)
    return WorkChange(key, attempt, status, Status.COMPLETED)


def fail_work(
    connection: sa.Connection,
    work: Work,
    key: Key,
    *,
    attempt: int,
    actor: str,
    reason: str,
    rules: RetryRules,
    is_final: bool = False,
) -> WorkChange:
    """Say that an attempt has failed; the operation is due again after a rest, or never.

    Args:
        connection: In a writing transaction.
        work: Which kind.
        key: Of which operation.
        attempt: Its number, as told when it was begun.
        actor: Who says so; kept in the history.
        reason: Why it failed; kept in the history, and with the operation.
        rules: How often it is tried.
        is_final: Whether trying again is no use.

    Raises:
        NotFoundError: There is no such operation.
        IntegrityError: The attempt has not begun, or it has succeeded.
    """
    status, current = current_attempt(connection, work, key)
    if attempt == current and status is Status.COMPLETED:
        raise IntegrityError(f"{work.governed.noun}, {key}, is completed already; it cannot fail")
    if _is_over(work, key, status, current, attempt):
        return WorkChange(key, current, status, status)
    after = Status.FAILED if is_final or attempt >= rules.attempts else Status.PENDING
    values: dict[str, Any] = {} if work.counter is None else {work.counter: attempt}
    if work.is_timed:
        values |= {"finished_at": read_clock(connection)}
    if "failure" in work.table.c:
        values |= {"failure": reason}
    _move(connection, work, key, after, actor, reason, values)
    return WorkChange(key, attempt, status, after)


def move_rows(
    connection: sa.Connection,
    governed: Governed,
    which: sa.ColumnElement[bool],
    target: Any,
    *,
    actor: str,
    reason: str | None = None,
    **values: Any,
) -> int:
    """Move many rows to a state, with a line in the history for each.

    Args:
        connection: In a writing transaction that holds the locks of the rows.
        governed: The column.
        which: Rows that are in another state, from which the move is legal.
        target: The state.
        actor: Who; kept in the history.
        reason: Why; kept in the history.
        values: Other columns that change.

    Returns:
        How many were moved.
    """
    table = governed.table
    moved = 0
    for some in listed(connection.scalars(sa.select(table.c.id).where(which).with_for_update(of=table)).all()):
        these = table.c.id.in_(some)
        noted = sa.select(
            sa.literal(table.name),
            sa.literal(governed.column),
            sa.cast(table.c.id, sa.Text),
            sa.literal(actor, sa.Text),
            sa.cast(sa.literal(reason, sa.Text), sa.Text),
        )
        columns = ["entity", "attribute", "entity_key", "actor", "reason"]
        connection.execute(sa.insert(MoveNote).from_select(columns, noted.where(these), include_defaults=False))
        connection.execute(sa.update(table).where(these).values({governed.column: target} | values))
        moved += len(some)
    return moved


def current_attempt(connection: sa.Connection, work: Work, key: Key) -> tuple[Status, int]:
    """Lock an operation; where it stands, and the number of the attempt that runs or would be next.

    Raises:
        NotFoundError: There is no such operation.
        SettingsError: The operations tables are another's.
    """
    refuse_attached(connection)
    here = work.table.c.id == key
    if connection.execute(sa.select(work.table.c.id).where(here).with_for_update()).one_or_none() is None:
        raise NotFoundError(f"there is no {work.governed.noun.partition(' ')[2]} {key}")
    row = connection.execute(sa.select(work.status, work.failures).where(here)).one()
    return row[0], row[1] + 1


def _is_over(work: Work, key: Key, status: Status, current: int, attempt: int) -> bool:
    """Whether a report tells nothing new.

    Raises:
        UsageError: No attempt has such a number.
        IntegrityError: The attempt has not begun, or the operation has failed for good.
    """
    if attempt < 1:
        raise UsageError(f"attempts are counted from 1; there is none with the number {attempt}")
    if attempt < current or (attempt == current and status is Status.COMPLETED):
        return True
    if attempt > current or status is not Status.IN_PROGRESS:
        raise IntegrityError(f"{work.governed.noun}, {key}, is '{status}'; its attempt {attempt} has not begun")
    return False


def _move(
    connection: sa.Connection,
    work: Work,
    key: Key,
    target: Status,
    actor: str,
    reason: str | None,
    values: dict[str, Any],
) -> None:
    move_rows(connection, work.governed, work.table.c.id == key, target, actor=actor, reason=reason, **values)


def _holder(connection: sa.Connection, work: Work, key: Key) -> str | None:
    """Who has begun the attempt that runs; None when nobody said."""
    begun = sa.select(LifecycleMove.actor).where(
        LifecycleMove.entity_key == str(key),
        LifecycleMove.entity == work.table.name,
        LifecycleMove.attribute == work.governed.column,
        LifecycleMove.to_state == Status.IN_PROGRESS,
    )
    return connection.scalar(begun.order_by(LifecycleMove.id.desc()).limit(1))
