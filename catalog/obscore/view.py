"""The published views ``ivoa.obscore`` and ``ivoa.obscore_radio``: resolved rows, and what only the moment can say.

Where the data are depends on the copies and on the service's base URL, what one may do with them on the clock; the
view computes those three columns, all others it passes on, so that the planner reaches the indexes beneath.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import sqlalchemy as sa

from catalog.access import ACCESS_COLUMNS
from catalog.db.clock import published_now
from catalog.formats.media import DATALINK_FORMAT
from catalog.obscore.ddl import CreateView, DropView
from catalog.obscore.fyst import fyst_views
from catalog.obscore.obsplan import OBSPLAN, obsplan_view
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, package_obscore, published_table
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS
from catalog.opsdb.enums import DataRights
from catalog.opsdb.lifecycle.availability import is_offered
from catalog.opsdb.models import PhysicalCopy, PublicationSetting
from catalog.settings import LINKS_PATH

__all__ = [
    "drop_views",
    "install_views",
    "published_views",
]

_RESERVED = {"!": "%21", "'": "%27", "(": "%28", ")": "%29", "*": "%2A", "+": "%2B", "/": "%2F", ":": "%3A"}
_RESERVED |= {"=": "%3D", "?": "%3F"}  # every other character of an identifier stays as it is in a URL's query


def published_views() -> dict[str, sa.Select[Any]]:
    """Every published view, by name, in an order in which they can be created."""
    return {TABLE: _obscore(), RADIO_TABLE: _radio(), OBSPLAN: obsplan_view(), **fyst_views()}


def install_views(connection: sa.Connection) -> None:
    """Create the published views anew. Their tables must exist."""
    drop_views(connection)
    for name, select in published_views().items():
        connection.execute(CreateView(name, select))


def drop_views(connection: sa.Connection) -> None:
    """Remove the published views. Safe to repeat."""
    for name in reversed(published_views()):
        connection.execute(DropView(name))


def _obscore() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    computed = {
        "access_url": sa.case((_is_offered(resolved), _access_url(resolved))),
        "access_format": sa.case((_is_offered(resolved), DATALINK_FORMAT)),
        "data_rights": _data_rights(resolved),
    }
    columns = [
        computed[column.name].label(column.name) if column.name in computed else resolved.c[column.name]
        for column in published_table(TABLE).columns
    ]
    published = {column.name for column in columns}
    further = ("obscore_key", *VECTOR_COLUMNS, *CAP_COLUMNS, *ACCESS_COLUMNS)
    return sa.select(*columns, *(resolved.c[name] for name in further if name not in published))


def _radio() -> sa.Select[Any]:
    resolved = package_obscore().alias("o")
    columns = [resolved.c[column.name] for column in published_table(RADIO_TABLE).columns]
    return sa.select(*columns, *(resolved.c[name] for name in ACCESS_COLUMNS))


def _is_offered(resolved: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether there is a copy to be had."""
    copy = PhysicalCopy.__table__.alias("copy")
    of_package = copy.c.raw_data_package_id == resolved.c.raw_data_package_id
    # One copy is looked up for each row that is handed out: of EXISTS PostgreSQL would make a hash of all copies first.
    one: sa.Select[tuple[int]] = sa.select(sa.literal_column("1")).where(
        of_package, is_offered(copy.c.status, copy.c.verification)
    )
    return one.limit(sa.literal_column("1")).scalar_subquery().is_not(None)


def _access_url(resolved: sa.FromClause) -> sa.ColumnElement[Any]:
    """The links of a package. All identifiers begin alike; what they begin with is encoded once for a query."""
    setting = PublicationSetting.__table__
    base_url, authority, path = (setting.alias(name) for name in ("base_url", "authority", "path"))
    beginning: sa.ColumnElement[Any] = "ivo://" + authority.c.value + "/" + path.c.value + "?"
    encoded = reduce(lambda text, pair: sa.func.replace(text, *pair), _RESERVED.items(), beginning)
    links = (
        sa.select(base_url.c.value + f"{LINKS_PATH}?ID=" + encoded)
        .where(*(each.c.key == each.name for each in (base_url, authority, path)))
        .scalar_subquery()
    )
    identifier = sa.cast(resolved.c.raw_data_package_id, sa.Text)
    return links + identifier


def _data_rights(resolved: sa.FromClause) -> sa.ColumnElement[Any]:
    declared = resolved.c.declared_rights
    is_public = sa.or_(declared == DataRights.PUBLIC.value, resolved.c.obs_release_date <= published_now())
    return sa.case(
        (declared == DataRights.SECURE.value, DataRights.SECURE.value),
        (is_public, DataRights.PUBLIC.value),
        else_=DataRights.PROPRIETARY.value,
    )
