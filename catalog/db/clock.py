"""The time by which a database's rows are judged."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

__all__ = ["read_clock"]


def read_clock(connection: sa.Connection) -> datetime:
    """The database's own time, now, aware UTC: on PostgreSQL the server's, so that clocks of clients decide nothing.

    On SQLite the database has no other clock than this machine.
    """
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)
    return datetime.now(UTC)
