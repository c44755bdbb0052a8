"""Observatory, programmes, sources, and what was planned and observed."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.opsdb.migrations.columns import (
    attached,
    choice,
    create_operations_table,
    document,
    drop_operations_tables,
    flag,
    key,
    qualified,
    refers,
    text,
    timestamps,
    uuid,
    when,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Observatory, programmes, sources, and what was planned and observed."""
    if attached():
        return
    create_operations_table(
        "observatory",
        key(),
        text("name", unique=True),
        text("description", nullable=True),
        *timestamps(),
    )
    create_operations_table(
        "telescope",
        key(),
        refers("observatory_id", "observatory.id", index=True),
        text("name"),
        text("short_name", unique=True),
        sa.Column("latitude_deg", sa.Double()),
        sa.Column("longitude_deg", sa.Double()),
        sa.Column("altitude_m", sa.Double()),
        sa.Column("diameter_m", sa.Double()),
        *timestamps(),
        sa.CheckConstraint("latitude_deg BETWEEN -90 AND 90", name="latitude_deg_range"),
        sa.CheckConstraint("diameter_m > 0", name="diameter_m_positive"),
        sa.CheckConstraint("longitude_deg BETWEEN -180 AND 360", name="longitude_deg_range"),
    )
    create_operations_table(
        "instrument",
        key(),
        refers("telescope_id", "telescope.id", index=True),
        text("name", unique=True),
        flag("available", default=True),
        text("description", nullable=True),
        *timestamps(),
    )
    create_operations_table(
        "instrument_module",
        key(),
        refers("instrument_id", "instrument.id", index=True),
        text("name"),
        choice("kind", "detector_stream", "heterodyne", "other", default="other", rule="module_kind"),
        sa.Column("frequency_min_ghz", sa.Double()),
        sa.Column("frequency_max_ghz", sa.Double()),
        sa.Column("beam_fwhm_arcsec", sa.Double()),
        sa.Column("fov_deg", sa.Double()),
        sa.Column("pixel_count", sa.Integer()),
        text("pol_states", nullable=True),
        sa.Column("resolving_power", sa.Double()),
        text("description", nullable=True),
        *timestamps(),
        sa.CheckConstraint("frequency_min_ghz > 0 AND frequency_max_ghz >= frequency_min_ghz", name="frequency"),
        sa.CheckConstraint("fov_deg > 0 AND fov_deg <= 360", name="fov_deg_range"),
        sa.UniqueConstraint("instrument_id", "name"),
        sa.CheckConstraint("beam_fwhm_arcsec > 0", name="beam_fwhm_arcsec_positive"),
        sa.CheckConstraint("pixel_count > 0", name="pixel_count_positive"),
    )
    create_operations_table(
        "instrument_module_configuration",
        key(),
        refers("instrument_module_id", "instrument_module.id", index=True),
        text("type"),
        text("name"),
        document("parameters"),
        *timestamps(),
        sa.UniqueConstraint("instrument_module_id", "name"),
        sa.CheckConstraint("type IN ('instrument_module_configuration', 'chai_module_configuration')", name="type"),
    )
    create_operations_table(
        "chai_module_configuration",
        refers("id", "instrument_module_configuration.id", primary_key=True),
        sa.Column("if_min_ghz", sa.Double(), nullable=False),
        sa.Column("if_max_ghz", sa.Double(), nullable=False),
        sa.Column("channel_width_khz", sa.Double(), nullable=False),
        sa.CheckConstraint("if_min_ghz > 0 AND if_max_ghz > if_min_ghz", name="if_band"),
        sa.CheckConstraint("channel_width_khz > 0", name="channel_width_khz_positive"),
    )
    create_operations_table(
        "observing_program",
        key(),
        text("name", unique=True),
        text("short_name", unique=True),
        text("description", nullable=True),
        text("proposal_id", nullable=True),
        text("pi_name", nullable=True),
        when("release_date"),
        sa.Column("release_months", sa.Integer()),
        *timestamps(),
        sa.CheckConstraint("release_date IS NULL OR release_months IS NULL", name="one_release_rule"),
        sa.CheckConstraint("release_months >= 0 AND release_months <= 1200", name="release_months_range"),
    )
    create_operations_table(
        "sub_observing_program",
        key(),
        refers("observing_program_id", "observing_program.id"),
        text("name"),
        text("short_name"),
        when("release_date"),
        sa.Column("release_months", sa.Integer()),
        *timestamps(),
        sa.UniqueConstraint("id", "observing_program_id"),
        sa.CheckConstraint("release_months >= 0 AND release_months <= 1200", name="release_months_range"),
        sa.UniqueConstraint("observing_program_id", "short_name"),
        sa.CheckConstraint("release_date IS NULL OR release_months IS NULL", name="one_release_rule"),
    )
    create_operations_table(
        "source",
        key(),
        text("type", index=True),
        text("name", unique=True),
        text("description", nullable=True),
        *timestamps(),
        sa.CheckConstraint(
            "type IN ('source', 'fixed_source', 'solar_system_object', 'constant_elevation_source')", name="type"
        ),
    )
    create_operations_table(
        "fixed_source",
        refers("id", "source.id", primary_key=True),
        sa.Column("ra_deg", sa.Double(), nullable=False),
        sa.Column("dec_deg", sa.Double(), nullable=False),
        sa.Column("extent_deg", sa.Double()),
        sa.CheckConstraint("extent_deg > 0 AND extent_deg <= 360", name="extent_deg_range"),
        sa.CheckConstraint("dec_deg BETWEEN -90 AND 90", name="dec_deg_range"),
        sa.CheckConstraint("ra_deg BETWEEN 0 AND 360", name="ra_deg_range"),
    )
    create_operations_table(
        "solar_system_object",
        refers("id", "source.id", primary_key=True),
        text("body"),
        sa.Column("naif_id", sa.Integer()),
    )
    create_operations_table(
        "constant_elevation_source",
        refers("id", "source.id", primary_key=True),
        sa.Column("azimuth_min_deg", sa.Double()),
        sa.Column("azimuth_max_deg", sa.Double()),
        sa.Column("elevation_deg", sa.Double()),
        sa.Column("ra_min_deg", sa.Double()),
        sa.Column("ra_max_deg", sa.Double()),
        sa.Column("dec_min_deg", sa.Double()),
        sa.Column("dec_max_deg", sa.Double()),
        sa.CheckConstraint("azimuth_min_deg BETWEEN -360 AND 720", name="azimuth_min_deg_range"),
        sa.CheckConstraint("elevation_deg BETWEEN 0 AND 90", name="elevation_deg_range"),
        sa.CheckConstraint("ra_min_deg BETWEEN 0 AND 360", name="ra_min_deg_range"),
        sa.CheckConstraint("dec_max_deg BETWEEN -90 AND 90", name="dec_max_deg_range"),
        sa.CheckConstraint("azimuth_min_deg <= azimuth_max_deg", name="azimuth_order"),
        sa.CheckConstraint("azimuth_max_deg BETWEEN -360 AND 720", name="azimuth_max_deg_range"),
        sa.CheckConstraint("ra_max_deg BETWEEN 0 AND 360", name="ra_max_deg_range"),
        sa.CheckConstraint("dec_min_deg BETWEEN -90 AND 90", name="dec_min_deg_range"),
        sa.CheckConstraint("dec_min_deg <= dec_max_deg", name="dec_order"),
    )
    create_operations_table(
        "obs_mode",
        key(),
        text("name", unique=True),
        text("description", nullable=True),
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
        *timestamps(),
    )
    create_operations_table(
        "observation_configuration",
        key(),
        text("type"),
        text("name", unique=True),
        document("parameters"),
        *timestamps(),
        sa.CheckConstraint(
            "type IN ('observation_configuration', "
            "'chai_observation_configuration', "
            "'prime_cam_observation_configuration')",
            name="type",
        ),
    )
    create_operations_table(
        "chai_observation_configuration",
        refers("id", "observation_configuration.id", primary_key=True),
        text("line_id"),
        sa.Column("line_frequency_ghz", sa.Double(), nullable=False),
        sa.Column("bandwidth_ghz", sa.Double(), nullable=False),
        sa.CheckConstraint("line_frequency_ghz > 0", name="line_frequency_ghz_positive"),
        sa.CheckConstraint("bandwidth_ghz > 0", name="bandwidth_ghz_positive"),
    )
    create_operations_table(
        "prime_cam_observation_configuration",
        refers("id", "observation_configuration.id", primary_key=True),
        text("scan_pattern", nullable=True),
        sa.Column("scan_speed_deg_s", sa.Double()),
        sa.CheckConstraint("scan_speed_deg_s > 0", name="scan_speed_positive"),
    )
    create_operations_table(
        "obs_unit",
        key(),
        text("name", unique=True),
        refers("observing_program_id", "observing_program.id", index=True),
        sa.Column("sub_observing_program_id", sa.Integer(), index=True),
        refers("source_id", "source.id", nullable=True, index=True),
        refers("obs_mode_id", "obs_mode.id", nullable=True, index=True),
        refers("observation_configuration_id", "observation_configuration.id", nullable=True, index=True),
        when("planned_at"),
        sa.Column("planned_exptime_s", sa.Double()),
        sa.Column("priority", sa.Integer()),
        choice("category", "fixed", "coordinated", "window", "other", nullable=True),
        *timestamps(),
        sa.ForeignKeyConstraint(
            ["sub_observing_program_id", "observing_program_id"],
            [qualified("sub_observing_program.id"), qualified("sub_observing_program.observing_program_id")],
        ),
        sa.CheckConstraint("planned_exptime_s >= 0", name="planned_exptime_s_positive"),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name="priority_range"),
    )
    create_operations_table(
        "obs_unit_module_configuration",
        refers("obs_unit_id", "obs_unit.id", primary_key=True),
        refers(
            "instrument_module_configuration_id", "instrument_module_configuration.id", primary_key=True, index=True
        ),
    )
    create_operations_table(
        "obs_unit_slot",
        key(),
        refers("obs_unit_id", "obs_unit.id"),
        when("start_time", nullable=False, index=True),
        when("end_time", nullable=False),
        *timestamps(),
        sa.UniqueConstraint("obs_unit_id", "start_time"),
        sa.CheckConstraint("end_time > start_time", name="time_order"),
    )
    create_operations_table(
        "executed_obs_unit",
        uuid("id", primary_key=True),
        refers("obs_unit_id", "obs_unit.id", index=True),
        when("start_time", index=True),
        when("end_time"),
        choice("execution_status", "planned", "scheduled", "unscheduled", "performed", "aborted", default="performed"),
        sa.Column("azimuth_deg", sa.Double()),
        sa.Column("elevation_deg", sa.Double()),
        sa.Column("pwv_mm", sa.Double()),
        *timestamps(),
        sa.CheckConstraint("pwv_mm >= 0", name="pwv_mm_positive"),
        sa.CheckConstraint("elevation_deg BETWEEN -5 AND 95", name="elevation_deg_range"),
        sa.CheckConstraint("end_time >= start_time", name="time_order"),
    )


def downgrade() -> None:
    """Drop what this step has made."""
    if attached():
        return
    drop_operations_tables(
        "executed_obs_unit",
        "obs_unit_slot",
        "obs_unit_module_configuration",
        "obs_unit",
        "prime_cam_observation_configuration",
        "chai_observation_configuration",
        "observation_configuration",
        "obs_mode",
        "constant_elevation_source",
        "solar_system_object",
        "fixed_source",
        "source",
        "sub_observing_program",
        "observing_program",
        "chai_module_configuration",
        "instrument_module_configuration",
        "instrument_module",
        "instrument",
        "telescope",
        "observatory",
    )
