"""Rows of a long SELECT, some thousands at a time, in the transaction of the reader."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import sqlalchemy as sa

__all__ = ["stream_rows"]

_AT_ONCE = 5_000


def stream_rows(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> Generator[sa.Row[*tuple[Any, ...]]]:
    """Rows as they are asked for; close it, if it is not read to its end.

    PostgreSQL plans a cursor for its first rows, which may make all of them slow; it is told that all are wanted.

    Args:
        connection: In a transaction, which on PostgreSQL keeps that setting.
        query: What to select.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")
    with connection.execute(query, execution_options={"yield_per": _AT_ONCE}) as rows:
        yield from rows
