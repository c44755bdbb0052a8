"""``ivoa.obsplan`` (ObsLocTAP 1.0): the table ``catalog.obsplan``, its indexes, and the view over it.

Like the packages of ObsCore, observations are resolved once and kept, one indexed row each: `catalog.obscore.plan_rows`
makes the rows, `catalog.obscore.plan` keeps them in step.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import sqlalchemy as sa

from catalog.obscore.package_obscore import (
    CAP_COLUMNS,
    STATE_KEY,
    VECTOR_COLUMNS,
    column_type,
    published_table,
    spatial_indexes,
)
from catalog.obscore.spatial_rows import SpatialTable
from catalog.opsdb.models import PublicationSetting
from catalog.opsdb.models.declarative import OUR_SCHEMA

__all__ = [
    "OBSPLAN",
    "PLAN_REVISION",
    "drop_obsplan",
    "install_obsplan",
    "obsplan",
    "obsplan_columns",
    "obsplan_layout",
    "obsplan_rows",
    "obsplan_view",
]

OBSPLAN = "ivoa.obsplan"
PLAN_REVISION = "1"
"""Of the rules in `catalog.obscore.plan_rows`; another one makes every row be resolved anew."""

_POSITIONS, _REGIONS = "obsplan_position", "obsplan_region"
_LAYOUT_KEY = "obsplan_layout"
_INDEXES = spatial_indexes("obsplan", positions=_POSITIONS, regions=_REGIONS)
_NEVER_NULL = frozenset({"obs_id", "facility_name", "category", "priority", "execution_status", "tracking_type"})
_NAMING = {"ix": "ix_%(table_name)s_%(column_0_N_name)s"}


@cache
def obsplan() -> sa.Table:
    """The table ``catalog.obsplan``; ``obsplan_key`` numbers the rows, as ``obscore_key`` does those of packages."""
    published = published_table(OBSPLAN).columns
    key_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    table = sa.Table(
        "obsplan",
        sa.MetaData(schema=OUR_SCHEMA, naming_convention=_NAMING),
        sa.Column("obsplan_key", key_type, primary_key=True, autoincrement=False),
        sa.Column("obs_unit_id", sa.Integer, nullable=False, index=True),
        sa.Column("observing_program_id", sa.Integer, index=True),
        *(sa.Column(c.name, column_type(c), nullable=c.name not in _NEVER_NULL) for c in published),
        *(sa.Column(name, sa.Double) for name in (*VECTOR_COLUMNS, *CAP_COLUMNS)),
    )
    for column in published:
        if column.indexed:
            sa.Index(None, table.c[column.name], unique=column.name == "obs_id")
    return table


def obsplan_rows() -> SpatialTable:
    """How rows get into the table and out of it."""
    return SpatialTable(obsplan(), "obsplan_key", _POSITIONS, _REGIONS)


def obsplan_columns() -> tuple[str, ...]:
    """Columns of a row but for the key."""
    return tuple(column.name for column in obsplan().columns)[1:]


def obsplan_view() -> sa.Select[Any]:
    """The published columns, then those that queries and the access rule read."""
    kept = obsplan().alias("p")
    published = [kept.c[column.name] for column in published_table(OBSPLAN).columns]
    unpublished = ("obsplan_key", *VECTOR_COLUMNS, *CAP_COLUMNS, "observing_program_id")
    return sa.select(*published, *(kept.c[name] for name in unpublished))


def install_obsplan(connection: sa.Connection) -> None:
    """Create the table and its indexes, or make them anew when the layout has changed; else do nothing.

    A new table is empty; that all rows were resolved is then no longer noted, so that a full refresh follows.
    """
    table = obsplan()
    stored = connection.scalar(sa.select(PublicationSetting.value).where(PublicationSetting.key == _LAYOUT_KEY))
    schema = OUR_SCHEMA if connection.dialect.name == "postgresql" else None
    if stored == obsplan_layout() and sa.inspect(connection).has_table(table.name, schema=schema):
        return
    drop_obsplan(connection)
    table.create(connection)
    for statement in _INDEXES[connection.dialect.name]:
        connection.execute(sa.text(statement))
    connection.execute(sa.insert(PublicationSetting).values(key=_LAYOUT_KEY, value=obsplan_layout()))
    connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key == STATE_KEY))


def drop_obsplan(connection: sa.Connection) -> None:
    """Remove the table with its indexes; the view must be gone. Safe to repeat."""
    obsplan().drop(connection, checkfirst=True)
    if connection.dialect.name == "sqlite":
        for index in (_POSITIONS, _REGIONS):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {index}"))
    schema = OUR_SCHEMA if connection.dialect.name == "postgresql" else None
    if sa.inspect(connection).has_table(PublicationSetting.__tablename__, schema=schema):
        connection.execute(sa.delete(PublicationSetting).where(PublicationSetting.key == _LAYOUT_KEY))


def obsplan_layout() -> str:
    """A digest of the table's layout: names, types, order and indexes of its columns."""
    columns = [f"{column.name} {column.type!r} {column.nullable}" for column in obsplan().columns]
    indexes = sorted(f"{index.name} {index.unique}" for index in obsplan().indexes)
    return hashlib.sha256("\n".join([*columns, *indexes, *sum(_INDEXES.values(), ())]).encode()).hexdigest()
