"""What the asker of a refused query may have meant: the ADQL way in a sentence, and the query with one edit.

Each rule knows one habit that people bring from other languages, or one slip. A proposed query is offered only when
the grammar accepts it, so rules may guess.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice

from catalog.adql.habits import EARLY_HABITS, HABITS
from catalog.adql.pieces import Place
from catalog.adql.slips import EARLY_SLIPS, SLIPS
from catalog.errors import QueryError

__all__ = ["advise"]

_LONGEST = 4_000
"""Characters of a query that is proposed; longer ones get hints alone."""

_TRIES = 8
"""Pieces of advice that are weighed."""

_RULES = (*EARLY_HABITS, *EARLY_SLIPS, *HABITS, *SLIPS)
"""In this order; the first proposal that the grammar accepts is offered, else the first hint."""


def advise(text: str, fault: QueryError, offset: int, accepts: Callable[[str], bool]) -> None:
    """Add a hint and a proposed query to a fault of the grammar, if there are any to give.

    Args:
        text: The refused query.
        fault: Why it was refused.
        offset: Where.
        accepts: Whether a proposed query is valid.
    """
    short = len(text) <= _LONGEST
    start = 0 if short else max(0, offset - _LONGEST // 2)
    place = Place(text[start : start + _LONGEST], offset - start)
    for advice in islice(chain.from_iterable(rule(place) for rule in _RULES), _TRIES):
        if short and advice.proposal is not None and accepts(advice.proposal):
            fault.proposal = advice.proposal
            fault.hint = advice.hint or fault.hint
            return
        if not advice.is_guess:
            fault.hint = fault.hint or advice.hint
