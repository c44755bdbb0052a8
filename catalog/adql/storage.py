"""Where the databases keep a published table, and what of it a caller sees.

``ivoa.obscore`` is a view ``obscore`` in schema ``ivoa`` on PostgreSQL and a view ``ivoa_obscore`` on SQLite. A table
may say more in `Table.extra`:

* ``upload``: an `UploadStorage`, for uploaded tables;
* ``hidden``: names of unpublished columns that the access rule asks for;
* ``position``: its spatial index, with keys ``ra``, ``dec`` (published columns), ``key``, ``vector`` (unpublished
  columns) and ``rtree`` (SQLite's R*Tree ``(id, x_min, x_max, y_min, y_max, z_min, z_max)``);
* ``region``: the index of its regions, with keys ``column`` (published), ``key`` and ``cap`` (unpublished columns) and
  ``rtree``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

import sqlalchemy as sa

from catalog.adql.mathematics import Sql, verbatim
from catalog.adql.statement import PositionIndex, RegionIndex, Source, Statement
from catalog.vo.table import Column, Table

__all__ = ["UploadStorage", "read_table"]

_ALLOWED = "adql_allowed"


@dataclass(frozen=True, slots=True)
class UploadStorage:
    """Where an uploaded table lies: under names of ours, so that no name of a client's reaches the database."""

    name: str
    """Without schema, on both engines."""

    columns: tuple[str, ...]
    """Names of the columns."""

    given: Mapping[int, str] = field(default_factory=dict)
    """By position, columns of text that hold values as they came; queries compute with what was made of them."""

    nan: Mapping[int, str] = field(default_factory=dict)
    """By position, columns that are 1 where a value came as NaN; queries compute with NULL there on both engines."""


class _Position(TypedDict):
    ra: str
    dec: str
    key: str
    rtree: str
    vector: tuple[str, str, str]


class _Region(TypedDict):
    column: str
    key: str
    rtree: str
    cap: tuple[str, str, str]


def read_table(table: Table, alias: str, statement: Statement) -> Source:
    """A published table under an alias; of a protected one the rows that the rule lets the caller see."""
    position = cast("_Position | None", table.extra.get("position"))
    region = cast("_Region | None", table.extra.get("region"))
    upload = cast("UploadStorage | None", table.extra.get("upload"))
    unpublished = _unpublished(table, position, region)
    names = [column.name for column in table.columns]
    if upload is not None:
        names = [*upload.columns]
        unpublished = dict.fromkeys(upload.given.values(), sa.Text())
        unpublished |= dict.fromkeys(upload.nan.values(), sa.SmallInteger())
    named = _physical(table, names, unpublished, statement).alias(alias)
    allowed: Sql | None = None
    clause: sa.FromClause = named
    if table.protected and statement.rule is not None:
        condition = statement.rule(table, named)
        if condition is not None:
            clause = sa.select(*named.c, condition.label(_ALLOWED)).where(condition).subquery(alias)
            allowed = clause.c[_ALLOWED]
    columns = tuple(
        _value(clause.c[name], column, statement) for name, column in zip(names, table.columns, strict=True)
    )
    indexes = _position_index(table, clause, position), _region_index(table, clause, region)
    given = {} if upload is None else _given(clause, columns, upload, statement)
    return Source(clause, columns, *indexes, allowed, given)


def _unpublished(
    table: Table, position: _Position | None, region: _Region | None
) -> dict[str, sa.types.TypeEngine[Any]]:
    names: dict[str, sa.types.TypeEngine[Any]] = {}
    for name in cast("tuple[str, ...]", table.extra.get("hidden", ())):
        names[name] = sa.types.NullType()
    if position is not None:
        names[position["key"]] = sa.BigInteger()
        names |= {name: sa.Double() for name in position["vector"]}
    if region is not None:
        names[region["key"]] = sa.BigInteger()
        names |= {name: sa.Double() for name in region["cap"]}
    return names


def _physical(
    table: Table, names: Sequence[str], unpublished: Mapping[str, sa.types.TypeEngine[Any]], statement: Statement
) -> sa.TableClause:
    described = zip(names, table.columns, strict=True)
    columns = [sa.column(name, statement.type_of(column)) for name, column in described]
    columns += [sa.column(name, kind) for name, kind in unpublished.items() if name not in names]
    upload = table.extra.get("upload")
    if isinstance(upload, UploadStorage):
        return sa.table(upload.name, *columns)
    *schema, name = (part.strip('"') for part in table.name.split("."))
    if statement.is_postgresql:
        return sa.table(name, *columns, schema=".".join(schema) or None)
    return sa.table("_".join((*schema, name)), *columns)


def _value(value: Sql, column: Column, statement: Statement) -> Sql:
    """The column as a value; flags are integers in ADQL, whatever PostgreSQL keeps."""
    if column.datatype.is_flag and not column.is_array and statement.is_postgresql:
        return sa.cast(value, sa.Integer)
    return value


def _given(
    clause: sa.FromClause, columns: Sequence[Sql], upload: UploadStorage, statement: Statement
) -> Mapping[int, Sql]:
    """Values as they came, where those in the columns say less."""
    values: dict[int, Sql] = {position: clause.c[name] for position, name in upload.given.items()}
    one, nan = verbatim("1", sa.SmallInteger), verbatim("'NaN'", sa.Text)  # PostgreSQL takes it for a number here
    for position, name in upload.nan.items():
        values[position] = sa.case((clause.c[name] == one, nan), else_=columns[position])
    return values


def _position_index(table: Table, clause: sa.FromClause, position: _Position | None) -> PositionIndex | None:
    if position is None:
        return None
    names = [column.name for column in table.columns]
    x, y, z = (clause.c[name] for name in position["vector"])
    return PositionIndex(
        names.index(position["ra"]),
        names.index(position["dec"]),
        clause.c[position["key"]],
        (x, y, z),
        position["rtree"],
    )


def _region_index(table: Table, clause: sa.FromClause, region: _Region | None) -> RegionIndex | None:
    if region is None:
        return None
    names = [column.name for column in table.columns]
    ra, dec, radius = (clause.c[name] for name in region["cap"])
    return RegionIndex(names.index(region["column"]), clause.c[region["key"]], (ra, dec, radius), region["rtree"])
