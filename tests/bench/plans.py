"""How the databases answer the likeliest queries: none may read a whole table that an index serves."""

from __future__ import annotations

import re
import statistics
import time

from bench.queries import Sample, likeliest

from catalog import Catalog

__all__ = ["measure_plans", "tables_scanned"]

# Small tables are read whole with good reason; these have a row or more for each package.
_LARGE = "package_obscore|physical_copy|raw_data_package|raw_data_file|raw_data_package_metadata|executed_obs_unit"
_SCANNED = re.compile(rf"Seq Scan on (?:\w+\.)?({_LARGE})\b|SCAN ({_LARGE}|o|c)\b(?! USING| VIRTUAL)")


def tables_scanned(plan: str) -> list[str]:
    """Names of the large tables that a plan reads whole."""
    return [first or second for first, second in _SCANNED.findall(plan)]


def measure_plans(catalog: Catalog, sample: Sample) -> dict[str, float]:
    """How many of the likeliest queries read a large table whole, and how long they take: median and longest."""
    scanning, times = [], []
    for name, query in likeliest(sample).items():
        plan = catalog.tap.explain(query).plan
        tables = tables_scanned(plan)
        if tables and not query.startswith("SELECT TOP 10 *"):  # ten rows of no matter which
            scanning.append(name)
            print(f"   {name} reads {', '.join(tables)}:\n{plan}")
        began = time.perf_counter()
        with catalog.query(query) as rows:
            rows.read_all()
        times.append(time.perf_counter() - began)
        print(f"   {name}: {1e3 * times[-1]:.1f} ms")
    return {
        "plans_that_scan": len(scanning),
        "likeliest_median_ms": 1e3 * statistics.median(times),
        "likeliest_longest_ms": 1e3 * max(times),
    }
