"""Records of copies and of the places where they lie."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationError, model_validator

from catalog.ingest.records.values import Checksum, Count, Instant, Name, Record, Text, check_checksum
from catalog.opsdb.enums import ChecksumAlgorithm, LocationType, PhysicalCopyStatus, StorageType, Verification

__all__ = ["Copies", "CopyRecord", "LocationRecord", "check_unique"]


class LocationRecord(Record):
    """Where a copy lies; its key is ``site`` and ``name``."""

    site: Name
    """Key of the site."""

    name: Name
    storage_type: StorageType | None = None
    """Needed to create the location, as is location_type."""

    location_type: LocationType | None = None
    site_name: Name | None = None
    """Needed to create the site."""

    country: Name | None = None
    path: Text | None = None
    """Root on disk or tape."""

    host: Name | None = None
    library: Name | None = None
    bucket: Name | None = None
    prefix: Text | None = None
    endpoint: Text | None = None
    region: Name | None = None
    priority: Count | None = None

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset({"site", "name"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.is_reference:
            return self
        if self.storage_type is None or self.location_type is None:
            raise ValueError(
                "a location is created with storage_type and location_type; give site and name alone to refer to one"
            )
        own = _LOCATION_FIELDS[self.storage_type]
        foreign = self.stated() & _LOCATION_SPECIAL - own
        if foreign:
            raise ValueError(f"'{sorted(foreign)[0]}' does not belong to a {self.storage_type} location")
        root = "bucket" if self.storage_type is StorageType.S3 else "path"
        if getattr(self, root) is None:
            raise ValueError(f"a {self.storage_type} location needs '{root}'")
        return self


_LOCATION_FIELDS = {
    StorageType.DISK: {"host", "path"},
    StorageType.S3: {"endpoint", "region", "bucket", "prefix"},
    StorageType.TAPE: {"library", "path"},
}
_LOCATION_SPECIAL = set().union(*_LOCATION_FIELDS.values())


def _split_location(value: Any) -> Any:
    """``SITE/NAME`` as the object that it abbreviates."""
    return _reference(value) if isinstance(value, str) else value


@lru_cache(10_000)
def _reference(text: str) -> LocationRecord | dict[str, str]:
    """The location that a text refers to, as thousands of copies do; the model tells what is wrong with it."""
    site, slash, name = text.partition("/")
    if not slash:
        raise ValueError(f"'{text}' is not a location: expected SITE/NAME")
    try:
        return LocationRecord(site=site, name=name)
    except ValidationError:
        return {"site": site, "name": name}


class CopyRecord(Record):
    """One stored instance of a package or a file. Its state counts when the copy is first recorded, not after."""

    location: Annotated[LocationRecord, BeforeValidator(_split_location, json_schema_input_type=str | LocationRecord)]
    """An object, or ``SITE/NAME``."""

    status: PhysicalCopyStatus = PhysicalCopyStatus.PRESENT
    verification: Verification = Verification.NEVER
    verified_at: Instant | None = None
    checksum: Checksum | None = None
    """As computed from this copy."""

    checksum_algorithm: ChecksumAlgorithm | None = None
    """``sha256`` when absent."""

    deleted_at: Instant | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_checksum(self.checksum, self.checksum_algorithm)
        return self


def _expand_copies(value: Any) -> Any:
    """Locations written as text stand for copies that are present."""
    if isinstance(value, list | tuple):
        return tuple({"location": copy} if isinstance(copy, str) else copy for copy in value)
    return value


Copies = Annotated[
    tuple[CopyRecord, ...],
    BeforeValidator(_expand_copies, json_schema_input_type=tuple[CopyRecord | str, ...]),
]


def check_unique(copies: tuple[CopyRecord, ...]) -> None:
    """Refuse two copies at one location.

    Raises:
        ValueError: There are two.
    """
    seen: set[tuple[str, str]] = set()
    for copy in copies:
        place = (copy.location.site, copy.location.name)
        if place in seen:
            raise ValueError(f"two copies at {place[0]}/{place[1]}; expected at most one per location")
        seen.add(place)


def check_verified(copies: tuple[CopyRecord, ...], checksum: str | None, algorithm: ChecksumAlgorithm | None) -> None:
    """Refuse a copy that was found whole with another checksum than that of the thing itself.

    Raises:
        ValueError: There is one; different algorithms prove nothing.
    """
    own = algorithm or ChecksumAlgorithm.SHA256
    for copy in copies:
        known = checksum is not None and copy.checksum is not None
        is_comparable = known and (copy.checksum_algorithm or ChecksumAlgorithm.SHA256) is own
        if copy.verification is Verification.OK and is_comparable and copy.checksum != checksum:
            place = f"{copy.location.site}/{copy.location.name}"
            raise ValueError(f"the copy at {place} has another checksum; its verification cannot be 'ok'")
