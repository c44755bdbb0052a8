"""Files, packages, places, and copies of the former at the latter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from catalog.db import UuidText
from catalog.opsdb.migrations.columns import (
    attached,
    choice,
    create_operations_table,
    document,
    drop_operations_tables,
    flag,
    key,
    long_key,
    operations,
    refers,
    text,
    timestamps,
    uuid,
    when,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATUS = ("pending", "scheduled", "in_progress", "completed", "failed")
_ALGORITHMS = ("sha256", "sha512", "sha1", "md5", "xxh64", "xxh128", "crc32c", "adler32")


def upgrade() -> None:
    """Files, packages, places, and copies of the former at the latter."""
    if attached():
        return
    create_operations_table(
        "site",
        key(),
        text("key", unique=True),
        text("name"),
        text("country", nullable=True),
        *timestamps(),
    )
    create_operations_table(
        "data_location",
        key(),
        refers("site_id", "site.id"),
        choice("storage_type", "disk", "s3", "tape"),
        text("name"),
        choice("location_type", "source", "buffer", "long_term_archive", "processing"),
        sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")),
        flag("active", default=True),
        *timestamps(),
        sa.UniqueConstraint("site_id", "name"),
    )
    create_operations_table(
        "disk_data_location",
        refers("id", "data_location.id", primary_key=True),
        text("host", nullable=True),
        text("path"),
    )
    create_operations_table(
        "s3_data_location",
        refers("id", "data_location.id", primary_key=True),
        text("endpoint", nullable=True),
        text("region", nullable=True),
        text("bucket"),
        sa.Column("prefix", sa.Text(), nullable=False, server_default=sa.text("''")),
    )
    create_operations_table(
        "tape_data_location",
        refers("id", "data_location.id", primary_key=True),
        text("library", nullable=True),
        text("path"),
    )
    create_operations_table(
        "raw_data_package",
        uuid("id", primary_key=True),
        refers("executed_obs_unit_id", "executed_obs_unit.id", UuidText()),
        refers("instrument_module_id", "instrument_module.id", index=True),
        sa.Column("sequence", sa.Integer(), nullable=False, server_default=sa.text("0")),
        text("name"),
        text("relative_path"),
        text("content_format", nullable=True),
        choice("state", "waiting", "transferring", "archived", "failed", default="waiting", index=True),
        choice("status", *_STATUS, default="pending"),
        refers("supersedes_id", "raw_data_package.id", UuidText(), nullable=True, index=True),
        sa.Column("size_bytes", sa.BigInteger()),
        text("checksum", nullable=True),
        choice("checksum_algorithm", *_ALGORITHMS, nullable=True),
        *timestamps(),
        sa.CheckConstraint("supersedes_id <> id", name="supersedes_another"),
        sa.CheckConstraint("checksum = lower(checksum)", name="checksum_lower_case"),
        sa.UniqueConstraint("executed_obs_unit_id", "instrument_module_id", "sequence"),
        sa.CheckConstraint("sequence >= 0", name="sequence_positive"),
        sa.CheckConstraint("size_bytes >= 0", name="size_bytes_positive"),
        sa.CheckConstraint("(checksum IS NULL) = (checksum_algorithm IS NULL)", name="checksum_has_algorithm"),
    )
    create_operations_table(
        "raw_data_file",
        uuid("id", primary_key=True),
        refers("instrument_module_id", "instrument_module.id"),
        refers("executed_obs_unit_id", "executed_obs_unit.id", UuidText(), nullable=True, index=True),
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), nullable=True, index=True),
        text("name"),
        text("relative_path"),
        text("file_type", nullable=True),
        when("start_time"),
        when("end_time"),
        sa.Column("exptime_s", sa.Double()),
        sa.Column("size_bytes", sa.BigInteger()),
        text("checksum", nullable=True),
        choice("checksum_algorithm", *_ALGORITHMS, nullable=True),
        *timestamps(),
        sa.CheckConstraint("exptime_s >= 0", name="exptime_s_positive"),
        sa.UniqueConstraint("instrument_module_id", "relative_path"),
        sa.CheckConstraint("size_bytes >= 0", name="size_bytes_positive"),
        sa.CheckConstraint("end_time >= start_time", name="time_order"),
        sa.CheckConstraint("(checksum IS NULL) = (checksum_algorithm IS NULL)", name="checksum_has_algorithm"),
        sa.CheckConstraint("checksum = lower(checksum)", name="checksum_lower_case"),
    )
    create_operations_table(
        "raw_data_package_metadata",
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), primary_key=True),
        text("dataproduct_type", nullable=True),
        text("dataproduct_subtype", nullable=True),
        sa.Column("calib_level", sa.Integer()),
        text("obs_collection", nullable=True),
        text("obs_title", nullable=True),
        text("obs_creator_name", nullable=True),
        text("bib_reference", nullable=True),
        text("target_name", nullable=True),
        text("target_class", nullable=True),
        sa.Column("s_ra", sa.Double()),
        sa.Column("s_dec", sa.Double()),
        sa.Column("s_fov", sa.Double()),
        text("s_region", nullable=True),
        sa.Column("s_resolution", sa.Double()),
        sa.Column("s_pixel_scale", sa.Double()),
        sa.Column("s_xel1", sa.BigInteger()),
        sa.Column("s_xel2", sa.BigInteger()),
        sa.Column("t_min", sa.Double()),
        sa.Column("t_max", sa.Double()),
        sa.Column("t_exptime", sa.Double()),
        sa.Column("t_resolution", sa.Double()),
        sa.Column("t_xel", sa.BigInteger()),
        sa.Column("em_min", sa.Double()),
        sa.Column("em_max", sa.Double()),
        sa.Column("em_res_power", sa.Double()),
        sa.Column("em_xel", sa.BigInteger()),
        text("o_ucd", nullable=True),
        text("o_unit", nullable=True),
        text("pol_states", nullable=True),
        sa.Column("pol_xel", sa.BigInteger()),
        text("facility_name", nullable=True),
        text("instrument_name", nullable=True),
        when("obs_release_date"),
        choice("data_rights", "public", "secure", "proprietary", nullable=True),
        sa.Column("s_resolution_min", sa.Double()),
        sa.Column("s_resolution_max", sa.Double()),
        sa.Column("s_fov_min", sa.Double()),
        sa.Column("s_fov_max", sa.Double()),
        sa.Column("s_largest_angular_scale", sa.Double()),
        sa.Column("f_resolution", sa.Double()),
        sa.Column("instr_feed", sa.Integer()),
        choice(
            "scan_mode",
            "on-source",
            "on-off",
            "raster-map",
            "on-the-fly-cross-scan",
            "on-the-fly-map",
            "skydip",
            "frequency-switching",
            nullable=True,
        ),
        choice("tracking_type", "sidereal", "fixed-az-el-transit", "solar-system-object-tracking", nullable=True),
        document("document"),
        sa.Column("schema_version", sa.Integer(), nullable=False, server_default=sa.text("1")),
        when("generated_at"),
        *timestamps(),
        sa.CheckConstraint("t_exptime >= 0", name="t_exptime_positive"),
        sa.CheckConstraint("s_ra BETWEEN 0 AND 360", name="s_ra_range"),
        sa.CheckConstraint("calib_level BETWEEN 0 AND 4", name="calib_level_range"),
        sa.CheckConstraint("t_max >= t_min", name="t_order"),
        sa.CheckConstraint("s_dec BETWEEN -90 AND 90", name="s_dec_range"),
        sa.CheckConstraint("(s_ra IS NULL) = (s_dec IS NULL)", name="position_whole"),
        sa.CheckConstraint("em_min > 0 AND em_max >= em_min", name="em_order"),
        sa.CheckConstraint("s_fov BETWEEN 0 AND 360", name="s_fov_range"),
    )
    create_operations_table(
        "data_transfer_package",
        uuid("id", primary_key=True),
        text("name", unique=True),
        text("relative_path"),
        choice("status", *_STATUS, default="pending"),
        sa.Column("size_bytes", sa.BigInteger()),
        text("checksum", nullable=True),
        choice("checksum_algorithm", *_ALGORITHMS, nullable=True),
        *timestamps(),
        sa.CheckConstraint("checksum = lower(checksum)", name="checksum_lower_case"),
        sa.CheckConstraint("size_bytes >= 0", name="size_bytes_positive"),
        sa.CheckConstraint("(checksum IS NULL) = (checksum_algorithm IS NULL)", name="checksum_has_algorithm"),
    )
    create_operations_table(
        "data_transfer_package_member",
        refers("data_transfer_package_id", "data_transfer_package.id", UuidText(), primary_key=True),
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), primary_key=True, index=True),
    )
    create_operations_table(
        "physical_copy",
        long_key("id"),
        text("type"),
        refers("data_location_id", "data_location.id", index=True),
        refers("raw_data_file_id", "raw_data_file.id", UuidText(), nullable=True, index=True),
        refers("raw_data_package_id", "raw_data_package.id", UuidText(), nullable=True, index=True),
        refers("data_transfer_package_id", "data_transfer_package.id", UuidText(), nullable=True, index=True),
        choice(
            "status",
            "present",
            "staged",
            "deletion_possible",
            "deletion_pending",
            "deletion_scheduled",
            "deletion_in_progress",
            "deletion_failed",
            "deleted",
            default="present",
        ),
        choice("verification", "never", "ok", "mismatch", "missing", "unreachable", default="never"),
        when("verified_at"),
        when("last_ok_at"),
        text("checksum", nullable=True),
        choice("checksum_algorithm", *_ALGORITHMS, nullable=True),
        when("deleted_at"),
        *timestamps(),
        sa.CheckConstraint(
            "(type = 'raw_data_file_physical_copy' "
            "AND raw_data_file_id IS NOT NULL AND raw_data_package_id IS NULL AND data_transfer_package_id IS NULL) "
            "OR (type = 'raw_data_package_physical_copy' "
            "AND raw_data_package_id IS NOT NULL AND raw_data_file_id IS NULL AND data_transfer_package_id IS NULL) "
            "OR (type = 'data_transfer_package_physical_copy' "
            "AND data_transfer_package_id IS NOT NULL AND raw_data_file_id IS NULL AND raw_data_package_id IS NULL)",
            name="target_of_type",
        ),
        sa.CheckConstraint("(checksum IS NULL) = (checksum_algorithm IS NULL)", name="checksum_has_algorithm"),
        sa.CheckConstraint("checksum = lower(checksum)", name="checksum_lower_case"),
    )
    op.create_index(
        "uq_physical_copy_live_data_transfer_package",
        "physical_copy",
        ["data_transfer_package_id", "data_location_id"],
        unique=True,
        schema=operations(),
        sqlite_where=sa.text("status <> 'deleted' AND data_transfer_package_id IS NOT NULL"),
        postgresql_where=sa.text("status <> 'deleted' AND data_transfer_package_id IS NOT NULL"),
    )
    op.create_index(
        "uq_physical_copy_live_raw_data_file",
        "physical_copy",
        ["raw_data_file_id", "data_location_id"],
        unique=True,
        schema=operations(),
        sqlite_where=sa.text("status <> 'deleted' AND raw_data_file_id IS NOT NULL"),
        postgresql_where=sa.text("status <> 'deleted' AND raw_data_file_id IS NOT NULL"),
    )
    op.create_index(
        "uq_physical_copy_live_raw_data_package",
        "physical_copy",
        ["raw_data_package_id", "data_location_id"],
        unique=True,
        schema=operations(),
        sqlite_where=sa.text("status <> 'deleted' AND raw_data_package_id IS NOT NULL"),
        postgresql_where=sa.text("status <> 'deleted' AND raw_data_package_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    if attached():
        return
    drop_operations_tables(
        "physical_copy",
        "data_transfer_package_member",
        "data_transfer_package",
        "raw_data_package_metadata",
        "raw_data_file",
        "raw_data_package",
        "tape_data_location",
        "s3_data_location",
        "disk_data_location",
        "data_location",
        "site",
    )
