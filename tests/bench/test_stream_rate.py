"""Rows per second and memory of a stream, printed by `make bench`."""

from __future__ import annotations

import resource
import time

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

pytestmark = pytest.mark.slow

ROWS = 1_000_000
STORED = sa.Table(
    "stored",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ra", sa.Double),
    sa.Column("dec", sa.Double),
    sa.Column("name", sa.Text),
)
TABLE = Table(
    "result",
    (
        Column("id", Datatype.INT),
        Column("ra", Datatype.DOUBLE, unit="deg"),
        Column("dec", Datatype.DOUBLE, unit="deg"),
        Column("name", Datatype.CHAR, "*"),
    ),
)


def test_a_million_rows_go_in_and_out(database: Database) -> None:
    rows = ((n, n % 360 + 0.25, n % 90 - 45.5, f"ivo://ccat.example/raw?{n:036d}") for n in range(ROWS))
    began = time.perf_counter()
    with database.begin() as connection:
        STORED.create(connection)
        assert database.bulk_insert(connection, STORED, ["id", "ra", "dec", "name"], rows) == ROWS
    written = time.perf_counter() - began
    began = time.perf_counter()
    with database.stream(sa.select(STORED).where(STORED.c.dec > sa.literal(-90.0)), TABLE) as stream:
        assert sum(batch.num_rows for batch in stream) == ROWS
    read = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n{database.dialect}: {ROWS / written:,.0f} rows/s in, {ROWS / read:,.0f} rows/s out, {peak:,.0f} MB at most"
    )
