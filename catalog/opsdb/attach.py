"""Attach an existing operations database in place: schema ``ops`` holds views over its tables, in our names.

Everything else works as ever: the models read the views, and what we keep lies in our own schemas. The login needs
SELECT on theirs and owns ours. Nothing of theirs is changed, and no trigger of ours watches them: `catalog refresh`
looks at every package.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import SettingsError
from catalog.opsdb.attached_tables import read_their_tables
from catalog.opsdb.attached_views import AttachedView, build_views
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.prerequisites import SCHEMAS
from catalog.opsdb.schema import DerivedObjects, operations_attached
from catalog.opsdb.triggers import Triggers
from catalog.opsdb.triggers.dialect import execute, quoted
from catalog.settings import AttachedSettings

__all__ = ["AttachSummary", "AttachedOperations", "attach", "detach"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttachSummary:
    """What an attached database lacks; the settings may name it under other names."""

    empty_tables: tuple[str, ...]
    """Our tables for which they have none."""

    empty_columns: tuple[str, ...]
    """Our columns, with their tables, for which they have none and the settings do not say so."""


def attach(database: Database, settings: AttachedSettings, *, derived: Sequence[DerivedObjects] = ()) -> AttachSummary:
    """Make our schemas around their operations database, or bring them to what the settings now say.

    Safe to repeat: what is derived is made anew only when their tables or the settings have changed.

    Args:
        database: Opened with a login that may read theirs and owns ours.
        settings: Their schema, names and spellings.
        derived: What to install on top, as in `catalog.opsdb.migrate.upgrade`.

    Raises:
        SettingsError: Something that we need is missing, or has another type; the message names table and column.
    """
    if database.dialect != "postgresql":
        raise SettingsError("only a PostgreSQL database can be attached; 'attached' and database.url do not fit")
    if settings.schema_name in SCHEMAS:
        raise SettingsError(
            f"attached.schema is {settings.schema_name}, but the toolkit needs a schema of this name for itself"
        )
    operations = AttachedOperations(settings)
    upgrade(database, derived=derived, attached=operations)
    with database.engine.connect() as connection:
        views = operations.read(connection)
    summary = AttachSummary(
        tuple(view.name for view in views if view.is_empty),
        tuple(f"{view.name}.{column}" for view in views for column in view.missing),
    )
    _log.info("the attached database has nothing for %s", ", ".join((*summary.empty_tables, *summary.empty_columns)))
    return summary


def detach(database: Database, *, derived: Sequence[DerivedObjects] = ()) -> None:
    """Remove the views and what stands on them. Our own tables stay: identifiers are still known when attached again.

    Args:
        database: Opened with the login that owns ours.
        derived: What was installed on top.

    Raises:
        SettingsError: The operations tables are no other's.
    """
    with database.begin() as connection:
        if not operations_attached(connection):
            raise SettingsError("no operations database is attached to this one")
        for item in (*reversed(derived), Triggers()):
            item.drop(connection)
        _drop_views(connection)


class AttachedOperations:
    """The views of schema ``ops`` (`catalog.opsdb.schema.DerivedObjects`).

    Args:
        settings: Their schema, names and spellings.
    """

    def __init__(self, settings: AttachedSettings) -> None:
        self._settings = settings

    def read(self, connection: sa.Connection) -> list[AttachedView]:
        """The views that their tables and the settings call for now.

        Raises:
            SettingsError: See `attach`.
        """
        return build_views(read_their_tables(connection, self._settings.schema_name), self._settings)

    def is_current(self, connection: sa.Connection) -> bool:
        """Whether the views are those that `install` would make; their texts' digests are kept as comments."""
        rows = connection.execute(
            sa.text(
                "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'ops' AND c.relkind = 'v'"
            )
        )
        return {row[0]: row[1] for row in rows} == {view.name: _digest(view) for view in self.read(connection)}

    def install(self, connection: sa.Connection) -> None:
        """Make the views that are not there.

        Raises:
            SettingsError: See `attach`.
        """
        _refuse_own_tables(connection)
        present = set(sa.inspect(connection).get_view_names(schema="ops"))
        for view in self.read(connection):
            if view.name in present:
                continue
            execute(
                connection,
                [
                    f'CREATE VIEW ops."{view.name}" AS {view.select}',
                    f'COMMENT ON VIEW ops."{view.name}" IS {quoted(_digest(view))}',
                ],
            )
            _check_closed_lists(connection, view)

    def drop(self, connection: sa.Connection) -> None:
        """Remove the views; whatever stands on them is gone already."""
        _drop_views(connection)


def _drop_views(connection: sa.Connection) -> None:
    """Remove every view of schema ``ops``."""
    names = sa.inspect(connection).get_view_names(schema="ops")
    execute(connection, [f'DROP VIEW ops."{name}"' for name in names])


def _digest(view: AttachedView) -> str:
    return "made by the toolkit, sha-256 " + hashlib.sha256(view.select.encode()).hexdigest()


def _refuse_own_tables(connection: sa.Connection) -> None:
    if sa.inspect(connection).get_table_names(schema="ops"):
        raise SettingsError(
            "this database has operations tables of its own in the schema ops, so no other can be attached to it",
            hint="Use a database without them, or leave the settings under 'attached' out.",
        )


def _check_closed_lists(connection: sa.Connection, view: AttachedView) -> None:
    """Refuse values of theirs that no spelling turns into ours: the models could not read them."""
    for closed in view.closed:
        column = closed.column.partition(".")[2]
        known = ", ".join(quoted(value) for value in closed.values)
        strange = connection.exec_driver_sql(
            f'SELECT DISTINCT "{column}"::text FROM ops."{view.name}" WHERE "{column}" NOT IN ({known}) LIMIT 1',
            execution_options={"no_parameters": True},
        ).scalar()
        if strange is not None:
            raise SettingsError(
                f"{closed.column} has the value '{strange}', which is none of {', '.join(closed.values)}",
                hint=f"""Say what it means in attached.enums."{closed.column}".""",
            )
