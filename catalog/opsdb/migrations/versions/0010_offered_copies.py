"""An index of the copies that are offered: each package that is listed asks for one of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from catalog.opsdb.migrations.columns import attached, operations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NAME = "ix_physical_copy_offered_raw_data_package"
_OFFERED = sa.text(
    "raw_data_package_id IS NOT NULL AND status IN ('present', 'deletion_possible', 'deletion_pending')"
    " AND (verification NOT IN ('mismatch', 'missing'))"
)


def upgrade() -> None:
    """Answered from the index alone, where the table would be read once or twice for each package."""
    if not attached():
        op.create_index(
            op.f(_NAME),
            "physical_copy",
            ["raw_data_package_id"],
            schema=operations(),
            sqlite_where=_OFFERED,
            postgresql_where=_OFFERED,
        )


def downgrade() -> None:
    """Drop what this step has made."""
    if not attached():
        op.drop_index(op.f(_NAME), "physical_copy", schema=operations())
