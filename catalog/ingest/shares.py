"""A large manifest in shares: several processes write what is plainly new, each of its own part.

They leave every other record to the process that began them. So none of them makes anything that another may make at
the same time but executions, and of two that make the same one waits for the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from sqlalchemy.orm import Session

from catalog.errors import CatalogError, InternalError, UnavailableError
from catalog.ingest.load import BLOCK_RECORDS, Loader
from catalog.ingest.manifest import read_manifest
from catalog.ingest.report import Report
from catalog.processes import SPAWN, follow_first, start

__all__ = ["Lines", "Share", "ShareBlock", "Work", "load_share", "run_shares", "usual_jobs"]

_MOST = 4


@dataclass(frozen=True, slots=True)
class Share:
    """Which lines of a manifest a process loads: parts of some lines, in turn."""

    path: Path
    begin: int
    """The first line that is shared out."""

    number: int
    count: int
    part: int = BLOCK_RECORDS
    """Lines of a part, and records to a block at most."""

    def takes(self, line: int) -> bool:
        """Whether a line belongs to it."""
        return line >= self.begin and (line - self.begin) // self.part % self.count == self.number


@dataclass(frozen=True, slots=True)
class ShareBlock:
    """What became of a block of a share."""

    created: int
    files: int
    left: tuple[int, ...]
    """Lines of the records that are not plainly new."""


def usual_jobs() -> int:
    """How many processes load a large manifest: one more than processors, since one may wait for another to resolve."""
    return min(_MOST, 1 + (os.cpu_count() or 1))


class Lines:
    """A set of lines, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, line: int) -> None:
        """Take a line in."""
        place, bit = divmod(line, 8)
        self._bits.extend(bytes(max(0, place + 1 - len(self._bits))))
        self._bits[place] |= 1 << bit

    def __contains__(self, line: int) -> bool:
        place, bit = divmod(line, 8)
        return place < len(self._bits) and bool(self._bits[place] >> bit & 1)


Work = Callable[[Share, Callable[[ShareBlock], None]], None]
"""Loads a share and tells of each block; it goes to another process, and so must be a function of a module."""


def load_share(session: Session, share: Share, tell: Callable[[ShareBlock], None]) -> None:
    """Load what is plainly new of a share.

    Args:
        session: Resolves what it commits; it is closed at the end.
        share: What to load.
        tell: Told of each block when it is committed.

    Raises:
        UnavailableError: The file cannot be read to its end, which the first process could.
    """
    report = Report()
    with Loader(session, report, block_records=share.part) as loader:
        created = files = 0
        for others in loader.load_plain(read_manifest(share.path, wanted=share.takes)):
            for entry in others:
                if entry.line is None:
                    raise UnavailableError(f"a share could not be read to its end: {entry.problems[0]}")
            left = tuple(entry.line for entry in others if entry.line is not None)
            tell(ShareBlock(report.outcomes["created"] - created, report.files - files, left))
            created, files = report.outcomes["created"], report.files


def run_shares(work: Work, shares: Sequence[Share]) -> Iterator[ShareBlock]:
    """Load shares of a manifest, each in a process of its own.

    Args:
        work: Loads a share.
        shares: Of one manifest.

    Yields:
        What became of each block, as they are committed. What one was told of stays, whatever happens later.

    Raises:
        CatalogError: What a process failed of; the others have been stopped.
    """
    processes, ends = [], []
    try:
        for share in shares:
            end, far = SPAWN.Pipe(duplex=False)
            name = f"ingest-{share.number}"
            process = SPAWN.Process(target=_work, args=(work, share, far), name=name, daemon=True)
            start(process)
            far.close()
            processes.append(process)
            ends.append(end)
        yield from _told(ends)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _told(ends: list[Connection]) -> Iterator[ShareBlock]:
    working = set(ends)
    while working:
        for end in wait(list(working)):
            assert isinstance(end, Connection)  # noqa: S101  (nothing else was given)
            try:
                said = end.recv()
            except EOFError:
                raise InternalError("a process of the ingest ended by itself; what it had committed stays") from None
            if said is None:
                working.remove(end)
            elif isinstance(said, CatalogError):
                raise said
            else:
                yield said


def _work(work: Work, share: Share, end: Connection) -> None:
    """What each process does."""
    follow_first(lambda: os._exit(1))  # what is not committed is given up
    try:
        work(share, end.send)
    except CatalogError as fault:
        end.send(fault)
    else:
        end.send(None)
