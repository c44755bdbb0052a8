"""How much a query would bring: counted where that is quick, else what the planner expects."""

from __future__ import annotations

import time

import pytest

from catalog import Catalog
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT

ENDLESS = "SELECT a.file_id FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d, fyst.files AS e"


def test_rows_are_counted_and_bytes_are_those_of_the_answer(catalog: Catalog) -> None:
    query = "SELECT obs_publisher_did, target_name, s_ra, t_min, s_region FROM ivoa.obscore"
    estimate = catalog.tap.estimate(query)
    with catalog.query(query) as rows:
        size = sum(map(len, encode(rows, DEFAULT_FORMAT)))
    assert estimate.is_counted
    assert estimate.rows == rows.rows > 30
    assert estimate.bytes == pytest.approx(size, rel=0.5)


def test_an_answer_is_no_longer_than_maxrec(catalog: Catalog) -> None:
    assert catalog.tap.estimate("SELECT * FROM fyst.files", maxrec=7).rows == 7
    assert catalog.tap.estimate("SELECT TOP 3 * FROM fyst.files", maxrec=7).rows == 3
    assert catalog.tap.estimate("SELECT * FROM fyst.files WHERE size_bytes < 0").rows == 0


def test_what_would_take_long_is_not_counted(catalog: Catalog) -> None:
    began = time.monotonic()
    estimate = catalog.tap.estimate(f"SELECT COUNT(*) AS n FROM ({ENDLESS}) AS t")
    assert time.monotonic() - began < 20
    assert not estimate.is_counted
    assert estimate.rows == (None if catalog.database.dialect == "sqlite" else 1)


def test_an_explanation_names_the_indexes(catalog: Catalog) -> None:
    did = catalog.tap.explain("SELECT * FROM ivoa.obscore WHERE obs_publisher_did = 'ivo://x/y?z'")
    assert "ix_package_obscore_obs_publisher_did" in did.indexes
    assert "obscore_obs_publisher_did" not in catalog.tap.explain("SELECT s_ra FROM ivoa.obscore").plan
    cone = catalog.tap.explain(
        "SELECT s_ra FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(1, 2, 0.1))"
    )
    assert set(cone.indexes) & {"package_position", "ix_package_obscore_position"}
