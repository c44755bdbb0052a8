"""Phases of a job and the moves between them (UWS 1.1 section 2.1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["ACTIVE", "BLOCKING", "FINISHED", "MOVES", "Phase", "sources"]


class Phase(StrEnum):
    """Where a job is in its life.

    No job is ever HELD, SUSPENDED, UNKNOWN or ARCHIVED here; clients may ask for such jobs.
    """

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    UNKNOWN = "UNKNOWN"
    ARCHIVED = "ARCHIVED"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.QUEUED, Phase.ABORTED, Phase.ERROR}),
    Phase.QUEUED: frozenset({Phase.EXECUTING, Phase.ABORTED}),
    Phase.EXECUTING: frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.QUEUED}),
}
"""Every move that there is. EXECUTING becomes QUEUED when a worker stops, or is lost."""

ACTIVE = frozenset(MOVES)
"""Phases that something can still come of."""

FINISHED = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED})
"""Phases that stay."""

BLOCKING = frozenset({Phase.PENDING, Phase.QUEUED, Phase.EXECUTING})
"""Phases in which WAIT blocks (UWS 1.1 section 2.2.1.1)."""


def sources(target: Phase) -> frozenset[Phase]:
    """The phases from which a job may move to ``target``."""
    return frozenset(phase for phase, targets in MOVES.items() if target in targets)
