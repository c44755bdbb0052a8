"""A registry over a small synthetic observatory, on each engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog import Catalog, open_catalog
from catalog.db import Database
from catalog.opsdb.models import RegistryCoverage, RegistryRecord
from catalog.registry.schemas import SchemaSet

Copies = Callable[[], str]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


def copies(engine: str, request: pytest.FixtureRequest, folders: pytest.TempPathFactory, *, packages: int) -> Copies:
    """Makes databases that are copies of one."""
    server: Any = None if engine == "sqlite" else request.getfixturevalue("postgres_server")
    path = folders.mktemp("original") / "catalog.db"
    original = f"sqlite:///{path}" if server is None else server.create_database()
    with open_catalog(original) as opened:
        opened.init()
        if packages:
            opened.load_synthetic(packages=packages, seed=5, files_per_package=1)

    def copy() -> str:
        if server is not None:
            return str(server.create_database(original))
        return f"sqlite:///{shutil.copy(path, folders.mktemp('copy'))}"

    return copy


@pytest.fixture(scope="session")
def copy_of_empty(engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """Makes a database with every table and no row."""
    return copies(engine, request, tmp_path_factory, packages=0)


@pytest.fixture(scope="session")
def copy_of_filled(engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """Makes a database with a few synthetic packages."""
    return copies(engine, request, tmp_path_factory, packages=60)


@pytest.fixture(scope="session")
def emptied(copy_of_empty: Copies) -> Iterator[Database]:
    """A database for all tests of records: making one for each takes longer than they do."""
    with Database(copy_of_empty()) as opened:
        yield opened


@pytest.fixture
def empty(emptied: Database) -> Database:
    """A database with every table, and no row in those of the registry."""
    with emptied.begin() as connection:
        for table in (RegistryRecord, RegistryCoverage):
            connection.execute(sa.delete(table))
    return emptied


@pytest.fixture
def filled(copy_of_filled: Copies) -> Iterator[Catalog]:
    """A catalog with a few synthetic packages; nothing is published in its registry yet."""
    with open_catalog(copy_of_filled()) as opened:
        yield opened


@pytest.fixture(scope="session")
def schemas(schemata: Path) -> Iterator[SchemaSet]:
    """The schemas of the standards."""
    with SchemaSet(schemata) as opened:
        yield opened
