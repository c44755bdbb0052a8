"""``ivoa.obsplan`` (ObsLocTAP 1.0): the table ``catalog.obsplan``, its indexes, and the view over it.

Like the packages of ObsCore, observations are resolved once and kept, one indexed row each: `catalog.obscore.plan_rows`
makes the rows, `catalog.obscore.plan` keeps them in step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from catalog.access import ACCESS_COLUMNS
from catalog.obscore.package_obscore import PublishedTime, column_type, published_table
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS, ResolvedTable
from catalog.opsdb.models.declarative import OUR_SCHEMA

__all__ = [
    "OBSPLAN",
    "PLAN_REVISION",
    "obsplan",
    "obsplan_columns",
    "obsplan_rows",
    "obsplan_view",
]

OBSPLAN = "ivoa.obsplan"
PLAN_REVISION = "2"
"""Of the rules in `catalog.obscore.plan_rows`; another one makes every row be resolved anew."""

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
        sa.Column("declared_rights", sa.Text),
        sa.Column("obs_release_date", PublishedTime()),
        *(sa.Column(name, sa.Double) for name in (*VECTOR_COLUMNS, *CAP_COLUMNS)),
    )
    for column in published:
        if column.indexed:
            sa.Index(None, table.c[column.name], unique=column.name == "obs_id")
    return table


@cache
def obsplan_rows() -> ResolvedTable:
    """How the table is installed, and how rows get into it and out of it."""
    return ResolvedTable(obsplan(), "obsplan_key", "obsplan_position", "obsplan_region", "obsplan_layout")


@cache
def obsplan_columns() -> tuple[str, ...]:
    """Columns of a row but for the key."""
    return tuple(column.name for column in obsplan().columns)[1:]


def obsplan_view() -> sa.Select[Any]:
    """The published columns, then those that queries and the access rule read."""
    kept = obsplan().alias("p")
    published = [kept.c[column.name] for column in published_table(OBSPLAN).columns]
    unpublished = ("obsplan_key", *VECTOR_COLUMNS, *CAP_COLUMNS, *ACCESS_COLUMNS)
    return sa.select(*published, *(kept.c[name] for name in unpublished))
