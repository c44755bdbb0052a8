"""Simple Cone Search over HTTP, with VOSI beside (Simple Cone Search 1.03, errata included)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.access import Caller
from catalog.errors import AuthenticationError, AuthorizationError, CatalogError, UsageError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, Format, parse_format
from catalog.scs import STANDARD_ID, Cone, parse_cone
from catalog.settings import CONE_PATH
from catalog.vosi import render_cone_capabilities
from catalog.web.availability import availability
from catalog.web.documents import document_response
from catalog.web.identity import caller_of
from catalog.web.parameters import read_pairs
from catalog.web.proxies import public_url
from catalog.web.responses import as_fault, fault_response
from catalog.web.streaming import Answer, StreamResponse
from catalog.wiring import Catalog

__all__ = ["routes"]

_TEXT_XML = "text/xml"  # as section 2 wants it
_TABLEDATA = replace(parse_format("votable/td"), content_type=_TEXT_XML)
_ERROR = "Error"


def routes() -> list[Route]:
    """The search, under two names, and what VOSI wants to lie beside it."""
    return [
        Route("/scs", search, methods=["GET", "POST"]),
        Route(CONE_PATH, search, methods=["GET", "POST"]),
        Route("/scs/capabilities", capabilities),
        Route("/scs/availability", availability),
    ]


async def search(request: Request) -> Response:
    """The packages around a position."""
    catalog: Catalog = request.app.state.catalog
    try:
        cone = parse_cone(await read_pairs(request))
        fmt = _format(cone.responseformat)
    except CatalogError as fault:
        return _refuse(fault)
    return StreamResponse(
        partial(_prepare, catalog, cone, fmt, caller_of(request), public_url(request, request.url.path)),
        admission=request.app.state.admission,
        refuse=_refuse,
    )


def _prepare(catalog: Catalog, cone: Cone, fmt: Format, caller: Caller, url: str) -> Answer:
    rows = catalog.scs.search(cone, caller=caller, life_s=catalog.settings.tap.sync_answer_s)
    infos = catalog.tap.result_infos(catalog.scs.adql(cone), request=url, caller=caller, protocol=STANDARD_ID)
    return Answer(encode(rows, fmt, infos=infos), rows.close, fmt.content_type)


def _format(value: str | None) -> Format:
    """TABLEDATA, which every client reads, unless another serialization or format is asked for by its name."""
    if value is None:
        return _TABLEDATA
    fmt = parse_format(value)
    return replace(_TABLEDATA, content_type=fmt.content_type) if fmt.name == DEFAULT_FORMAT.name else fmt


def _refuse(error: Exception) -> Response:
    """The fault where clients of this protocol look for it: they read no answer whose status is not 200."""
    fault = as_fault(error)
    is_told = isinstance(fault, UsageError) and not isinstance(fault, AuthenticationError | AuthorizationError)
    return fault_response(fault, status=200 if is_told else None, info=_ERROR)


async def capabilities(request: Request) -> Response:
    """What the service can do."""
    catalog: Catalog = request.app.state.catalog
    url = public_url(request)
    return await document_response(request, lambda: render_cone_capabilities(catalog.cone_capability(url)))
