"""Give memory back after large answers: allocators keep what their largest user needed, and processes live long."""

from __future__ import annotations

import ctypes

import pyarrow as pa

__all__ = ["give_memory_back"]

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library; others need no help


def give_memory_back() -> None:
    """Let the system have what Arrow and the C library keep for later; takes some milliseconds."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)
