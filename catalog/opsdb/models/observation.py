"""Planning and execution: what was meant to be observed, and what was."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from catalog.opsdb.enums import ExecutionStatus, ObsCategory, ScanMode, TrackingType
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type, in_range, one_of
from catalog.opsdb.models.observatory import InstrumentModuleConfiguration
from catalog.opsdb.models.programme import ObservingProgram, SubObservingProgram
from catalog.opsdb.models.source import Source

__all__ = [
    "ChaiObservationConfiguration",
    "ExecutedObsUnit",
    "ObsMode",
    "ObsUnit",
    "ObsUnitSlot",
    "ObservationConfiguration",
    "PrimeCamObservationConfiguration",
    "obs_unit_module_configuration",
]


class ObsMode(Timestamps, OpsBase):
    """An observing strategy, with the words by which the radio extension knows it."""

    __tablename__ = "obs_mode"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    scan_mode: Mapped[ScanMode | None] = mapped_column(enum_type(ScanMode, "scan_mode"))
    tracking_type: Mapped[TrackingType | None] = mapped_column(enum_type(TrackingType, "tracking_type"))


class ObservationConfiguration(Timestamps, OpsBase):
    """How an instrument is to be used in an observation; subclasses say it per instrument."""

    __tablename__ = "observation_configuration"
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "observation_configuration"}
    __table_args__: tuple[sa.Constraint, ...] = (
        one_of(
            "type",
            "observation_configuration",
            "chai_observation_configuration",
            "prime_cam_observation_configuration",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ChaiObservationConfiguration(ObservationConfiguration):
    """CHAI is tuned to one line; a package covers that line and the instantaneous band around it."""

    __tablename__ = "chai_observation_configuration"
    __mapper_args__ = {"polymorphic_identity": "chai_observation_configuration"}
    __table_args__ = (
        sa.CheckConstraint("line_frequency_ghz > 0", name="line_frequency_ghz_positive"),
        sa.CheckConstraint("bandwidth_ghz > 0", name="bandwidth_ghz_positive"),
    )

    id: Mapped[int] = mapped_column(sa.ForeignKey(ObservationConfiguration.id), primary_key=True)
    line_id: Mapped[str]
    """Key of the line: ``CO43``."""

    line_frequency_ghz: Mapped[float]
    """Frequency the receiver is tuned to, GHz."""

    bandwidth_ghz: Mapped[float]
    """Instantaneous bandwidth centred on the line, GHz."""


class PrimeCamObservationConfiguration(ObservationConfiguration):
    """Scan pattern of a Prime-Cam observation."""

    __tablename__ = "prime_cam_observation_configuration"
    __mapper_args__ = {"polymorphic_identity": "prime_cam_observation_configuration"}
    __table_args__ = (sa.CheckConstraint("scan_speed_deg_s > 0", name="scan_speed_positive"),)

    id: Mapped[int] = mapped_column(sa.ForeignKey(ObservationConfiguration.id), primary_key=True)
    scan_pattern: Mapped[str | None]
    scan_speed_deg_s: Mapped[float | None]
    """Speed on the sky, degrees per second."""


obs_unit_module_configuration = sa.Table(
    "obs_unit_module_configuration",
    OpsBase.metadata,
    sa.Column("obs_unit_id", sa.ForeignKey("ops.obs_unit.id"), primary_key=True),
    sa.Column(
        "instrument_module_configuration_id",
        sa.ForeignKey(InstrumentModuleConfiguration.id),
        primary_key=True,
        index=True,
    ),
)
"""Which module set-ups an observation uses (many to many)."""


class ObsUnit(Timestamps, OpsBase):
    """A planned observation: programme, source, mode and configuration."""

    __tablename__ = "obs_unit"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["sub_observing_program_id", "observing_program_id"],
            [SubObservingProgram.id, SubObservingProgram.observing_program_id],
        ),
        in_range("priority", 0, 2),
        sa.CheckConstraint("planned_exptime_s >= 0", name="planned_exptime_s_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    observing_program_id: Mapped[int] = mapped_column(sa.ForeignKey(ObservingProgram.id), index=True)
    sub_observing_program_id: Mapped[int | None] = mapped_column(index=True)
    """A part of the same programme: the foreign key covers both columns."""

    source_id: Mapped[int | None] = mapped_column(sa.ForeignKey(Source.id), index=True)
    obs_mode_id: Mapped[int | None] = mapped_column(sa.ForeignKey(ObsMode.id), index=True)
    observation_configuration_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey(ObservationConfiguration.id), index=True
    )
    planned_at: Mapped[datetime | None]
    """When the plan was made (ObsLocTAP t_planning)."""

    planned_exptime_s: Mapped[float | None]
    """Planned integration, seconds."""

    priority: Mapped[int | None]
    """0, 1 or 2 (ObsLocTAP 1.0)."""

    category: Mapped[ObsCategory | None] = mapped_column(enum_type(ObsCategory, "category"))

    program: Mapped[ObservingProgram] = relationship()
    sub_program: Mapped[SubObservingProgram | None] = relationship(
        primaryjoin=lambda: SubObservingProgram.id == foreign(ObsUnit.sub_observing_program_id)
    )
    source: Mapped[Source | None] = relationship()
    obs_mode: Mapped[ObsMode | None] = relationship()
    configuration: Mapped[ObservationConfiguration | None] = relationship()
    module_configurations: Mapped[list[InstrumentModuleConfiguration]] = relationship(
        secondary=obs_unit_module_configuration
    )
    slots: Mapped[list[ObsUnitSlot]] = relationship(back_populates="obs_unit")
    executions: Mapped[list[ExecutedObsUnit]] = relationship(back_populates="obs_unit")


class ObsUnitSlot(Timestamps, OpsBase):
    """A time reserved for an observation before it is run."""

    __tablename__ = "obs_unit_slot"
    __table_args__ = (
        sa.UniqueConstraint("obs_unit_id", "start_time"),
        sa.CheckConstraint("end_time > start_time", name="time_order"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    obs_unit_id: Mapped[int] = mapped_column(sa.ForeignKey(ObsUnit.id))
    start_time: Mapped[datetime] = mapped_column(index=True)
    end_time: Mapped[datetime]

    obs_unit: Mapped[ObsUnit] = relationship(back_populates="slots")


class ExecutedObsUnit(Timestamps, OpsBase):
    """One execution of a planned observation; its id groups the packages that came of it."""

    __tablename__ = "executed_obs_unit"
    __table_args__ = (
        sa.CheckConstraint("end_time >= start_time", name="time_order"),
        in_range("elevation_deg", -5, 95),
        sa.CheckConstraint("pwv_mm >= 0", name="pwv_mm_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    obs_unit_id: Mapped[int] = mapped_column(sa.ForeignKey(ObsUnit.id), index=True)
    start_time: Mapped[datetime | None] = mapped_column(index=True)
    end_time: Mapped[datetime | None]
    """NULL while the observation runs."""

    execution_status: Mapped[ExecutionStatus] = mapped_column(
        enum_type(ExecutionStatus, "execution_status"), default=ExecutionStatus.PERFORMED
    )
    azimuth_deg: Mapped[float | None]
    """Mean azimuth, degrees from north through east."""

    elevation_deg: Mapped[float | None]
    """Mean elevation, degrees."""

    pwv_mm: Mapped[float | None]
    """Precipitable water vapour, millimetres."""

    obs_unit: Mapped[ObsUnit] = relationship(back_populates="executions")
