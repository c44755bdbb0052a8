"""What PostgreSQL must have before the tables are made: our schemas and the extension pg_sphere."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.errors import SettingsError

__all__ = ["SCHEMAS", "require_pgsphere", "require_schemas"]

SCHEMAS = ("ops", "catalog", "ivoa", "fyst", "tap_schema")
"""Schemas that PostgreSQL must have; a SQLite file has none."""


def require_schemas(connection: sa.Connection) -> None:
    """Make the schemas that are missing.

    Raises:
        SettingsError: This login may not make or use one; the hint has the superuser's command.
    """
    role = connection.scalar(sa.text("SELECT current_user"))
    for name in SCHEMAS:
        rights = connection.scalar(
            sa.text("SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = :name"),
            {"name": name},
        )
        if rights is None:
            rights = _try(connection, f"CREATE SCHEMA {name}")
            remedy = f"CREATE SCHEMA {name} AUTHORIZATION {_quote(connection, role)}"
        else:
            remedy = f"ALTER SCHEMA {name} OWNER TO {_quote(connection, role)}"
        if not rights:
            raise SettingsError(
                f"the login {role} may not make tables in the schema {name}", hint=_superuser(connection, remedy)
            )


def require_pgsphere(connection: sa.Connection) -> None:
    """Make the extension pg_sphere, which searches by position need, if it is missing.

    Raises:
        SettingsError: It is not installed on the server, or this login may not make it; the hint has the command.
    """
    if connection.scalar(sa.text("SELECT true FROM pg_extension WHERE extname = 'pg_sphere'")):
        return
    remedy = "CREATE EXTENSION pg_sphere"
    if not connection.scalar(sa.text("SELECT true FROM pg_available_extensions WHERE name = 'pg_sphere'")):
        version = connection.dialect.server_version_info
        package = f"postgresql-{version[0] if version else '15'}-pgsphere"
        raise SettingsError(
            "the extension pg_sphere is not installed on the database server; on Debian it is the package " + package,
            hint=f"apt-get install {package}, then {_superuser(connection, remedy)}",
        )
    if not _try(connection, remedy):
        role = connection.scalar(sa.text("SELECT current_user"))
        raise SettingsError(
            f"the database lacks the extension pg_sphere, and the login {role} may not create it; "
            f"run as a superuser: {_superuser(connection, remedy)}"
        )


def _try(connection: sa.Connection, statement: str) -> bool:
    """Whether the login had the right to do it."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except sa.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) == "42501":  # insufficient privilege
            return False
        raise
    return True


def _quote(connection: sa.Connection, name: str | None) -> str:
    return connection.dialect.identifier_preparer.quote(name or "")


def _superuser(connection: sa.Connection, statement: str) -> str:
    """The shell's command for a statement that only a superuser may run, here and in this database."""
    url = connection.engine.url
    where = "".join(
        f" {option} {value}" for option, value in (("-h", url.host), ("-p", url.port), ("-d", url.database)) if value
    )
    return f"psql -U postgres{where} -c '{statement}'"
