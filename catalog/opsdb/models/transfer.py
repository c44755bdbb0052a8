"""Moving packages between sites, into the archive, and back for processing."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.enums import RouteType, Status
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type
from catalog.opsdb.models.location import DataLocation, Site
from catalog.opsdb.models.package import RawDataPackage, StoredBytes, stored_bytes_rules

__all__ = [
    "DataTransfer",
    "DataTransferLog",
    "DataTransferPackage",
    "DataTransferRoute",
    "LongTermArchiveTransfer",
    "StagingJob",
    "data_transfer_package_member",
    "staging_job_package",
]


class Attempts:
    """Progress of an operation that may be tried again."""

    status: Mapped[Status] = mapped_column(enum_type(Status, "status"), default=Status.PENDING, index=True)
    retry_count: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None]
    """Why the last attempt failed."""

    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


def _attempts_rules() -> tuple[sa.CheckConstraint, ...]:
    return (
        sa.CheckConstraint("retry_count >= 0", name="retry_count_positive"),
        sa.CheckConstraint("finished_at >= started_at", name="time_order"),
    )


data_transfer_package_member = sa.Table(
    "data_transfer_package_member",
    OpsBase.metadata,
    sa.Column("data_transfer_package_id", sa.ForeignKey("ops.data_transfer_package.id"), primary_key=True),
    sa.Column("raw_data_package_id", sa.ForeignKey(RawDataPackage.id), primary_key=True, index=True),
)
"""Which packages a transfer package holds; over time a package may travel in several."""


class DataTransferPackage(Timestamps, StoredBytes, OpsBase):
    """A bundle of packages made for the network (10-50 TB); never published as a product."""

    __tablename__ = "data_transfer_package"
    __table_args__ = stored_bytes_rules()

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    relative_path: Mapped[str]
    status: Mapped[Status] = mapped_column(enum_type(Status, "status"), default=Status.PENDING)

    packages: Mapped[list[RawDataPackage]] = relationship(secondary=data_transfer_package_member)
    transfers: Mapped[list[DataTransfer]] = relationship(back_populates="transfer_package")


class DataTransferRoute(Timestamps, OpsBase):
    """A way from site to site; a location-level override narrows it."""

    __tablename__ = "data_transfer_route"
    __table_args__ = (
        sa.CheckConstraint("origin_site_id <> destination_site_id", name="two_sites"),
        sa.CheckConstraint("(route_type = 'relay') = (relay_site_id IS NOT NULL)", name="relay_has_site"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    origin_site_id: Mapped[int] = mapped_column(sa.ForeignKey(Site.id), index=True)
    destination_site_id: Mapped[int] = mapped_column(sa.ForeignKey(Site.id), index=True)
    relay_site_id: Mapped[int | None] = mapped_column(sa.ForeignKey(Site.id), index=True)
    origin_location_id: Mapped[int | None] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    destination_location_id: Mapped[int | None] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    route_type: Mapped[RouteType] = mapped_column(enum_type(RouteType, "route_type"), default=RouteType.DIRECT)
    method: Mapped[str]
    """Program that moves the bytes: ``bbcp``."""

    active: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="active"), default=True)


class DataTransfer(Timestamps, Attempts, OpsBase):
    """One move of one transfer package to one destination; unpacking there has a status of its own."""

    __tablename__ = "data_transfer"
    __table_args__ = _attempts_rules()

    id: Mapped[int] = mapped_column(primary_key=True)
    data_transfer_package_id: Mapped[UUID] = mapped_column(sa.ForeignKey(DataTransferPackage.id), index=True)
    data_transfer_route_id: Mapped[int] = mapped_column(sa.ForeignKey(DataTransferRoute.id), index=True)
    origin_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    destination_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    unpack_status: Mapped[Status] = mapped_column(enum_type(Status, "unpack_status"), default=Status.PENDING)
    unpack_retry_count: Mapped[int] = mapped_column(default=0)

    transfer_package: Mapped[DataTransferPackage] = relationship(back_populates="transfers")
    route: Mapped[DataTransferRoute] = relationship()
    logs: Mapped[list[DataTransferLog]] = relationship(back_populates="transfer")


class DataTransferLog(Timestamps, OpsBase):
    """Where the log of a transfer lies; metrics are kept elsewhere."""

    __tablename__ = "data_transfer_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    data_transfer_id: Mapped[int] = mapped_column(sa.ForeignKey(DataTransfer.id), index=True)
    log_path: Mapped[str]

    transfer: Mapped[DataTransfer] = relationship(back_populates="logs")


class LongTermArchiveTransfer(Timestamps, Attempts, OpsBase):
    """One attempt series to put a package into a long-term archive."""

    __tablename__ = "long_term_archive_transfer"
    __table_args__ = _attempts_rules()

    id: Mapped[int] = mapped_column(primary_key=True)
    raw_data_package_id: Mapped[UUID] = mapped_column(sa.ForeignKey(RawDataPackage.id), index=True)
    origin_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    destination_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    permanent_failure: Mapped[bool] = mapped_column(
        sa.Boolean(create_constraint=True, name="permanent_failure"), default=False
    )


staging_job_package = sa.Table(
    "staging_job_package",
    OpsBase.metadata,
    sa.Column("staging_job_id", sa.ForeignKey("ops.staging_job.id"), primary_key=True),
    sa.Column("raw_data_package_id", sa.ForeignKey(RawDataPackage.id), primary_key=True, index=True),
)
"""Which packages a staging job brings."""


class StagingJob(Timestamps, Attempts, OpsBase):
    """Packages wanted at a processing location."""

    __tablename__ = "staging_job"
    __table_args__ = _attempts_rules()

    id: Mapped[int] = mapped_column(primary_key=True)
    origin_location_id: Mapped[int | None] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    destination_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    requested_by_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ops.user.id"), index=True)

    packages: Mapped[list[RawDataPackage]] = relationship(secondary=staging_job_package)
