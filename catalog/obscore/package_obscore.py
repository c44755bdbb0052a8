"""``catalog.package_obscore``: one resolved row per published package, and the indexes that queries use.

Its columns are those of ``vo_resources/tables/obscore.yaml``, so nothing is listed twice; a column that the YAML calls
indexed has an index here. On PostgreSQL positions are indexed by pgsphere, on SQLite by an R*Tree over unit vectors.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from catalog.db import UtcDateTime, UuidText
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS, ResolvedTable
from catalog.opsdb.models.declarative import OUR_SCHEMA
from catalog.vo.table import Column, Table
from catalog.vo.tableset import load_tableset
from catalog.vo.types import Datatype

__all__ = [
    "COMPUTED_COLUMNS",
    "IS_IMAGE",
    "POSITION_INDEX",
    "RADIO_TABLE",
    "REGION_INDEX",
    "TABLE",
    "PublishedTime",
    "column_type",
    "package_obscore",
    "package_rows",
    "published_table",
]

TABLE = "ivoa.obscore"
RADIO_TABLE = "ivoa.obscore_radio"
COMPUTED_COLUMNS = ("access_url", "access_format", "data_rights")
"""Columns of ivoa.obscore that the view computes: they depend on copies, on the service and on the clock."""

IS_IMAGE = "dataproduct_type IN ('image', 'cube')"
"""Which rows the index of images and cubes holds; a query that shall use it says just this."""

POSITION_INDEX = "package_position"
"""The R*Tree of positions on SQLite; its ``id`` is ``obscore_key``."""

REGION_INDEX = "package_region"
"""The R*Tree of regions on SQLite: boxes around the circles, in unit vectors."""

_TIMESTAMP_LENGTH = 26


class PublishedTime(TypeDecorator[datetime]):
    """A time as views publish it: ``timestamp`` without zone in UTC on PostgreSQL, DALI text on SQLite.

    In Python it is an aware UTC datetime, as everywhere.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The engine's own type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=False))
        return dialect.type_descriptor(sa.String(_TIMESTAMP_LENGTH))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """An aware datetime as the driver takes it."""
        if value is None:
            return None
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return moment if dialect.name == "postgresql" else moment.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """What the driver returns as aware UTC."""
        if value is None:
            return None
        moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC)


@cache
def published_table(name: str) -> Table:
    """The description of a published table, from ``vo_resources/tables``.

    Raises:
        KeyError: There is none of this name.
    """
    for schema in load_tableset():
        for table in schema.tables:
            if table.name == name:
                return table
    raise KeyError(name)


@cache
def package_obscore() -> sa.Table:
    """The table ``catalog.package_obscore``.

    ``obscore_key`` numbers the rows and never changes while a package stays published. ``declared_rights`` are the
    rights that somebody declared, before the clock is asked; ``s_x``, ``s_y``, ``s_z`` the unit vector of the position,
    ``s_cap_ra``, ``s_cap_dec``, ``s_cap_radius`` a circle around the region.
    """
    obscore = [c for c in published_table(TABLE).columns if c.name not in COMPUTED_COLUMNS]
    known = {column.name for column in obscore}
    radio = [c for c in published_table(RADIO_TABLE).columns if c.name not in known]
    own: list[sa.Column[Any]] = [
        sa.Column(
            "obscore_key", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("raw_data_package_id", UuidText(), nullable=False, unique=True),
        sa.Column("observing_program_id", sa.Integer, index=True),
    ]
    published = [sa.Column(c.name, column_type(c), nullable=c.name not in _NEVER_NULL) for c in (*obscore, *radio)]
    rest: list[sa.Column[Any]] = [
        sa.Column("declared_rights", sa.Text),
        *(sa.Column(name, sa.Double) for name in (*VECTOR_COLUMNS, *CAP_COLUMNS)),
        sa.Column("resolved_at", UtcDateTime(), nullable=False),
    ]
    metadata = sa.MetaData(schema=OUR_SCHEMA, naming_convention=_NAMING)
    table = sa.Table("package_obscore", metadata, *own, *published, *rest)
    for column in (c for c in obscore if c.indexed):
        sa.Index(None, table.c[column.name], unique=column.name == "obs_publisher_did")
    where = sa.text(IS_IMAGE)
    sa.Index("ix_package_obscore_image", table.c.obscore_key, sqlite_where=where, postgresql_where=where)
    return table


_NEVER_NULL = frozenset({"calib_level", "obs_collection", "obs_id", "obs_publisher_did"})
_NAMING = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}


def column_type(column: Column) -> TypeEngine[Any]:
    """How a published column is stored. Text on PostgreSQL sorts by code point, as on SQLite and as queries ask."""
    if column.xtype == "timestamp":
        return PublishedTime()
    if column.datatype.is_text:
        return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
    numbers: dict[Datatype, TypeEngine[Any]] = {
        Datatype.DOUBLE: sa.Double(),
        Datatype.LONG: sa.BigInteger(),
        Datatype.INT: sa.Integer(),
    }
    return numbers[column.datatype]


@cache
def package_rows() -> ResolvedTable:
    """How the table is installed, and how rows get into it and out of it."""
    return ResolvedTable(package_obscore(), "obscore_key", POSITION_INDEX, REGION_INDEX, "obscore_layout")
