"""Look through trees without recursion, however deep they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from catalog.adql import nodes
from catalog.vo.table import Column, Table

__all__ = ["parts"]

_LEAVES = (nodes.Number, nodes.String, nodes.Null, nodes.Name, nodes.Span, Column, Table)


def parts(node: object, *, closed: tuple[type, ...] = ()) -> Iterator[object]:
    """A node and all that it is made of, plain values and names left out.

    Args:
        node: Any node, or a tuple of nodes.
        closed: Kinds of nodes that are not looked into.
    """
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            waiting.extend(item for item in part if not isinstance(item, _LEAVES))
        elif is_dataclass(part) and not isinstance(part, _LEAVES):
            yield part
            if not isinstance(part, closed):
                waiting.extend(getattr(part, field.name) for field in fields(part))
