"""The DataLink endpoint, and the records of packages that its links lead to (DataLink 1.1 section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.access import Caller
from catalog.dali import parse_maxrec, single_values
from catalog.errors import CatalogError, ParameterError
from catalog.formats.encoder import encode
from catalog.formats.media import DATALINK_FORMAT, DEFAULT_FORMAT, Format, parse_format
from catalog.web.documents import document_response
from catalog.web.identity import caller_of
from catalog.web.parameters import read_pairs
from catalog.web.proxies import public_url
from catalog.web.responses import as_fault, fault_response
from catalog.web.streaming import Answer, StreamResponse
from catalog.wiring import Catalog

__all__ = ["routes"]

_TABLEDATA = parse_format("votable/td")
_FIELDS = 60_000  # parameters of a request for links: more than are answered, and than fit into a body


def routes() -> list[Route]:
    """Routes below ``/datalink``."""
    return [
        Route("/links", links, methods=["GET", "POST"]),
        Route("/record", record),
        Route("/manifest", manifest),
    ]


async def links(request: Request) -> Response:
    """What belongs to each of the identifiers."""
    catalog: Catalog = request.app.state.catalog
    try:
        pairs = await read_pairs(request, max_fields=_FIELDS)
        values = single_values(pairs, ("MAXREC", "RESPONSEFORMAT", "FORMAT"))
        maxrec = parse_maxrec(values.get("MAXREC"))
        fmt = _links_format(values.get("RESPONSEFORMAT") or values.get("FORMAT"))
    except CatalogError as fault:
        return fault_response(fault, request=request)
    ids = [value.strip() for name, value in pairs if name.upper() == "ID"]
    return StreamResponse(
        partial(_prepare_links, catalog, ids, public_url(request), caller_of(request), maxrec, fmt),
        admission=request.app.state.admission,
        refuse=lambda error: fault_response(as_fault(error), request=request),
    )


def _prepare_links(
    catalog: Catalog, ids: Sequence[str], base_url: str, caller: Caller, maxrec: int | None, fmt: Format
) -> Answer:
    rows = catalog.datalink.links(ids, base_url=base_url, caller=caller, maxrec=maxrec)
    return Answer(encode(rows, fmt, infos=catalog.datalink.infos()), rows.close, fmt.content_type)


def _links_format(value: str | None) -> Format:
    """TABLEDATA, which the standard demands, under the name that was asked for; or another format of tables."""
    if value is None or "".join(value.lower().split()).replace('"', "") in ("votable", DATALINK_FORMAT):
        return replace(_TABLEDATA, content_type=DATALINK_FORMAT)
    fmt = parse_format(value)
    if not fmt.name.startswith("votable"):
        return fmt
    if fmt.name not in (DEFAULT_FORMAT.name, _TABLEDATA.name):
        raise ParameterError(f"RESPONSEFORMAT is '{value[:80]}'; links in VOTable are written as TABLEDATA only")
    return replace(_TABLEDATA, content_type=fmt.content_type)


async def record(request: Request) -> Response:
    """Everything that the catalog knows of one package."""
    catalog: Catalog = request.app.state.catalog
    try:
        did, fmt = await _did_and_format(request)
        render = partial(catalog.record_document, did, fmt, caller=caller_of(request))
        return await document_response(request, render, fmt.content_type)
    except CatalogError as fault:
        return fault_response(fault, request=request)


async def manifest(request: Request) -> Response:
    """The files of one package."""
    catalog: Catalog = request.app.state.catalog
    try:
        did, fmt = await _did_and_format(request)
    except CatalogError as fault:
        return fault_response(fault, request=request)
    return StreamResponse(
        partial(_prepare_manifest, catalog, did, public_url(request), caller_of(request), fmt),
        admission=request.app.state.admission,
        refuse=lambda error: fault_response(as_fault(error), request=request),
    )


def _prepare_manifest(catalog: Catalog, did: str, base_url: str, caller: Caller, fmt: Format) -> Answer:
    rows, infos = catalog.manifests.files(did, base_url=base_url, caller=caller)
    return Answer(encode(rows, fmt, infos=infos), rows.close, fmt.content_type)


async def _did_and_format(request: Request) -> tuple[str, Format]:
    """Which package is meant, and how the answer is written: in VOTables as TABLEDATA, unless another is asked for.

    Raises:
        ParameterError: ID is missing, or a parameter is wrong.
    """
    values = single_values(await read_pairs(request), ("ID", "RESPONSEFORMAT"))
    did = values.get("ID", "").strip()
    if not did:
        raise ParameterError("parameter ID is missing; expected the obs_publisher_did of a package")
    fmt = parse_format(values["RESPONSEFORMAT"]) if values.get("RESPONSEFORMAT") else DEFAULT_FORMAT
    if fmt.name == DEFAULT_FORMAT.name:
        fmt = replace(_TABLEDATA, content_type=fmt.content_type)
    return did, fmt
