"""``updated_at`` moves with every change of a row, ``created_at`` stays, whoever writes and whatever the writer says.

A change of a subclass's own columns moves the clock of the row in the parent's table. An update that changes nothing
moves nothing.
"""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.triggers.dialect import PREFIX, clock, create_function, differ, is_not_now, physical

__all__ = ["clock_statements"]

_FUNCTION = f"{PREFIX}clock"


def clock_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL for every table with timestamps, and for every subclass's table whose parent has them."""
    statements = []
    if engine == "postgresql":
        body = f"NEW.created_at := OLD.created_at; NEW.updated_at := {clock('OLD.updated_at', engine)}; RETURN NEW;"
        statements.append(create_function(_FUNCTION, body))
    for table in tables:
        parent = _parent(table)
        if "updated_at" in table.columns:
            statements.append(_own_clock(table, engine))
        elif parent is not None:
            statements += _clock_of_parent(table, parent, engine)
    return statements


def _own_clock(table: sa.Table, engine: str) -> str:
    name = f"{PREFIX}clock_{table.name}"
    target = physical(table, engine)
    if engine == "postgresql":
        changed = differ(table.columns.keys(), engine)
        return (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {target} FOR EACH ROW WHEN {changed} "
            f"EXECUTE FUNCTION catalog.{_FUNCTION}()"
        )
    others = differ((column.name for column in table.columns if column.name != "updated_at"), engine)
    changed = f"({others} OR (OLD.updated_at IS NOT NEW.updated_at AND {is_not_now('NEW.updated_at')}))"
    return (  # its own update sets the present time, and so ends here where triggers are recursive
        f"CREATE TRIGGER {name} AFTER UPDATE ON {target} FOR EACH ROW WHEN {changed} BEGIN "
        f"UPDATE {target} SET created_at = OLD.created_at, updated_at = {clock('OLD.updated_at', engine)} "
        "WHERE rowid = NEW.rowid; END"
    )


def _clock_of_parent(table: sa.Table, parent: sa.Table, engine: str) -> list[str]:
    name = f"{PREFIX}clock_{table.name}"
    target = physical(table, engine)
    changed = differ(table.columns.keys(), engine)
    touch = f"UPDATE {physical(parent, engine)} SET updated_at = {clock('updated_at', engine)} WHERE id = NEW.id;"
    if engine == "sqlite":
        return [f"CREATE TRIGGER {name} AFTER UPDATE ON {target} FOR EACH ROW WHEN {changed} BEGIN {touch} END"]
    return [
        create_function(name, f"{touch} RETURN NULL;"),
        f"CREATE TRIGGER {name} AFTER UPDATE ON {target} FOR EACH ROW WHEN {changed} EXECUTE FUNCTION catalog.{name}()",
    ]


def _parent(table: sa.Table) -> sa.Table | None:
    """The parent's table of a joined subclass: its primary key ``id`` is a foreign key."""
    identifier = table.columns.get("id")
    if identifier is None or not identifier.foreign_keys:
        return None
    return next(iter(identifier.foreign_keys)).column.table
