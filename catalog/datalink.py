"""DataLink 1.1: from identifiers of packages to what belongs to each.

The rows of one identifier stand together and are never cut apart. That an identifier is unknown is a row, not an error
of the request (section 3.4).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from catalog.formats.media import DATALINK_FORMAT
from catalog.vo.ivoid import Ivoid, parse_ivoid
from catalog.vo.table import Column, Info, Service, Table, TableStream
from catalog.vo.types import Datatype

__all__ = [
    "LINKS_TABLE",
    "PUBLISHER_DID",
    "RECORD_FORMATS",
    "RECORD_PATH",
    "STANDARD_ID",
    "LinkService",
    "describe_links",
]

STANDARD_ID = "ivo://ivoa.net/std/DataLink#links-1.1"
PUBLISHER_DID = "obscore:Curation.PublisherDID"
"""utype of the columns that hold identifiers of packages."""

RECORD_PATH = "/datalink/record"
RECORD_FORMATS = {"votable": "application/x-votable+xml", "json": "application/json"}
"""In which formats a record is to be had: values of RESPONSEFORMAT with their media types."""

_AT_ONCE = 100  # identifiers that one query asks for
_LONGEST = 1_000  # characters of an identifier that may be one of ours
_SHOWN = 200  # characters of a stranger's identifier in a message
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]+)?")
_PLACES = {
    "source": "where it was taken",
    "buffer": "buffer",
    "long_term_archive": "long-term archive",
    "processing": "processing",
}
_ORDER = ("long_term_archive", "processing", "buffer", "source")


def _text(name: str, ucd: str, description: str, datatype: Datatype = Datatype.CHAR) -> Column:
    return Column(name, datatype, "*", ucd=ucd, description=description)


LINKS_TABLE = Table(
    "links",
    (
        _text("ID", "meta.id;meta.main", "Identifier as it was asked for", Datatype.UNICODE_CHAR),
        _text("access_url", "meta.ref.url", "Where to fetch the link"),
        _text("service_def", "meta.ref", "Which service to call"),
        _text("error_message", "meta.code.error", "Why there is nothing to fetch", Datatype.UNICODE_CHAR),
        _text("description", "meta.note", "What the link is, for people", Datatype.UNICODE_CHAR),
        _text("semantics", "meta.code", "How it belongs to the package: a term of the vocabulary datalink/core"),
        _text("content_type", "meta.code.mime", "Media type of what is fetched"),
        Column(
            "content_length",
            Datatype.LONG,
            unit="byte",
            ucd="phys.size;meta.file",
            description="Size of what is fetched",
        ),
    ),
)
"""The columns that section 3.2 demands, in its order."""

Query = Callable[[str], TableStream]
"""Answers ADQL over the published tables, under the access rule, without a limit on rows."""

_Rows = list[dict[str, Any]]
Withdrawals = Callable[[Sequence[str]], Mapping[str, str]]
"""Of some identifiers those whose packages were withdrawn, each with when and why."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A row; exactly one of `access_url`, `service_def` and `error_message` is set."""

    ID: str
    semantics: str
    access_url: str | None = None
    service_def: str | None = None
    error_message: str | None = None
    description: str | None = None
    content_type: str | None = None
    content_length: int | None = None


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


class LinkService:
    """Find what belongs to packages.

    Args:
        query: Asks the published tables.
        withdrawals: Knows the packages that are published no more.
        maxrec_default: Rows handed out when the client states no MAXREC.
        maxrec_hard: Rows handed out at most.
        contact: Whom to ask for the bytes; None when nobody is named.
    """

    def __init__(
        self,
        query: Query,
        withdrawals: Withdrawals,
        *,
        maxrec_default: int,
        maxrec_hard: int,
        contact: str | None,
    ) -> None:
        self._query = query
        self._withdrawals = withdrawals
        self._maxrec_default = min(maxrec_default, maxrec_hard)
        self._maxrec_hard = maxrec_hard
        self._contact = contact

    def links(self, ids: Sequence[str], *, base_url: str, maxrec: int | None = None) -> TableStream:
        """The links of each identifier, in the order in which they were first named.

        Args:
            ids: Values of the parameter ID; blank ones are passed over, and each counts once.
            base_url: What the client calls the service.
            maxrec: Rows wanted at most; identifiers whose links do not fit any more are left out.

        Returns:
            The rows; whoever gets the stream closes it.
        """
        wanted = [text for text in dict.fromkeys(ids) if text.strip()]
        left = self._maxrec_default if maxrec is None else min(maxrec, self._maxrec_hard)
        running = _Running(self._query)

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal left
            for start in range(0, len(wanted), _AT_ONCE):
                rows: list[_Link] = []
                for links in self._find(wanted[start : start + _AT_ONCE], base_url, running.read):
                    if len(rows) + len(links) > left:
                        stream.truncated = True
                        break
                    rows += links
                left -= len(rows)
                yield pa.RecordBatch.from_pylist([asdict(link) for link in rows], schema=LINKS_TABLE.arrow_schema)
                if stream.truncated:
                    return

        stream = TableStream(LINKS_TABLE, map(_same, batches()), close=running.stop)
        return stream

    @staticmethod
    def infos() -> tuple[Info, ...]:
        """What a links document says of itself."""
        return (Info("standardID", STANDARD_ID),)

    def _find(self, ids: Sequence[str], base_url: str, read: Callable[[str], _Rows]) -> Iterator[list[_Link]]:
        """The links of some identifiers, one list each."""
        ivoids = {text: _ivoid(text) for text in ids}
        named = [spelling for ivoid in ivoids.values() if ivoid is not None for spelling in _spellings(ivoid)]
        packages: dict[Ivoid, _Rows] = defaultdict(list)
        for row in read(_packages_query(named)) if named else ():
            packages[parse_ivoid(row["obs_publisher_did"])].append(row)
        withdrawn = self._withdrawals(named) if len(packages) < len(ids) and named else {}
        gone = {parse_ivoid(did): sentence for did, sentence in withdrawn.items()}
        for text, ivoid in ivoids.items():
            if ivoid is not None and ivoid in packages:
                yield self._links(text, packages[ivoid], base_url)
            else:
                sentence = gone.get(ivoid) if ivoid is not None else None
                yield [_Link(text, "#this", error_message=f"NotFoundFault: {sentence or _unknown(text)}")]

    def _links(self, text: str, rows: _Rows, base_url: str) -> list[_Link]:
        """The package itself, which is not to be had here, and its record in two formats."""
        first = rows[0]
        record = f"{base_url}{RECORD_PATH}?ID={quote(first['obs_publisher_did'], safe='')}&RESPONSEFORMAT="
        this = _Link(
            text,
            "#this",
            error_message=self._whereabouts(rows),
            description=f"Package {first['package_name']}",
            content_type=_media_type(first["content_format"]),
            content_length=first["size_bytes"],
        )
        described = "Everything that the catalog knows of the package"
        return [
            this,
            *(
                _Link(text, "#auxiliary", f"{record}{name}", description=described, content_type=media_type)
                for name, media_type in RECORD_FORMATS.items()
            ),
        ]

    def _whereabouts(self, rows: _Rows) -> str:
        """Why the package cannot be fetched, and where it is."""
        copies = sorted((row for row in rows if row["site_name"] is not None), key=_last_resort)
        kept = dict.fromkeys(_copy(row) for row in copies if row["copy_status"] != "staged")
        unpacked = dict.fromkeys(_copy(row) for row in copies if row["copy_status"] == "staged")
        if not copies:
            return "NotFoundFault: no copy of the package remains"
        ask = f"; to get it, ask {self._contact}" if self._contact else ""
        if not kept:
            there = f"its files lie unpacked at {', '.join(unpacked)}"
            return f"NotFoundFault: no copy of the package remains; {there}{ask}"
        also = f"; its files also lie unpacked at {', '.join(unpacked)}" if unpacked else ""
        where = f"copies are kept at {', '.join(kept)}{also}"
        return f"DefaultFault: the package is not served over the network; {where}{ask}"


class _Running:
    """The query that runs, so that another thread can stop it."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._stream: TableStream | None = None
        self._stopped = False

    def read(self, adql: str) -> _Rows:
        """All rows of a query; none once stopped."""
        if self._stopped:
            return []
        self._stream = self._query(adql)
        rows: _Rows = self._stream.read_all().to_pylist()
        return rows

    def stop(self) -> None:
        """Cancel what runs and start no more."""
        self._stopped = True
        if self._stream is not None:
            self._stream.close()


def _ivoid(text: str) -> Ivoid | None:
    """The identifier, if it can be that of a package."""
    try:
        ivoid = parse_ivoid(text[:_LONGEST])
    except ValueError:
        return None
    return ivoid if ivoid.query and len(text) <= _LONGEST else None


def _spellings(ivoid: Ivoid) -> Iterator[str]:
    """As it was written and as it is usually written: all but the local part is case-blind."""
    yield str(ivoid)
    yield str(replace(ivoid, authority=ivoid.authority.lower(), path=ivoid.path.lower()))


def _packages_query(dids: Sequence[str]) -> str:
    literals = ", ".join("'" + did.replace("'", "''") + "'" for did in dids)
    return (
        "SELECT p.obs_publisher_did, p.package_name, p.content_format, p.size_bytes, c.site_name, c.location_type, "
        "c.storage_type, c.verification, c.copy_status FROM fyst.packages AS p LEFT JOIN fyst.copies AS c "
        "ON c.obs_publisher_did = p.obs_publisher_did AND c.remains = 1 "
        f"WHERE p.obs_publisher_did IN ({literals}) ORDER BY c.site_name, c.copy_id"
    )


def _last_resort(row: Mapping[str, Any]) -> tuple[bool, int, bool]:
    """How late to turn to a copy: first to what an archive has verified, last to what is to be deleted."""
    return (
        row["copy_status"] not in ("present", "staged"),
        _ORDER.index(row["location_type"]),
        row["verification"] != "ok",
    )


def _copy(row: Mapping[str, Any]) -> str:
    verified = ", verified" if row["verification"] == "ok" else ""
    going = ", to be deleted" if row["copy_status"] in ("deletion_possible", "deletion_pending") else ""
    return f"{row['site_name']} ({_PLACES[row['location_type']]}, {row['storage_type']}{verified}{going})"


def _media_type(text: str | None) -> str | None:
    """The content format, if it is a media type; nobody saw to it when it was recorded."""
    return text if text is not None and _MEDIA_TYPE.fullmatch(text) else None


def _unknown(text: str) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"no published package has the identifier {shown}"


def _same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Itself: `map` cannot be closed from another thread while a generator can, and then fails."""
    return batch
