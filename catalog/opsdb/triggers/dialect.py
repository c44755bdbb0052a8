"""What both engines spell differently in a trigger: names of tables, comparison with NULL, the clock, refusal."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect

__all__ = [
    "PREFIX",
    "REFUSAL",
    "clock",
    "create_function",
    "differ",
    "execute",
    "is_not_now",
    "physical",
    "quoted",
    "refusal",
    "refuse",
    "spell",
]

PREFIX = "opsdb_"
"""What the names of our triggers and their functions start with."""

REFUSAL = "refused by the catalog: "
"""What the database's own message starts with when a trigger refuses a change; the sentence follows."""


_DIALECTS: dict[str, Dialect] = {"sqlite": SQLiteDialect(), "postgresql": PGDialect()}  # type: ignore[no-untyped-call]
_DIALECTS["sqlite"].default_schema_name = "main"  # what a logical schema becomes there


def execute(connection: sa.Connection, statements: Iterable[str]) -> None:
    """Run DDL as it is spelled: no character in it is a placeholder."""
    for statement in statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def physical(table: sa.Table, engine: str) -> str:
    """Name of a table in the database, ready for SQL text."""
    return f'"{table.name}"' if engine == "sqlite" else f'{table.schema}."{table.name}"'


def quoted(text: str) -> str:
    """A text literal."""
    return "'" + text.replace("'", "''") + "'"


def differ(columns: Iterable[str], engine: str) -> str:
    """Condition: the old and the new row differ in one of the columns; two NULLs are alike."""
    operator = "IS NOT" if engine == "sqlite" else "IS DISTINCT FROM"
    return "(" + " OR ".join(f'OLD."{name}" {operator} NEW."{name}"' for name in columns) + ")"


_SQLITE_NOW = "strftime('%Y-%m-%dT%H:%M:%f', 'now')"  # the same throughout a statement


def is_not_now(column: str) -> str:
    """Condition on SQLite: a time is another than that of the statement, by its milliseconds."""
    return f"substr({column}, 1, 23) <> {_SQLITE_NOW}"


def clock(column: str, engine: str) -> str:
    """Now, but always after the time in ``column``: two changes within one tick of the clock are told apart.

    SQLite's clock has milliseconds; the digits below count the changes within one.
    """
    if engine != "sqlite":
        return f"greatest(clock_timestamp(), {column} + interval '1 microsecond')"
    now = f"({_SQLITE_NOW} || '000')"
    bumped = f"substr({column}, 1, 23) || substr('00' || (substr({column}, 24) + 1), -3)"
    return f"CASE WHEN {now} > {column} THEN {now} WHEN substr({column}, 24) < '999' THEN {bumped} ELSE {column} END"


def spell(clause: sa.ClauseElement, engine: str) -> str:
    """SQL text of an expression or a SELECT, with its values in it."""
    schemas = {"ops": None, "catalog": None} if engine == "sqlite" else {}
    return str(
        clause.compile(
            dialect=_DIALECTS[engine],
            schema_translate_map=schemas,
            compile_kwargs={"literal_binds": True},
            render_schema_translate=True,
        )
    )


def refusal(sentence: str) -> str:
    """The message of a refusal, from which `catalog.opsdb.refusals` takes the sentence."""
    return quoted(REFUSAL + sentence)


def refuse(
    name: str,
    table: sa.Table,
    event: str,
    sentence: str,
    condition: str | None,
    engine: str,
    *,
    when: str | None = None,
    first: str = "",
) -> list[str]:
    """Statements that make a trigger which refuses an event before it happens.

    Args:
        name: Of the trigger, and on PostgreSQL of its function.
        table: The table that it watches.
        event: ``DELETE``, ``INSERT``, ``UPDATE`` or ``UPDATE OF column, …``.
        sentence: What the writer reads.
        condition: Refuse only rows for which this holds; it may name ``OLD`` and ``NEW`` and hold subqueries.
        engine: Which engine.
        when: Look only at rows for which this holds too; without subqueries, so that PostgreSQL need not call the
            function for others.
        first: What PostgreSQL does before it looks: statements of PL/pgSQL.
    """
    target = physical(table, engine)
    if engine == "sqlite":
        both = " AND ".join(f"({part})" for part in (when, condition) if part is not None)
        only = f"WHEN {both} " if both else ""
        raised = f"BEGIN SELECT RAISE(ABORT, {refusal(sentence)}); END"
        return [f"CREATE TRIGGER {name} BEFORE {event} ON {target} FOR EACH ROW {only}{raised}"]
    kept = "OLD" if event == "DELETE" else "NEW"
    body = (
        f"{first}IF {condition or 'true'} THEN RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', "
        f"MESSAGE = {refusal(sentence)}; END IF; RETURN {kept};"
    )
    only = "" if when is None else f"WHEN ({when}) "
    return [
        create_function(name, body, for_each_row=True),
        f"CREATE TRIGGER {name} BEFORE {event} ON {target} FOR EACH ROW {only}EXECUTE FUNCTION catalog.{name}()",
    ]


def create_function(name: str, body: str, *, for_each_row: bool = False) -> str:
    """A trigger function on PostgreSQL.

    One that runs for each row looks up single rows: its plans, which are kept, must not be those of tables that were
    empty when they were made.

    It has its owner's rights: who may write a row also queues what it touches, without rights in our schema.
    """
    by_index = "SET enable_seqscan = off " if for_each_row else ""
    return (
        f"CREATE FUNCTION catalog.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, pg_temp {by_index}AS $trigger$ BEGIN {body} END $trigger$"
    )
