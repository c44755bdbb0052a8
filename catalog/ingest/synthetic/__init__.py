"""The synthetic observatory: a FYST that never observed, as large as one likes and the same for the same seed.

Facts are in ``vo_resources/synthetic``; the rows are made in columns and written in bulk. Every row says that it is
synthetic, in its own words or in those of what it belongs to.
"""

from __future__ import annotations

from catalog.ingest.synthetic.load import SyntheticSummary, load_synthetic
from catalog.ingest.synthetic.observatory import SyntheticObservatory, build_observatory

__all__ = ["SyntheticObservatory", "SyntheticSummary", "build_observatory", "load_synthetic"]
