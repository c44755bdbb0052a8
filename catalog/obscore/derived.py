"""What ObsCore keeps in the database beside the tables of the migrations: its table and the published views."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.obscore.obsplan import obsplan_rows
from catalog.obscore.package_obscore import package_rows
from catalog.obscore.view import drop_views, install_views

__all__ = ["PublishedObjects"]


class PublishedObjects:
    """``catalog.package_obscore`` and ``catalog.obsplan``, and the views ``ivoa.*`` and ``fyst.*`` (DerivedObjects).

    A table that is new is empty: `catalog.obscore.freshness.refresh` notices and fills it.
    """

    def install(self, connection: sa.Connection) -> None:
        """Make tables and views, or bring them to what this version of the code wants. Safe to repeat."""
        drop_views(connection)
        package_rows().install(connection)
        obsplan_rows().install(connection)
        install_views(connection)

    def drop(self, connection: sa.Connection) -> None:
        """Remove views and tables. Safe to repeat."""
        drop_views(connection)
        obsplan_rows().drop(connection)
        package_rows().drop(connection)
