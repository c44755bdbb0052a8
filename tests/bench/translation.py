"""Our own time for a query, from its text to the SQL of an engine, without anything kept from before."""

from __future__ import annotations

import statistics
import time

from bench.queries import Sample, likeliest

from catalog import Catalog
from catalog.adql.parser import parse
from catalog.adql.resolver import resolve
from catalog.adql.translate import translate
from catalog.db.statement import compile_statement
from catalog.vo.tableset import load_tableset

__all__ = ["measure_translation"]

WHERE = "SELECT s_ra FROM ivoa.obscore WHERE "
LONG = {
    "in_20000": WHERE + f"obs_id IN ({','.join(repr(f'{n:036}') for n in range(20_000))})",
    "or_4900": WHERE + " OR ".join(f"s_ra = {n}" for n in range(4_900)),
}


def measure_translation(catalog: Catalog, sample: Sample) -> dict[str, float]:
    """Milliseconds: median and longest of the likely queries and the published examples, and of very long ones."""
    tables = {table.name: table for schema in load_tableset() for table in schema.tables}

    def seconds(text: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            compile_statement(translate(resolve(parse(text), tables), dialect="postgresql"), "postgresql", {})
            times.append(time.perf_counter() - began)
        return min(times)

    queries = [*likeliest(sample).values(), *(example.query for example in catalog.examples)]
    times = [seconds(query) for query in queries]
    measured = {"translate_median_ms": 1e3 * statistics.median(times), "translate_longest_ms": 1e3 * max(times)}
    return measured | {f"translate_{name}_ms": 1e3 * seconds(text) for name, text in LONG.items()}
