"""Publish an observatory's holdings to the Virtual Observatory.

Ten lines open the catalog without HTTP or a command line::

    from catalog import open_catalog

    with open_catalog("sqlite:///var/catalog.db") as catalog:
        with catalog.query("SELECT TOP 5 obs_publisher_did, s_ra, s_dec FROM ivoa.obscore") as rows:
            print(rows.read_all())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.errors import CatalogError
    from catalog.settings import Settings
    from catalog.wiring import Catalog, open_catalog

__all__ = ["Catalog", "CatalogError", "Settings", "__version__", "open_catalog"]

__version__ = "0.1.0"

_HOMES = {
    "Catalog": "catalog.wiring",
    "CatalogError": "catalog.errors",
    "Settings": "catalog.settings",
    "open_catalog": "catalog.wiring",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is asked for, so that ``import catalog.vo`` stays light."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'catalog' has no attribute '{name}'")
