"""Many rows in parts of bounded size: conditions on their key that together mean them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

__all__ = ["among", "ranges", "within"]

_T = TypeVar("_T")


def ranges(connection: sa.Connection, key: sa.ColumnElement[_T], size: int) -> Iterator[tuple[_T | None, _T | None]]:
    """Bounds of ranges of a key that together hold every row, each about ``size`` of them; for `within`."""
    last: _T | None = None
    while True:
        query = sa.select(key).order_by(key).offset(size - 1).limit(1)
        upper = connection.scalar(query if last is None else query.where(key > last))
        yield last, upper
        if upper is None:
            return
        last = upper


def within(column: sa.ColumnElement[Any], *, low: object | None, high: object | None) -> sa.ColumnElement[bool]:
    """Whether a column lies after one bound and not after the other; None is no bound."""
    bounds = [] if low is None else [column > low]
    bounds += [] if high is None else [column <= high]
    return sa.and_(sa.true(), *bounds)


def among(column: sa.ColumnElement[Any], *, keys: Sequence[object]) -> sa.ColumnElement[bool]:
    """Whether a column is one of these."""
    return column.in_(keys)
