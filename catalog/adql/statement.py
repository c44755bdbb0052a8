"""What the translation of one query shares: the engine, the values bound, the tables in reach.

Each distinct literal is one bind parameter however often it occurs: two binds of one value break
``GROUP BY COALESCE(x, 'a')`` on PostgreSQL, which cannot know that they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from catalog.adql.kinds import Kind, kind_of
from catalog.adql.mathematics import Dialect, Sql
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

__all__ = ["PositionIndex", "RegionIndex", "RowRule", "Source", "Statement", "sql_type"]

RowRule: TypeAlias = Callable[[Table, sa.FromClause], "sa.ColumnElement[bool] | None"]
"""Condition that a row of a protected table must meet to be seen; None shows all rows."""

_TYPES: dict[Datatype, type[TypeEngine[Any]]] = {
    Datatype.BOOLEAN: sa.SmallInteger,
    Datatype.BIT: sa.SmallInteger,
    Datatype.UNSIGNED_BYTE: sa.SmallInteger,
    Datatype.SHORT: sa.SmallInteger,
    Datatype.INT: sa.Integer,
    Datatype.LONG: sa.BigInteger,
    Datatype.FLOAT: sa.REAL,
    Datatype.DOUBLE: sa.Double,
}


def sql_type(column: Column, dialect: Dialect) -> TypeEngine[Any]:
    """SQL type of a described value; geometry and arrays travel as text, timestamps on SQLite too."""
    kind = kind_of(column)
    if kind.is_number:
        return _TYPES[column.datatype]()
    if kind is Kind.TIMESTAMP and dialect == "postgresql":
        return sa.TIMESTAMP(timezone=False)
    return sa.Text()


@dataclass(frozen=True, slots=True)
class PositionIndex:
    """How a table finds rows by position (`Table.extra["position"]`)."""

    ra: int
    dec: int
    """Indexes of the columns of longitude and latitude in degrees."""

    key: Sql
    vector: tuple[Sql, Sql, Sql]
    """Unit vector of the position."""

    rtree: str
    """SQLite's R*Tree over the vectors, by key."""


@dataclass(frozen=True, slots=True)
class RegionIndex:
    """How a table finds rows by the region in a column (`Table.extra["region"]`)."""

    column: int
    """Index of the column."""

    key: Sql
    cap: tuple[Sql, Sql, Sql]
    """Centre and radius, in degrees, of a circle that holds the region."""

    rtree: str
    """SQLite's R*Tree over the boxes around the circles, by key."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table reference of the query, in SQL."""

    clause: sa.FromClause
    columns: tuple[Sql, ...]
    position: PositionIndex | None = None
    region: RegionIndex | None = None
    allowed: Sql | None = None
    """Whether the caller may see the row; None when all may be seen."""

    given: Mapping[int, Sql] = field(default_factory=dict)
    """By position, values that go out instead of those in `columns`."""


@dataclass(slots=True)
class Statement:
    """State of one translation."""

    dialect: Dialect
    rule: RowRule | None
    sources: dict[int, Source] = field(default_factory=dict)
    ctes: list[sa.CTE] = field(default_factory=list)
    _binds: dict[tuple[type, object], sa.BindParameter[Any]] = field(default_factory=dict)

    @property
    def is_postgresql(self) -> bool:
        """Whether the engine is PostgreSQL."""
        return self.dialect == "postgresql"

    @property
    def in_reach(self) -> list[sa.FromClause]:
        """Tables that a subquery may refer to without reading them itself."""
        return [source.clause for source in self.sources.values()]

    def bind(self, value: int | float | str) -> Sql:
        """The parameter of a value."""
        key = (type(value), value)
        if key not in self._binds:
            kind: TypeEngine[Any] = sa.Text() if isinstance(value, str) else sa.Double()
            if isinstance(value, int):
                kind = sa.BigInteger()
            self._binds[key] = sa.bindparam(f"v{len(self._binds) + 1}", value, type_=kind, unique=False)
        return self._binds[key]

    def type_of(self, column: Column) -> TypeEngine[Any]:
        """SQL type of a described value on this engine."""
        return sql_type(column, self.dialect)

    def cast(self, value: Sql, column: Column) -> Sql:
        """The value as the described type."""
        return sa.cast(value, self.type_of(column))

    def ordered(self, value: Sql, kind: Kind) -> Sql:
        """The value for a comparison that depends on order: text goes by code point."""
        if kind is not Kind.TEXT or not self.is_postgresql:
            return value
        return sa.collate(sa.sql.elements.Grouping(value), "C")  # COLLATE binds closer than ||
