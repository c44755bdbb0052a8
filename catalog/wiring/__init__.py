"""Where the parts meet: settings become a complete `Catalog`."""

from catalog.wiring.catalog import Catalog, InitSummary, open_catalog
from catalog.wiring.holdings import PublishedHoldings
from catalog.wiring.parts import as_caller

__all__ = ["Catalog", "InitSummary", "PublishedHoldings", "as_caller", "open_catalog"]
