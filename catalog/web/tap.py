"""The TAP endpoints: sync, tables, capabilities, availability, examples (TAP 1.1 section 2, VOSI 1.1)."""

from __future__ import annotations

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.access import Caller
from catalog.dali import TapParameters, parse_detail, parse_parameters
from catalog.errors import CatalogError, QueryTimeoutError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, parse_format
from catalog.settings import LINKS_PATH
from catalog.tap.upload import Uploads
from catalog.vo.table import TableStream
from catalog.vosi import render_capabilities, render_table, render_tables
from catalog.web import uws
from catalog.web.availability import availability
from catalog.web.documents import document_response
from catalog.web.identity import caller_of, login_methods
from catalog.web.parameters import Form, read_form, read_pairs
from catalog.web.proxies import public_url
from catalog.web.responses import as_fault, fault_response
from catalog.web.streaming import Answer, StreamResponse
from catalog.wiring import Catalog

__all__ = ["routes"]

_CAPABILITIES_S = 10.0


def routes() -> list[Route]:
    """Routes below the base URL of the TAP service."""
    return [
        Route("/sync", sync, methods=["GET", "POST"]),
        Route("/tables", tables),
        Route("/tables/{name:path}", table),
        Route("/capabilities", capabilities),
        Route("/availability", availability),
        Route("/examples", examples),
        *uws.routes(),
    ]


async def sync(request: Request) -> Response:
    """Run a query and answer with its rows."""
    catalog: Catalog = request.app.state.catalog
    form = await read_form(request, upload_limit_bytes=catalog.settings.tap.upload_limit_bytes)
    try:
        params = parse_parameters(form.pairs)
    except CatalogError:
        form.close()
        raise
    return StreamResponse(
        partial(_prepare, catalog, params, form, caller_of(request), public_url(request, request.url.path)),
        admission=request.app.state.admission,
        refuse=lambda error: fault_response(
            _offer_async(request, as_fault(error)), request=request, query=params.query
        ),
        close=form.close,
    )


def _offer_async(request: Request, fault: CatalogError) -> CatalogError:
    """A query that took too long here may take longer as a job."""
    if not isinstance(fault, QueryTimeoutError):
        return fault
    catalog: Catalog = request.app.state.catalog
    seconds = catalog.settings.jobs.duration_hard_s
    offer = f"Or send it to {public_url(request, '/tap/async')}, where a query may take up to {seconds} s."
    return QueryTimeoutError(fault.message, hint=" ".join(filter(None, (fault.hint, offer))))


def _prepare(catalog: Catalog, params: TapParameters, form: Form, caller: Caller, url: str) -> Answer:
    fmt = parse_format(params.responseformat) if params.responseformat else DEFAULT_FORMAT
    uploads = catalog.uploads.open(params.uploads, form.files)
    try:
        infos = catalog.tap.result_infos(params.query, request=url, caller=caller, uploads=uploads)
        life_s = catalog.settings.tap.sync_answer_s
        rows = catalog.query(params.query, caller=caller, maxrec=params.maxrec, life_s=life_s, uploads=uploads)
    except BaseException:
        uploads.close()
        raise
    return Answer(encode(rows, fmt, infos=infos), partial(_close, rows, uploads), fmt.content_type)


def _close(*what: TableStream | Uploads) -> None:
    for each in what:
        each.close()


async def tables(request: Request) -> Response:
    """The tableset; ``detail=min`` leaves the columns out (VOSI 1.1 section 6)."""
    catalog: Catalog = request.app.state.catalog
    detail = parse_detail(await read_pairs(request))
    render = partial(render_tables, catalog.tableset, columns=detail == "max")
    return await document_response(request, render, key=("tables", detail))


async def table(request: Request) -> Response:
    """One table."""
    catalog: Catalog = request.app.state.catalog
    name = request.path_params["name"]
    return await document_response(request, partial(render_table, catalog.tableset, name), key=("table", name))


async def capabilities(request: Request) -> Response:
    """What the service can do."""
    catalog: Catalog = request.app.state.catalog
    urls = public_url(request, "/tap"), public_url(request, LINKS_PATH)
    methods = login_methods(request)

    def render() -> bytes:
        return render_capabilities(urls[0], catalog.tap_capability, links_url=urls[1], login_methods=methods)

    period = int(time.monotonic() / _CAPABILITIES_S)  # a database that recovers takes uploads again
    return await document_response(request, render, key=("capabilities", urls, methods, period))


async def examples(request: Request) -> Response:
    """Queries to start from (DALI 1.1 section 2.3)."""
    catalog: Catalog = request.app.state.catalog
    url = public_url(request, "/tap")
    render = partial(catalog.examples_document, url)
    return await document_response(request, render, "text/html", key=("examples", url))
