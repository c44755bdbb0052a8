"""``catalog.package_obscore``: one resolved row per published package, and the indexes that queries use.

Its columns are those of ``vo_resources/tables/obscore.yaml``, so nothing is listed twice; a column that the YAML calls
indexed has an index here. On PostgreSQL positions are indexed by pgsphere, on SQLite by an R*Tree over unit vectors.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from catalog.db import UtcDateTime, UuidText
from catalog.opsdb.models import PublicationSetting
from catalog.opsdb.models.declarative import OUR_SCHEMA
from catalog.vo.table import Column, Table
from catalog.vo.tableset import load_tableset
from catalog.vo.types import Datatype

__all__ = [
    "CAP_COLUMNS",
    "COMPUTED_COLUMNS",
    "POSITION_INDEX",
    "RADIO_TABLE",
    "REGION_INDEX",
    "STATE_KEY",
    "TABLE",
    "VECTOR_COLUMNS",
    "PublishedTime",
    "column_type",
    "drop_package_obscore",
    "install_package_obscore",
    "layout_digest",
    "package_obscore",
    "published_table",
    "spatial_indexes",
]

TABLE = "ivoa.obscore"
RADIO_TABLE = "ivoa.obscore_radio"
COMPUTED_COLUMNS = ("access_url", "access_format", "data_rights")
"""Columns of ivoa.obscore that the view computes: they depend on copies, on the service and on the clock."""

VECTOR_COLUMNS = ("s_x", "s_y", "s_z")
POSITION_INDEX = "package_position"
"""The R*Tree of positions on SQLite; its ``id`` is ``obscore_key``."""

CAP_COLUMNS = ("s_cap_ra", "s_cap_dec", "s_cap_radius")
"""A circle that holds s_region, degrees: what the index of regions knows of them."""

REGION_INDEX = "package_region"
"""The R*Tree of regions on SQLite: boxes around the circles, in unit vectors."""

STATE_KEY = "obscore_state"
"""The publication setting that says what all rows were last resolved with; a new table has none."""

_LAYOUT_KEY = "obscore_layout"
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


def install_package_obscore(connection: sa.Connection) -> bool:
    """Create the table and its indexes, or make them anew when the layout has changed; else do nothing.

    Returns:
        Whether the table is new and empty, so that a full refresh must follow.
    """
    table = package_obscore()
    digest = layout_digest()
    if sa.inspect(connection).has_table(table.name, schema=_physical_schema(connection)):
        stored = connection.scalar(sa.select(PublicationSetting.value).where(PublicationSetting.key == _LAYOUT_KEY))
        if stored == digest:
            return False
    drop_package_obscore(connection)
    table.create(connection)
    for statement in _SPATIAL_INDEXES[connection.dialect.name]:
        connection.execute(sa.text(statement))
    connection.execute(sa.insert(PublicationSetting).values(key=_LAYOUT_KEY, value=digest))
    return True


def drop_package_obscore(connection: sa.Connection) -> None:
    """Remove the table with its indexes; views that read it must be gone. Safe to repeat."""
    package_obscore().drop(connection, checkfirst=True)
    if connection.dialect.name == "sqlite":
        for index in (POSITION_INDEX, REGION_INDEX):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {index}"))
    if sa.inspect(connection).has_table(PublicationSetting.__tablename__, schema=_physical_schema(connection)):
        connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key.in_((_LAYOUT_KEY, STATE_KEY))))


def layout_digest() -> str:
    """A digest of the table's layout: names, types, order and indexes of its columns."""
    table = package_obscore()
    columns = [f"{column.name} {column.type!r} {column.nullable}" for column in table.columns]
    indexes = sorted(f"{index.name} {index.unique}" for index in table.indexes)
    text = "\n".join([*columns, *indexes, *_SPATIAL_INDEXES["postgresql"], *_SPATIAL_INDEXES["sqlite"]])
    return hashlib.sha256(text.encode()).hexdigest()


def _physical_schema(connection: sa.Connection) -> str | None:
    return OUR_SCHEMA if connection.dialect.name == "postgresql" else None


_CAP = "scircle(spoint(radians(s_cap_ra), radians(s_cap_dec)), radians(least(s_cap_radius, 90)))"
_BOX = "(id, x_min, x_max, y_min, y_max, z_min, z_max)"


def spatial_indexes(table: str, *, positions: str, regions: str) -> dict[str, tuple[str, ...]]:
    """DDL of the indexes of a resolved table by engine; pgSphere's circles reach 90 degrees: wider ones have their own.

    Args:
        table: Name in schema ``catalog``.
        positions: The R*Tree of positions on SQLite.
        regions: The R*Tree of regions there.
    """
    return {
        "postgresql": (
            f"CREATE INDEX ix_{table}_position ON catalog.{table} USING gist (spoint(radians(s_ra), radians(s_dec)))",
            f"CREATE INDEX ix_{table}_region ON catalog.{table} USING gist ({_CAP})",
            f"CREATE INDEX ix_{table}_region_radius ON catalog.{table} (s_cap_radius)",
        ),
        "sqlite": tuple(f"CREATE VIRTUAL TABLE {name} USING rtree{_BOX}" for name in (positions, regions)),
    }


_SPATIAL_INDEXES = spatial_indexes("package_obscore", positions=POSITION_INDEX, regions=REGION_INDEX)
