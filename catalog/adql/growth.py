"""How long texts can get that a query joins with ``||``.

A subquery that repeats a column a hundred times, inside another that does so, makes gigabytes of a short query, and
PostgreSQL holds them in memory, the pieces on the way there too. So lengths are estimated before anything runs.
"""

from __future__ import annotations

from catalog.adql import nodes
from catalog.adql.diagnostics import fault_at
from catalog.adql.functions import FUNCTIONS
from catalog.adql.nodes import Expression
from catalog.adql.walk import parts

__all__ = ["limit_growth"]

MAX_TEXT = 1_500_000
"""Characters of all texts that a row's joins make, as estimated."""

_USUAL = 1_000
"""Characters that a text in a table is taken to have."""

_MANY = 100 * _USUAL
"""Those of the texts of a group."""


def limit_growth(query: nodes.Query) -> None:
    """Refuse a query whose joined texts get too long.

    Args:
        query: Resolved.

    Raises:
        QueryError: They do; code ``too-complex``.
    """
    lengths = _Lengths(query)
    total = 0
    for part in parts(query, closed=(nodes.Concatenation,)):
        if isinstance(part, nodes.Concatenation):
            total += lengths.of(part)
        elif isinstance(part, nodes.ColumnRef):
            total += max(lengths.of(part) - _MANY, 0)
        else:
            continue
        if total > MAX_TEXT:
            message = f"the texts that || joins here get longer than {MAX_TEXT} characters"
            raise fault_at(query.text, part.span, message, code="too-complex")


class _Lengths:
    """Estimates for the expressions of a query; those of subqueries' columns are remembered."""

    def __init__(self, query: nodes.Query) -> None:
        self._ctes = tuple(item.query for item in query.ctes)
        self._queries: dict[int, nodes.QueryBody] = {}
        self._known: dict[tuple[int, int], int] = {}
        for part in parts(query):
            if isinstance(part, nodes.DerivedTable) and part.source is not None:
                self._queries[part.source] = part.query
            elif isinstance(part, nodes.TableRef) and part.source is not None and part.cte is not None:
                self._queries[part.source] = self._ctes[part.cte]
            elif isinstance(part, nodes.QueryExpression) and part.source is not None:
                self._queries[part.source] = part.body

    def of(self, expression: Expression) -> int:
        """Characters of a text; something small for what is none."""
        match expression:
            case nodes.String():
                return len(expression.value)
            case nodes.Concatenation():
                return sum(map(self.of, expression.operands))
            case nodes.Cast(target=nodes.CastTarget(length=int(length))):
                return length
            case nodes.ColumnRef(source=int(source), position=int(position)):
                return self._of_column(source, position)
            case nodes.Aggregate() if expression.name in FUNCTIONS:
                return _MANY
            case _:
                return max(map(self.of, nodes.children(expression)), default=_USUAL)

    def _of_column(self, source: int, position: int) -> int:
        if source not in self._queries:
            return _USUAL
        if (source, position) not in self._known:
            self._known[source, position] = self._of_output(self._queries[source], position)
        return self._known[source, position]

    def _of_output(self, body: nodes.QueryBody, position: int) -> int:
        if isinstance(body, nodes.QueryExpression):
            return self._of_output(body.body, position)
        if isinstance(body, nodes.SetOperation):
            return max(self._of_output(operand, position) for operand in body.operands)
        item = body.items[position]
        return self.of(item.expression) if isinstance(item, nodes.SelectItem) else _USUAL
