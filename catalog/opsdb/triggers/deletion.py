"""No bytes go that the rules want kept, whoever writes; nobody begins to read or to write where bytes are going.

The triggers ask the SELECT by which `catalog.opsdb.lifecycle.survivors` decides, with the numbers that
`catalog.opsdb.lifecycle.rules` keeps in the database, and on PostgreSQL take the same locks first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from catalog.opsdb.enums import PhysicalCopyStatus
from catalog.opsdb.lifecycle.locks import select_locked
from catalog.opsdb.lifecycle.machines import COPY
from catalog.opsdb.lifecycle.rules import kept_bounds
from catalog.opsdb.lifecycle.survivors import verdicts
from catalog.opsdb.lifecycle.traffic import is_used
from catalog.opsdb.models import (
    OpsBase,
    PhysicalCopy,
    staging_job_package,
)
from catalog.opsdb.triggers.dialect import PREFIX, create_function, differ, physical, refusal, refuse, spell

__all__ = ["deletion_statements"]

_FATAL = ("start", "unpack")
"""Verbs of the moves after which bytes are gone."""

_KEPT = (
    "a copy goes only while enough verified copies are left in long-term archives and nobody reads or writes it; "
    "`catalog copies prove` says what is missing"
)
_GOING = (
    PhysicalCopyStatus.DELETION_SCHEDULED,
    PhysicalCopyStatus.DELETION_IN_PROGRESS,
    PhysicalCopyStatus.DELETION_FAILED,
)
_BUSY = "a transfer or a staging does not begin or end with a copy that is being deleted"
_ISOLATED = (
    "what may be deleted is decided in transactions of the isolation READ COMMITTED; "
    "others do not see what was committed meanwhile"
)

_About = Callable[[str], sa.ColumnElement[bool]]


def deletion_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL of the guards; none where the operations tables are another's."""
    if not set(OpsBase.metadata.tables.values()) <= set(tables):
        return []
    statements = _keep_survivors(engine)
    for table, columns, about in _OPERATIONS:
        build = _refuse_busy_row if engine == "sqlite" else _refuse_busy_statement
        statements += build(table, columns, about)
    return statements


def _keep_survivors(engine: str) -> list[str]:
    table = PhysicalCopy.__table__
    assert isinstance(table, sa.Table)  # noqa: S101  (every model is mapped to one)
    this = PhysicalCopy.id == sa.literal_column("NEW.id")
    judged = verdicts(this, kept_bounds(engine)).subquery("judged")
    allowed: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(judged).where(judged.c.refusal.is_(None))
    fatal = " OR ".join(
        f"(OLD.status = '{move.origin}' AND NEW.status = '{move.target}')" for move in COPY.moves if move.verb in _FATAL
    )
    locks = "".join(_locked(rows) for rows in select_locked(this))
    return refuse(
        f"{PREFIX}survivors",
        table,
        "UPDATE OF status",
        _KEPT,
        f"NOT EXISTS ({spell(allowed, engine)})",
        engine,
        when=fatal,
        first=f"{_raise_if(_STALE, _ISOLATED)}{locks}",
    )


def _refuse_busy_row(table: sa.Table, columns: tuple[str, ...], about: _About) -> list[str]:
    """SQLite looks at each row, when it is there."""
    target = physical(table, "sqlite")
    return [
        f"CREATE TRIGGER {PREFIX}busy_{table.name}_{event[:6].lower()} AFTER {event} ON {target} FOR EACH ROW "
        f"WHEN {_is_busy(about, 'NEW', 'sqlite')} BEGIN SELECT RAISE(ABORT, {refusal(_BUSY)}); END"
        for event in ("INSERT", f"UPDATE OF {', '.join(columns)}")
    ]


def _refuse_busy_statement(table: sa.Table, columns: tuple[str, ...], about: _About) -> list[str]:
    """PostgreSQL looks at a statement as a whole, when its rows are there."""
    name = f"{PREFIX}busy_{table.name}"
    found = f"SELECT 1 FROM new_rows n WHERE {_is_busy(about, 'n', 'postgresql')}"
    changed = differ(columns, "postgresql").replace("OLD.", "o.").replace("NEW.", "n.")
    same = " AND ".join(f'o."{column.name}" = n."{column.name}"' for column in table.primary_key)
    as_before = f"EXISTS (SELECT 1 FROM old_rows o WHERE {same} AND NOT {changed})"
    body = (
        f"{_raise_if(_STALE, _ISOLATED)}"
        f"IF TG_OP = 'INSERT' THEN {_raise_if(f'EXISTS ({found})', _BUSY)}"
        f"ELSE {_raise_if(f'EXISTS ({found} AND NOT {as_before})', _BUSY)}END IF; RETURN NULL;"
    )
    events = (("INSERT", "NEW TABLE AS new_rows"), ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"))
    return [
        create_function(name, body),
        *(
            f"CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON {physical(table, 'postgresql')} "
            f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION catalog.{name}()"
            for event, rows in events
        ),
    ]


def _is_busy(about: _About, row: str, engine: str) -> str:
    """Condition: bytes that a row is about are going where an operation that is not over begins or ends."""
    return spell(sa.exists().where(about(row), PhysicalCopy.status.in_(_GOING), is_used(chosen=True)), engine)


_STALE = "current_setting('transaction_isolation') <> 'read committed'"


def _raise_if(condition: str, sentence: str) -> str:
    raised = f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {refusal(sentence)}"
    return f"IF {condition} THEN {raised}; END IF; "


def _locked(rows: sa.Select[Any]) -> str:
    return f"PERFORM 1 FROM ({spell(rows, 'postgresql')}) locked; "


def _of_package(row: str) -> sa.ColumnElement[bool]:
    return PhysicalCopy.raw_data_package_id == sa.literal_column(f"{row}.raw_data_package_id")


def _of_transfer_package(row: str) -> sa.ColumnElement[bool]:
    return PhysicalCopy.data_transfer_package_id == sa.literal_column(f"{row}.data_transfer_package_id")


def _of_job(row: str) -> sa.ColumnElement[bool]:
    member = staging_job_package.c
    inside = sa.select(member.raw_data_package_id).where(member.staging_job_id == sa.literal_column(f"{row}.id"))
    return PhysicalCopy.raw_data_package_id.in_(inside)


_TABLES = OpsBase.metadata.tables
_ENDS = ("origin_location_id", "destination_location_id")
_OPERATIONS: tuple[tuple[sa.Table, tuple[str, ...], _About], ...] = (
    (_TABLES["ops.long_term_archive_transfer"], ("raw_data_package_id", *_ENDS), _of_package),
    (_TABLES["ops.data_transfer"], ("data_transfer_package_id", *_ENDS), _of_transfer_package),
    (_TABLES["ops.staging_job"], _ENDS, _of_job),
    (_TABLES["ops.staging_job_package"], ("raw_data_package_id", "staging_job_id"), _of_package),
)
"""Tables that say what is moved, the columns that say it, and which copies a row of them is about.

Of a transfer package that is its own archive: copies of the packages in it may go once it is built.
"""
