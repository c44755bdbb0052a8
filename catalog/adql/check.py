"""Whether texts are ADQL, for tools that know no tables: one JSON-encoded query a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from catalog.adql.parser import parse
from catalog.errors import QueryError

__all__ = ["check_lines", "is_adql"]


def is_adql(text: str) -> bool:
    """Whether a text is a query by the grammar; whether its tables and columns exist is not asked."""
    try:
        parse(text)
    except QueryError:
        return False
    return True


def check_lines(lines: Iterable[str]) -> Iterator[bool]:
    """Whether each line is a JSON string that holds a query; a line that is no JSON string is not."""
    for line in lines:
        try:
            query = json.loads(line)
        except (ValueError, RecursionError):
            query = None
        yield isinstance(query, str) and is_adql(query)
