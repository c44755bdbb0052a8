"""The history of states, and what writers say of their moves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from catalog.db import UtcDateTime
from catalog.opsdb.migrations.columns import create_our_table, drop_our_tables, long_key, text
from catalog.opsdb.models.declarative import utc_now

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The history of states, and what writers say of their moves."""
    create_our_table(
        "lifecycle_move",
        long_key("id"),
        text("entity"),
        text("attribute"),
        text("entity_key"),
        text("from_state"),
        text("to_state"),
        text("verb"),
        sa.Column("moved_at", UtcDateTime(), nullable=False, server_default=utc_now()),
        *_reasons(),
    )
    schema = None if op.get_bind().dialect.name == "sqlite" else "catalog"
    name = op.f("ix_lifecycle_move_entity_key")
    op.create_index(name, "lifecycle_move", ["entity_key", "entity"], schema=schema)
    create_our_table(
        "move_note",
        sa.Column("entity", sa.Text(), primary_key=True),
        sa.Column("attribute", sa.Text(), primary_key=True),
        sa.Column("entity_key", sa.Text(), primary_key=True),
        *_reasons(),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    drop_our_tables("move_note", "lifecycle_move")


def _reasons() -> tuple[sa.Column[Any], ...]:
    kind = sa.JSON().with_variant(JSONB(), "postgresql")
    documents = [sa.Column(name, kind, nullable=True) for name in ("evidence", "survivors")]
    return text("actor", nullable=True), text("reason", nullable=True), *documents
