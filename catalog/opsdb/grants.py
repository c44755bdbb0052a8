"""What the reading login of PostgreSQL may see: the published schemas, and nothing of the tables behind them.

A view has its owner's rights on what it reads, so the published schemas are enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from catalog.errors import SettingsError

__all__ = ["PUBLISHED_SCHEMAS", "ReaderGrants", "grant_reader"]

PUBLISHED_SCHEMAS = ("ivoa", "fyst", "tap_schema")
_HIDDEN_SCHEMAS = ("ops", "catalog")
_MAY_MAKE = "SELECT has_database_privilege(:role, current_database(), 'TEMPORARY')"


def grant_reader(connection: sa.Connection, role: str) -> None:
    """Let a role read the published schemas and call their functions, now and as views are added, and nothing else.

    It may also make temporary tables, which hold what its queries bring. An owner of the tables who does not own the
    database cannot grant that; uploads are not offered then.

    Args:
        connection: The owner's, in a transaction that writes. On SQLite nothing happens: a file has no roles.
        role: The login of ``database.public_url``.

    Raises:
        SettingsError: There is no such role.
    """
    if connection.dialect.name == "sqlite":
        return
    if not connection.scalar(sa.text("SELECT true FROM pg_roles WHERE rolname = :role"), {"role": role}):
        raise SettingsError(
            f"the database has no role {role}, which database.public_url names",
            hint=f"psql -U postgres -c 'CREATE ROLE {_quote(connection, role)} LOGIN'",
        )
    name = _quote(connection, role)
    if not connection.scalar(sa.text(_MAY_MAKE), {"role": role}):
        database = _quote(connection, connection.scalar(sa.text("SELECT current_database()")) or "")
        connection.exec_driver_sql(f"GRANT TEMPORARY ON DATABASE {database} TO {name}")
    for schema in _existing(connection, PUBLISHED_SCHEMAS):
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}")
        connection.exec_driver_sql(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {name}")
        connection.exec_driver_sql(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {name}")
    for schema in _existing(connection, _HIDDEN_SCHEMAS):
        connection.exec_driver_sql(f"REVOKE ALL ON SCHEMA {schema} FROM {name}")
        connection.exec_driver_sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}")


class ReaderGrants:
    """`grant_reader` among the things that are installed after a migration (`catalog.opsdb.schema.DerivedObjects`).

    Args:
        role: The login of ``database.public_url``.
    """

    def __init__(self, role: str) -> None:
        self._role = role

    def install(self, connection: sa.Connection) -> None:
        """Grant."""
        grant_reader(connection, self._role)

    def drop(self, connection: sa.Connection) -> None:
        """Nothing: grants go with the views."""


def _existing(connection: sa.Connection, schemas: Sequence[str]) -> list[str]:
    known = set(sa.inspect(connection).get_schema_names())
    return [schema for schema in schemas if schema in known]


def _quote(connection: sa.Connection, role: str) -> str:
    return connection.dialect.identifier_preparer.quote(role)
