"""The time by which a database's rows are judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["published_now", "read_clock"]


def read_clock(connection: sa.Connection) -> datetime:
    """The database's own time, now, aware UTC: on PostgreSQL the server's, so that clocks of clients decide nothing.

    On SQLite the database has no other clock than this machine.
    """
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)
    return datetime.now(UTC)


class published_now(FunctionElement[Any]):  # noqa: N801  (reads as the SQL function that it is)
    """The database's clock in UTC, as views publish times.

    One value per transaction on PostgreSQL. On SQLite a subquery that refers to nothing is evaluated once per
    statement, while a bare call would move on with the rows.
    """

    type = sa.DateTime()
    inherit_cache = True


@compiles(published_now)
def _published_now(element: published_now, compiler: SQLCompiler, **_: object) -> str:
    return "timezone('UTC', now())"


@compiles(published_now, "sqlite")
def _published_now_sqlite(element: published_now, compiler: SQLCompiler, **_: object) -> str:
    return "(SELECT strftime('%Y-%m-%dT%H:%M:%f000', 'now'))"
