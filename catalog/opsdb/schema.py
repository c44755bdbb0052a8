"""Bring a database to a revision of the schema, with everything that code installs on top of the tables.

Tables are made by the steps in `catalog.opsdb.migrations`. What is derived from them (triggers, views, resolved rows,
grants) is dropped before a step runs and installed from code after: Alembic's copy of a table on SQLite loses
triggers, and PostgreSQL refuses to change a column that a view shows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from catalog.db import Database
from catalog.errors import IntegrityError, SettingsError
from catalog.opsdb.prerequisites import require_pgsphere, require_schemas
from catalog.opsdb.triggers import Triggers

__all__ = [
    "AttachedObjects",
    "DerivedObjects",
    "current_revision",
    "downgrade",
    "head_revision",
    "operations_attached",
    "refuse_attached",
    "upgrade",
]

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6F707364_62000001  # any number that only we use: one migration at a time


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


def upgrade(
    database: Database,
    *,
    revision: str = "head",
    derived: Sequence[DerivedObjects] = (),
    attached: AttachedObjects | None = None,
) -> None:
    """Make or change the schema, in one transaction. Safe to repeat.

    Args:
        database: Opened with the owner's login.
        revision: Where to go.
        derived: What to install after the triggers, in this order; only the newest revision has derived objects.
        attached: The views over another's operations tables; only our own tables are made then.

    Raises:
        SettingsError: This login may not make the schemas or the extension pg_sphere: the message or its hint has the
            command that a superuser must run. Or the operations tables have been detached.
        IntegrityError: The rows break a foreign key after a step; nothing has been changed.
    """
    _migrate(database, command.upgrade, revision, derived, attached=attached)


def downgrade(database: Database, *, revision: str, derived: Sequence[DerivedObjects] = ()) -> None:
    """Go back to an older revision, in one transaction; what its tables do not have is lost.

    Args:
        database: Opened with the owner's login.
        revision: Where to go; ``base`` is the empty database.
        derived: What is to be dropped before; no derived objects remain at an older revision.

    Raises:
        SettingsError: There is no such revision.
        IntegrityError: The rows break a foreign key after a step; nothing has been changed.
    """
    _migrate(database, command.downgrade, revision, derived, attached=None)


def current_revision(database: Database) -> str | None:
    """The revision of a database; None when it is empty."""
    with database.engine.connect() as connection:
        return _revision(connection)


def head_revision() -> str:
    """The newest revision that this version of the toolkit knows."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert head is not None  # noqa: S101  (the steps are part of the package)
    return head


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


def _migrate(
    database: Database,
    move: Callable[[Config, str], None],
    revision: str,
    derived: Sequence[DerivedObjects],
    *,
    attached: AttachedObjects | None,
) -> None:
    views: tuple[DerivedObjects, ...] = () if attached is None else (attached,)
    objects = (*views, Triggers(), *derived)
    target = _target(revision)
    with database.begin() as connection, _foreign_keys_off(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            require_schemas(connection)
            require_pgsphere(connection)
        moves = _revision(connection) != target
        if moves or (attached is not None and not attached.is_current(connection)):
            for item in reversed(objects):
                item.drop(connection)
        if moves:
            config = _config(connection, attached=attached is not None or operations_attached(connection))
            move(config, target or "base")
            _check_foreign_keys(connection)
        if target == head_revision():
            for item in objects:
                item.install(connection)
            _require_operations(connection)


def _require_operations(connection: sa.Connection) -> None:
    """Refuse a database whose operations tables were attached once and are not now."""
    schema = None if connection.dialect.name == "sqlite" else "ops"
    inspector = sa.inspect(connection)
    if "raw_data_package" not in {*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)}:
        raise SettingsError(
            "this database was made around an attached operations database, which is detached now",
            hint="Name that database under 'attached' in the settings, or start a new one.",
        )


@contextmanager
def _foreign_keys_off(connection: sa.Connection) -> Iterator[None]:
    """On SQLite, where a table is changed by a copy that replaces it; the pragma does nothing inside a transaction."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    raw.execute("ROLLBACK").close()
    raw.execute("PRAGMA foreign_keys = OFF").close()
    raw.execute("BEGIN IMMEDIATE").close()
    try:
        yield
        raw.execute("COMMIT").close()
    except BaseException:
        raw.execute("ROLLBACK").close()
        raise
    finally:
        raw.execute("PRAGMA foreign_keys = ON").close()
        raw.execute("BEGIN").close()  # the transaction that the caller will end


def _check_foreign_keys(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise IntegrityError(
            f"after the migration a row of {broken[0]} refers to a row of {broken[2]} that does not exist; "
            "nothing has been changed"
        )


def _target(revision: str) -> str | None:
    """The full name of a revision; None for the empty database."""
    try:
        script = ScriptDirectory(str(_FOLDER)).get_revision(revision)
    except CommandError:
        raise SettingsError(
            f"there is no revision '{revision}' of the schema; expected 'base' or one up to '{head_revision()}'"
        ) from None
    return None if script is None else str(script.revision)


def _revision(connection: sa.Connection) -> str | None:
    options = {"version_table_schema": _version_schema(connection)}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _version_schema(connection: sa.Connection) -> str | None:
    return None if connection.dialect.name == "sqlite" else "catalog"


def _config(connection: sa.Connection, *, attached: bool) -> Config:
    """Alembic's configuration, without a file: `catalog/opsdb/migrations/env.py` reads the attributes."""
    config = Config(
        attributes={
            "connection": connection,
            "version_schema": _version_schema(connection),
            "attached": attached,
        }
    )
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
