"""Install and drop every trigger of the operations database."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers.clock import clock_statements
from catalog.opsdb.triggers.deletion import deletion_statements
from catalog.opsdb.triggers.dialect import PREFIX, execute
from catalog.opsdb.triggers.moves import move_statements
from catalog.opsdb.triggers.queue import queue_statements
from catalog.opsdb.triggers.rules import rule_statements

__all__ = ["Triggers"]


class Triggers:
    """The triggers of the operations tables and of the toolkit's own (`catalog.opsdb.schema.DerivedObjects`).

    Only tables get them: where the operations tables are views over another's, ours alone have triggers.
    """

    def install(self, connection: sa.Connection) -> None:
        """Put the triggers of this version of the code in the place of all others of ours."""
        self.drop(connection)
        engine = connection.dialect.name
        tables = _existing_tables(connection)
        for build in (clock_statements, rule_statements, deletion_statements, move_statements, queue_statements):
            execute(connection, build(tables, engine))

    def drop(self, connection: sa.Connection) -> None:
        """Remove every trigger whose name starts as ours do, also those that an older version made."""
        if connection.dialect.name == "sqlite":
            found = connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?",
                (len(PREFIX), PREFIX),
            )
            execute(connection, [f"DROP TRIGGER {name}" for name in found.scalars().all()])
            return
        found = connection.execute(
            sa.text(
                "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                "WHERE n.nspname = 'catalog' AND starts_with(p.proname, :prefix)"
            ),
            {"prefix": PREFIX},
        )
        execute(connection, [f"DROP FUNCTION catalog.{name}() CASCADE" for name in found.scalars().all()])


def _existing_tables(connection: sa.Connection) -> list[sa.Table]:
    """Our tables that are tables in this database, not views."""
    inspector = sa.inspect(connection)
    known = [table for base in (OpsBase, OurBase) for table in base.metadata.sorted_tables]
    if connection.dialect.name == "sqlite":
        names = set(inspector.get_table_names())
        return [table for table in known if table.name in names]
    found = {
        (schema, name)
        for schema in sorted({str(table.schema) for table in known})
        for name in inspector.get_table_names(schema=schema)
    }
    return [table for table in known if (table.schema, table.name) in found]
