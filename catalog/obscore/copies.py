"""Which stored copies count as remaining: one rule for access_url, for the counts and for the list of copies."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.enums import PhysicalCopyStatus, Verification

__all__ = ["READABLE_STATUSES", "UNREADABLE_VERIFICATIONS", "remains"]

READABLE_STATUSES = (
    PhysicalCopyStatus.PRESENT,
    PhysicalCopyStatus.STAGED,
    PhysicalCopyStatus.DELETION_POSSIBLE,
    PhysicalCopyStatus.DELETION_PENDING,
)
"""A copy that remains: of a staged one the tar is gone, but its files lie unpacked at a processing location."""

UNREADABLE_VERIFICATIONS = (Verification.MISMATCH, Verification.MISSING)
"""A copy that was found damaged or absent does not count, whatever its status says."""


def remains(copy: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a row of ``physical_copy`` is a copy that remains."""
    status, verification = sa.type_coerce(copy.c.status, sa.Text()), sa.type_coerce(copy.c.verification, sa.Text())
    return sa.and_(
        status.in_([status.value for status in READABLE_STATUSES]),
        verification.not_in([outcome.value for outcome in UNREADABLE_VERIFICATIONS]),
    )
