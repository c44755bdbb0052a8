"""What the text of an engine's plan tells: the indexes that it uses, the rows that it expects."""

from __future__ import annotations

import re

__all__ = ["expected_rows", "indexes_used"]

_INDEX = re.compile(
    r"Index (?:Only )?Scan(?: Backward)? using (\S+)|Bitmap Index Scan on (\S+)|USING (?:COVERING )?INDEX (\S+)"
)
_RTREE = re.compile(r"SCAN (\S+) VIRTUAL TABLE INDEX")
_ROWS = re.compile(r"rows=(\d+)")


def indexes_used(plan: str) -> tuple[str, ...]:
    """Names of the indexes of a plan, each once, in the plan's order; of SQLite's R*Trees the tables."""
    found = [(match.start(), next(filter(None, match.groups()))) for match in _INDEX.finditer(plan)]
    found += [(match.start(), match[1]) for match in _RTREE.finditer(plan)]
    return tuple(dict.fromkeys(name for _, name in sorted(found)))


def expected_rows(plan: str) -> int | None:
    """How many rows PostgreSQL's planner expects; None from SQLite, which does not say."""
    match = _ROWS.search(plan.partition("\n")[0])
    return None if match is None else int(match[1])
