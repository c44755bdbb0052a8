"""Where in its package each file begins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from catalog.opsdb.migrations.columns import attached, operations

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column without a rule, so that SQLite need not copy the table."""
    if not attached():
        op.add_column("raw_data_file", sa.Column("tar_offset", sa.BigInteger()), schema=operations())


def downgrade() -> None:
    """Drop what this step has made."""
    if not attached():
        op.drop_column("raw_data_file", "tar_offset", schema=operations())
