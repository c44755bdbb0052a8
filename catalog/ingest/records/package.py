"""Records of a package and its files: a line of the manifest."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from catalog.ingest.records.location import Copies, check_unique, check_verified
from catalog.ingest.records.metadata import MetadataRecord
from catalog.ingest.records.observation import ExecutedObsUnitRecord
from catalog.ingest.records.values import (
    BigCount,
    Checksum,
    Count,
    Instant,
    Name,
    Record,
    RelativePath,
    check_checksum,
    check_order,
)
from catalog.opsdb.enums import ChecksumAlgorithm, PackageState, Status
from catalog.vo.time import TIME_SCALES

__all__ = ["FileRecord", "PackageRecord"]


def _scale(value: str) -> str:
    if value not in TIME_SCALES:
        raise ValueError(f"'{value}' is not a time scale: expected one of {', '.join(TIME_SCALES)}")
    return value


class FileRecord(Record):
    """One file as the instrument wrote it."""

    relative_path: RelativePath
    """POSIX path inside the package; with the module, what the file is known by."""

    id: UUID | None = None
    """Made of module and path when absent."""

    name: Name | None = None
    """Last part of the path when absent."""

    size_bytes: BigCount | None = None
    checksum: Checksum | None = None
    checksum_algorithm: ChecksumAlgorithm | None = None
    """``sha256`` when absent."""

    tar_offset: BigCount | None = None
    """Byte of the package's tar at which the file's data begin."""

    file_type: Name | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    exptime_s: Annotated[float, Field(ge=0)] | None = None
    copies: Copies = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_checksum(self.checksum, self.checksum_algorithm)
        check_order(self, "start_time", "end_time")
        check_unique(self.copies)
        check_verified(self.copies, self.checksum, self.checksum_algorithm)
        return self


class PackageRecord(Record):
    """One package with its files and copies: a line of the manifest."""

    instrument: Name
    module: Name
    executed_obs_unit: ExecutedObsUnitRecord
    sequence: Count = 0
    """Tells several packages of one execution and module apart."""

    id: UUID | None = None
    """Made of execution, module and sequence when absent."""

    telescope: Name | None = None
    """Short name; used when the instrument is created (``--create-instruments``)."""

    name: Name | None = None
    """Last part of the path when absent."""

    relative_path: RelativePath | None = None
    """POSIX path below the root of whatever location holds a copy; made of module and identity when absent."""

    size_bytes: BigCount | None = None
    """With checksum: the package is built, and published."""

    checksum: Checksum | None = None
    checksum_algorithm: ChecksumAlgorithm | None = None
    """``sha256`` when absent."""

    content_format: Name | None = None
    """Media type of the files inside: ``application/fits``."""

    state: PackageState = PackageState.WAITING
    """Counts when the package is first recorded, not after."""

    status: Status | None = None
    """``completed`` for a built package, else ``pending``, when absent; counts when the package is first recorded."""

    supersedes: UUID | None = None
    """The package that this one replaces."""

    time_scale: Annotated[str, AfterValidator(_scale), Field(json_schema_extra={"enum": [*TIME_SCALES]})] = "UTC"
    """Scale of every time in the record that carries no zone."""

    files: tuple[FileRecord, ...] = ()
    copies: Copies = ()
    metadata: MetadataRecord | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_checksum(self.checksum, self.checksum_algorithm)
        check_unique(self.copies)
        check_verified(self.copies, self.checksum, self.checksum_algorithm)
        paths: set[str] = set()
        for file in self.files:
            if file.relative_path in paths:
                raise ValueError(f"the file '{file.relative_path}' is listed twice")
            paths.add(file.relative_path)
        if self.supersedes is not None and self.supersedes == self.id:
            raise ValueError("a package cannot supersede itself")
        return self
