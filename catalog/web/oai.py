"""The publishing registry: harvested by OAI-PMH at one address, with VOSI beside (Registry Interfaces 1.1)."""

from __future__ import annotations

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.errors import ParameterError, UnavailableError
from catalog.registry.service import HARVEST_PATH
from catalog.vosi import render_availability
from catalog.web.documents import XML, document_response
from catalog.web.parameters import read_pairs
from catalog.web.proxies import public_url
from catalog.wiring import Catalog

__all__ = ["routes"]

_TEXT_XML = "text/xml"  # as OAI-PMH 2.0 section 3.1.2.1 wants it


def routes() -> list[Route]:
    """The address of the registry, and what lies below it."""
    return [
        Route(HARVEST_PATH, harvest, methods=["GET", "POST"]),
        Route(f"{HARVEST_PATH}/capabilities", capabilities),
        Route(f"{HARVEST_PATH}/availability", availability),
    ]


async def harvest(request: Request) -> Response:
    """Answer a harvester; its faults have status 200, as the protocol wants."""
    catalog: Catalog = request.app.state.catalog
    oai, url = catalog.registry.oai, public_url(request, HARVEST_PATH)
    try:
        pairs = await read_pairs(request)
    except ParameterError as fault:
        return Response(await run_in_threadpool(oai.refuse, fault.message, url), media_type=_TEXT_XML)
    return Response(await run_in_threadpool(oai.answer, pairs, url), media_type=_TEXT_XML)


async def capabilities(request: Request) -> Response:
    """What the registry can do."""
    catalog: Catalog = request.app.state.catalog
    return await document_response(request, partial(catalog.registry.capabilities, public_url(request, HARVEST_PATH)))


async def availability(request: Request) -> Response:
    """Whether the registry can be harvested; always with status 200 (VOSI 1.1 section 5)."""
    catalog: Catalog = request.app.state.catalog

    def document() -> bytes:
        try:
            problem = None if catalog.registry.store.registry() else "the registry has not been published yet"
        except UnavailableError as fault:
            problem = fault.message
        notes = () if problem is None else (problem,)
        return render_availability(available=problem is None, up_since=catalog.up_since, notes=notes)

    return Response(await run_in_threadpool(document), media_type=XML)
