"""What a stored copy of a package is good for, by its status and by what its last verification has found.

This is the one rule for access_url, for the links, for the counts and for the list of copies. What counts as a survivor
is another matter (`catalog.opsdb.lifecycle.survivors`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from catalog.opsdb.enums import PhysicalCopyStatus, Verification

__all__ = ["LOST", "OFFERED", "REMAINING", "is_offered", "remains"]

OFFERED = (
    PhysicalCopyStatus.PRESENT,
    PhysicalCopyStatus.DELETION_POSSIBLE,
    PhysicalCopyStatus.DELETION_PENDING,
)
"""The package can be had from such a copy; from one whose deletion is asked for only where there is no other."""

REMAINING = (*OFFERED, PhysicalCopyStatus.STAGED)
"""The content is there: of a staged copy the tar is gone, but its files lie unpacked at a processing location."""

LOST = (Verification.MISMATCH, Verification.MISSING)
"""A copy that was found damaged or absent is good for nothing, whatever its status says."""


def is_offered(status: Any, verification: Any) -> sa.ColumnElement[bool]:
    """Whether a copy with these columns is offered as the package."""
    return _is_among(OFFERED, status, verification)


def remains(status: Any, verification: Any) -> sa.ColumnElement[bool]:
    """Whether a copy with these columns holds the content."""
    return _is_among(REMAINING, status, verification)


def _is_among(statuses: tuple[PhysicalCopyStatus, ...], status: Any, verification: Any) -> sa.ColumnElement[bool]:
    text = sa.Text()
    return sa.and_(
        sa.type_coerce(status, text).in_([word.value for word in statuses]),
        sa.type_coerce(verification, text).not_in([word.value for word in LOST]),
    )
