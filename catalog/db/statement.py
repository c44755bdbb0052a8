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
from catalog.errors import InternalError, QueryError, ResourceLimitError

__all__ = ["Query", "array_element", "compile_statement", "quote_value"]

# Named binds on SQLite. On PostgreSQL a dialect is borrowed for its spelling alone, %(name)s::TYPE: every value says
# its type, so that all of them may be written as text.
_DIALECTS: dict[DialectName, Dialect] = {
    "sqlite": SQLiteDialect_pysqlite(paramstyle="named"),
    "postgresql": PGDialect_asyncpg(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}
_DIALECTS["sqlite"].default_schema_name = "main"  # what a logical schema becomes there
_PREPARER = _DIALECTS["sqlite"].identifier_preparer
_PREPARER.reserved_words = _PREPARER.reserved_words | {"nothing", "returning"}  # SQLAlchemy does not know these two


@dataclass(frozen=True, slots=True)
class Query:
    """SQL text and its bind values."""

    template: str
    """On SQLite what the driver takes, with ``:name``; on PostgreSQL a format with ``%(name)s`` for each value."""

    named: Mapping[str, object]
    """Values by name."""

    is_format: bool
    """Whether the text is a format."""

    @property
    def sql(self) -> str:
        """The text for people: with ``:name``, or with ``$1``, ``$2`` … on PostgreSQL."""
        return self.template % _Numbering() if self.is_format else self.template

    @property
    def ordered(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2`` …; none on SQLite."""
        if not self.is_format:
            return ()
        numbers = _Numbering()
        _ = self.template % numbers
        return tuple(self.named[name] for name in numbers)

    @property
    def literal(self) -> str:
        """The text with its values in it, for PostgreSQL: what has no values can be streamed.

        Raises:
            QueryError: A text has a NUL character, which PostgreSQL cannot hold.
        """
        return self.template % {name: quote_value(value) for name, value in self.named.items()}

    def with_values(self, values: Mapping[str, object]) -> Query:
        """The same text with other values for some of the names; a name that it does not have is passed over."""
        return replace(self, named={name: values.get(name, value) for name, value in self.named.items()})


class _Numbering(dict[str, str]):
    """Gives each name the next number when it is first asked for."""

    def __missing__(self, name: str) -> str:
        self[name] = f"${len(self) + 1}"
        return self[name]


def quote_value(value: object) -> str:
    """A value as a literal of PostgreSQL, in quotes, whatever it is: the text around it says its type.

    Sessions have ``standard_conforming_strings`` on, so that the quote is the only character with a meaning.

    Raises:
        QueryError: A text has a NUL character.
    """
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        elements = ",".join("NULL" if each is None else array_element(each) for each in value)
        return quote_value(f"{{{elements}}}")
    text = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
    if "\0" in text:
        raise QueryError("a text has a NUL character, which the database cannot hold", code="bad-text")
    return "'" + text.replace("'", "''") + "'"


def array_element(value: object) -> str:
    """A value as PostgreSQL reads it between the braces of an array."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


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
    return Query(state.statement, values, is_format=dialect == "postgresql")
