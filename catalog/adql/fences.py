"""Which subqueries must be finished before the query around them looks at their rows.

An expression that can raise, over the columns of a subquery, could be moved by the engine into the subquery and meet
rows there that the access rule hides: its error would tell of them. Such subqueries get a fence (``OFFSET 0``), which
both engines leave conditions outside of. Over a table itself the expression is guarded where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from catalog.adql import nodes
from catalog.adql.functions import FUNCTIONS
from catalog.adql.ranges import can_overflow
from catalog.adql.walk import parts

__all__ = ["Fences", "find_fences"]


@dataclass(frozen=True, slots=True)
class Fences:
    """Where a query needs them, if what is inside reads hidden rows."""

    sources: frozenset[int]
    """Numbers of table references whose columns meet an expression that can raise."""

    ctes: frozenset[int]
    """Indexes of the named subqueries that such references mean."""


def find_fences(query: nodes.Query) -> Fences:
    """Look through a resolved query."""
    sources: set[int] = set()
    references: list[nodes.TableRef] = []
    for node in parts(query):
        if isinstance(node, nodes.TableRef):
            references.append(node)
        elif _can_raise(node):
            sources |= {part.source for part in parts(node) if isinstance(part, nodes.ColumnRef) and part.source}
    ctes = {item.cte for item in references if item.cte is not None and item.source in sources}
    return Fences(frozenset(sources), frozenset(ctes))


def _can_raise(node: object) -> bool:
    if isinstance(node, nodes.Cast):
        return node.target.name not in ("CHAR", "VARCHAR")
    if isinstance(node, nodes.Arithmetic | nodes.Signed):
        return can_overflow(node)
    return isinstance(node, nodes.FunctionCall) and FUNCTIONS[node.name].raises
