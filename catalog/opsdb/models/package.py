"""Files and packages: the units that are recorded, archived and published."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.enums import ChecksumAlgorithm, DataRights, PackageState, ScanMode, Status, TrackingType
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type, in_range
from catalog.opsdb.models.observation import ExecutedObsUnit
from catalog.opsdb.models.observatory import InstrumentModule

__all__ = ["RawDataFile", "RawDataPackage", "RawDataPackageMetadata"]


class StoredBytes:
    """Size and checksum of what is stored; the checksum carries its algorithm."""

    size_bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    checksum: Mapped[str | None]
    """Hexadecimal, lower case."""

    checksum_algorithm: Mapped[ChecksumAlgorithm | None] = mapped_column(
        enum_type(ChecksumAlgorithm, "checksum_algorithm")
    )


def checksum_rules() -> tuple[sa.CheckConstraint, ...]:
    """CHECKs of a checksum: it carries its algorithm, and equal ones are spelled alike."""
    return (
        sa.CheckConstraint("(checksum IS NULL) = (checksum_algorithm IS NULL)", name="checksum_has_algorithm"),
        sa.CheckConstraint("checksum = lower(checksum)", name="checksum_lower_case"),
    )


def stored_bytes_rules() -> tuple[sa.CheckConstraint, ...]:
    """CHECKs of `StoredBytes`."""
    return (sa.CheckConstraint("size_bytes >= 0", name="size_bytes_positive"), *checksum_rules())


class RawDataPackage(Timestamps, StoredBytes, OpsBase):
    """A tar of the files of one executed unit and one module: what is archived, and one row of ObsCore.

    Several packages per executed unit and module are legal; ``sequence`` tells them apart. Size and checksum stay
    NULL until the package is built. Once a copy has been verified the database refuses to change them: a rebuild is
    a new package that ``supersedes`` this one.
    """

    __tablename__ = "raw_data_package"
    __table_args__ = (
        sa.UniqueConstraint("executed_obs_unit_id", "instrument_module_id", "sequence"),
        sa.CheckConstraint("sequence >= 0", name="sequence_positive"),
        sa.CheckConstraint("supersedes_id <> id", name="supersedes_another"),
        *stored_bytes_rules(),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    executed_obs_unit_id: Mapped[UUID] = mapped_column(sa.ForeignKey(ExecutedObsUnit.id))
    instrument_module_id: Mapped[int] = mapped_column(sa.ForeignKey(InstrumentModule.id), index=True)
    sequence: Mapped[int] = mapped_column(default=0)
    name: Mapped[str]
    relative_path: Mapped[str]
    """POSIX path below the root of whatever location holds a copy."""

    content_format: Mapped[str | None]
    """Format of the files inside, a media type: ``application/fits``; NULL for a private one."""

    state: Mapped[PackageState] = mapped_column(
        enum_type(PackageState, "state"), default=PackageState.WAITING, index=True
    )
    status: Mapped[Status] = mapped_column(enum_type(Status, "status"), default=Status.PENDING)
    supersedes_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("ops.raw_data_package.id"), index=True)

    executed_obs_unit: Mapped[ExecutedObsUnit] = relationship()
    instrument_module: Mapped[InstrumentModule] = relationship()
    supersedes: Mapped[RawDataPackage | None] = relationship(remote_side=[id])
    files: Mapped[list[RawDataFile]] = relationship(back_populates="package", passive_deletes="all")
    package_metadata: Mapped[RawDataPackageMetadata | None] = relationship(
        back_populates="package", passive_deletes="all"
    )


class RawDataFile(Timestamps, StoredBytes, OpsBase):
    """One file as the instrument wrote it; its UUID is made by the writer, who may be offline."""

    __tablename__ = "raw_data_file"
    __table_args__ = (
        sa.UniqueConstraint("instrument_module_id", "relative_path"),
        sa.CheckConstraint("end_time >= start_time", name="time_order"),
        sa.CheckConstraint("exptime_s >= 0", name="exptime_s_positive"),
        *stored_bytes_rules(),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instrument_module_id: Mapped[int] = mapped_column(sa.ForeignKey(InstrumentModule.id))
    executed_obs_unit_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(ExecutedObsUnit.id), index=True)
    raw_data_package_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(RawDataPackage.id), index=True)
    """NULL until the file is packaged."""

    name: Mapped[str]
    relative_path: Mapped[str]
    """POSIX path inside the package, restored on unpacking."""

    file_type: Mapped[str | None]
    """Media type, or the instrument's own word."""

    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    exptime_s: Mapped[float | None]
    """Integration time, seconds."""

    tar_offset: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Byte of the package's tar at which the file's data begin; NULL until somebody has looked."""

    package: Mapped[RawDataPackage | None] = relationship(back_populates="files")
    instrument_module: Mapped[InstrumentModule] = relationship()


class RawDataPackageMetadata(Timestamps, OpsBase):
    """What describes a package to the world beyond what the core tables know.

    One row per package at most. Every typed column is nullable and overrides what is derived from core tables;
    ``document`` holds the flexible rest, in sections, with the unit in the key (``observation.frequency_ghz``).
    Units are those of ObsCore 1.1: degrees, arcsec, MJD UTC, seconds, metres.
    """

    __tablename__ = "raw_data_package_metadata"
    __table_args__ = (
        in_range("s_ra", 0, 360),
        in_range("s_dec", -90, 90),
        sa.CheckConstraint("(s_ra IS NULL) = (s_dec IS NULL)", name="position_whole"),
        in_range("s_fov", 0, 360),
        in_range("calib_level", 0, 4),
        sa.CheckConstraint("t_max >= t_min", name="t_order"),
        sa.CheckConstraint("em_min > 0 AND em_max >= em_min", name="em_order"),
        sa.CheckConstraint("t_exptime >= 0", name="t_exptime_positive"),
    )

    raw_data_package_id: Mapped[UUID] = mapped_column(sa.ForeignKey(RawDataPackage.id), primary_key=True)
    dataproduct_type: Mapped[str | None]
    dataproduct_subtype: Mapped[str | None]
    calib_level: Mapped[int | None]
    obs_collection: Mapped[str | None]
    obs_title: Mapped[str | None]
    obs_creator_name: Mapped[str | None]
    bib_reference: Mapped[str | None]
    target_name: Mapped[str | None]
    target_class: Mapped[str | None]
    s_ra: Mapped[float | None]
    s_dec: Mapped[float | None]
    s_fov: Mapped[float | None]
    s_region: Mapped[str | None]
    s_resolution: Mapped[float | None]
    s_pixel_scale: Mapped[float | None]
    s_xel1: Mapped[int | None] = mapped_column(sa.BigInteger)
    s_xel2: Mapped[int | None] = mapped_column(sa.BigInteger)
    t_min: Mapped[float | None]
    t_max: Mapped[float | None]
    t_exptime: Mapped[float | None]
    t_resolution: Mapped[float | None]
    t_xel: Mapped[int | None] = mapped_column(sa.BigInteger)
    em_min: Mapped[float | None]
    em_max: Mapped[float | None]
    em_res_power: Mapped[float | None]
    em_xel: Mapped[int | None] = mapped_column(sa.BigInteger)
    o_ucd: Mapped[str | None]
    o_unit: Mapped[str | None]
    pol_states: Mapped[str | None]
    pol_xel: Mapped[int | None] = mapped_column(sa.BigInteger)
    facility_name: Mapped[str | None]
    instrument_name: Mapped[str | None]
    obs_release_date: Mapped[datetime | None]
    data_rights: Mapped[DataRights | None] = mapped_column(enum_type(DataRights, "data_rights"))
    s_resolution_min: Mapped[float | None]
    s_resolution_max: Mapped[float | None]
    s_fov_min: Mapped[float | None]
    s_fov_max: Mapped[float | None]
    s_largest_angular_scale: Mapped[float | None]
    f_resolution: Mapped[float | None]
    """Frequency resolution, kHz (radio extension)."""

    instr_feed: Mapped[int | None]
    scan_mode: Mapped[ScanMode | None] = mapped_column(enum_type(ScanMode, "scan_mode"))
    tracking_type: Mapped[TrackingType | None] = mapped_column(enum_type(TrackingType, "tracking_type"))
    document: Mapped[dict[str, Any]] = mapped_column(default=dict)
    schema_version: Mapped[int] = mapped_column(default=1)
    generated_at: Mapped[datetime | None]

    package: Mapped[RawDataPackage] = relationship(back_populates="package_metadata")
