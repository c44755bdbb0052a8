"""Judge the registry before others do: its facts, its documents, its addresses, and a harvest over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.etree.ElementTree import Element, ParseError, fromstring

from catalog.registry.placeholders import find_placeholders, is_reserved
from catalog.registry.records import is_license
from catalog.registry.resources import CREATED, UPDATED, Resource, render_dublin_core, render_voresource
from catalog.registry.schemas import SchemaSet
from catalog.registry.store import RecordStore, write_time
from catalog.vo.table import Column
from catalog.vo.units import validate_ucd, validate_unit

__all__ = ["Finding", "check_addresses", "check_content", "check_documents", "check_harvest"]

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_PATIENCE_S = 20.0
_MAX_BYTES = 64 * 2**20
_MAX_PAGES = 100_000
_SHORTEST = 40  # characters of a description that says anything
_ANY_TIME = "2000-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    level: Literal["error", "warning"]
    where: str
    """Identifier of the record, or the address."""

    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def check_content(resources: Sequence[Resource], *, is_demonstration: bool) -> Iterator[Finding]:
    """What schemas cannot see: placeholders, UCDs, units, texts that say nothing, addresses of this machine alone.

    Args:
        resources: The records.
        is_demonstration: Whether the authority is a reserved one; then placeholders are what is to be expected.
    """
    for resource in resources:
        who = resource.identifier
        if is_demonstration:
            if resource.kind == "authority":
                yield Finding("warning", who, "the authority is reserved for demonstrations; no registry will take it")
        else:
            yield from (Finding("error", who, problem) for problem in find_placeholders(resource))
        known = resource.rights.license if resource.rights else None
        if known is not None and not is_license(known):
            yield Finding("warning", who, f"its licence {known} is none that SPDX is known to have")
        if len(resource.description) < _SHORTEST:
            yield Finding("warning", who, "the description is too short to say what the resource is")
        if resource.kind in ("collection", "table") and not resource.coverage.moc and resource.coverage.packages:
            yield Finding("warning", who, "no position is known, so that searches by position do not find it")
        host = urlsplit(resource.reference_url).hostname or ""
        if resource.kind == "registry" and (host in ("127.0.0.1", "::1", "0.0.0.0") or is_reserved(host)):  # noqa: S104
            yield Finding("warning", who, f"nobody elsewhere can reach {host}; set service.base_url")
        for schema in resource.schemas:
            for table in schema.tables:
                for column in table.columns:
                    yield from _column(who, f"{table.name}.{column.name}", column)


def check_documents(resources: Sequence[Resource], schemas: SchemaSet) -> Iterator[Finding]:
    """What the schemas of the standards say."""
    for resource in resources:
        for render in (render_voresource, render_dublin_core):
            document = render(resource).replace(CREATED, _ANY_TIME).replace(UPDATED, _ANY_TIME)
            for problem in schemas.problems(document.encode()):
                yield Finding("error", resource.identifier, problem)


def check_addresses(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Whether the addresses that records name answer; each is asked once."""
    named: dict[str, list[str]] = {}
    for resource in resources:
        urls = [resource.reference_url]
        if resource.tap is not None:
            urls += [f"{resource.tap.url}/{name}" for name in ("capabilities", "availability", "tables", "examples")]
        if resource.cone is not None:
            urls += [f"{resource.cone.url}?RA=0&DEC=0&SR=0", f"{resource.cone.vosi_url}/capabilities"]
        if resource.images is not None:
            urls += [f"{resource.images.url}?MAXREC=0", f"{resource.images.vosi_url}/capabilities"]
        if resource.harvest is not None:
            urls += [f"{resource.harvest.url}?verb=Identify", f"{resource.harvest.url}/capabilities"]
        for url in urls:
            named.setdefault(url, []).append(resource.identifier)
    for url, identifiers in named.items():
        problem = _silence(url)
        if problem is not None:
            others = f" and {len(identifiers) - 1:,} others" if len(identifiers) > 1 else ""
            yield Finding("error", url, f"{problem}; it is named by {identifiers[0]}{others}")


def check_harvest(url: str, store: RecordStore) -> Iterator[Finding]:
    """Harvest the registry as others would, to its end, and compare with what is published.

    Args:
        url: Where.
        store: What is published.
    """
    try:
        told = _ask(url, verb="Identify").findtext(f"{_OAI}Identify/{_OAI}baseURL")
        if told != url:
            yield Finding("error", url, f"Identify tells another baseURL: {told}")
        found = dict(_headers(url))
    except (OSError, HTTPException, ParseError, ValueError) as error:
        yield Finding("error", url, f"cannot be harvested: {error}")
        return
    known = {record.identifier: (write_time(record.datestamp), record.deleted) for record in store.all()}
    for identifier in sorted(known.keys() | found.keys()):
        if known.get(identifier) != found.get(identifier):
            yield Finding("error", identifier, "is harvested in another state than it is published in")


def _column(who: str, name: str, column: Column) -> Iterator[Finding]:
    checks = ((partial(validate_ucd, takes_namespaces=True), column.ucd), (validate_unit, column.unit))
    for validate, text in checks:
        try:
            if text:
                validate(text)
        except ValueError as error:
            yield Finding("error", who, f"{name}: {error}")


def _headers(url: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    arguments = {"metadataPrefix": "ivo_vor"}
    for _ in range(_MAX_PAGES):
        answer = _ask(url, verb="ListRecords", **arguments)
        error = answer.find(f"{_OAI}error")
        if error is not None:
            raise ValueError(f"{error.get('code')}: {error.text}")
        for header in answer.iter(f"{_OAI}header"):
            is_deleted = header.get("status") == "deleted"
            yield header.findtext(f"{_OAI}identifier", ""), (header.findtext(f"{_OAI}datestamp", ""), is_deleted)
        token = answer.findtext(f".//{_OAI}resumptionToken")
        if not token:
            return
        arguments = {"resumptionToken": token}
    raise ValueError("the list does not end")


def _ask(url: str, **arguments: str) -> Element:
    with urlopen(_request(f"{url}?{urlencode(arguments)}"), timeout=_PATIENCE_S) as answer:  # noqa: S310
        return fromstring(answer.read(_MAX_BYTES))  # noqa: S314  (expat of our own knows no external entities)


def _silence(url: str) -> str | None:
    """Why an address does not answer; None when it does."""
    try:
        with urlopen(_request(url), timeout=_PATIENCE_S):  # noqa: S310
            return None
    except HTTPError as error:
        return f"answers with status {error.code}"
    except (OSError, HTTPException, ValueError):
        return "does not answer"


def _request(url: str) -> Request:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url} is no address of HTTP")
    return Request(url, headers={"user-agent": "catalog-registry-check"})  # noqa: S310
