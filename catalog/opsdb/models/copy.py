"""Physical copies: every stored instance of a file, a package or a transfer package."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from catalog.opsdb.enums import ChecksumAlgorithm, PhysicalCopyStatus, Verification
from catalog.opsdb.lifecycle.availability import is_offered
from catalog.opsdb.models.declarative import OpsBase, Timestamps, enum_type
from catalog.opsdb.models.location import DataLocation
from catalog.opsdb.models.package import RawDataFile, RawDataPackage, checksum_rules
from catalog.opsdb.models.transfer import DataTransferPackage

__all__ = [
    "DataTransferPackagePhysicalCopy",
    "PhysicalCopy",
    "RawDataFilePhysicalCopy",
    "RawDataPackagePhysicalCopy",
]

_TARGETS = ("raw_data_file_id", "raw_data_package_id", "data_transfer_package_id")


def _target_of_type() -> str:
    """CHECK text: the row points at exactly the target that its type names."""
    cases = []
    for target in _TARGETS:
        others = " AND ".join(f"{other} IS NULL" for other in _TARGETS if other != target)
        cases.append(f"(type = '{target.removesuffix('_id')}_physical_copy' AND {target} IS NOT NULL AND {others})")
    return " OR ".join(cases)


def _is_offered_package() -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.column("raw_data_package_id").is_not(None), is_offered(sa.column("status"), sa.column("verification"))
    )


class PhysicalCopy(Timestamps, OpsBase):
    """One stored instance and its state. Rows are never deleted: a deleted copy stays, a new copy is a new row.

    One table holds the three kinds: packages and copies are joined a million times, and one index serves each kind.
    """

    __tablename__ = "physical_copy"
    __mapper_args__ = {"polymorphic_on": "type"}
    __table_args__ = (
        sa.CheckConstraint(_target_of_type(), name="target_of_type"),
        *checksum_rules(),
        *(
            sa.Index(
                f"uq_physical_copy_live_{target.removesuffix('_id')}",
                target,
                "data_location_id",
                unique=True,
                sqlite_where=sa.text(f"status <> 'deleted' AND {target} IS NOT NULL"),
                postgresql_where=sa.text(f"status <> 'deleted' AND {target} IS NOT NULL"),
            )
            for target in _TARGETS
        ),
        sa.Index(  # each package that is listed asks for one of its own
            "ix_physical_copy_offered_raw_data_package",
            "raw_data_package_id",
            sqlite_where=_is_offered_package(),
            postgresql_where=_is_offered_package(),
        ),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    type: Mapped[str]
    data_location_id: Mapped[int] = mapped_column(sa.ForeignKey(DataLocation.id), index=True)
    raw_data_file_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(RawDataFile.id), index=True)
    raw_data_package_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(RawDataPackage.id), index=True)
    data_transfer_package_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey(DataTransferPackage.id), index=True)
    status: Mapped[PhysicalCopyStatus] = mapped_column(
        enum_type(PhysicalCopyStatus, "status"), default=PhysicalCopyStatus.PRESENT
    )
    verification: Mapped[Verification] = mapped_column(
        enum_type(Verification, "verification"), default=Verification.NEVER
    )
    verified_at: Mapped[datetime | None]
    """When `verification` was found."""

    last_ok_at: Mapped[datetime | None] = mapped_column(server_onupdate=sa.FetchedValue())
    """When the copy was last found whole, if it is no longer; kept by the database, so that the fact is not lost."""

    checksum: Mapped[str | None]
    """As computed from this copy, hexadecimal."""

    checksum_algorithm: Mapped[ChecksumAlgorithm | None] = mapped_column(
        enum_type(ChecksumAlgorithm, "checksum_algorithm")
    )
    deleted_at: Mapped[datetime | None]

    location: Mapped[DataLocation] = relationship()

    @property
    def full_path(self) -> str:
        """Where the bytes lie: a POSIX path for disk and tape, ``s3://bucket/key`` for an object store."""
        return self.location.full_path(self._relative_path())

    def _relative_path(self) -> str:
        raise NotImplementedError  # every row is one of the three kinds


class RawDataFilePhysicalCopy(PhysicalCopy):
    """A stored instance of a single file."""

    __mapper_args__ = {"polymorphic_identity": "raw_data_file_physical_copy"}

    raw_data_file: Mapped[RawDataFile] = relationship()

    def _relative_path(self) -> str:
        return self.raw_data_file.relative_path


class RawDataPackagePhysicalCopy(PhysicalCopy):
    """A stored instance of a package."""

    __mapper_args__ = {"polymorphic_identity": "raw_data_package_physical_copy"}

    raw_data_package: Mapped[RawDataPackage] = relationship()

    def _relative_path(self) -> str:
        return self.raw_data_package.relative_path


class DataTransferPackagePhysicalCopy(PhysicalCopy):
    """A stored instance of a transfer package."""

    __mapper_args__ = {"polymorphic_identity": "data_transfer_package_physical_copy"}

    data_transfer_package: Mapped[DataTransferPackage] = relationship()

    def _relative_path(self) -> str:
        return self.data_transfer_package.relative_path
