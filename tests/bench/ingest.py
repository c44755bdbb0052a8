"""How fast manifests go in, beside what the driver alone needs to write the same rows into the same tables.

The reference is PostgreSQL's COPY, on SQLite executemany: indexes, constraints and triggers are in place, and on SQLite
the R*Trees are filled too. It knows every value already; an ingest has to read, check and derive them.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from catalog.errors import CatalogError
from catalog.ingest.shares import usual_jobs
from catalog.obscore.package_obscore import POSITION_INDEX, REGION_INDEX
from catalog.opsdb.models import DataLocation, Instrument, InstrumentModule, ObsUnit, RawDataPackage, Site
from catalog.wiring import Catalog, open_catalog

__all__ = ["measure"]

_BEFORE = 5_000  # packages that an empty database gets first
_COPIES = 3
_BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
_NEW = "new_package"  # a temporary table of what was ingested
_OF_EXECUTION = f"id IN (SELECT executed_obs_unit_id FROM {_NEW})"
_PLANNED = f"obs_id IN (SELECT CAST(executed_obs_unit_id AS text) FROM {_NEW})"
_OF_PACKAGE = f"raw_data_package_id IN (SELECT id FROM {_NEW})"
_TABLES = (
    ("ops", "executed_obs_unit", _OF_EXECUTION),
    ("ops", "raw_data_package", f"id IN (SELECT id FROM {_NEW})"),
    ("ops", "raw_data_package_metadata", _OF_PACKAGE),
    ("ops", "raw_data_file", _OF_PACKAGE),
    ("ops", "physical_copy", _OF_PACKAGE),
    ("catalog", "package_publication", _OF_PACKAGE),
    ("catalog", "package_obscore", _OF_PACKAGE),
    ("catalog", "obsplan", _PLANNED),
)
"""What is written, in an order that keeps every foreign key."""


def measure(url: str, packages: int, *, files: int = 0) -> dict[str, float]:
    """Packages per second, each with metadata and three copies, by an ingest of Parquet and by the driver alone.

    Args:
        url: Of a database, with the owner's login. An empty one gets a synthetic observatory first. The new packages
            stay.
        packages: How many to ingest.
        files: Of each package.

    Returns:
        ``ingest_rows_per_s``, ``copy_in_rows_per_s`` and ``ingest_over_copy``, their ratio; of SQLite the same names
        after ``sqlite_``.
    """
    with open_catalog(url) as catalog, tempfile.TemporaryDirectory() as folder:
        _prepare(catalog)
        manifest = Path(folder) / "manifest.parquet"
        ids = _write(catalog, manifest, packages, files)
        _settle(catalog)
        began = time.perf_counter()
        summary = catalog.ingest([manifest], jobs=usual_jobs())
        ingested = packages / (time.perf_counter() - began)
        if summary.created != packages or summary.notes:
            raise RuntimeError(f"the measurement is void: {summary.to_json()}")
        copied = packages / (_copy_again if catalog.database.dialect == "postgresql" else _execute_again)(catalog, ids)
    prefix = "" if catalog.database.dialect == "postgresql" else "sqlite_"
    figures = {"ingest_rows_per_s": ingested, "copy_in_rows_per_s": copied, "ingest_over_copy": ingested / copied}
    return {f"{prefix}{name}": value for name, value in figures.items()}


def _prepare(catalog: Catalog) -> None:
    try:
        catalog.check_ready()
    except CatalogError:
        catalog.init()
    with catalog.database.engine.connect() as connection:
        is_empty = connection.scalar(sa.select(RawDataPackage.id).limit(1)) is None
    if is_empty:
        catalog.load_synthetic(packages=_BEFORE, seed=1)


def _settle(catalog: Catalog) -> None:
    """Let nothing that was written before be paid for now."""
    with catalog.database.engine.connect() as connection:
        if catalog.database.dialect == "sqlite":
            connection.rollback()
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        connection.commit()
        raw: Any = connection.connection.driver_connection
        raw.rollback()
        raw.autocommit = True
        try:
            for schema, table, _ in _TABLES:
                raw.execute(f"VACUUM (ANALYZE) {schema}.{table}")
            raw.execute("CHECKPOINT")
        finally:
            raw.autocommit = False


def _write(catalog: Catalog, path: Path, packages: int, files: int) -> list[UUID]:
    """A manifest of new packages: each new execution has one for some modules, and its unit is known."""
    with catalog.database.engine.connect() as connection:
        units = connection.scalars(sa.select(ObsUnit.name).order_by(ObsUnit.id)).all()
        named = sa.select(Instrument.name, InstrumentModule.name).join(InstrumentModule)
        modules = connection.execute(named.order_by(InstrumentModule.id).limit(4)).all()
        placed = sa.select(Site.key, DataLocation.name).join(DataLocation).order_by(DataLocation.id).limit(_COPIES)
        places = [f"{site}/{name}" for site, name in connection.execute(placed)]
    rows, ids = [], []
    execution = uuid4()
    for number in range(packages):
        turn, place = divmod(number, len(modules))
        execution = uuid4() if place == 0 else execution
        instrument, module = modules[place]
        ids.append(uuid4())
        start = _BEGIN + timedelta(minutes=turn)
        rows.append(
            {
                "id": str(ids[-1]),
                "instrument": instrument,
                "module": module,
                "executed_obs_unit.id": str(execution),
                "executed_obs_unit.start_time": f"{start:%Y-%m-%dT%H:%M:%SZ}",
                "executed_obs_unit.end_time": f"{start + timedelta(seconds=45):%Y-%m-%dT%H:%M:%SZ}",
                "executed_obs_unit.obs_unit.name": units[turn % len(units)],
                "size_bytes": 10_000_000 + number,
                "checksum": f"{number:064x}",
                "content_format": "application/fits",
                "files": json.dumps([_file(execution, module, number, part) for part in range(files)]),
                "copies": json.dumps(
                    [{"location": place, "verification": "ok", "checksum": f"{number:064x}"} for place in places]
                ),
                "metadata.obs_title": f"Package {number} of the measurement",
                "metadata.s_ra": number * 0.017 % 360,
                "metadata.s_dec": number * 0.007 % 120 - 80,
                "metadata.s_fov": 0.5 + number % 7 / 10,
                "metadata.t_resolution": 0.01,
                "metadata.o_unit": "V",
                "metadata.document": json.dumps({"observation": {"frequency_ghz": 280.0, "number": number}}),
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return ids


def _file(execution: UUID, module: str, number: int, part: int) -> dict[str, Any]:
    return {
        "relative_path": f"{execution}/{module}_{part}.fits",
        "size_bytes": 3_000_000 + number,
        "checksum": f"{number * 10 + part:064x}",
        "file_type": "application/fits",
        "exptime_s": 14.5,
    }


# PostgreSQL


def _copy_again(catalog: Catalog, ids: list[UUID]) -> float:
    """Take the rows out, and measure the seconds of COPY to put them back."""
    with catalog.database.engine.connect() as pooled:
        connection: Any = pooled.connection.driver_connection
        connection.execute(f"CREATE TEMPORARY TABLE {_NEW} (id uuid PRIMARY KEY, executed_obs_unit_id uuid)")
        with connection.cursor() as cursor, cursor.copy(f"COPY {_NEW} (id) FROM STDIN") as copy:
            for one in ids:
                copy.write_row((one,))
        connection.execute(
            f"UPDATE {_NEW} n SET executed_obs_unit_id = p.executed_obs_unit_id FROM ops.raw_data_package p "
            "WHERE p.id = n.id"
        )
        connection.execute(f"ANALYZE {_NEW}")
        dumps = [_dump(connection, schema, table, which) for schema, table, which in _TABLES]
        for schema, table, which in reversed(_TABLES):
            connection.execute(f"ALTER TABLE {schema}.{table} DISABLE TRIGGER USER")
            connection.execute(f"DELETE FROM {schema}.{table} WHERE {which}")
            connection.execute(f"ALTER TABLE {schema}.{table} ENABLE TRIGGER USER")
        connection.commit()
    _settle(catalog)
    with catalog.database.engine.connect() as pooled:
        connection = pooled.connection.driver_connection
        began = time.perf_counter()
        for (schema, table, _), chunks in zip(_TABLES, dumps, strict=True):
            with connection.cursor() as cursor, cursor.copy(f"COPY {schema}.{table} FROM STDIN") as copy:
                for chunk in chunks:
                    copy.write(chunk)
        connection.commit()
        seconds = time.perf_counter() - began
    catalog.refresh()  # the triggers have queued what is resolved already
    return seconds


def _dump(connection: psycopg.Connection[Any], schema: str, table: str, which: str) -> list[bytes]:
    command = f"COPY (SELECT * FROM {schema}.{table} WHERE {which}) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        chunks = [bytes(chunk) for chunk in copy]
    return [b"".join(chunks[begin : begin + 1000]) for begin in range(0, len(chunks), 1000)]


# SQLite


def _execute_again(catalog: Catalog, ids: list[UUID]) -> float:
    """Take the rows out, and measure the seconds of executemany to put them back."""
    path = str(sa.make_url(catalog.settings.database.url.get_secret_value()).database)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"CREATE TEMPORARY TABLE {_NEW} (id TEXT PRIMARY KEY, executed_obs_unit_id TEXT)")
        connection.executemany(f"INSERT INTO {_NEW} (id) VALUES (?)", ((str(one),) for one in ids))
        connection.execute(
            f"UPDATE {_NEW} SET executed_obs_unit_id = (SELECT executed_obs_unit_id FROM raw_data_package p "
            f"WHERE p.id = {_NEW}.id)"
        )
        keys = f"id IN (SELECT obscore_key FROM package_obscore WHERE {_OF_PACKAGE})"
        tables = [(table, which) for _, table, which in _TABLES]
        planned = f"id IN (SELECT obsplan_key FROM obsplan WHERE {_PLANNED})"
        tables += [(POSITION_INDEX, keys), (REGION_INDEX, keys)]
        tables += [("obsplan_position", planned), ("obsplan_region", planned)]
        rows = [connection.execute(f"SELECT * FROM {table} WHERE {which}").fetchall() for table, which in tables]
        with _without_triggers(connection):
            for table, which in reversed(tables):
                connection.execute(f"DELETE FROM {table} WHERE {which}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for (table, _), content in zip(tables, rows, strict=True):
            if content:
                places = ", ".join("?" * len(content[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", content)
        connection.execute("COMMIT")
        seconds = time.perf_counter() - began
    catalog.refresh()
    return seconds


@contextmanager
def _without_triggers(connection: sqlite3.Connection) -> Iterator[None]:
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA defer_foreign_keys = ON")
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, text in triggers:
        connection.execute(text)
    connection.execute("COMMIT")
