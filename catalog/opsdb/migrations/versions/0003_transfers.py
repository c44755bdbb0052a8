"""Transfers, archiving and staging."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.db import UuidText
from catalog.opsdb.migrations.columns import (
    attached,
    choice,
    create_operations_table,
    drop_operations_tables,
    flag,
    key,
    refers,
    text,
    timestamps,
    when,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATUS = ("pending", "scheduled", "in_progress", "completed", "failed")


def upgrade() -> None:
    """Transfers, archiving and staging."""
    if attached():
        return
    create_operations_table(
        "data_transfer_route",
        key(),
        text("name", unique=True),
        refers("origin_site_id", "site.id", index=True),
        refers("destination_site_id", "site.id", index=True),
        refers("relay_site_id", "site.id", nullable=True, index=True),
        refers("origin_location_id", "data_location.id", nullable=True, index=True),
        refers("destination_location_id", "data_location.id", nullable=True, index=True),
        choice("route_type", "direct", "relay", "custom", default="direct"),
        text("method"),
        flag("active", default=True),
        *timestamps(),
        sa.CheckConstraint("origin_site_id <> destination_site_id", name="two_sites"),
        sa.CheckConstraint("(route_type = 'relay') = (relay_site_id IS NOT NULL)", name="relay_has_site"),
    )
    create_operations_table(
        "data_transfer",
        key(),
        refers("data_transfer_package_id", "data_transfer_package.id", UuidText(), index=True),
        refers("data_transfer_route_id", "data_transfer_route.id", index=True),
        refers("origin_location_id", "data_location.id", index=True),
        refers("destination_location_id", "data_location.id", index=True),
        choice("unpack_status", *_STATUS, default="pending"),
        sa.Column("unpack_retry_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        choice("status", *_STATUS, default="pending", index=True),
        sa.Column("retry_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        text("failure", nullable=True),
        when("started_at"),
        when("finished_at"),
        *timestamps(),
        sa.CheckConstraint("retry_count >= 0", name="retry_count_positive"),
        sa.CheckConstraint("finished_at >= started_at", name="time_order"),
    )
    create_operations_table(
        "data_transfer_log",
        key(),
        refers("data_transfer_id", "data_transfer.id", index=True),
        text("log_path"),
        *timestamps(),
    )
    create_operations_table(
        "long_term_archive_transfer",
        key(),
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), index=True),
        refers("origin_location_id", "data_location.id", index=True),
        refers("destination_location_id", "data_location.id", index=True),
        flag("permanent_failure", default=False),
        choice("status", *_STATUS, default="pending", index=True),
        sa.Column("retry_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        text("failure", nullable=True),
        when("started_at"),
        when("finished_at"),
        *timestamps(),
        sa.CheckConstraint("finished_at >= started_at", name="time_order"),
        sa.CheckConstraint("retry_count >= 0", name="retry_count_positive"),
    )
    create_operations_table(
        "staging_job",
        key(),
        refers("origin_location_id", "data_location.id", nullable=True, index=True),
        refers("destination_location_id", "data_location.id", index=True),
        choice("status", *_STATUS, default="pending", index=True),
        sa.Column("retry_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        text("failure", nullable=True),
        when("started_at"),
        when("finished_at"),
        *timestamps(),
        sa.CheckConstraint("finished_at >= started_at", name="time_order"),
        sa.CheckConstraint("retry_count >= 0", name="retry_count_positive"),
    )
    create_operations_table(
        "staging_job_package",
        refers("staging_job_id", "staging_job.id", primary_key=True),
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), primary_key=True, index=True),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    if attached():
        return
    drop_operations_tables(
        "staging_job_package",
        "staging_job",
        "long_term_archive_transfer",
        "data_transfer_log",
        "data_transfer",
        "data_transfer_route",
    )
