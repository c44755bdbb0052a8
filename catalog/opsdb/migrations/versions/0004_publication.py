"""The toolkit's own tables: public identities, settings, queue, parked records."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from catalog.db import UtcDateTime
from catalog.opsdb.migrations.columns import (
    create_our_table,
    drop_our_tables,
    key,
    long_key,
    text,
    timestamps,
    uuid,
    when,
)
from catalog.opsdb.models.declarative import utc_now

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The toolkit's own tables: public identities, settings, queue, parked records."""
    create_our_table(
        "package_publication",
        uuid("raw_data_package_id", primary_key=True),
        text("obs_publisher_did", unique=True),
        when("withdrawn_at"),
        text("withdrawn_reason", nullable=True),
        *timestamps(),
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name="withdrawal_has_reason"),
    )
    create_our_table(
        "publication_setting",
        sa.Column("key", sa.Text(), primary_key=True),
        text("value"),
        *timestamps(),
    )
    create_our_table(
        "resolve_queue",
        long_key("seq"),
        uuid("raw_data_package_id", index=True),
        sa.Column("queued_at", UtcDateTime(), nullable=False, server_default=utc_now()),
    )
    create_our_table(
        "parked_record",
        key(),
        text("digest"),
        text("origin"),
        text("reason"),
        sa.Column("record", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("1")),
        *timestamps(),
        sa.UniqueConstraint("digest"),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    drop_our_tables("parked_record", "resolve_queue", "publication_setting", "package_publication")
