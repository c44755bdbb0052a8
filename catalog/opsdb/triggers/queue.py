"""Every change that ObsCore may show puts the packages concerned into ``catalog.resolve_queue``.

The triggers know which column of which table leads to which packages; what is published of it is not their business.
PostgreSQL looks at a statement as a whole (transition tables), SQLite at each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from catalog.opsdb.models import OpsBase, OurBase, PackagePublication, ResolveQueue
from catalog.opsdb.triggers.dialect import PREFIX, create_function, differ, execute, physical

__all__ = ["queue_statements", "queue_suspended"]

_NAME = f"{PREFIX}queue_"
_UNMARKED = {"created_at", "updated_at"}

_EXECUTED = "{package} p JOIN {executed_obs_unit} e ON e.id = p.executed_obs_unit_id"
_PLANNED = _EXECUTED + " JOIN {obs_unit} u ON u.id = e.obs_unit_id"
_CONFIGURED = _EXECUTED + " JOIN {obs_unit_module_configuration} c ON c.obs_unit_id = e.obs_unit_id"
_RECORDED = "{package} p JOIN {instrument_module} m ON m.id = p.instrument_module_id"
_MOUNTED = _RECORDED + " JOIN {instrument} i ON i.id = m.instrument_id"


@dataclass(frozen=True, slots=True)
class _Route:
    """How the rows of a table lead to packages."""

    key: str
    """The column of the row from which to start."""

    path: str | None = None
    """FROM clause that has the packages as ``p``; None when the key is the package's id."""

    column: str = ""
    """The column on the path that the key is compared with."""

    without: frozenset[str] = frozenset()
    """Columns that no published row depends on."""


_SOURCE = _Route("id", _PLANNED, "u.source_id")
_CONFIGURATION = _Route("id", _PLANNED, "u.observation_configuration_id")
_MODULE_CONFIGURATION = _Route("id", _CONFIGURED, "c.instrument_module_configuration_id")
_ROUTES = {
    "raw_data_package": _Route("id", without=frozenset({"state", "status"})),
    "raw_data_package_metadata": _Route("raw_data_package_id"),
    "raw_data_file": _Route("raw_data_package_id"),
    "executed_obs_unit": _Route("id", _EXECUTED, "e.id"),
    "obs_unit": _Route("id", _PLANNED, "u.id"),
    "source": _SOURCE,
    "fixed_source": _SOURCE,
    "solar_system_object": _SOURCE,
    "constant_elevation_source": _SOURCE,
    "obs_mode": _Route("id", _PLANNED, "u.obs_mode_id"),
    "observation_configuration": _CONFIGURATION,
    "chai_observation_configuration": _CONFIGURATION,
    "prime_cam_observation_configuration": _CONFIGURATION,
    "obs_unit_module_configuration": _Route("obs_unit_id", _EXECUTED, "e.obs_unit_id"),
    "instrument_module_configuration": _MODULE_CONFIGURATION,
    "chai_module_configuration": _MODULE_CONFIGURATION,
    "observing_program": _Route("id", _PLANNED, "u.observing_program_id"),
    "sub_observing_program": _Route("id", _PLANNED, "u.sub_observing_program_id"),
    "instrument_module": _Route("id", _RECORDED, "m.id"),
    "instrument": _Route("id", _MOUNTED, "i.id"),
    "telescope": _Route("id", _MOUNTED, "i.telescope_id"),
}


def queue_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL of the queue's triggers on the given tables."""
    build = _row_triggers if engine == "sqlite" else _statement_triggers
    statements = []
    for table in tables:
        route = _ROUTES.get(table.name) if table.metadata is OpsBase.metadata else None
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
            if connection.in_transaction():  # a rollback has brought them back already
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


def _watched(table: sa.Table, route: _Route) -> list[str]:
    return [column.name for column in table.columns if column.name not in _UNMARKED | route.without]


def _names(engine: str) -> dict[str, str]:
    names = {table.name: physical(table, engine) for table in OpsBase.metadata.tables.values()}
    return names | {"package": names["raw_data_package"], "queue": physical(_queue(), engine)}


def _queue() -> sa.Table:
    return OurBase.metadata.tables[f"catalog.{ResolveQueue.__tablename__}"]


def _row_triggers(table: sa.Table, route: _Route) -> list[str]:
    """SQLite: one trigger for each event, for each row."""
    names = _names("sqlite")
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
        keys = [f'{row}."{route.key}"' for row in rows]
        if route.path is None:
            found = " UNION ".join(f"SELECT {key} WHERE {key} IS NOT NULL" for key in keys)
        else:
            found = f"SELECT p.id FROM {route.path.format_map(names)} WHERE {route.column} IN ({', '.join(keys)})"
        statements.append(
            f"CREATE TRIGGER {_NAME}{table.name}_{word} AFTER {event} ON {target} FOR EACH ROW {only}"
            f"BEGIN INSERT INTO {names['queue']} (raw_data_package_id) {found}; END"
        )
    return statements


def _statement_triggers(table: sa.Table, route: _Route) -> list[str]:
    """PostgreSQL: one function for a table, one trigger for each event, for each statement."""
    name = f"{_NAME}{table.name}"
    target = physical(table, "postgresql")
    body = (
        "IF current_setting('catalog.queue', true) = 'off' THEN RETURN NULL; END IF; "
        f"IF TG_OP = 'INSERT' THEN {_queue_packages(route, _keys(route, 'new_rows'))}; "
        f"ELSIF TG_OP = 'DELETE' THEN {_queue_packages(route, _keys(route, 'old_rows'))}; "
        f"ELSE {_queue_packages(route, _changed_keys(table, route))}; END IF; RETURN NULL;"
    )
    events = (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
    )
    return [
        create_function(name, body),
        *(
            f"CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON {target} REFERENCING {rows} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION catalog.{name}()"
            for event, rows in events
        ),
    ]


def _keys(route: _Route, rows: str) -> str:
    return f'SELECT r."{route.key}" AS key FROM {rows} r'


def _changed_keys(table: sa.Table, route: _Route) -> str:
    """Keys of rows that differ in a watched column; both keys where the key itself has changed."""
    same = " AND ".join(f'o."{column.name}" = n."{column.name}"' for column in table.primary_key)
    watched = _watched(table, route)
    old, new = (", ".join(f'{row}."{column}"' for column in watched) for row in "on")
    return (
        f"SELECT k.key FROM old_rows o FULL JOIN new_rows n ON {same} "
        f'CROSS JOIN LATERAL (VALUES (o."{route.key}"), (n."{route.key}")) k (key) '
        f"WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
    )


def _queue_packages(route: _Route, keys: str) -> str:
    names = _names("postgresql")
    if route.path is None:
        found = f"SELECT DISTINCT t.key FROM ({keys}) t WHERE t.key IS NOT NULL"
    else:
        found = f"SELECT DISTINCT p.id FROM {route.path.format_map(names)} WHERE {route.column} IN ({keys})"
    return f"INSERT INTO {names['queue']} (raw_data_package_id) {found}"


def _withdrawal(engine: str) -> list[str]:
    """A package that is withdrawn or restored; that one is given its identifier is the resolver's own doing."""
    table = PackagePublication.__table__
    assert isinstance(table, sa.Table)  # noqa: S101  (mapped to one)
    name = f"{_NAME}{table.name}"
    insert = f"INSERT INTO {physical(_queue(), engine)} (raw_data_package_id) VALUES (NEW.raw_data_package_id);"
    event = (
        f"AFTER UPDATE OF withdrawn_at ON {physical(table, engine)} FOR EACH ROW "
        f"WHEN {differ(['withdrawn_at'], engine)}"
    )
    if engine == "sqlite":
        return [f"CREATE TRIGGER {name} {event} BEGIN {insert} END"]
    guarded = f"IF current_setting('catalog.queue', true) = 'off' THEN RETURN NULL; END IF; {insert} RETURN NULL;"
    return [create_function(name, guarded), f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION catalog.{name}()"]
