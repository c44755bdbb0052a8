"""Small queries: what the service adds to the database, how many a second, and what a big download does to them."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.client import Connection, load, sync_path
from bench.observatory import Observatory
from bench.queries import COUNTS, EVERYTHING, Sample, cone, literal_sql, small_queries
from bench.service import Service

from catalog import Catalog

__all__ = ["measure_counts", "measure_isolation", "measure_load", "measure_small", "read_sample"]

TIMES = 150


def read_sample(catalog: Catalog) -> Sample:
    """A package somewhere in the middle."""
    query = (
        "SELECT TOP 1 obs_publisher_did, obs_id, target_name, instrument_name, s_ra, s_dec, t_min FROM ivoa.obscore "
        "WHERE s_ra > 80 AND s_dec > -30 AND target_name IS NOT NULL ORDER BY s_ra"
    )
    with catalog.query(query) as rows:
        (row,) = rows.read_all().to_pylist()
    return Sample(*row.values())


def measure_small(observatory: Observatory, catalog: Catalog, service: Service, sample: Sample) -> dict[str, float]:
    """Median and 95th percentile of each small query, and how much longer it takes than its SQL takes the driver."""
    measured: dict[str, float] = {}
    over = []
    queries = small_queries(sample) | {
        f"cone_{str(radius).replace('.', '')}deg": cone(radius, sample) for radius in (0.1, 1, 5)
    }
    with ExitStack() as stack:
        connection = Connection(service.port)
        stack.callback(connection.close)
        for name, query in queries.items():
            ours, theirs = _paired(
                lambda query=query: connection.ask(sync_path(query, maxrec=2_000_000)),  # type: ignore[misc]
                stack.enter_context(_driver(observatory, catalog, query)),
            )
            measured[f"{name}_ms"] = 1e3 * statistics.median(ours)
            measured[f"{name}_p95_ms"] = 1e3 * statistics.quantiles(ours, n=20)[-1]
            measured[f"{name}_driver_ms"] = 1e3 * statistics.median(theirs)
            if name in small_queries(sample):
                over.append(measured[f"{name}_ms"] - measured[f"{name}_driver_ms"])
        measured["small_query_over_psycopg_ms"] = max(over)
        for name in ("capabilities", "tables", "examples"):
            times = _timed(lambda name=name: connection.ask(f"/tap/{name}"), 30)  # type: ignore[misc]
            measured[f"{name}_ms"] = 1e3 * statistics.median(times)
    return measured


def measure_counts(observatory: Observatory, catalog: Catalog, service: Service) -> dict[str, float]:
    """Counts and groupings over everything, against the same SQL by the driver."""
    measured = {}
    connection = Connection(service.port)
    for name, query in COUNTS.items():
        with _driver(observatory, catalog, query) as driver:
            ours, theirs = _paired(lambda query=query: connection.ask(sync_path(query)), driver, 5)  # type: ignore[misc]
        measured[f"count_{name}_ms"] = 1e3 * statistics.median(ours)
        measured[f"count_{name}_over_driver"] = statistics.median(ours) / statistics.median(theirs)
    connection.close()
    return measured


def measure_load(service: Service, sample: Sample, seconds: float) -> dict[str, float]:
    """Requests per second of the three small queries in turn, from 1, 8 and 32 clients."""
    paths = [sync_path(query) for query in small_queries(sample).values()]
    measured = {}
    for clients in (1, 8, 32):
        rate, times = load(service.port, paths, clients, seconds)
        measured[f"requests_per_s_{clients}"] = rate
        measured[f"small_query_p50_{clients}_ms"] = 1e3 * statistics.median(times)
        measured[f"small_query_p95_{clients}_ms"] = 1e3 * statistics.quantiles(times, n=20)[-1]
    return measured


def measure_isolation(service: Service, sample: Sample, seconds: float) -> dict[str, float]:
    """The median of small queries while another client takes a million rows, again and again."""
    paths = [sync_path(query) for query in small_queries(sample).values()]
    _, quiet = load(service.port, paths, 1, seconds)
    with _taking_everything(service.port):
        time.sleep(1)
        _, disturbed = load(service.port, paths, 1, seconds)
    before, during = statistics.median(quiet), statistics.median(disturbed)
    return {
        "small_query_p50_ms": 1e3 * before,
        "small_query_p50_during_stream_ms": 1e3 * during,
        "small_query_during_stream_over_quiet": during / before,
    }


@contextmanager
def _taking_everything(port: int) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_take_everything, args=(port,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _take_everything(port: int) -> None:
    while True:
        Connection(port).stream(sync_path(EVERYTHING))


@contextmanager
def _driver(observatory: Observatory, catalog: Catalog, query: str) -> Iterator[Callable[[], object]]:
    """The same SQL by psycopg or sqlite3, on a connection that is kept."""
    explained = catalog.tap.explain(query)
    if observatory.dialect == "postgresql":
        text = literal_sql(explained.sql, explained.values)
        with observatory.connect_postgresql() as connection:
            yield lambda: connection.execute(text.encode()).fetchall()
    else:
        named = {name.removeprefix(":"): value for name, value in explained.values}
        opened = observatory.connect_sqlite()
        try:
            yield lambda: opened.execute(explained.sql, named).fetchall()
        finally:
            opened.close()


def _paired(
    first: Callable[[], object], second: Callable[[], object], times: int = TIMES
) -> tuple[list[float], list[float]]:
    """Seconds of two works in turn, after some that are not counted."""
    for work in (first, second, first, second):
        work()
    pairs = [(_timed(first, 1)[0], _timed(second, 1)[0]) for _ in range(times)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _timed(work: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds
