"""The closed lists of the operations database; each stores its lower-case value.

`Status`, `PackageState`, `PhysicalCopyStatus`, `LocationType`, `StorageType` and `RouteType` are the customer's; the
others are ours, with the values of the standard that publishes them where there is one.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ChecksumAlgorithm",
    "DataRights",
    "ExecutionStatus",
    "LocationType",
    "ModuleKind",
    "ObsCategory",
    "PackageState",
    "PhysicalCopyStatus",
    "RouteType",
    "ScanMode",
    "Status",
    "StorageType",
    "TrackingType",
    "Verification",
]


class Status(StrEnum):
    """Progress of an operation: building, transfer, archiving, staging."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class PackageState(StrEnum):
    """Where a package stands in its life; says nothing about which copies can be read."""

    WAITING = "waiting"
    TRANSFERRING = "transferring"
    ARCHIVED = "archived"
    FAILED = "failed"


class PhysicalCopyStatus(StrEnum):
    """Life of one stored instance."""

    PRESENT = "present"
    STAGED = "staged"
    DELETION_POSSIBLE = "deletion_possible"
    DELETION_PENDING = "deletion_pending"
    DELETION_SCHEDULED = "deletion_scheduled"
    DELETION_IN_PROGRESS = "deletion_in_progress"
    DELETION_FAILED = "deletion_failed"
    DELETED = "deleted"


class Verification(StrEnum):
    """Outcome of the last comparison of a copy with its recorded size and checksum."""

    NEVER = "never"
    OK = "ok"
    MISMATCH = "mismatch"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


class LocationType(StrEnum):
    """What a location is for."""

    SOURCE = "source"
    BUFFER = "buffer"
    LONG_TERM_ARCHIVE = "long_term_archive"
    PROCESSING = "processing"


class StorageType(StrEnum):
    """What a location is made of; the polymorphic axis of `DataLocation`."""

    DISK = "disk"
    S3 = "s3"
    TAPE = "tape"


class RouteType(StrEnum):
    """How a transfer route runs."""

    DIRECT = "direct"
    RELAY = "relay"
    CUSTOM = "custom"


class ChecksumAlgorithm(StrEnum):
    """Algorithms a checksum may carry; values of different algorithms prove nothing about equality."""

    SHA256 = "sha256"
    SHA512 = "sha512"
    SHA1 = "sha1"
    MD5 = "md5"
    XXH64 = "xxh64"
    XXH128 = "xxh128"
    CRC32C = "crc32c"
    ADLER32 = "adler32"


class ModuleKind(StrEnum):
    """What an instrument module records; decides ObsCore's dataproduct_type."""

    DETECTOR_STREAM = "detector_stream"
    HETERODYNE = "heterodyne"
    OTHER = "other"


class DataRights(StrEnum):
    """Declared rights (ObsCore 1.1 section B.6.3)."""

    PUBLIC = "public"
    SECURE = "secure"
    PROPRIETARY = "proprietary"


class ObsCategory(StrEnum):
    """Scheduling category (ObsLocTAP 1.0 section 3.2), stored in lower case."""

    FIXED = "fixed"
    COORDINATED = "coordinated"
    WINDOW = "window"
    OTHER = "other"


class ExecutionStatus(StrEnum):
    """Execution status (ObsLocTAP 1.0 section 3.2), stored in lower case."""

    PLANNED = "planned"
    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    PERFORMED = "performed"
    ABORTED = "aborted"


class ScanMode(StrEnum):
    """How the sky was scanned (ObsCore radio extension 1.0)."""

    ON_SOURCE = "on-source"
    ON_OFF = "on-off"
    RASTER_MAP = "raster-map"
    ON_THE_FLY_CROSS_SCAN = "on-the-fly-cross-scan"
    ON_THE_FLY_MAP = "on-the-fly-map"
    SKYDIP = "skydip"
    FREQUENCY_SWITCHING = "frequency-switching"


class TrackingType(StrEnum):
    """How the telescope followed the target (ObsCore radio extension 1.0), stored in lower case."""

    SIDEREAL = "sidereal"
    FIXED_AZ_EL_TRANSIT = "fixed-az-el-transit"
    SOLAR_SYSTEM_OBJECT_TRACKING = "solar-system-object-tracking"
