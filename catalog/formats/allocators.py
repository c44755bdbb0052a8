"""Give memory back during and after large answers: allocators keep what fell into pieces, and processes live long."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

import pyarrow as pa

__all__ = ["MemoryWatch", "give_memory_back"]

_SLACK = 4 * 2**20
_PIECES = 4
_STATM = Path("/proc/self/statm")
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library; others need no help


def give_memory_back() -> None:
    """Let the system have what Arrow and the C library keep for later; takes some milliseconds."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


class MemoryWatch:
    """Gives memory back when the process has come to hold some megabytes more than the work needs.

    What it needs is what is held a piece after memory was given back. Every few pieces at most, since the pages are
    needed again; without Linux' account of a process never.
    """

    def __init__(self) -> None:
        self._needed: int | None = None
        self._pieces = 0

    def look(self) -> None:
        """Called after each piece of work."""
        self._pieces += 1
        if self._needed is None:
            self._needed = _held()
        elif self._pieces > _PIECES and _held() > self._needed + _SLACK:
            give_memory_back()
            self._needed, self._pieces = None, 0


def _held() -> int:
    """Bytes of the process that are in memory."""
    try:
        return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
