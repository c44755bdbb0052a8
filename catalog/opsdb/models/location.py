"""Sites and the places at them where data lie. Rows are never deleted; credentials are never stored."""

from __future__ import annotations

import posixpath

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.enums import LocationType, StorageType
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type

__all__ = ["DataLocation", "DiskDataLocation", "S3DataLocation", "Site", "TapeDataLocation"]


class Site(Timestamps, OpsBase):
    """A place on Earth that holds data: the observatory in Chile, the archive in Cologne."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """What links and settings call the site; the database refuses to change it."""

    name: Mapped[str]
    country: Mapped[str | None]

    locations: Mapped[list[DataLocation]] = relationship(back_populates="site", passive_deletes="all")


class DataLocation(Timestamps, OpsBase):
    """A storage at a site; subclasses know how to spell a path in it."""

    __tablename__ = "data_location"
    __table_args__ = (sa.UniqueConstraint("site_id", "name"),)
    __mapper_args__ = {"polymorphic_on": "storage_type"}

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(sa.ForeignKey(Site.id))
    storage_type: Mapped[StorageType] = mapped_column(enum_type(StorageType, "storage_type"))
    name: Mapped[str]
    location_type: Mapped[LocationType] = mapped_column(enum_type(LocationType, "location_type"))
    priority: Mapped[int] = mapped_column(default=0)
    """Which of several to use first: the lowest."""

    active: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="active"), default=True)

    site: Mapped[Site] = relationship(back_populates="locations")

    def full_path(self, relative_path: str) -> str:
        """Where something with this relative path lies here.

        Args:
            relative_path: POSIX path below the location's root.
        """
        raise NotImplementedError  # every row has one of the three storage types


class DiskDataLocation(DataLocation):
    """A file system on a host."""

    __tablename__ = "disk_data_location"
    __mapper_args__ = {"polymorphic_identity": StorageType.DISK}

    id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), primary_key=True)
    host: Mapped[str | None]
    path: Mapped[str]

    def full_path(self, relative_path: str) -> str:
        """POSIX path on the host."""
        return posixpath.join(self.path, relative_path)


class S3DataLocation(DataLocation):
    """A bucket of an object store; credentials come from the environment of whoever moves the data."""

    __tablename__ = "s3_data_location"
    __mapper_args__ = {"polymorphic_identity": StorageType.S3}

    id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), primary_key=True)
    endpoint: Mapped[str | None]
    region: Mapped[str | None]
    bucket: Mapped[str]
    prefix: Mapped[str] = mapped_column(default="")

    def full_path(self, relative_path: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{posixpath.join(self.prefix, relative_path)}"


class TapeDataLocation(DataLocation):
    """A tape library that shows a file system."""

    __tablename__ = "tape_data_location"
    __mapper_args__ = {"polymorphic_identity": StorageType.TAPE}

    id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), primary_key=True)
    library: Mapped[str | None]
    path: Mapped[str]

    def full_path(self, relative_path: str) -> str:
        """POSIX path in the library's name space."""
        return posixpath.join(self.path, relative_path)
