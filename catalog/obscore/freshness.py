"""Keep the resolved rows fresh: own changes before the commit, everybody else's from the queue, all of them when asked.

Triggers on the core tables leave a line for each package that a writer touches, and for each row from which packages
hang. A session of the toolkit resolves its own before it commits; ``catalog refresh`` and the service's housekeeping
catch up with other writers.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session, SessionTransaction

from catalog.db import Database
from catalog.obscore.plan import (
    follow_plan_changes,
    plan_parts,
    resolve_executions,
    resolve_plan_part,
    resolve_plans_of,
)
from catalog.obscore.resolve import (
    ResolveSummary,
    every_package,
    is_up_to_date,
    listed_packages,
    lock_resolver,
    mark_up_to_date,
    resolve,
    resolve_packages,
)
from catalog.opsdb.announced import Announced, take_announced, takes_announcements
from catalog.opsdb.models import RawDataPackage, ResolveCause, ResolveQueue
from catalog.opsdb.routes import follow_causes
from catalog.opsdb.schema import operations_attached

__all__ = ["Progress", "keep_resolved", "refresh", "resolve_own_changes", "resolve_queued"]

Progress = Callable[[int, int | None], None]
"""Called with how many are done and how many there are, if that is known."""

_LINES = 5_000  # of the queue, worked off at once
_KINDS = (ResolveCause, ResolveQueue)
_Lines = type[ResolveQueue] | type[ResolveCause]


def keep_resolved(session: Session) -> Session:
    """Let a session resolve what it changes, in its own transaction, just before it commits.

    Args:
        session: From ``Database.session()``.

    Returns:
        The same session.
    """
    takes_announcements(session)
    sa.event.listen(session, "after_begin", _note_baseline)
    sa.event.listen(session, "before_commit", resolve_own_changes)
    return session


def resolve_own_changes(session: Session) -> None:
    """Flush a session and resolve the packages that its transaction has touched; nothing at the end of a savepoint.

    New ones that were written in bulk have been announced, the others are queued. The session's own lines are, on
    PostgreSQL, those with this transaction's time; on SQLite, where one transaction writes at a time, those after the
    ones that were there when it began.
    """
    if session.in_nested_transaction():
        return
    session.flush()
    connection = session.connection()
    _work_off(connection, lambda lines: _own(session, lines), None)
    _resolve_announced(connection, take_announced(session))


def _resolve_announced(connection: sa.Connection, announced: Announced) -> None:
    """Resolve what is new and has queued nothing."""
    executions = set(announced.executions)
    if executions:
        lock_resolver(connection)
    for condition in listed_packages(announced.packages):
        executions |= resolve_packages(connection, condition)[1]
    resolve_executions(connection, executions)
    resolve_plans_of(connection, announced.executions)


def resolve_queued(connection: sa.Connection, limit: int | None = None) -> ResolveSummary:
    """Resolve the packages that wait for it, in the caller's transaction.

    Args:
        connection: From ``Database.begin()``.
        limit: How many lines of the queue to work off, the oldest first; None for all.
    """
    summary, _ = _work_off(connection, _all, limit)
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
            total += resolve_packages(connection, condition)[0]
        if progress is not None:
            progress(total.resolved, count)
    with database.engine.connect() as reader:
        parts = list(plan_parts(reader))
    for part in parts:
        with database.begin() as connection:
            lock_resolver(connection)
            resolve_plan_part(connection, part)
    with database.begin() as connection:
        mark_up_to_date(connection)
    return total


def _refresh_queued(database: Database, progress: Progress | None) -> ResolveSummary:
    """Work off what is committed, and what comes meanwhile."""
    if _count(database, ResolveCause):
        with database.begin() as connection:
            _follow_causes(connection, _all)
    total, worked = ResolveSummary(), 0
    waiting = lines = _count(database, ResolveQueue)
    while lines:
        with database.begin() as connection:
            summary, lines = _work_off(connection, _all, _LINES)
        total += summary
        worked += lines
        if progress is not None and lines:
            progress(worked, max(waiting, worked))
    return total


def _count(database: Database, kind: _Lines) -> int:
    with database.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count(kind.seq))) or 0


def _work_off(
    connection: sa.Connection, which: Callable[[_Lines], sa.ColumnElement[bool]], limit: int | None
) -> tuple[ResolveSummary, int]:
    """Resolve what the lines ask for and remove exactly those lines; others may come meanwhile."""
    _follow_causes(connection, which)
    total, worked = ResolveSummary(), 0
    while limit is None or worked < limit:
        some = _LINES if limit is None else min(_LINES, limit - worked)
        query = sa.select(ResolveQueue.seq, ResolveQueue.raw_data_package_id).where(which(ResolveQueue))
        lines = connection.execute(query.order_by(ResolveQueue.seq).limit(some)).all()
        if not lines:
            break
        total += resolve(connection, sorted({line.raw_data_package_id for line in lines}))
        connection.execute(sa.delete(ResolveQueue).where(ResolveQueue.seq.in_([line.seq for line in lines])))
        worked += len(lines)
    return total, worked


def _follow_causes(connection: sa.Connection, which: Callable[[_Lines], sa.ColumnElement[bool]]) -> None:
    """Queue the packages that hang from changed rows.

    They are looked up when no other transaction resolves: one that has added a package and resolved it with the old
    rows has ended then, so that the package is seen; one that will resolve later sees the new rows.
    """
    query = sa.select(ResolveCause.seq).where(which(ResolveCause)).order_by(ResolveCause.seq)
    causes = connection.scalars(query).all()
    if causes:
        lock_resolver(connection)
        follow_plan_changes(connection, causes)
        follow_causes(connection, causes)


def _all(lines: _Lines) -> sa.ColumnElement[bool]:
    return sa.true()


def _own(session: Session, lines: _Lines) -> sa.ColumnElement[bool]:
    if session.connection().dialect.name == "postgresql":
        return sa.and_(lines.queued_at == sa.func.now())
    return sa.and_(lines.seq > session.info.get(lines, 0))


def _note_baseline(session: Session, transaction: SessionTransaction, connection: sa.Connection) -> None:
    """Remember the last lines that were there when the transaction began."""
    if transaction.nested:
        return
    take_announced(session)  # of a transaction that was rolled back
    if connection.dialect.name == "sqlite":
        for kind in _KINDS:
            session.info[kind] = connection.scalar(sa.select(sa.func.max(kind.seq))) or 0
