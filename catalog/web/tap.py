"""The TAP endpoints: sync, tables, capabilities, availability (TAP 1.1 section 2, VOSI 1.1)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.adql.diagnostics import render_diagnostic
from catalog.dali import TapParameters, parse_parameters
from catalog.errors import CatalogError, ParameterError, QueryError
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, parse_format
from catalog.vosi import render_availability, render_capabilities, render_table, render_tables
from catalog.web.responses import fault_response, internal_fault, stream
from catalog.wiring import Catalog

__all__ = ["routes"]

_XML = "application/xml"
_MAX_FIELDS = 200
_MAX_FIELD_BYTES = 2 * 2**20


def routes() -> list[Route]:
    """Routes below the base URL of the TAP service."""
    return [
        Route("/sync", sync, methods=["GET", "POST"]),
        Route("/tables", tables),
        Route("/tables/{name:path}", table),
        Route("/capabilities", capabilities),
        Route("/availability", availability),
    ]


async def sync(request: Request) -> Response:
    """Run a query and answer with its rows."""
    try:
        params = parse_parameters(await _pairs(request))
    except CatalogError as fault:
        return fault_response(fault)
    try:
        return await _answer(request, params)
    except QueryError as fault:
        return fault_response(fault, render_diagnostic(params.query, fault))
    except CatalogError as fault:
        return fault_response(fault)
    except Exception as error:
        return fault_response(internal_fault(error))


async def _answer(request: Request, params: TapParameters) -> Response:
    catalog: Catalog = request.app.state.catalog
    fmt = parse_format(params.responseformat) if params.responseformat else DEFAULT_FORMAT
    rows = await run_in_threadpool(catalog.query, params.query, maxrec=params.maxrec)
    infos = catalog.tap.result_infos(params.query, request=catalog.public_url(request.url.path))
    return await stream(encode(rows, fmt, infos=infos), rows.close, fmt.content_type)


async def tables(request: Request) -> Response:
    """The tableset; ``detail=min`` leaves the columns out."""
    catalog: Catalog = request.app.state.catalog
    detail = request.query_params.get("detail", "max")
    return Response(render_tables(catalog.schemas, columns=detail != "min"), media_type=_XML)


async def table(request: Request) -> Response:
    """One table."""
    catalog: Catalog = request.app.state.catalog
    try:
        return Response(render_table(catalog.schemas, request.path_params["name"]), media_type=_XML)
    except CatalogError as fault:
        return Response(fault.message, status_code=404, media_type="text/plain")


async def capabilities(request: Request) -> Response:
    """What the service can do."""
    catalog: Catalog = request.app.state.catalog
    return Response(render_capabilities(catalog.public_url("/tap"), catalog.tap_capability), media_type=_XML)


async def availability(request: Request) -> Response:
    """Whether the database answers; always with status 200 (VOSI 1.1 section 5)."""
    catalog: Catalog = request.app.state.catalog
    problem = await run_in_threadpool(catalog.problem)
    notes = () if problem is None else (problem,)
    document = render_availability(available=problem is None, up_since=catalog.up_since, notes=notes)
    return Response(document, media_type=_XML)


async def _pairs(request: Request) -> Sequence[tuple[str, str]]:
    """Names and values from the URL and the body, which may be mixed (DALI 1.1 section 2.2.2)."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        try:
            async with request.form(max_files=0, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES) as form:
                pairs.extend(_texts(form))
        except HTTPException as error:
            raise ParameterError(f"the body of the request cannot be read: {error.detail}") from None
    return pairs


def _texts(form: FormData) -> list[tuple[str, str]]:
    return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
