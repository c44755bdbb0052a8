"""Who asks, and which rows they may see: one function that yields a SQL condition.

TAP, exports, feeds and pages all pass this rule to `catalog.adql.translate`, which weaves it into every reference of
a protected table, below the language.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from catalog.vo.table import Table

__all__ = ["ANONYMOUS", "Caller", "metadata_rule"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: anonymous, or an identified user with roles and programmes."""

    username: str | None = None
    roles: frozenset[str] = frozenset()
    programmes: frozenset[int] = frozenset()
    """Ids of the observing programmes that the user is a member of."""


ANONYMOUS = Caller()
"""Somebody who gave no credentials."""


def metadata_rule(caller: Caller, table: Table, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
    """The rows of a published table that a caller may see, as a condition on them; None for all.

    The metadata of every published package are visible to everybody; rights on the bytes are another matter.

    Args:
        caller: Who asks.
        table: The published table, with ``protected`` set.
        rows: What the condition is about, with the physical columns of the table.
    """
    return None
