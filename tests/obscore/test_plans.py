"""The likeliest queries reach the indexes through the views, on both engines; `make bench` looks at a million rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.plans import tables_scanned
from bench.queries import likeliest
from bench.small import read_sample

from catalog import Catalog, open_catalog

PACKAGES = 12_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A catalog in which reading a whole table takes longer than to look something up."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'catalog.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    with open_catalog(url) as catalog:
        catalog.init()
        catalog.load_synthetic(packages=PACKAGES, files_per_package=1, seed=1)
        yield catalog
    if request.param == "postgresql":
        request.getfixturevalue("postgres_server").drop_database(url)


def test_no_large_table_is_read_whole(large: Catalog) -> None:
    reading, fruitless = {}, []
    for name, query in likeliest(read_sample(large)).items():
        explanation = large.tap.explain(query)
        if name != "top" and (tables_scanned(explanation.plan) or not explanation.indexes):
            reading[name] = explanation.plan
        with large.query(query) as rows:
            if not rows.read_all().num_rows:
                fruitless.append(name)
    assert not reading, "\n\n".join(f"{name}:\n{plan}" for name, plan in reading.items())
    assert set(fruitless) <= {"polygon"}, "a query that finds nothing shows little"


def test_a_scan_is_recognised(large: Catalog) -> None:
    """What reads everything is called so: the test above can fail."""
    assert tables_scanned(large.tap.explain("SELECT * FROM ivoa.obscore WHERE obs_title LIKE '%x%'").plan)
