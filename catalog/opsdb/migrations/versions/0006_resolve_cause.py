"""Changed rows from which packages hang, to be followed when their packages are resolved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from catalog.db import UtcDateTime
from catalog.opsdb.migrations.columns import attached, create_our_table, drop_our_tables, long_key, qualified, text
from catalog.opsdb.models.declarative import utc_now

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changed rows from which packages hang, to be followed when their packages are resolved."""
    create_our_table(
        "resolve_cause",
        long_key("seq"),
        text("entity"),
        text("entity_key"),
        sa.Column("queued_at", UtcDateTime(), nullable=False, server_default=utc_now()),
    )


def downgrade() -> None:
    """Drop what this step has made; what waits in it becomes a line for every package."""
    ours = "" if op.get_bind().dialect.name == "sqlite" else "catalog."
    if not attached():
        op.execute(
            f"INSERT INTO {ours}resolve_queue (raw_data_package_id) SELECT id FROM {qualified('raw_data_package')} "
            f"WHERE EXISTS (SELECT 1 FROM {ours}resolve_cause)"
        )
    drop_our_tables("resolve_cause")
