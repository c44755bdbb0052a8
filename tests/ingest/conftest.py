"""Catalogs of their own, records to change, and what a catalog holds."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.db import Database
from catalog.ingest.paths import ingest_paths
from catalog.ingest.report import IngestSummary
from catalog.obscore.derived import PublishedObjects
from catalog.obscore.freshness import keep_resolved
from catalog.opsdb.migrate import upgrade
from catalog.opsdb.models import OpsBase, ParkedRecord
from catalog.opsdb.publication import set_publication
from catalog.settings import PublicationSettings

Record = dict[str, Any]

UNIT = "11111111-2222-4333-8444-555555555555"
SHA = "a" * 64


@pytest.fixture
def record() -> Record:
    """A whole record that defines everything it needs; free to be changed."""
    return copy.deepcopy(
        {
            "instrument": "Prime-Cam",
            "module": "280",
            "telescope": "FYST",
            "executed_obs_unit": {
                "id": UNIT,
                "start_time": "2026-04-01T02:00:00",
                "end_time": "2026-04-01T02:30:00",
                "obs_unit": {
                    "name": "GEco Orion-KL 1",
                    "program": {"short_name": "GEco", "name": "Galactic Ecology", "release_months": 12},
                    "source": {"name": "Orion-KL", "type": "fixed_source", "ra_deg": 83.809, "dec_deg": -5.3745},
                },
            },
            "relative_path": "prime-cam/280/0001.tar",
            "size_bytes": 2048,
            "checksum": SHA,
            "files": [
                {
                    "relative_path": "0001/r1d1_1.g3",
                    "size_bytes": 1000,
                    "checksum": "b" * 64,
                    "start_time": "2026-04-01T02:00:00",
                    "end_time": "2026-04-01T02:30:00",
                    "exptime_s": 1790.5,
                },
            ],
            "copies": [
                {
                    "location": {
                        "site": "ccat",
                        "name": "buffer",
                        "site_name": "CCAT",
                        "storage_type": "disk",
                        "location_type": "buffer",
                        "path": "/data/buffer",
                    },
                    "verification": "ok",
                    "checksum": SHA,
                }
            ],
            "metadata": {"s_fov": 1.3, "document": {"observation": {"frequency_ghz": 280.0}}},
        }
    )


def install(url: str) -> None:
    """Make an empty catalog."""
    with Database(url) as database:
        upgrade(database, derived=[PublishedObjects()])
        with database.begin() as connection:
            settings = PublicationSettings(authority="ingest.example", path="raw")
            set_publication(connection, settings, base_url="http://127.0.0.1:8080")


@pytest.fixture(scope="session")
def installed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an installed, empty catalog."""
    path = tmp_path_factory.mktemp("ingest") / "template.db"
    install(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def installed_server(postgres_server: Any) -> str:
    """Address of an installed, empty catalog."""
    url: str = postgres_server.create_database()
    install(url)
    return url


@pytest.fixture
def catalog_url(engine_name: str, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[str]:
    """Address of an installed, empty catalog of either engine."""
    if engine_name == "sqlite":
        path = tmp_path_factory.mktemp("catalog") / "catalog.db"
        shutil.copy(request.getfixturevalue("installed_file"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("installed_server"))
    yield url
    server.drop_database(url)


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Database]:
    """An installed, empty catalog of either engine, open."""
    with Database(catalog_url) as database:
        yield database


@pytest.fixture
def small(installed_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An installed, empty catalog on SQLite, for what does not depend on the engine."""
    path = tmp_path / "catalog.db"
    shutil.copy(installed_file, path)
    with Database(f"sqlite:///{path}") as database:
        yield database


@pytest.fixture
def ingest() -> Callable[..., IngestSummary]:
    """`ingest_paths` with instruments created and packages resolved, unless a test says otherwise."""

    def run(database: Database, *paths: Path, **options: Any) -> IngestSummary:
        def session() -> Session:
            return keep_resolved(database.session())

        return ingest_paths(database, paths, **{"create_instruments": True, "session_factory": session, **options})

    return run


@pytest.fixture
def content() -> Callable[[Database], dict[str, list[tuple[Any, ...]]]]:
    """Everything in the operations tables but times of writing and keys that a database makes, in an order of its own.

    In place of a foreign key to a made key stands the content of the row that it refers to.
    """
    return read_content


def read_content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    made: dict[tuple[str, int], str] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with database.engine.connect() as connection:
        for table in OpsBase.metadata.sorted_tables:
            found = []
            for row in connection.execute(sa.select(table)).mappings():
                cells = {}
                for column in table.columns:
                    value = row[column.name]
                    if column.name in ("created_at", "updated_at", "verified_at"):
                        continue
                    if column.foreign_keys and isinstance(value, int):
                        targets = [key.column for key in column.foreign_keys]
                        parent = next(target.table.name for target in targets if target.name == "id")
                        value = made[parent, value]
                    if column.primary_key and isinstance(value, int):
                        continue
                    cells[column.name] = repr(value)
                found.append(tuple(sorted(cells.items())))
                if isinstance(row.get("id"), int):
                    made[table.name, row["id"]] = repr(found[-1])
            rows[table.name] = sorted(found)
        rows["parked"] = sorted((row,) for row in connection.scalars(sa.select(ParkedRecord.digest)))
    return rows
