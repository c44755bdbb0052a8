"""SQLite alone: ``OR REPLACE`` removes the rows that stand in its way, and asks no trigger for DELETE about them.

That is so unless the writer has set ``PRAGMA recursive_triggers``, which is off by default. A trigger before the event
sees the rows that would go. It cannot see whether the writer said ``OR REPLACE``, ``OR IGNORE`` or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from catalog.opsdb.triggers.dialect import PREFIX, physical, quoted

__all__ = ["events_and_rows_in_the_way", "refuse_replacement"]


def refuse_replacement(table: sa.Table) -> list[str]:
    """DDL that refuses a row in the place of another, in the words in which SQLite refuses a plain INSERT."""
    statements = []
    for number, columns in enumerate(_unique_columns(table)):
        words = quoted("UNIQUE constraint failed: " + ", ".join(f"{table.name}.{name}" for name in columns))
        for event, rows in _events(table, columns):
            statements.append(
                f"CREATE TRIGGER {PREFIX}kept_{table.name}_{event[:6].lower()}_{number} BEFORE {event} "
                f"ON {physical(table, 'sqlite')} FOR EACH ROW WHEN EXISTS (SELECT 1 {rows}) "
                f"BEGIN SELECT RAISE(ABORT, {words}); END"
            )
    return statements


def events_and_rows_in_the_way(table: sa.Table) -> Iterator[tuple[str, str]]:
    """Each event that may remove a row in its way, and a FROM clause that has such rows as ``w``."""
    for columns in _unique_columns(table):
        yield from _events(table, columns)


def _events(table: sa.Table, columns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    same = " AND ".join(f'w."{name}" = NEW."{name}"' for name in columns)
    rows = f"FROM {physical(table, 'sqlite')} w WHERE {same}"
    where = _restriction(table, columns)
    if where is not None:
        names = list(table.columns.keys())
        new = ", ".join(f'NEW."{name}" AS "{name}"' for name in names)
        rows += f" AND ({where}) AND (SELECT {where} FROM (SELECT {new}))"
    yield "INSERT", rows
    yield "UPDATE OF " + ", ".join(f'"{name}"' for name in columns), f"{rows} AND w.rowid <> OLD.rowid"


def _unique_columns(table: sa.Table) -> list[tuple[str, ...]]:
    """What no two rows share: the primary key, and columns under a unique constraint or index."""
    sets = [tuple(table.primary_key.columns.keys())]
    constraints = [tuple(c.columns.keys()) for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    indexes = [tuple(index.columns.keys()) for index in table.indexes if index.unique]
    return sets + sorted(constraints + indexes)


def _restriction(table: sa.Table, columns: tuple[str, ...]) -> str | None:
    """The condition of a partial unique index."""
    for index in table.indexes:
        if index.unique and tuple(index.columns.keys()) == columns:
            where = index.dialect_options["sqlite"]["where"]
            return None if where is None else str(where)
    return None
