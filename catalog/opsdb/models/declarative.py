"""The declarative base, the naming of constraints, and column forms that recur."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from catalog.db import UtcDateTime, UuidText

__all__ = [
    "NAMING",
    "OPS_SCHEMA",
    "OUR_SCHEMA",
    "OpsBase",
    "OurBase",
    "Timestamps",
    "enum_type",
    "in_range",
    "one_of",
    "share_defaults",
    "utc_now",
]

OPS_SCHEMA = "ops"
"""Logical schema of the operations tables."""

OUR_SCHEMA = "catalog"
"""Logical schema of what the toolkit itself keeps; it is ours also when the operations tables are another's."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of constraints and indexes; migrations and databases in use depend on them."""

_TYPES: dict[Any, Any] = {
    datetime: UtcDateTime(),
    UUID: UuidText(),
    float: sa.Double(),
    str: sa.Text(),
    dict[str, Any]: sa.JSON().with_variant(JSONB(), "postgresql"),
}


class utc_now(FunctionElement[datetime]):  # noqa: N801  (reads as the SQL function that it is)
    """The database's clock, UTC: one value per transaction on PostgreSQL, per statement on SQLite."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(utc_now)
def _utc_now(element: utc_now, compiler: SQLCompiler, **_: object) -> str:
    return "now()"


@compiles(utc_now, "sqlite")
def _utc_now_sqlite(element: utc_now, compiler: SQLCompiler, **_: object) -> str:
    return "(strftime('%Y-%m-%dT%H:%M:%f000', 'now'))"


class OpsBase(DeclarativeBase):
    """Base of the operations tables (schema ``ops``)."""

    metadata = sa.MetaData(schema=OPS_SCHEMA, naming_convention=NAMING)
    type_annotation_map = _TYPES


class OurBase(DeclarativeBase):
    """Base of the toolkit's own tables (schema ``catalog``)."""

    metadata = sa.MetaData(schema=OUR_SCHEMA, naming_convention=NAMING)
    type_annotation_map = _TYPES


class Timestamps:
    """``created_at`` and ``updated_at``, UTC, kept by the database: defaults on insert, a trigger on update.

    A change of a row moves ``updated_at`` forward, whoever writes and whatever value the writer gives.
    """

    created_at: Mapped[datetime] = mapped_column(server_default=utc_now(), sort_order=900)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=utc_now(), server_onupdate=sa.FetchedValue(), sort_order=901
    )


def enum_type(kind: type[StrEnum], name: str) -> sa.Enum:
    """Text column restricted by a CHECK to the values of an enum; ``name`` names the constraint."""
    return sa.Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        values_callable=lambda members: [member.value for member in members],
    )


def one_of(column: str, *values: str) -> sa.CheckConstraint:
    """CHECK that a column holds one of the words that the classes mapped to the table go by."""
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def in_range(column: str, low: float, high: float) -> sa.CheckConstraint:
    """CHECK that a nullable number lies between two limits, both included."""
    return sa.CheckConstraint(f"{column} BETWEEN {low:g} AND {high:g}", name=f"{column}_range")


def share_defaults(metadata: sa.MetaData) -> None:
    """Give every constant default to the database too, so that plain SQL writers make the same rows."""
    for table in metadata.tables.values():
        for column in table.columns:
            if column.default is not None and column.server_default is None:
                column.server_default = sa.DefaultClause(_server_default(column))


def _server_default(column: sa.Column[Any]) -> sa.ColumnElement[Any] | sa.TextClause:
    if isinstance(column.type, sa.JSON):
        return sa.text("'{}'")
    assert isinstance(column.default, ScalarElementColumnDefault)  # noqa: S101  (no other default is a constant)
    value = column.default.arg
    if isinstance(value, bool):
        return sa.true() if value else sa.false()
    return sa.text(str(value) if isinstance(value, int) else f"'{value}'")
