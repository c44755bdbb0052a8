"""Many keys in statements of bounded length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["listed"]

_LISTED = 2_000  # keys named one by one in a statement

_T = TypeVar("_T")


def listed(values: Iterable[_T], size: int | None = None) -> Iterator[list[_T]]:
    """Values in lists that are short enough for ``IN (…)``.

    Args:
        values: Read once, as the lists are asked for.
        size: Values in a list; a few thousand when None.
    """
    rest = iter(values)
    while some := list(islice(rest, size or _LISTED)):
        yield some
