"""Bring a database to a revision of the schema, with everything that code installs on top of the tables.

Tables are made by the steps in `catalog.opsdb.migrations`. What is derived from them (triggers, views, resolved rows,
grants) is dropped before a step runs and installed from code after: Alembic's copy of a table on SQLite loses
triggers, and PostgreSQL refuses to change a column that a view shows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from catalog.db import Database
from catalog.errors import IntegrityError, SettingsError
from catalog.opsdb.prerequisites import require_pgsphere, require_schemas
from catalog.opsdb.schema import (
    STEPS,
    AttachedObjects,
    DerivedObjects,
    head_revision,
    operations_attached,
    read_revision,
    version_schema,
)
from catalog.opsdb.triggers import Triggers

__all__ = ["downgrade", "upgrade"]

_LOCK = 0x6F707364_62000001  # any number that only we use: one migration at a time


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
        moves = read_revision(connection) != target
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
        script = ScriptDirectory(str(STEPS)).get_revision(revision)
    except CommandError:
        raise SettingsError(
            f"there is no revision '{revision}' of the schema; expected 'base' or one up to '{head_revision()}'"
        ) from None
    return None if script is None else str(script.revision)


def _config(connection: sa.Connection, *, attached: bool) -> Config:
    """Alembic's configuration, without a file: `catalog/opsdb/migrations/env.py` reads the attributes."""
    config = Config(
        attributes={
            "connection": connection,
            "version_schema": version_schema(connection),
            "attached": attached,
        }
    )
    config.set_main_option("script_location", str(STEPS).replace("%", "%%"))
    return config
