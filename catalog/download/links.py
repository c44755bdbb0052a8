"""What there is to download of each identifier: links of a service (DataLink 1.1), by things and their copies."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from catalog.download.web import Answer, Web
from catalog.errors import (
    AuthorizationError,
    CatalogError,
    NotFoundError,
    ResourceLimitError,
    UnavailableError,
    UsageError,
)
from catalog.formats.reading.table import read_table

__all__ = ["Copy", "Wanted", "find_links_url", "read_wanted"]

_STANDARD = "ivo://ivoa.net/std/datalink#links"
_CAPABILITIES = ("/tap/capabilities", "/capabilities")
_MOST_CAPABILITIES = 5_000_000
_MOST_LINKS = 2_000_000_000
_MOST_COLUMNS = 400
_DUPLICATE = "http://www.iana.org/assignments/relation/duplicate"
_FAULTS: Mapping[str, type[CatalogError]] = {
    "TransientFault": UnavailableError,
    "UsageFault": UsageError,
}


@dataclass(frozen=True, slots=True)
class Copy:
    """Where the bytes of a thing are to be had."""

    url: str
    size: int | None = None
    """Bytes, if the links say it."""

    checksum: tuple[str, str] | None = None
    """Algorithm and hexadecimal value, if the links say it."""


@dataclass(slots=True)
class Wanted:
    """One thing to be downloaded: a dataset, or one of the files that make it up."""

    did: str
    number: int = 0
    """Counts the things of one identifier."""

    copies: list[Copy] = field(default_factory=list)
    """The one to turn to first at the beginning."""

    fault: CatalogError | None = None
    """Why there is none, as the service says."""


def find_links_url(web: Web, service: str) -> str:
    """The links endpoint of a service, as its capabilities tell it; else the URL itself is taken for one.

    Args:
        web: Asks.
        service: Base URL of the service, of its TAP service, or of its links endpoint.

    Raises:
        UnavailableError: Nothing answers.
    """
    base = service.rstrip("/")
    for path in _CAPABILITIES:
        try:
            with web.ask(f"{base}{path}", headers={"Accept": "text/xml, application/xml"}) as answer:
                found = _links_capability(answer)
        except UsageError:
            continue
        if found is not None:
            return found
    return service


def _links_capability(answer: Answer) -> str | None:
    document = answer.body.read(_MOST_CAPABILITIES)
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  (of bounded size; expat bounds entities)
    except ElementTree.ParseError:
        return None
    for capability in root.iter("capability"):
        if capability.get("standardID", "").lower().startswith(_STANDARD):
            for url in capability.iter("accessURL"):
                if url.text:
                    return url.text.strip()
    return None


def read_wanted(web: Web, links_url: str, dids: Sequence[str]) -> Iterator[Wanted]:
    """What there is of each identifier, in one request; in further ones when the service takes fewer at once.

    Args:
        web: Asks.
        links_url: The links endpoint.
        dids: Identifiers, each once.

    Raises:
        UnavailableError: The service does not answer, or breaks off.
        UsageError: What it answers are no links.
    """
    left = list(dids)
    while left:
        answered: set[str] = set()
        for did, rows in _grouped(_read_rows(web, links_url, left)):
            answered.add(did)
            yield from _things(did, rows, is_anonymous=web.is_anonymous)
        still = [did for did in left if did not in answered]
        if len(still) == len(left):
            yield from (Wanted(did, fault=NotFoundError(f"the service has no links of {did[:200]}")) for did in still)
            return
        left = still


def _read_rows(web: Web, url: str, dids: Sequence[str]) -> Iterator[dict[str, Any]]:
    form = urlencode([("ID", did) for did in dids]).encode()
    with tempfile.TemporaryFile(prefix="catalog-links-") as kept:
        with web.ask(url, form=form) as answer:
            _keep(answer, kept)
        kept.seek(0)
        with read_table(kept, answer.headers.get("Content-Type", ""), max_columns=_MOST_COLUMNS) as table:
            names = {column.name for column in table.table.columns}
            if not {"ID", "access_url", "semantics"} <= names:
                raise UsageError(f"{url[:200]} answers with a table that is none of links")
            for batch in table:
                yield from batch.to_pylist()


def _keep(answer: Answer, kept: IO[bytes]) -> None:
    shutil.copyfileobj(answer.body, kept, 2**18)
    if answer.is_cut_short:
        raise UnavailableError("the links were broken off")
    if kept.tell() > _MOST_LINKS:
        raise ResourceLimitError("the links are more than anybody can have asked for")


def _grouped(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of each identifier, which stand together (section 3.2)."""
    current: str | None = None
    some: list[dict[str, Any]] = []
    for row in rows:
        if row["ID"] != current:
            if current is not None:
                yield current, some
            current, some = row["ID"], []
        some.append(row)
    if current is not None:
        yield current, some


def _things(did: str, rows: Sequence[dict[str, Any]], *, is_anonymous: bool) -> Iterator[Wanted]:
    """What the rows of one identifier offer. Rows that are duplicates are further copies of the only thing."""
    these = [row for row in rows if row["semantics"] == "#this"]
    others = [row for row in rows if row["semantics"] == _DUPLICATE]
    others.sort(key=lambda row: row.get("priority") or 0)
    offered = [row for row in these if row["access_url"]]
    if len(offered) > 1:
        for number, row in enumerate(offered):
            yield _wanted(did, number, [row], is_anonymous=is_anonymous)
        return
    found = _wanted(did, 0, [*offered, *(row for row in others if row["access_url"])], is_anonymous=is_anonymous)
    if not found.copies and found.fault is None:
        found.fault = _fault(did, [*these, *others, *rows])
    yield found


def _wanted(did: str, number: int, rows: Sequence[dict[str, Any]], *, is_anonymous: bool) -> Wanted:
    allowed = [row for row in rows if row.get("link_authorized") is not False]
    copies = [Copy(row["access_url"], row.get("content_length"), _checksum(row)) for row in allowed]
    if rows and not allowed:
        hint = "Give a token: see --token-file." if is_anonymous else None
        return Wanted(did, number, fault=AuthorizationError(f"you may not fetch {did[:200]}", hint=hint))
    return Wanted(did, number, list(dict.fromkeys(copies)))


def _checksum(row: Mapping[str, Any]) -> tuple[str, str] | None:
    algorithm, value = row.get("checksum_algorithm"), row.get("checksum")
    return (str(algorithm).lower().replace("-", ""), str(value).lower()) if algorithm and value else None


def _fault(did: str, rows: Sequence[dict[str, Any]]) -> CatalogError:
    """What the service says of an identifier of which there is nothing to download."""
    for row in rows:
        word, colon, sentence = str(row.get("error_message") or "").partition(":")
        if colon:
            return _FAULTS.get(word.strip(), NotFoundError)(f"{did[:200]}: {sentence.strip()[:500]}")
    return NotFoundError(f"{did[:200]}: the service links to nothing that is the dataset itself")
