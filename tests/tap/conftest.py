"""A small synthetic observatory, open, on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from catalog import Catalog, open_catalog


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A catalog that tests only read."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('tap')}/catalog.db"
    else:
        server: Any = request.getfixturevalue("postgres_server")
        url = server.create_database()
    with open_catalog(url) as opened:
        opened.init()
        opened.load_synthetic(packages=60, seed=3)
        yield opened
