"""From what is known of a package to its links, and to the words for what cannot be fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from catalog.datalink.links import DUPLICATE, PART, Link
from catalog.datalink.packages import Package, PackageFile
from catalog.db.storage import format_utc
from catalog.opsdb.readable import Latency, Obstacle, PackageCopy

__all__ = [
    "FILES_AT_MOST",
    "FILES_PATH",
    "MANIFEST_PATH",
    "RECORD_FORMATS",
    "RECORD_PATH",
    "LinkWords",
    "file_url",
    "gives_files",
    "package_links",
]

FILES_PATH = "/files"
"""Where bytes are fetched, below the service's base URL."""

RECORD_PATH = "/datalink/record"
MANIFEST_PATH = "/datalink/manifest"
RECORD_FORMATS = {"votable": "application/x-votable+xml", "json": "application/json"}
"""In which formats a record is to be had: values of RESPONSEFORMAT with their media types."""

FILES_AT_MOST = 1_000
"""A package with more files than this is said to have them, and its manifest lists them."""

PACKAGE_FORMAT = "application/x-tar"
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]+)?")
_PRODUCT_TYPES = {"event": "event-list"}  # where the vocabulary product-type has another word than ObsCore 1.1
_PLACES = {
    "source": "where it was taken",
    "buffer": "buffer",
    "long_term_archive": "long-term archive",
    "processing": "processing",
}
_OFFERED = (None, Obstacle.ON_TAPE, Obstacle.AVOIDED, Obstacle.NOT_SERVED, Obstacle.INACTIVE)


@dataclass(frozen=True, slots=True)
class LinkWords:
    """What the operator has declared, as far as links tell of it."""

    contact: str | None
    """Whom to ask for bytes; None when nobody is named."""

    staging_wait_s: float | None
    """How long bringing a package from tape usually takes; None when it cannot be asked for."""

    opened: frozenset[str]
    """Locations, ``SITE/NAME``, out of whose packages this service reads single files."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One identifier, as it was asked for, and what hangs on it."""

    text: str
    package: Package
    base_url: str
    words: LinkWords

    @property
    def url(self) -> str:
        return f"{self.base_url}{FILES_PATH}/{self.package.id}"

    @property
    def ask(self) -> str:
        return f"; to get it, ask {self.words.contact}" if self.words.contact else ""

    @property
    def link_auth(self) -> str:
        return "false" if self.package.is_public else "true"


def package_links(
    text: str,
    package: Package,
    copies: Sequence[PackageCopy],
    files: Sequence[PackageFile],
    *,
    base_url: str,
    words: LinkWords,
) -> Iterator[Link]:
    """The links of one package: itself, its copies, its files, its manifest, its records.

    Args:
        text: The identifier as it was asked for.
        package: The package.
        copies: In the order of preference.
        files: What it holds; none when they are not to be listed.
        base_url: What the client calls the service.
        words: What the operator has declared.
    """
    asked = _Asked(text, package, base_url, words)
    yield _this(asked, copies)
    yield from (_copy(asked, copy, number) for number, copy in enumerate(copies, start=1))
    yield from (_file(asked, file) for file in files)
    yield from _descriptions(asked, is_cut=package.files > FILES_AT_MOST)


def gives_files(package: Package, copies: Sequence[PackageCopy], words: LinkWords) -> bool:
    """Whether the files of a package with these copies can be fetched one by one now."""
    return package.is_indexed and any(copy.way is not None and copy.stored.place in words.opened for copy in copies)


def file_url(base_url: str, package_id: object, path: str) -> str | None:
    """Where one file of a package is fetched; None for a path that no URL can say.

    Clients and proxies resolve ``.`` and ``..`` however they are encoded, and some join slashes.
    """
    if any(part in ("", ".", "..") for part in path.split("/")):
        return None
    return f"{base_url}{FILES_PATH}/{package_id}/{quote(path, safe='/')}"


def _this(asked: _Asked, copies: Sequence[PackageCopy]) -> Link:
    package = asked.package
    is_there = bool(copies) and copies[0].obstacle is None
    return Link(
        asked.text,
        "#this",
        access_url=asked.url if is_there else None,
        error_message=None if is_there else _whereabouts(asked, copies),
        description=f"Package {package.name}",
        content_type=PACKAGE_FORMAT,
        content_length=package.size_bytes,
        content_qualifier=_qualifier(package),
        local_semantics="package",
        link_auth=asked.link_auth,
        link_authorized=package.is_allowed,
        checksum=package.checksum,
        checksum_algorithm=package.checksum_algorithm,
    )


def _copy(asked: _Asked, copy: PackageCopy, number: int) -> Link:
    stored, package = copy.stored, asked.package
    is_there = copy.obstacle is None
    return Link(
        asked.text,
        DUPLICATE,
        access_url=f"{asked.url}?copy={stored.copy_id}" if is_there else None,
        error_message=None if is_there else _obstruction(asked, copy),
        description=f"Copy at {_place(copy)}",
        content_type=PACKAGE_FORMAT,
        content_length=package.size_bytes,
        content_qualifier=_qualifier(package),
        local_semantics=stored.site,
        link_auth=asked.link_auth,
        link_authorized=package.is_allowed,
        site=stored.site_name,
        region=copy.region,
        medium=stored.storage_type,
        latency=copy.latency,
        protocol=asked.base_url.partition(":")[0] if is_there else None,
        priority=number,
        copy_status=stored.status,
        verification=stored.verification,
        verified_at=None if stored.verified_at is None else format_utc(stored.verified_at),
        checksum=stored.checksum or package.checksum,
        checksum_algorithm=stored.checksum_algorithm if stored.checksum else package.checksum_algorithm,
    )


def _file(asked: _Asked, file: PackageFile) -> Link:
    url = file_url(asked.base_url, asked.package.id, file.path)
    nameless = "DefaultFault: the path of the file cannot be part of a URL; take the whole package"
    return Link(
        asked.text,
        PART,
        access_url=url,
        error_message=nameless if url is None else None,
        description=f"File {file.path} of the package",
        content_type=_media_type(file.file_type),
        content_length=file.size_bytes,
        local_semantics="file",
        link_auth=asked.link_auth,
        link_authorized=asked.package.is_allowed,
        checksum=file.checksum,
        checksum_algorithm=file.checksum_algorithm,
    )


def _descriptions(asked: _Asked, *, is_cut: bool) -> Iterator[Link]:
    """The manifest and the records: rows that describe, open to whoever may see the package."""
    package = asked.package
    did = quote(package.did, safe="")
    count = f"{package.files:,} file{'' if package.files == 1 else 's'}"
    unlisted = ", which are too many to be links of their own" if is_cut else ""
    records = f"{asked.base_url}{RECORD_PATH}?ID={did}&RESPONSEFORMAT="
    manifest = f"{asked.base_url}{MANIFEST_PATH}?ID={did}"
    listed = f"Manifest: the {count} in the package, with sizes and checksums{unlisted}"
    described = "Everything that the catalog knows of the package"
    rows = [
        (manifest, "manifest", listed, RECORD_FORMATS["votable"]),
        *((f"{records}{name}", "record", described, media_type) for name, media_type in RECORD_FORMATS.items()),
    ]
    for url, label, description, media_type in rows:
        yield Link(
            asked.text,
            "#auxiliary",
            url,
            description=description,
            content_type=media_type,
            local_semantics=label,
            link_auth="false" if package.is_shown else "true",
            link_authorized=True,
        )


def _obstruction(asked: _Asked, copy: PackageCopy) -> str:
    """Why a copy cannot be fetched now, and what to do about it."""
    assert copy.obstacle is not None  # noqa: S101  (asked of such copies alone)
    sentence = copy.obstacle.sentence
    match copy.obstacle:
        case Obstacle.ON_TAPE if asked.words.staging_wait_s is not None:
            return f"TransientFault: {sentence}; {_staging(asked)}"
        case Obstacle.AVOIDED:
            return f"TransientFault: {sentence}; try again later"
        case Obstacle.ON_TAPE:
            return f"TransientFault: {sentence}, which this service cannot be asked for{asked.ask}"
        case Obstacle.NOT_SERVED | Obstacle.INACTIVE:
            return f"DefaultFault: {sentence}{asked.ask}"
        case _:
            return f"NotFoundFault: {sentence}"


def _whereabouts(asked: _Asked, copies: Sequence[PackageCopy]) -> str:
    """Why the package cannot be fetched, and where it is."""
    kept = [copy for copy in copies if copy.obstacle in _OFFERED]
    unpacked = ", ".join(dict.fromkeys(_place(copy) for copy in copies if copy.obstacle is Obstacle.UNPACKED))
    if not kept:
        there = f"; its files lie unpacked at {unpacked}{asked.ask}" if unpacked else ""
        return f"NotFoundFault: no copy of the package remains{there}"
    also = f"; its files also lie unpacked at {unpacked}" if unpacked else ""
    where = f"copies are kept at {', '.join(dict.fromkeys(map(_place, kept)))}{also}"
    found = {copy.obstacle for copy in kept}
    if Obstacle.ON_TAPE in found and asked.words.staging_wait_s is not None:
        return f"TransientFault: the package lies on tape; {_staging(asked)}; {where}"
    if Obstacle.AVOIDED in found:
        return f"TransientFault: the package cannot be fetched now, try again later; {where}{asked.ask}"
    return f"DefaultFault: the package is not served over the network; {where}{asked.ask}"


def _staging(asked: _Asked) -> str:
    assert asked.words.staging_wait_s is not None  # noqa: S101  (asked where staging is offered)
    wait = _duration(asked.words.staging_wait_s)
    return f"to have it staged, which takes about {wait}, log in and send a POST to {asked.url}"


def _duration(seconds: float) -> str:
    """A span of time for people: in hours from two of them on, else in minutes."""
    if seconds >= 7_200:
        return f"{round(seconds / 3600)} hours"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def _place(copy: PackageCopy) -> str:
    stored = copy.stored
    verified = ", verified" if stored.verification == "ok" else ""
    going = ", to be deleted" if stored.status in ("deletion_possible", "deletion_pending") else ""
    away = ", out of service" if copy.latency is Latency.OFFLINE else ""
    return f"{stored.site_name} ({_PLACES[stored.location_type]}, {stored.storage_type}{verified}{going}{away})"


def _qualifier(package: Package) -> str | None:
    kind = package.dataproduct_type
    return None if kind is None else f"#{_PRODUCT_TYPES.get(kind, kind)}"


def _media_type(text: str | None) -> str | None:
    """The type of a file, if it is a media type; nobody saw to it when it was recorded."""
    return text if text is not None and _MEDIA_TYPE.fullmatch(text) else None
