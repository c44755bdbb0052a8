"""A million rows: over HTTP in each format, against what the driver reads of the same SQL; first bytes and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import islice

import psycopg
import pyarrow as pa
from bench.client import Connection, Streamed, sync_path
from bench.observatory import Observatory
from bench.queries import EVERYTHING, JOINED, literal_sql
from bench.service import Service

from catalog import Catalog

__all__ = ["measure_memory", "measure_streams"]

FORMATS = {"binary2": "votable", "tabledata": "votable/td", "csv": "csv", "parquet": "parquet"}
FIRST_BYTES = ("votable", "votable/td", "csv", "tsv", "json", "arrow")
REFERENCE = {"binary2": "copy_binary", "tabledata": "copy_text", "csv": "copy_text", "parquet": "copy_binary"}
_FETCHED = 16_384


def measure_streams(observatory: Observatory, catalog: Catalog, service: Service, rounds: int) -> dict[str, float]:
    """Rows per second of each format, of the references, and the ratios: medians of rounds in which each had a turn."""
    explained = catalog.tap.explain(EVERYTHING)
    works: dict[str, Callable[[], float]] = {}
    if observatory.dialect == "postgresql":
        text = literal_sql(explained.sql, explained.values)
        works["copy_binary"] = lambda: _copied(observatory, text, "binary")
        works["copy_text"] = lambda: _copied(observatory, text, "text")
    else:
        named = {name.removeprefix(":"): value for name, value in explained.values}
        works["read"] = lambda: _read_into_arrow(observatory, catalog, explained.sql, named)
    works |= {
        name: lambda fmt=fmt: _rate(catalog, service, fmt)  # type: ignore[misc]
        for name, fmt in FORMATS.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            rates[name].append(work())
            print(f"   {observatory.dialect} {name}: {rates[name][-1]:,.0f} rows/s", flush=True)
    measured = {f"{name}_rows_per_s": statistics.median(each) for name, each in rates.items()}
    for name, reference in REFERENCE.items():
        against = reference if observatory.dialect == "postgresql" else "read"
        ratios = [ours / theirs for ours, theirs in zip(rates[name], rates[against], strict=True)]
        measured[f"{name}_over_{against.partition('_')[0]}"] = statistics.median(ratios)
    first = _first_row(observatory, catalog)
    later = {fmt: _first_byte(service, fmt) - first for fmt in FIRST_BYTES}
    measured["first_row_ms"] = 1e3 * first
    measured["first_byte_ms"] = 1e3 * max(later.values())
    return measured


def measure_memory(catalog: Catalog, service: Service) -> dict[str, float]:
    """The most that a process held resident, for a million rows and for as many as there are copies."""
    rows = _count(catalog)
    for fmt in ("votable", "csv"):
        _stream(service, JOINED, fmt, min(rows, 200_000))
    measured = {"held_rss_mb": service.held_mb()}
    for name, times in (("1m", 1), ("3m", 3)):
        service.forget_peaks()
        for fmt in ("votable", "csv"):
            _stream(service, JOINED, fmt, times * rows)
        measured[f"peak_rss_mb_{name}"] = service.peak_mb()
    measured["peak_rss_growth"] = measured["peak_rss_mb_3m"] / measured["peak_rss_mb_1m"] - 1
    service.forget_peaks()
    for fmt in ("votable/td", "parquet", "arrow", "json", "fits", "tsv"):
        _stream(service, EVERYTHING, fmt, rows)
    return {**measured, "peak_rss_mb_other_formats": service.peak_mb()}


def _count(catalog: Catalog) -> int:
    with catalog.query("SELECT COUNT(*) AS n FROM ivoa.obscore") as rows:
        return int(rows.read_all()["n"][0].as_py())


def _rate(catalog: Catalog, service: Service, fmt: str) -> float:
    rows = _count(catalog)
    return rows / _stream(service, EVERYTHING, fmt, rows).seconds


def _stream(service: Service, query: str, fmt: str, rows: int) -> Streamed:
    connection = Connection(service.port)
    try:
        return connection.stream(sync_path(query, fmt, rows))
    finally:
        connection.close()


def _copied(observatory: Observatory, text: str, form: str) -> float:
    """Rows per second that psycopg gets by COPY, each of which it hands over as bytes."""
    with observatory.connect_postgresql() as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        rows = 0
        with cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT {form})") as copy:  # type: ignore[call-overload]
            for _ in copy:
                rows += 1
        return rows / (time.perf_counter() - began)


def _read_into_arrow(observatory: Observatory, catalog: Catalog, text: str, named: Mapping[str, object]) -> float:
    """Rows per second that the standard library's sqlite3 reads into Arrow."""
    with catalog.query(f"{EVERYTHING} WHERE obs_id IS NULL") as none:
        types = none.read_all().schema.types
    connection = observatory.connect_sqlite()
    began = time.perf_counter()
    cursor = connection.execute(text, dict(named))
    count = 0
    while rows := cursor.fetchmany(_FETCHED):
        columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
        count += len(columns[0])
    seconds = time.perf_counter() - began
    connection.close()
    return count / seconds


def _first_row(observatory: Observatory, catalog: Catalog) -> float:
    """Seconds until the database hands out the first row."""
    explained = catalog.tap.explain(EVERYTHING)
    if observatory.dialect == "postgresql":
        text = literal_sql(explained.sql, explained.values)
        with observatory.connect_postgresql() as connection, connection.cursor() as cursor:
            began = time.perf_counter()
            with cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT binary)") as copy:  # type: ignore[call-overload]
                next(islice(copy, 1))
                seconds = time.perf_counter() - began
                connection.cancel_safe()
                try:
                    for _ in copy:
                        pass
                except psycopg.errors.QueryCanceled:
                    return seconds
        return seconds
    return 0.0


def _first_byte(service: Service, fmt: str) -> float:
    """Seconds until the first byte of the body."""
    times = []
    for _ in range(5):
        connection = Connection(service.port)
        times.append(connection.first_byte(sync_path(EVERYTHING, fmt)))
        connection.close()
        time.sleep(0.2)
    return statistics.median(times)
