"""Whether texts are ADQL, for tools that know no tables: one JSON-encoded query a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from catalog.adql.parser import is_adql

__all__ = ["check_lines"]


def check_lines(lines: Iterable[str]) -> Iterator[bool]:
    """Whether each line is a JSON string that holds a query; a line that is no JSON string is not.

    Args:
        lines: As they come; an answer is given before the next line is asked for.
    """
    for line in lines:
        try:
            query = json.loads(line)
        except (ValueError, RecursionError):
            query = None
        yield isinstance(query, str) and is_adql(query)
