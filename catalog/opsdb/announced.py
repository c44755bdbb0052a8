"""What a writer of many rows tells whoever resolves what a session has written, in the place of the queue's triggers.

A session that is kept resolved takes announcements (`catalog.obscore.freshness.keep_resolved`). For one that is not,
the triggers queue as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.orm import Session

from catalog.opsdb.triggers.queue import queue_suspended

__all__ = ["Announced", "announcing", "take_announced", "takes_announcements"]

_KEY = "announced"


@dataclass(slots=True)
class Announced:
    """New rows of the present transaction that nobody has resolved yet."""

    packages: list[UUID] = field(default_factory=list)
    executions: list[UUID] = field(default_factory=list)


def takes_announcements(session: Session) -> None:
    """Let a session take announcements: whoever says so takes them before each commit."""
    session.info[_KEY] = Announced()


def take_announced(session: Session) -> Announced:
    """What has been announced since the last call; the next begins with nothing."""
    found: Announced = session.info.get(_KEY, Announced())
    if _KEY in session.info:
        session.info[_KEY] = Announced()
    return found


@contextmanager
def announcing(session: Session, packages: Iterable[UUID], executions: Iterable[UUID]) -> Iterator[None]:
    """Within the block new packages and executions are written, which queue nothing: they are announced at its end.

    Args:
        session: In a transaction.
        packages: Ids of those that are written, with all that belongs to each of them alone.
        executions: Likewise.
    """
    announced: Announced | None = session.info.get(_KEY)
    if announced is None:
        yield
        return
    with queue_suspended(session.connection()):
        yield
    announced.packages.extend(packages)
    announced.executions.extend(executions)
