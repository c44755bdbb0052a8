"""States move as `catalog.opsdb.lifecycle.machines` says, whoever writes; each move leaves a line in the history."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.lifecycle.machines import GOVERNED, Governed, Move
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers.dialect import PREFIX, create_function, physical, quoted, refuse, spell

__all__ = ["move_statements"]

_HISTORY = OurBase.metadata.tables["catalog.lifecycle_move"]
_NOTES = OurBase.metadata.tables["catalog.move_note"]


def move_statements(tables: list[sa.Table], engine: str) -> list[str]:
    """DDL for every governed column of the given tables."""
    statements = []
    for governed in GOVERNED:
        if governed.table in tables:
            statements += _refuse_illegal(governed, engine)
            statements += _refuse_unguarded(governed, engine)
            statements += _record(governed, engine)
    if all(table in tables for table in (_HISTORY, *(governed.table for governed in GOVERNED))):
        statements += _refuse_invented(engine)
    return statements


def _refuse_illegal(governed: Governed, engine: str) -> list[str]:
    """One trigger for each state; a value that is none of the list is left to the CHECK of the column."""
    statements = []
    column = governed.column
    for number, origin in enumerate(governed.machine.states):
        targets = governed.machine.targets(origin)
        illegal = [state for state in governed.machine.states if state not in targets and state is not origin]
        if not illegal:
            continue
        words = " or ".join(f"'{target}'" for target in targets)
        sentence = f"{governed.noun} goes from '{origin}' only to {words}" if targets else _final(governed, origin)
        when = f"OLD.{column} = '{origin}' AND NEW.{column} IN ({', '.join(map(quoted, illegal))})"
        statements += _refuse(f"illegal_{number}", governed, sentence, when, None, engine)
    return statements


def _final(governed: Governed, origin: str) -> str:
    return f"{governed.noun} that is '{origin}' stays so; what comes after it is a new row"


def _refuse_unguarded(governed: Governed, engine: str) -> list[str]:
    statements = []
    for number, move in enumerate(governed.machine.moves):
        if move.guard is not None:
            when = _is(move, governed.column)
            condition = f"({_with_tables(move.guard.condition, engine)}) IS NOT TRUE"
            statements += _refuse(f"guard_{number}", governed, move.guard.sentence, when, condition, engine)
    return statements


def _refuse(word: str, governed: Governed, sentence: str, when: str, condition: str | None, engine: str) -> list[str]:
    name = f"{PREFIX}move_{governed.table.name}_{governed.column}_{word}"
    return refuse(name, governed.table, f"UPDATE OF {governed.column}", sentence, condition, engine, when=when)


def _refuse_invented(engine: str) -> list[str]:
    """A line says what its row has just become, and goes on where the line before it has ended."""
    cases = "".join(
        f"WHEN NEW.entity = {quoted(governed.table.name)} AND NEW.attribute = {quoted(governed.column)} "
        f"THEN EXISTS (SELECT 1 FROM {physical(governed.table, engine)} t WHERE t.id = "
        f"{spell(sa.cast(sa.literal_column('NEW.entity_key'), governed.table.c.id.type), engine)} "
        f"AND t.{governed.column} = NEW.to_state) "
        for governed in GOVERNED
    )
    last = (
        f"SELECT m.to_state FROM {physical(_HISTORY, engine)} m WHERE m.entity_key = NEW.entity_key "
        "AND m.entity = NEW.entity AND m.attribute = NEW.attribute ORDER BY m.id + 0 DESC LIMIT 1"  # see machines
    )
    happened = (
        f"CASE {cases}ELSE false END AND NEW.from_state <> NEW.to_state "
        f"AND coalesce(({last}), NEW.from_state) = NEW.from_state"
    )
    sentence = "the history of states is written by the moves alone; this line tells of one that was not made"
    return refuse(f"{PREFIX}history", _HISTORY, "INSERT", sentence, f"({happened}) IS NOT TRUE", engine)


def _record(governed: Governed, engine: str) -> list[str]:
    """Put a move into the history, with what the writer has said of it."""
    name = f"{PREFIX}moved_{governed.table.name}_{governed.column}"
    column, machine = governed.column, governed.machine
    verbs = " ".join(f"WHEN {_is(move, column)} THEN {quoted(move.verb)}" for move in machine.moves)
    now = "strftime('%Y-%m-%dT%H:%M:%f000', 'now')" if engine == "sqlite" else "clock_timestamp()"
    actor = "n.actor" if engine == "sqlite" else "coalesce(n.actor, session_user::text)"
    said = f"{actor}, n.reason, n.evidence, n.survivors"
    entity, attribute = quoted(governed.table.name), quoted(column)
    note = f"entity = {entity} AND attribute = {attribute} AND entity_key = CAST(NEW.id AS text)"
    notes = physical(_NOTES, engine)
    body = (
        f"INSERT INTO {physical(_HISTORY, engine)} "
        f"(entity, attribute, entity_key, from_state, to_state, verb, moved_at, actor, reason, evidence, survivors) "
        f"SELECT {entity}, {attribute}, CAST(NEW.id AS text), OLD.{column}, NEW.{column}, CASE {verbs} END, {now}, "
        f"{said} FROM (SELECT 1 AS one) o LEFT JOIN (SELECT * FROM {notes} WHERE {note}) n ON true; "
        f"DELETE FROM {notes} WHERE {note};"
    )
    event = f"UPDATE OF {column} ON {physical(governed.table, engine)} FOR EACH ROW WHEN (OLD.{column} <> NEW.{column})"
    if engine == "sqlite":
        return [f"CREATE TRIGGER {name} AFTER {event} BEGIN {body} END"]
    return [
        create_function(name, f"{body} RETURN NULL;", for_each_row=True),
        f"CREATE TRIGGER {name} AFTER {event} EXECUTE FUNCTION catalog.{name}()",
    ]


def _is(move: Move, column: str) -> str:
    return f"OLD.{column} = '{move.origin}' AND NEW.{column} = '{move.target}'"


def _with_tables(condition: str, engine: str) -> str:
    tables = {
        table.name: physical(table, engine) for base in (OpsBase, OurBase) for table in base.metadata.tables.values()
    }
    return condition.format_map(tables)
