"""What an attached operations database looks like, read from PostgreSQL's own catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.errors import SettingsError

__all__ = ["TheirColumn", "TheirTable", "read_their_tables"]

_QUERY = sa.text(
    """
    SELECT c.relname AS table_name, has_table_privilege(c.oid, 'SELECT') AS readable, a.attname AS column_name,
           coalesce(b.typname, t.typname) AS kind,
           coalesce((SELECT i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                     FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), false) AS identifies,
           ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = coalesce(b.oid, t.oid)
                 ORDER BY e.enumsortorder) AS labels
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = t.typbasetype
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
    ORDER BY c.relname, a.attnum
    """
)


@dataclass(frozen=True, slots=True)
class TheirColumn:
    """A column of theirs."""

    name: str
    kind: str
    """PostgreSQL's own name of the type, such as ``int8``; of a domain, the type below."""

    labels: tuple[str, ...]
    """Values of an enumerated type, in its order; empty for any other type."""


@dataclass(frozen=True, slots=True)
class TheirTable:
    """A table or view of theirs."""

    name: str
    readable: bool
    """Whether this login has SELECT on it."""

    columns: Mapping[str, TheirColumn]
    primary_key: str | None
    """The column that alone is the primary key, if one is."""


def read_their_tables(connection: sa.Connection, schema: str) -> dict[str, TheirTable]:
    """The tables and views of a schema, by name.

    Raises:
        SettingsError: There is no such schema, or this login may not use it.
    """
    allowed = connection.scalar(
        sa.text("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :schema"),
        {"schema": schema},
    )
    if allowed is None:
        raise SettingsError(f"the database has no schema {schema}, which attached.schema names")
    if not allowed:
        role = connection.scalar(sa.text("SELECT current_user"))
        raise SettingsError(
            f"the login {role} may not use the schema {schema}, which attached.schema names",
            hint=f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        )
    found: dict[str, tuple[bool, dict[str, TheirColumn], list[str]]] = {}
    for row in connection.execute(_QUERY, {"schema": schema}):
        _, columns, keys = found.setdefault(row.table_name, (bool(row.readable), {}, []))
        columns[row.column_name] = TheirColumn(row.column_name, row.kind, tuple(row.labels))
        if row.identifies:
            keys.append(row.column_name)
    return {
        name: TheirTable(name, readable, columns, keys[0] if keys else None)
        for name, (readable, columns, keys) in found.items()
    }
