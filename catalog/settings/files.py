"""The section ``[files]`` of the settings: which locations of packages are served, and how this service reaches them.

Only what is named here is ever read, contacted or handed out, whatever the operations database says of its locations:
from there come the relative paths of packages and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from catalog.settings.section import JSON_OBJECT, LISTED, Section, is_plain

__all__ = ["FileSettings", "ServedLocation"]

_OF_BUCKETS = ("prefix", "endpoint", "public_endpoint", "region")


class ServedLocation(Section):
    """How this service reaches a location: exactly one of `root`, `url` and `bucket`."""

    root: Path | None = None
    """Folder on this machine, below which packages lie by their relative paths."""

    url: str | None = None
    """Base URL of another server that gives out the same relative paths; clients are sent there."""

    bucket: str | None = None
    """Of an object store that speaks S3; clients are sent there with a signed URL."""

    prefix: str = ""
    """Put before the relative paths in the bucket."""

    endpoint: str | None = None
    """URL of the object store, as this service reaches it."""

    public_endpoint: str | None = None
    """URL of the object store, as clients reach it; `endpoint` when absent."""

    region: str | None = None
    """Of the object store, for signatures."""

    @field_validator("root")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_absolute() or value == Path(value.root) or ".." in value.parts):
            raise ValueError("expected a folder by its whole path, such as /data/archive, and not the root of all")
        return value

    @field_validator("url", "endpoint", "public_endpoint")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_bare or not is_plain(value):
            raise ValueError("expected a URL such as https://archive.example.org/raw, without a name, password or '?'")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.root, self.url, self.bucket].count(None) != 2:
            raise ValueError("expected exactly one of root, url and bucket")
        stated = next((name for name in _OF_BUCKETS if getattr(self, name)), None)
        if self.bucket is None and stated is not None:
            raise ValueError(f"{stated} belongs to a location with a bucket")
        if self.bucket is not None and self.endpoint is None:
            raise ValueError("a location with a bucket needs its endpoint, such as https://s3.example.org")
        return self


class FileSettings(Section):
    """The broker of files: where packages are read, which copy is chosen, and what may be asked of tapes."""

    locations: Annotated[Mapping[str, ServedLocation], JSON_OBJECT] = Field(default_factory=dict)
    """By ``SITE/NAME``; a location that is not here is not served."""

    regions: Annotated[Mapping[str, str], JSON_OBJECT] = Field(default_factory=dict)
    """Region of a site, by its key; the names are the operator's own."""

    near: Annotated[tuple[str, ...], LISTED] = ()
    """Regions by their distance from those who fetch, the nearest first."""

    avoid: Annotated[tuple[str, ...], LISTED] = ()
    """Sites, and locations ``SITE/NAME``, that are out of service for a while."""

    verified_within_days: Annotated[float, Field(gt=0)] = 365.0
    """How old a verification may be to speak for a copy."""

    signed_url_s: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """How long a signed URL of an object store is valid."""

    staging_location: str | None = None
    """``SITE/NAME`` of the processing location to which packages are brought from tape on request; none may be asked
    for when absent."""

    staging_wait_s: Annotated[int, Field(ge=1)] = 7200
    """How long bringing a package from tape usually takes; told to clients."""

    staging_per_user: Annotated[int, Field(ge=1)] = 20
    """Requests of one user that may be open at once."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What an operator is told when the service starts: locations whose copies will be passed over."""
        found = []
        for place, location in self.locations.items():
            if location.root is not None and not location.root.is_dir():
                found.append(f"no copy at {place} is served: there is no folder {location.root} on this machine")
            if location.bucket is not None and find_spec("botocore") is None:
                found.append(f"no copy at {place} is served: buckets need pip install 'ccat-catalog[s3]'")
        return tuple(found)

    @field_validator("locations")
    @classmethod
    def _places(cls, value: Mapping[str, ServedLocation]) -> Mapping[str, ServedLocation]:
        for place in value:
            _check_place(place)
        return value

    @field_validator("staging_location")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None:
            _check_place(value)
        return value


def _check_place(place: str) -> None:
    site, _, name = place.partition("/")
    if not site or not name:
        raise ValueError(f"'{place}' is no location; expected SITE/NAME")
