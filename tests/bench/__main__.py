"""``make bench``: fill a million packages on both engines, measure, and print figures and ratios.

Every ratio is of two figures of the same run, taken in turn: machines differ, and one differs from hour to hour.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ingest import measure as measure_ingest
from bench.jobs import measure_crossmatch, measure_jobs
from bench.observatory import Observatory, postgresql_observatory, sqlite_observatory
from bench.plans import measure_plans
from bench.report import draw, render, write
from bench.service import serve
from bench.small import measure_counts, measure_isolation, measure_load, measure_small, read_sample
from bench.streams import measure_memory, measure_streams
from bench.translation import measure_translation
from bench.writers import measure_writers

from catalog import Catalog, open_catalog

PARTS = tuple("streams memory small counts load isolation jobs crossmatch plans translation writers ingest".split())
ENGINES = {"postgresql": postgresql_observatory, "sqlite": sqlite_observatory}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--packages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each stream; the median counts")
    parser.add_argument("--seconds", type=float, default=8, help="length of each load")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both by default")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part, or several; all by default")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="where the filled catalogs are kept")
    parser.add_argument("--results", type=Path, default=Path("var/bench.json"))
    parser.add_argument("--plot", type=Path, help="draw a picture, too (needs the extra bench)")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(f"== {os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()}", flush=True)
    measured: dict[str, float] = {"packages": chosen.packages}
    for engine in chosen.engine or ENGINES:
        prefix = "sqlite_" if engine == "sqlite" else ""
        with ENGINES[engine](chosen.folder.resolve(), chosen.packages) as observatory:
            measured[f"{prefix}fill_rows_per_s"] = chosen.packages / observatory.fill_s
            for name, value in measure(observatory, chosen):
                measured[name if name.startswith(prefix) else f"{prefix}{name}"] = value
    print(render(measured))
    write(measured, chosen.results)
    if chosen.plot:
        draw(measured, chosen.plot)
    return 0


def measure(observatory: Observatory, chosen: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Names and figures of one engine, part by part."""
    parts = chosen.only or PARTS
    folder = chosen.folder / f"service-{observatory.dialect}"
    with _opened(observatory) as catalog:
        sample = read_sample(catalog)
        with serve(observatory.environment, folder, 1) as one:
            yield "start_s", one.start_s
            by_one: dict[str, Callable[[], dict[str, float]]] = {
                "streams": lambda: measure_streams(observatory, catalog, one, chosen.rounds),
                "memory": lambda: measure_memory(catalog, one),
                "small": lambda: measure_small(observatory, catalog, one, sample),
                "counts": lambda: measure_counts(observatory, catalog, one),
                "jobs": lambda: measure_jobs(one),
                "crossmatch": lambda: measure_crossmatch(one, sample),
            }
            yield from _in_turn(by_one, parts)
        with serve(observatory.environment, folder, os.cpu_count() or 1) as all_cores:
            yield from _in_turn(
                {
                    "load": lambda: measure_load(all_cores, sample, chosen.seconds),
                    "isolation": lambda: measure_isolation(all_cores, sample, chosen.seconds),
                },
                parts,
            )
        yield from _in_turn({"plans": lambda: measure_plans(catalog, sample)}, parts)
        if observatory.dialect == "postgresql":  # once: these do not depend on the engine
            once = {
                "translation": lambda: measure_translation(catalog, sample),
                "writers": lambda: measure_writers(catalog, folder),
            }
            yield from _in_turn(once, parts)
    if "ingest" in parts:
        with observatory.fresh_url() as url:
            packages = 200_000 if observatory.dialect == "postgresql" else 50_000
            yield from measure_ingest(url, min(packages, chosen.packages)).items()


def _in_turn(works: dict[str, Callable[[], dict[str, float]]], parts: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for part, work in works.items():
        if part in parts:
            print(f"== {part}", flush=True)
            yield from work().items()


@contextmanager
def _opened(observatory: Observatory) -> Iterator[Catalog]:
    for name, value in observatory.environment.items():
        os.environ[name] = value
    try:
        with open_catalog() as catalog:
            yield catalog
    finally:
        for name in observatory.environment:
            del os.environ[name]


if __name__ == "__main__":
    sys.exit(main())
