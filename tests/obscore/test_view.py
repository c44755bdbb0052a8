"""The published views: what they show, what they share, what they hide."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from catalog.access import ACCESS_COLUMNS
from catalog.db import Database
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, published_table
from catalog.obscore.published import read_published
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS
from catalog.obscore.view import published_views


def columns_of(database: Database, name: str) -> list[str]:
    schema, table = database.published_name(name)
    return [column["name"] for column in sa.inspect(database.engine).get_columns(table, schema=schema)]


@pytest.mark.parametrize("name", list(published_views()))
def test_view_has_the_described_columns_in_their_order(catalog: Database, name: str) -> None:
    described = [column.name for column in published_table(name).columns]

    found = columns_of(catalog, name)

    assert found[: len(described)] == described
    assert set(found[len(described) :]) <= {
        "obscore_key",
        "obsplan_key",
        *ACCESS_COLUMNS,
        *VECTOR_COLUMNS,
        *CAP_COLUMNS,
    }


def test_obscore_and_radio_share_the_identifier_alone(catalog: Database) -> None:
    shared = set(columns_of(catalog, TABLE)) & set(columns_of(catalog, RADIO_TABLE))
    assert shared == {"obs_publisher_did", *ACCESS_COLUMNS}  # the latter are not published, and match nothing in ADQL
    published = [{column.name for column in published_table(name).columns} for name in (TABLE, RADIO_TABLE)]
    assert set.intersection(*published) == {"obs_publisher_did"}


def test_natural_join_gives_one_row_per_package(catalog: Database, world: Any) -> None:
    for source in (world.orion, world.jupiter, None):
        world.package(world.unit(source))
    world.session.commit()

    rows = read_published(catalog, f"SELECT COUNT(*) AS n FROM {TABLE} NATURAL JOIN {RADIO_TABLE}").read_all()

    assert rows["n"].to_pylist() == [3]
