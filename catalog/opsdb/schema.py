"""What state the schema of a database is in: its revision, and whose the operations tables are.

`catalog.opsdb.migrate` brings it from one revision to another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import SettingsError

__all__ = [
    "STEPS",
    "AttachedObjects",
    "DerivedObjects",
    "current_revision",
    "head_revision",
    "operations_attached",
    "read_revision",
    "refuse_attached",
    "version_schema",
]

STEPS = Path(__file__).parent / "migrations"
"""Folder of the migrations, as Alembic wants it."""


class DerivedObjects(Protocol):
    """Something that code keeps in the database beside the tables of the migrations."""

    def install(self, connection: sa.Connection) -> None:
        """Make it, or bring it to the state that this version of the code wants. Safe to repeat."""

    def drop(self, connection: sa.Connection) -> None:
        """Remove it, as far as it is there. Safe to repeat."""


class AttachedObjects(DerivedObjects, Protocol):
    """The views that stand for the operations tables when those are another's (`catalog.opsdb.attach`)."""

    def is_current(self, connection: sa.Connection) -> bool:
        """Whether the views are as `install` would make them."""


def current_revision(database: Database) -> str | None:
    """The revision of a database; None when it is empty."""
    with database.engine.connect() as connection:
        return read_revision(connection)


def read_revision(connection: sa.Connection) -> str | None:
    """The revision of the database of a connection; None when it is empty."""
    name, schema = "alembic_version", version_schema(connection)
    if not sa.inspect(connection).has_table(name, schema=schema):
        return None
    versions = sa.table(name, sa.column("version_num", sa.Text()), schema=schema)
    return connection.scalar(sa.select(versions.c.version_num))


def head_revision() -> str:
    """The newest revision that this version of the toolkit knows: the number of the last step."""
    return max(path.name.partition("_")[0] for path in (STEPS / "versions").glob("[0-9]*_*.py"))


def version_schema(connection: sa.Connection) -> str | None:
    """Where the revision is written down."""
    return None if connection.dialect.name == "sqlite" else "catalog"


def operations_attached(connection: sa.Connection) -> bool:
    """Whether the operations tables are views over another's."""
    if connection.dialect.name == "sqlite":
        return False
    return "raw_data_package" in sa.inspect(connection).get_view_names(schema="ops")


def refuse_attached(connection: sa.Connection) -> None:
    """See that the operations tables are ours to write.

    Raises:
        SettingsError: They are another's.
    """
    if operations_attached(connection):
        raise SettingsError("the operations tables are another's, and the toolkit changes nothing in them")
