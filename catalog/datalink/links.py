"""A link: the columns of a table of links, and words that its rows use from vocabularies (DataLink 1.1 section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.formats.media import DATALINK_FORMAT
from catalog.vo.table import Column, Service, Table
from catalog.vo.types import Datatype

__all__ = [
    "DUPLICATE",
    "LINKS_TABLE",
    "PART",
    "PUBLISHER_DID",
    "STANDARD_ID",
    "Link",
    "describe_links",
]

STANDARD_ID = "ivo://ivoa.net/std/DataLink#links-1.1"
PUBLISHER_DID = "obscore:Curation.PublisherDID"
"""utype of the columns that hold identifiers of packages."""

DUPLICATE = "http://www.iana.org/assignments/relation/duplicate"
"""Semantics of a copy: byte for byte what ``#this`` is (RFC 6249 section 6). The core vocabulary has no such term."""

PART = "http://purl.org/dc/terms/hasPart"
"""Semantics of a file in the package. The core vocabulary has no such term either."""


@dataclass(frozen=True, slots=True)
class Link:
    """A row; exactly one of `access_url`, `service_def` and `error_message` is set."""

    ID: str
    semantics: str
    access_url: str | None = None
    service_def: str | None = None
    error_message: str | None = None
    description: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    content_qualifier: str | None = None
    local_semantics: str | None = None
    link_auth: str | None = None
    link_authorized: bool | None = None
    site: str | None = None
    region: str | None = None
    medium: str | None = None
    latency: str | None = None
    protocol: str | None = None
    priority: int | None = None
    copy_status: str | None = None
    verification: str | None = None
    verified_at: str | None = None
    checksum: str | None = None
    checksum_algorithm: str | None = None


def _text(name: str, ucd: str | None, description: str, datatype: Datatype = Datatype.CHAR) -> Column:
    return Column(name, datatype, "*", ucd=ucd, description=description)


_ANY = Datatype.UNICODE_CHAR

LINKS_TABLE = Table(
    "links",
    (
        _text("ID", "meta.id;meta.main", "Identifier as it was asked for", _ANY),
        _text("access_url", "meta.ref.url", "Where to fetch the link"),
        _text("service_def", "meta.ref", "Which service to call"),
        _text("error_message", "meta.code.error", "Why there is nothing to fetch", _ANY),
        _text("description", "meta.note", "What the link is, for people", _ANY),
        _text("semantics", "meta.code", "How it belongs to the package: a term of datalink/core, else a whole URI"),
        _text("content_type", "meta.code.mime", "Media type of what is fetched"),
        Column(
            "content_length",
            Datatype.LONG,
            unit="byte",
            ucd="phys.size;meta.file",
            description="Size of what is fetched",
        ),
        _text("content_qualifier", None, "Kind of data, a term of the vocabulary product-type"),
        _text("local_semantics", "meta.id.assoc", "Our own label of the link; of a copy the key of its site", _ANY),
        _text("link_auth", "meta.code", "Whether one has to log in to fetch it: true or false"),
        Column(
            "link_authorized",
            Datatype.BOOLEAN,
            ucd="meta.code",
            description="Whether you, who asked for the links, may fetch it now",
        ),
        _text("site", "meta.title", "Name of the site of a copy", _ANY),
        _text("region", "meta.id", "Region of the site; NULL when nobody has declared it", _ANY),
        _text("medium", "meta.code.class", "What a copy is stored on: disk, s3 or tape"),
        _text("latency", "meta.code", "How soon the bytes of a copy are there: online, nearline (tape) or offline"),
        _text("protocol", "meta.code", "How a copy is fetched: http or https; NULL when it cannot be now"),
        Column(
            "priority",
            Datatype.INT,
            ucd="meta.number",
            description="Place of a copy in the order of preference; 1 is the one to turn to first",
        ),
        _text("copy_status", "meta.code.status", "Where a copy stands in its life"),
        _text("verification", "meta.code.qual", "What the last verification of a copy has found"),
        Column(
            "verified_at",
            Datatype.CHAR,
            "*",
            ucd="time.processing",
            xtype="timestamp",
            description="When that was found, UTC",
        ),
        _text("checksum", "meta.checksum;meta.file", "Checksum of what is fetched, hexadecimal"),
        _text("checksum_algorithm", "meta.code", "Algorithm of the checksum"),
    ),
)
"""The columns that section 3.2 demands, in its order; those that it allows; and what is known of copies."""


def describe_links(url: str, column: str) -> Service:
    """The links service, as results describe it that hold identifiers in a column (section 4).

    Args:
        url: Of the links endpoint.
        column: Name of the column.
    """
    return Service(
        name="links",
        description="Links to what belongs to each package",
        standard_id=STANDARD_ID,
        access_url=url,
        content_type=DATALINK_FORMAT,
        parameter="ID",
        column=column,
    )
