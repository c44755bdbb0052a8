"""A SQLAlchemy statement as the text and the values that a driver takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from catalog.db.address import DialectName
from catalog.errors import InternalError, ResourceLimitError

__all__ = ["Query", "compile_statement"]

# Named binds on SQLite. On PostgreSQL the dialect that writes $1::TYPE is borrowed for its spelling alone: every
# bind says its type, so that the driver may hand over text where Arrow has no such type (uuid, timestamptz, numeric).
_DIALECTS: dict[DialectName, Dialect] = {
    "sqlite": SQLiteDialect_pysqlite(paramstyle="named"),
    "postgresql": PGDialect_asyncpg(),  # type: ignore[no-untyped-call]
}
_DIALECTS["sqlite"].default_schema_name = "main"  # what a logical schema becomes there
_PREPARER = _DIALECTS["sqlite"].identifier_preparer
_PREPARER.reserved_words = _PREPARER.reserved_words | {"nothing", "returning"}  # SQLAlchemy does not know these two


@dataclass(frozen=True, slots=True)
class Query:
    """SQL text and its bind values."""

    sql: str
    named: Mapping[str, object]
    """Values by name, for SQLite."""

    order: tuple[str, ...]
    """Names of the values ``$1``, ``$2`` …, for PostgreSQL; empty on SQLite."""

    @property
    def ordered(self) -> tuple[object, ...]:
        """Values in the order of ``$1``, ``$2`` …; none on SQLite."""
        return tuple(self.named[name] for name in self.order)

    def with_values(self, values: Mapping[str, object]) -> Query:
        """The same text with other values for some of the names; a name that it does not have is passed over."""
        return replace(self, named={name: values.get(name, value) for name, value in self.named.items()})


def compile_statement(
    statement: sa.Executable, dialect: DialectName, schemas: Mapping[str | None, str | None]
) -> Query:
    """Render a statement for one engine.

    Args:
        statement: A SQLAlchemy Core statement.
        dialect: Which engine.
        schemas: Logical schema to schema in the database.

    Raises:
        ResourceLimitError: The statement nests deeper than can be followed.
        InternalError: The statement has a bind parameter without a value, or is no compilable statement.
    """
    assert isinstance(statement, sa.ClauseElement)  # noqa: S101  (every executable of SQLAlchemy is one)
    known = _DIALECTS[dialect]
    try:
        compiled = statement.compile(dialect=known, schema_translate_map=schemas, render_schema_translate=True)
    except RecursionError:
        raise ResourceLimitError("the query nests too deeply") from None
    if not isinstance(compiled, SQLCompiler):
        raise InternalError("the statement is not one that returns rows")
    state = compiled.construct_expanded_state()
    processors = {
        name: bind.type.dialect_impl(known).bind_processor(known) for bind, name in compiled.bind_names.items()
    }
    for name, members in state.parameter_expansion.items():
        processors.update(dict.fromkeys(members, processors.get(name)))
    values: dict[str, object] = {}
    for name, value in state.parameters.items():
        process = processors.get(name)
        values[name] = value if process is None else process(value)
    return Query(state.statement, values, tuple(state.positiontup or ()))
