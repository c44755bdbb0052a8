"""Records of the publishing registry with their datestamps, and the coverage that is kept for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from catalog.opsdb.migrations.columns import create_our_table, drop_our_tables, flag, text, when

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Records of the publishing registry with their datestamps, and the coverage that is kept for them."""
    create_our_table(
        "registry_record",
        sa.Column("identifier", sa.Text(), primary_key=True),
        text("kind"),
        when("created", nullable=False),
        when("datestamp", nullable=False),
        flag("deleted", default=False),
        text("digest"),
        text("ivo_vor"),
        text("oai_dc"),
    )
    schema = None if op.get_bind().dialect.name == "sqlite" else "catalog"
    op.create_index(
        op.f("ix_registry_record_datestamp_identifier"),
        "registry_record",
        ["datestamp", "identifier"],
        schema=schema,
    )
    create_our_table(
        "registry_coverage",
        sa.Column("collection", sa.Text(), primary_key=True),
        text("moc"),
        sa.Column("moc_order", sa.Integer(), nullable=False),
        sa.Column("packages", sa.BigInteger(), nullable=False),
        when("resolved_until", nullable=False),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    drop_our_tables("registry_coverage", "registry_record")
