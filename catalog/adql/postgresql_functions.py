"""All that translated queries call on PostgreSQL and the engine lacks; installed with the published views."""

from __future__ import annotations

from catalog.adql.installed import InstalledFunction
from catalog.adql.postgresql_geometry import POSTGRESQL_GEOMETRY
from catalog.adql.udf.listing import UDF_POSTGRESQL

__all__ = ["POSTGRESQL_FUNCTIONS"]

POSTGRESQL_FUNCTIONS: tuple[InstalledFunction, ...] = (*POSTGRESQL_GEOMETRY, *UDF_POSTGRESQL)
"""In an order in which they can be made."""
