"""How a result ended, in a sentence for people."""

from __future__ import annotations

from catalog.errors import CatalogError
from catalog.vo.table import TableStream

__all__ = ["ending"]


def ending(stream: TableStream, fault: CatalogError | None) -> str:
    """What a reader must know after the last row; names the QUERY_STATUS unless it is OK.

    Args:
        stream: With all its rows handed out.
        fault: What broke, if something did.
    """
    rows = "1 row" if stream.rows == 1 else f"{stream.rows:,} rows"
    if fault is not None:
        return f"ERROR after {rows}: {fault.message}"
    return f"OVERFLOW: the first {rows}; there are more" if stream.truncated else rows
