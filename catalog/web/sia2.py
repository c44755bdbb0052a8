"""Simple Image Access over HTTP, with VOSI beside (SIA 2.0 section 2); there while anybody may see an image."""

from __future__ import annotations

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.access import Caller
from catalog.errors import CatalogError, InternalError, QueryTimeoutError, QuotaError, UnavailableError, UsageError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, Format, parse_format
from catalog.settings import IMAGES_PATH
from catalog.sia2 import STANDARD_ID, ImageQuery, parse_image_query
from catalog.vosi import render_image_capabilities
from catalog.web.availability import availability_response
from catalog.web.documents import document_response
from catalog.web.identity import caller_of
from catalog.web.parameters import read_pairs
from catalog.web.proxies import public_url
from catalog.web.responses import as_fault, fault_response
from catalog.web.streaming import Answer, StreamResponse
from catalog.wiring import Catalog

__all__ = ["routes"]

_WORDS: tuple[tuple[type[CatalogError] | tuple[type[CatalogError], ...], str], ...] = (
    (UsageError, "UsageFault"),
    ((UnavailableError, QuotaError, QueryTimeoutError), "TransientFault"),
    (InternalError, "FatalFault"),
    (CatalogError, "DefaultFault"),
)
"""What messages begin with (section 3.2)."""


def routes() -> list[Route]:
    """The query, and what the standard wants to lie beside it."""
    return [
        Route(IMAGES_PATH, query, methods=["GET", "POST"]),
        Route("/sia2/capabilities", capabilities),
        Route("/sia2/availability", availability),
    ]


async def query(request: Request) -> Response:
    """The images and cubes that are asked for."""
    catalog: Catalog = request.app.state.catalog
    try:
        pairs = await read_pairs(request)
        await run_in_threadpool(catalog.sia2.check_offered)
        asked = parse_image_query(pairs)
        fmt = parse_format(asked.responseformat) if asked.responseformat else DEFAULT_FORMAT
    except CatalogError as fault:
        return _refuse(request, fault)
    return StreamResponse(
        partial(_prepare, catalog, asked, fmt, caller_of(request), public_url(request, IMAGES_PATH)),
        admission=request.app.state.admission,
        refuse=partial(_refuse, request),
    )


def _prepare(catalog: Catalog, asked: ImageQuery, fmt: Format, caller: Caller, url: str) -> Answer:
    rows = catalog.sia2.search(asked, caller=caller, life_s=catalog.settings.tap.sync_answer_s)
    adql = catalog.sia2.adql(asked)
    infos = catalog.tap.result_infos(adql, request=url, caller=caller, protocol=STANDARD_ID)
    return Answer(encode(rows, fmt, infos=infos), rows.close, fmt.content_type)


def _refuse(request: Request, error: Exception) -> Response:
    fault = as_fault(error)
    word = next(word for kind, word in _WORDS if isinstance(fault, kind))
    return fault_response(fault, request=request, prefix=f"{word}: ")


async def capabilities(request: Request) -> Response:
    """What the service can do."""
    catalog: Catalog = request.app.state.catalog
    await run_in_threadpool(catalog.sia2.check_offered)
    url = public_url(request)
    return await document_response(request, lambda: render_image_capabilities(catalog.image_capability(url)))


async def availability(request: Request) -> Response:
    """Whether queries are answered; always with status 200 where the service is (VOSI 1.1 section 5)."""
    catalog: Catalog = request.app.state.catalog
    problem = await run_in_threadpool(catalog.problem)
    if problem is None:
        await run_in_threadpool(catalog.sia2.check_offered)
    return availability_response(catalog, problem)
