"""VOSI 1.1 documents: availability, capabilities, tables; TAPRegExt 1.0 describes the TAP service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from catalog.errors import NotFoundError
from catalog.vo.documents import render
from catalog.vo.table import Table
from catalog.vo.tableset import TableSchema

__all__ = [
    "ConeCapability",
    "ImageCapability",
    "LanguageFeature",
    "OutputFormat",
    "TapCapability",
    "TimeLimit",
    "render_availability",
    "render_capabilities",
    "render_cone_capabilities",
    "render_image_capabilities",
    "render_table",
    "render_tables",
]


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A format that the TAP service writes (TAPRegExt 1.0 section 2.4)."""

    mime: str
    aliases: tuple[str, ...]
    ivo_id: str | None = None


@dataclass(frozen=True, slots=True)
class LanguageFeature:
    """Optional features of ADQL of one kind (TAPRegExt 1.0 section 2.3)."""

    type: str
    """``ivo://ivoa.net/std/TAPRegExt#features-…``."""

    forms: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """What forms mean, for those that do not say it themselves."""


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Seconds that are allowed when nobody asks for more or less, and at most (TAPRegExt 1.0 section 2.6)."""

    default: int
    hard: int


@dataclass(frozen=True, slots=True)
class TapCapability:
    """What the TAP service can do, and its limits."""

    output_formats: tuple[OutputFormat, ...]
    features: tuple[LanguageFeature, ...]
    maxrec_default: int
    maxrec_hard: int
    retention: TimeLimit
    """Of jobs, from their creation to their destruction."""

    execution: TimeLimit
    """Of the work of a job."""

    upload_bytes: int | None = None
    """Of all tables together that a request may bring, in its body or by URL; None when it may bring none."""


@dataclass(frozen=True, slots=True)
class ConeCapability:
    """What the cone search can do (SimpleDALRegExt 1.1 section 3.1)."""

    url: str
    """Of the search; a question mark and parameters follow."""

    max_records: int
    """Rows in an answer at most."""

    test: tuple[float, float] | None = None
    """A position at which something is found; None where nothing is published."""

    @property
    def vosi_url(self) -> str:
        """What the addresses of the documents of VOSI begin with."""
        return self.url.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class ImageCapability:
    """What the image access can do (SimpleDALRegExt 1.1 section 3.2)."""

    url: str
    """Of the query."""

    max_records: int
    """Rows in an answer at most."""

    @property
    def vosi_url(self) -> str:
        """What the addresses of the documents of VOSI begin with."""
        return self.url.rpartition("/")[0]


def render_availability(*, available: bool, up_since: datetime | None, notes: Sequence[str] = ()) -> bytes:
    """The availability document (VOSI 1.1 section 5).

    Args:
        available: Whether queries are answered now.
        up_since: When the service was started, aware UTC.
        notes: Sentences for people.
    """
    since = up_since.strftime("%Y-%m-%dT%H:%M:%SZ") if up_since else None
    return render("vosi/availability.xml", available=available, up_since=since, notes=notes)


def render_capabilities(
    base_url: str, tap: TapCapability, *, links_url: str | None = None, login_methods: Sequence[str] = ()
) -> bytes:
    """The capabilities document of the TAP service (VOSI 1.1 section 4, TAPRegExt 1.0).

    Args:
        base_url: URL of the TAP service, without a slash at the end.
        tap: What it can do.
        links_url: URL of the DataLink endpoint, if there is one.
        login_methods: Identifiers of the ways to log in at the addresses that the first interface of a capability, and
            a further one with these methods, name (VOResource 1.1 section 2.2.2, SSO 2.0 section 3).
    """
    facts = {"base_url": base_url, "tap": tap, "links_url": links_url, "login_methods": login_methods}
    return render("vosi/capabilities.xml", **facts)


def render_cone_capabilities(cone: ConeCapability) -> bytes:
    """The capabilities document of the cone search (VOSI 1.1 section 4, SimpleDALRegExt 1.1).

    Args:
        cone: Where it is, and what it can do.
    """
    return render("vosi/cone_capabilities.xml", cone=cone)


def render_image_capabilities(images: ImageCapability) -> bytes:
    """The capabilities document of the image access, in the plain form of SIA 2.0 section 2.3, which pyvo reads.

    Args:
        images: Where it is, and what it can do.
    """
    return render("vosi/image_capabilities.xml", images=images)


def render_tables(schemas: Sequence[TableSchema], *, columns: bool = True) -> bytes:
    """The tableset of the service (VOSI 1.1 section 6).

    Args:
        schemas: Every published schema.
        columns: Whether tables carry their columns and keys; without them the document is short.
    """
    return render("vosi/tables.xml", schemas=schemas, columns=columns)


def render_table(schemas: Sequence[TableSchema], name: str) -> bytes:
    """The description of one table (VOSI 1.1 section 6.2).

    Raises:
        NotFoundError: There is no such table.
    """
    return render("vosi/table.xml", table=_find(schemas, name), columns=True)


def _find(schemas: Sequence[TableSchema], name: str) -> Table:
    for schema in schemas:
        for table in schema.tables:
            if table.name.lower() == name.lower():
                return table
    raise NotFoundError(f"there is no table '{name[:80]}'; /tables lists those that are published")
