"""TAP_SCHEMA: the published tables described in tables, for clients that ask by ADQL (TAP 1.1 section 4).

The rows come from the same descriptions as the VOSI tables and the columns of results, so the three always agree. They
are written when this version of the code describes something else than the database has, and at no other time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from catalog.adql.words import spell
from catalog.opsdb.models import PublicationSetting
from catalog.opsdb.models.declarative import OUR_SCHEMA
from catalog.vo.table import Column, ForeignKey, Table
from catalog.vo.tableset import TableSchema
from catalog.vo.types import Datatype

__all__ = ["SCHEMA", "TapSchema", "build_rows", "spell_names"]

SCHEMA = "tap_schema"
"""Name of the schema, whose tables ``vo_resources/tables/tap_schema.yaml`` describes as any other's."""

Row = dict[str, str | int | None]

_STATE_KEY = "tap_schema"
_INSTALL_LOCK = 0x74617073_63680001  # any number that only we use


class TapSchema:
    """The five tables as something that is installed after a migration (`catalog.opsdb.schema.DerivedObjects`).

    Args:
        schemas: Every published schema, this one included, with names as queries spell them (`spell_names`).
    """

    def __init__(self, schemas: Sequence[TableSchema]) -> None:
        self._tables = {table.name: table for schema in schemas if schema.name == SCHEMA for table in schema.tables}
        self._rows = build_rows(schemas)

    def is_current(self, connection: sa.Connection) -> bool:
        """Whether the database has the tables as this version of the code describes them."""
        return self._stored(connection) == self._digest(connection)

    def install(self, connection: sa.Connection) -> None:
        """Make and fill the tables, unless they are as they should be."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_INSTALL_LOCK)))
        if self.is_current(connection):
            return
        self.drop(connection)
        for name, table in self._physical(connection).items():
            table.create(connection)
            connection.execute(sa.insert(table), self._rows[name])
        digest = self._digest(connection)
        connection.execute(sa.insert(PublicationSetting).values(key=_STATE_KEY, value=digest))

    def drop(self, connection: sa.Connection) -> None:
        """Remove the tables. Safe to repeat."""
        for table in self._physical(connection).values():
            table.drop(connection, checkfirst=True)
        if _has_settings(connection):
            connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key == _STATE_KEY))

    def _physical(self, connection: sa.Connection) -> dict[str, sa.Table]:
        is_sqlite = connection.dialect.name == "sqlite"
        metadata = sa.MetaData()
        return {name: _build_table(table, metadata, is_sqlite=is_sqlite) for name, table in self._tables.items()}

    def _digest(self, connection: sa.Connection) -> str:
        tables = self._physical(connection).values()
        layout: list[ExecutableDDLElement] = [CreateTable(table) for table in tables]
        layout += [CreateIndex(index) for table in tables for index in table.indexes]
        statements = sorted(str(statement.compile(dialect=connection.dialect)) for statement in layout)
        return hashlib.sha256(json.dumps([statements, self._rows]).encode()).hexdigest()

    def _stored(self, connection: sa.Connection) -> str | None:
        """The digest of what the database has; None when a table is missing."""
        inspector = sa.inspect(connection)
        if not all(inspector.has_table(table.name, table.schema) for table in self._physical(connection).values()):
            return None
        stored = sa.select(PublicationSetting.value).where(PublicationSetting.key == _STATE_KEY)
        value: str | None = connection.scalar(stored)
        return value


def spell_names(schemas: Iterable[TableSchema]) -> tuple[TableSchema, ...]:
    """The same schemas with the names of columns as a query must write them: in double quotes where ADQL wants them.

    The names of tables have that form already.
    """
    return tuple(
        schema.model_copy(update={"tables": tuple(_spell_columns(table) for table in schema.tables)})
        for schema in schemas
    )


def build_rows(schemas: Sequence[TableSchema]) -> dict[str, list[Row]]:
    """What TAP_SCHEMA says of schemas, by the name of its table."""
    tables = [(schema, table) for schema in schemas for table in schema.tables]
    keys = [(f"{SCHEMA}:{number}", table, key) for number, (table, key) in enumerate(_foreign_keys(schemas), 1)]
    return {
        f"{SCHEMA}.schemas": [
            {"schema_name": s.name, "utype": None, "description": s.description, "schema_index": index}
            for index, s in enumerate(schemas, 1)
        ],
        f"{SCHEMA}.tables": [_table_row(s, table, index) for index, (s, table) in enumerate(tables, 1)],
        f"{SCHEMA}.columns": [
            _column_row(table, column, index) for _, table in tables for index, column in enumerate(table.columns, 1)
        ],
        f"{SCHEMA}.keys": [_key_row(identifier, table, key) for identifier, table, key in keys],
        f"{SCHEMA}.key_columns": [
            {"key_id": identifier, "from_column": here, "target_column": there}
            for identifier, _, key in keys
            for here, there in key.columns
        ],
    }


def _foreign_keys(schemas: Sequence[TableSchema]) -> Iterator[tuple[Table, ForeignKey]]:
    for schema in schemas:
        for table in schema.tables:
            for key in table.foreign_keys:
                yield table, key


def _table_row(schema: TableSchema, table: Table, index: int) -> Row:
    return {
        "schema_name": schema.name,
        "table_name": table.name,
        "table_type": table.table_type,
        "utype": table.utype,
        "description": table.description,
        "table_index": index,
    }


def _column_row(table: Table, column: Column, index: int) -> Row:
    return {
        "table_name": table.name,
        "column_name": column.name,
        "datatype": column.datatype.votable,
        "arraysize": column.arraysize,
        "xtype": column.xtype,
        "size": _size(column.arraysize),
        "description": column.description,
        "utype": column.utype,
        "unit": column.unit,
        "ucd": column.ucd,
        "indexed": int(column.indexed),
        "principal": int(column.principal),
        "std": int(column.std),
        "column_index": index,
    }


def _size(arraysize: str | None) -> int | None:
    """The length, or the most that it may be, of a list of one dimension."""
    length = (arraysize or "").removesuffix("*")
    return int(length) if length.isdigit() else None


def _key_row(identifier: str, table: Table, key: ForeignKey) -> Row:
    return {
        "key_id": identifier,
        "from_table": table.name,
        "target_table": key.target_table,
        "description": key.description,
        "utype": key.utype,
    }


def _spell_columns(table: Table) -> Table:
    columns = tuple(replace(column, name=spell(column.name)) for column in table.columns)
    keys = tuple(
        replace(key, columns=tuple((spell(here), spell(there)) for here, there in key.columns))
        for key in table.foreign_keys
    )
    return replace(table, columns=columns, foreign_keys=keys)


def _build_table(table: Table, metadata: sa.MetaData, *, is_sqlite: bool) -> sa.Table:
    """Where the database keeps one of the five, with an index for each column that is called indexed."""
    _, _, short = table.name.partition(".")
    columns = [sa.Column(column.name.strip('"'), _type(column)) for column in table.columns]
    name, schema = (f"{SCHEMA}_{short}", None) if is_sqlite else (short, SCHEMA)
    built = sa.Table(name, metadata, *columns, schema=schema)
    for column in table.columns:
        if column.indexed:
            sa.Index(f"ix_{SCHEMA}_{short}_{column.name}", built.c[column.name])
    return built


def _type(column: Column) -> sa.types.TypeEngine[Any]:
    """Text on PostgreSQL sorts by code point, as on SQLite and as queries ask."""
    if column.datatype is Datatype.INT:
        return sa.Integer()
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _has_settings(connection: sa.Connection) -> bool:
    schema = None if connection.dialect.name == "sqlite" else OUR_SCHEMA
    return sa.inspect(connection).has_table(PublicationSetting.__tablename__, schema=schema)
