"""A registry over a small synthetic observatory, on each engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.registry.schemas import SchemaSet


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def copy_of_filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes a database with a few synthetic packages, of each engine in turn."""
    server: Any = None if request.param == "sqlite" else request.getfixturevalue("postgres_server")
    path = tmp_path_factory.mktemp("filled") / "catalog.db"
    original = f"sqlite:///{path}" if server is None else server.create_database()
    with open_catalog(original) as opened:
        opened.init()
        opened.load_synthetic(packages=60, seed=5, files_per_package=1)

    def copy() -> str:
        if server is not None:
            return str(server.create_database(original))
        return f"sqlite:///{shutil.copy(path, tmp_path_factory.mktemp('copy'))}"

    return copy


@pytest.fixture
def filled(copy_of_filled: Callable[[], str]) -> Iterator[Catalog]:
    """A catalog with a few synthetic packages; nothing is published in its registry yet."""
    with open_catalog(copy_of_filled()) as opened:
        yield opened


@pytest.fixture(scope="session")
def schemas(schemata: Path) -> Iterator[SchemaSet]:
    """The schemas of the standards."""
    with SchemaSet(schemata) as opened:
        yield opened
