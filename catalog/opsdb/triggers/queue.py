"""Every change that ObsCore may show leaves a line: in ``catalog.resolve_queue`` or in ``catalog.resolve_cause``.

The triggers watch the tables of `catalog.opsdb.routes`; what is published of them is not their business. PostgreSQL
looks at a statement as a whole (transition tables), SQLite at each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from catalog.opsdb.models import OpsBase, PackagePublication, ResolveCause, ResolveQueue
from catalog.opsdb.routes import EVERYTHING, ROUTES, Route
from catalog.opsdb.triggers.dialect import PREFIX, create_function, differ, execute, physical, quoted
from catalog.opsdb.triggers.replacement import events_and_rows_in_the_way

__all__ = ["queue_statements", "queue_suspended"]

_NAME = f"{PREFIX}queue_"
_UNMARKED = {"created_at", "updated_at"}


def queue_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL of the queue's triggers on the given tables."""
    build = _row_triggers if engine == "sqlite" else _statement_triggers
    statements = []
    for table in tables:
        route = ROUTES.get(table.name) if table.metadata is OpsBase.metadata else None
        if route is not None:
            statements += build(table, route)
    if PackagePublication.__table__ in tables:
        statements += _withdrawal(engine)
    return statements


@contextmanager
def queue_suspended(connection: sa.Connection) -> Iterator[None]:
    """Within the block, changes on this connection queue nothing; the writer resolves what it has written itself.

    Other connections queue as ever. The suspension ends with the block, and at the latest with the transaction.

    Args:
        connection: In the transaction that writes.
    """
    if connection.dialect.name == "sqlite":
        triggers = _queue_triggers_of_file(connection)
        execute(connection, [f"DROP TRIGGER {name}" for name, _ in triggers])
        try:
            yield
        finally:
            if connection.in_transaction() and not connection.invalidated:  # a rollback brings them back
                execute(connection, [text for _, text in triggers])
        return
    connection.exec_driver_sql("SET LOCAL catalog.queue = 'off'")
    try:
        yield
    finally:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)  # noqa: S101  (the address settles the driver)
        if raw.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS:
            connection.exec_driver_sql("SET LOCAL catalog.queue = 'on'")


def _queue_triggers_of_file(connection: sa.Connection) -> list[tuple[str, str]]:
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?", (len(_NAME), _NAME)
    )
    return [(name, text) for name, text in rows]


def _watched(table: sa.Table, route: Route) -> list[str]:
    return [column.name for column in table.columns if column.name not in _UNMARKED | route.without]


def _row_triggers(table: sa.Table, route: Route) -> list[str]:
    """SQLite: one trigger for each event, for each row."""
    target = physical(table, "sqlite")
    watched = _watched(table, route)
    changed = differ(watched, "sqlite")
    columns = ", ".join(f'"{name}"' for name in watched)
    events = (
        ("insert", "INSERT", "", ("NEW",)),
        ("update", f"UPDATE OF {columns}", f"WHEN {changed} ", ("OLD", "NEW")),
        ("delete", "DELETE", "", ("OLD",)),
    )
    statements = []
    for word, event, only, rows in events:
        keys = " UNION ".join(f'SELECT {row}."{route.key}" AS key' for row in rows)
        statements.append(
            f"CREATE TRIGGER {_NAME}{table.name}_{word} AFTER {event} ON {target} FOR EACH ROW {only}"
            f"BEGIN {_leave_lines(table, route, keys, 'sqlite')}; END"
        )
    for number, (event, there) in enumerate(events_and_rows_in_the_way(table)):
        lines = _leave_lines(table, route, f'SELECT w."{route.key}" AS key {there}', "sqlite")
        statements.append(
            f"CREATE TRIGGER {_NAME}{table.name}_replace_{number} BEFORE {event} ON {target} FOR EACH ROW "
            f"WHEN EXISTS (SELECT 1 {there}) BEGIN {lines}; END"
        )
    return statements


def _statement_triggers(table: sa.Table, route: Route) -> list[str]:
    """PostgreSQL: one function for a table, one trigger for each event, for each statement."""
    name = f"{_NAME}{table.name}"
    target = physical(table, "postgresql")
    inserted, deleted, updated = (
        _leave_lines(table, route, keys, "postgresql")
        for keys in (_keys(route, "new_rows"), _keys(route, "old_rows"), _changed_keys(table, route))
    )
    everything = f"INSERT INTO {_physical(ResolveCause, 'postgresql')} (entity, entity_key) VALUES ('{EVERYTHING}', '')"
    body = (
        "IF current_setting('catalog.queue', true) = 'off' THEN RETURN NULL; END IF; "
        f"IF TG_OP = 'INSERT' THEN {inserted}; ELSIF TG_OP = 'DELETE' THEN {deleted}; "
        f"ELSIF TG_OP = 'UPDATE' THEN {updated}; ELSE {everything}; END IF; RETURN NULL;"
    )
    events = (
        ("INSERT", "REFERENCING NEW TABLE AS new_rows "),
        ("UPDATE", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows "),
        ("DELETE", "REFERENCING OLD TABLE AS old_rows "),
        ("TRUNCATE", ""),
    )
    return [
        create_function(name, body),
        *(
            f"CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON {target} {rows}"
            f"FOR EACH STATEMENT EXECUTE FUNCTION catalog.{name}()"
            for event, rows in events
        ),
    ]


def _keys(route: Route, rows: str) -> str:
    return f'SELECT r."{route.key}" AS key FROM {rows} r'


def _changed_keys(table: sa.Table, route: Route) -> str:
    """Keys of rows that differ in a watched column; both keys where the key itself has changed."""
    same = " AND ".join(f'o."{column.name}" = n."{column.name}"' for column in table.primary_key)
    watched = _watched(table, route)
    old, new = (", ".join(f'{row}."{column}"' for column in watched) for row in "on")
    return (
        f"SELECT k.key FROM old_rows o FULL JOIN new_rows n ON {same} "
        f'CROSS JOIN LATERAL (VALUES (o."{route.key}"), (n."{route.key}")) k (key) '
        f"WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
    )


def _leave_lines(table: sa.Table, route: Route, keys: str, engine: str) -> str:
    """The statement that queues the packages themselves, or notes the rows from which they hang."""
    found = f"FROM ({keys}) t WHERE t.key IS NOT NULL"
    if route.packages is None:
        return f"INSERT INTO {_physical(ResolveQueue, engine)} (raw_data_package_id) SELECT DISTINCT t.key {found}"
    columns = f"SELECT DISTINCT {quoted(table.name)}, CAST(t.key AS text) {found}"
    return f"INSERT INTO {_physical(ResolveCause, engine)} (entity, entity_key) {columns}"


def _physical(model: type[ResolveQueue] | type[ResolveCause], engine: str) -> str:
    table = model.__table__
    assert isinstance(table, sa.Table)  # noqa: S101  (mapped to one)
    return physical(table, engine)


def _withdrawal(engine: str) -> list[str]:
    """A package that is withdrawn or restored; that one is given its identifier is the resolver's own doing."""
    table = PackagePublication.__table__
    assert isinstance(table, sa.Table)  # noqa: S101  (mapped to one)
    name = f"{_NAME}{table.name}"
    insert = f"INSERT INTO {_physical(ResolveQueue, engine)} (raw_data_package_id) VALUES (NEW.raw_data_package_id);"
    event = (
        f"AFTER UPDATE OF withdrawn_at ON {physical(table, engine)} FOR EACH ROW "
        f"WHEN {differ(['withdrawn_at'], engine)}"
    )
    if engine == "sqlite":
        return [f"CREATE TRIGGER {name} {event} BEGIN {insert} END"]
    guarded = f"IF current_setting('catalog.queue', true) = 'off' THEN RETURN NULL; END IF; {insert} RETURN NULL;"
    return [create_function(name, guarded), f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION catalog.{name}()"]
