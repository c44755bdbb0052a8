"""Queries that are asked again: what they were translated to is kept, and only their values change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock

from catalog.adql.resolver import ResolvedQuery
from catalog.db.statement import Query

__all__ = ["Prepared", "PreparedQueries"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that is ready to be run."""

    resolved: ResolvedQuery
    query: Query


class PreparedQueries:
    """The queries that were used last, by whatever their SQL depends on.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Prepared] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, prepare: Callable[[], Prepared]) -> Prepared:
        """The query of a key, prepared unless it is known; what fails is not remembered."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        found = prepare()
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return found
