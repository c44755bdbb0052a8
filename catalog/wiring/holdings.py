"""What the observatory has, counted for people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock

import sqlalchemy as sa

from catalog.db import Database
from catalog.obscore.package_obscore import package_obscore
from catalog.opsdb.queries import Holdings, read_holdings

__all__ = ["HoldingsCounter", "PublishedHoldings"]

_SECONDS = 10.0  # a page that is asked for often counts this seldom


@dataclass(frozen=True, slots=True)
class PublishedHoldings:
    """What the observatory has, and how much of it is published."""

    held: Holdings
    published: int


class HoldingsCounter:
    """Counts what everybody sees, one at a time, and seldom.

    Args:
        database: Where.
        shown: Which packages everybody sees, as a condition on `package_obscore`; None for all.
    """

    def __init__(self, database: Database, shown: sa.ColumnElement[bool] | None) -> None:
        self._database = database
        self._shown = shown
        self._counted: tuple[float, PublishedHoldings] | None = None
        self._counting = Lock()

    def read(self) -> PublishedHoldings:
        """The counts, at most a few seconds old."""
        with self._counting:
            now = time.monotonic()
            if self._counted is None or now - self._counted[0] > _SECONDS:
                self._counted = (now, self._count())
            return self._counted[1]

    def _count(self) -> PublishedHoldings:
        rows = package_obscore()
        seen = None if self._shown is None else sa.select(rows.c.raw_data_package_id).where(self._shown)
        counted = sa.select(sa.func.count()).select_from(rows if seen is None else seen.subquery())
        with self._database.engine.connect() as connection:
            return PublishedHoldings(read_holdings(connection, seen), connection.scalar(counted) or 0)
