"""A table of numbers on both engines, and a query that would run for minutes."""

from __future__ import annotations

import socket

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

NUMBERS = sa.Table("numbers", sa.MetaData(schema="ops"), sa.Column("n", sa.Integer, primary_key=True))
COUNT = Table("result", (Column("n", Datatype.LONG),))


@pytest.fixture
def numbers(database: Database) -> sa.Table:
    """A table with the numbers 1 to 1000."""
    with database.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("CREATE SCHEMA ops"))
        NUMBERS.create(connection)
        database.bulk_insert(connection, NUMBERS, ["n"], ((n,) for n in range(1, 1001)))
    return NUMBERS


@pytest.fixture
def endless(numbers: sa.Table) -> tuple[sa.Select[int], Table]:
    """A count over 10^15 rows, and what it returns."""
    sources = [numbers.alias() for _ in range(5)]
    total = sa.func.sum(sa.cast(sum(s.c.n for s in sources), sa.BigInteger)).label("n")
    return sa.select(sa.cast(total, sa.BigInteger)).select_from(*sources), COUNT


@pytest.fixture
def unused_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
