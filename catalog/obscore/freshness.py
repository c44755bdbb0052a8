"""Keep the resolved rows fresh: own changes before the commit, everybody else's from the queue, all of them when asked.

Triggers on the core tables queue the packages that a writer touches. A session of the toolkit resolves its own before
it commits; ``catalog refresh`` and the service's housekeeping catch up with other writers.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session, SessionTransaction

from catalog.db import Database
from catalog.obscore.resolve import (
    ResolveSummary,
    every_package,
    is_up_to_date,
    mark_up_to_date,
    resolve,
    resolve_batch,
)
from catalog.opsdb.models import RawDataPackage, ResolveQueue
from catalog.opsdb.schema import operations_attached

__all__ = ["Progress", "keep_resolved", "refresh", "resolve_own_changes", "resolve_queued"]

Progress = Callable[[int, int | None], None]
"""Called with how many are done and how many there are, if that is known."""

_LINES = 5_000  # of the queue, worked off at once
_BASELINE = "obscore_queue_baseline"  # in session.info: the last line of the queue when the transaction began
_QUEUE = ResolveQueue.__table__


def keep_resolved(session: Session) -> Session:
    """Let a session resolve what it changes, in its own transaction, just before it commits.

    Args:
        session: From ``Database.session()``.

    Returns:
        The same session.
    """
    sa.event.listen(session, "after_begin", _note_baseline)
    sa.event.listen(session, "before_commit", resolve_own_changes)
    return session


def resolve_own_changes(session: Session) -> None:
    """Flush a session and resolve the packages that its transaction has queued; nothing at the end of a savepoint.

    On PostgreSQL those are the lines with this transaction's time; on SQLite, where one transaction writes at a time,
    the lines after those that were there when it began.
    """
    if session.in_nested_transaction():
        return
    session.flush()
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        own = _QUEUE.c.queued_at == sa.func.now()
    else:
        own = _QUEUE.c.seq > session.info.get(_BASELINE, 0)
    _work_off(connection, own, None)


def resolve_queued(connection: sa.Connection, limit: int | None = None) -> ResolveSummary:
    """Resolve the packages in the queue and take them out of it, in the caller's transaction.

    Args:
        connection: From ``Database.begin()``.
        limit: How many lines of the queue to work off, the oldest first; None for all.
    """
    summary, _ = _work_off(connection, sa.true(), limit)
    return summary


def refresh(database: Database, *, full: bool = False, progress: Progress | None = None) -> ResolveSummary:
    """Bring every row up to date with what is committed, in transactions of a few thousand packages each.

    The queue is worked off. Every package is looked at when that is asked for, when mapping, layout or publisher have
    changed since that was last done, and when the operations tables are another's, which queue nothing.

    Args:
        database: Opened with the owner's login.
        full: Look at every package.
        progress: Told how many packages are done, and how many there are.
    """
    with database.engine.connect() as connection:
        is_due = full or not is_up_to_date(connection) or operations_attached(connection)
    total = _refresh_every(database, progress) if is_due else ResolveSummary()
    return total + _refresh_queued(database, None if is_due else progress)


def _refresh_every(database: Database, progress: Progress | None) -> ResolveSummary:
    total = ResolveSummary()
    with database.engine.connect() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(RawDataPackage))
    with database.engine.connect() as reader:
        conditions = list(every_package(reader))
    for condition in conditions:
        with database.begin() as connection:
            total += resolve_batch(connection, condition)
        if progress is not None:
            progress(total.resolved, count)
    with database.begin() as connection:
        mark_up_to_date(connection)
    return total


def _refresh_queued(database: Database, progress: Progress | None) -> ResolveSummary:
    total, worked = ResolveSummary(), 0
    with database.engine.connect() as connection:
        waiting = connection.scalar(sa.select(sa.func.count()).select_from(_QUEUE)) or 0
    lines = waiting
    while lines:
        with database.begin() as connection:
            summary, lines = _work_off(connection, sa.true(), _LINES)
        total += summary
        worked += lines
        if progress is not None and lines:
            progress(worked, max(waiting, worked))
    return total


def _work_off(
    connection: sa.Connection, which: sa.ColumnElement[bool], limit: int | None
) -> tuple[ResolveSummary, int]:
    """Resolve what lines of the queue ask for and remove exactly those lines; others may come meanwhile."""
    total, worked = ResolveSummary(), 0
    while limit is None or worked < limit:
        some = _LINES if limit is None else min(_LINES, limit - worked)
        query = sa.select(_QUEUE.c.seq, _QUEUE.c.raw_data_package_id).where(which).order_by(_QUEUE.c.seq).limit(some)
        lines = connection.execute(query).all()
        if not lines:
            break
        total += resolve(connection, sorted({line.raw_data_package_id for line in lines}))
        connection.execute(sa.delete(ResolveQueue).where(ResolveQueue.seq.in_([line.seq for line in lines])))
        worked += len(lines)
    return total, worked


def _note_baseline(session: Session, transaction: SessionTransaction, connection: sa.Connection) -> None:
    if not transaction.nested and connection.dialect.name == "sqlite":
        session.info[_BASELINE] = connection.scalar(sa.select(sa.func.max(_QUEUE.c.seq))) or 0
