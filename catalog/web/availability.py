"""Whether a service answers (VOSI 1.1 section 5): the same for every protocol, since all ask the same database."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.vosi import render_availability
from catalog.web.documents import XML
from catalog.wiring import Catalog

__all__ = ["availability", "availability_response"]


async def availability(request: Request) -> Response:
    """Whether queries are answered; always with status 200."""
    catalog: Catalog = request.app.state.catalog
    return availability_response(catalog, await run_in_threadpool(catalog.problem))


def availability_response(catalog: Catalog, problem: str | None) -> Response:
    """The document.

    Args:
        catalog: Knows since when it is open.
        problem: Why queries are not answered now, in a sentence; None when they are.
    """
    notes = () if problem is None else (problem,)
    document = render_availability(available=problem is None, up_since=catalog.up_since, notes=notes)
    return Response(document, media_type=XML)
