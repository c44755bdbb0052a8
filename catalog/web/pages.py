"""Pages for people: what the service is, what it holds, and how to ask it; a query and its first rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from catalog.access import Caller
from catalog.adql.diagnostics import render_diagnostic
from catalog.dali import single_values
from catalog.errors import CatalogError, QueryError, UnavailableError
from catalog.formats.media import FORMATS
from catalog.opsdb.enums import PackageState
from catalog.vo.documents import render
from catalog.vo.table import TableStream
from catalog.web.identity import caller_of
from catalog.web.parameters import read_pairs
from catalog.web.proxies import public_url
from catalog.web.responses import as_fault, fault_headers, fault_status
from catalog.web.streaming import Answer, StreamResponse
from catalog.wiring import Catalog, PublishedHoldings

__all__ = ["PackageStateLine", "routes"]

_HTML = "text/html; charset=utf-8"
_ROWS = 200  # that one looks at; a link leads to all
_EXAMPLES = 6
_EXAMPLE = """SELECT TOP 100 obs_publisher_did, target_name, instrument_name, s_ra, s_dec, t_min, t_exptime
FROM ivoa.obscore
WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 3))
ORDER BY t_min DESC"""
_PYTHON_EXAMPLE = "SELECT TOP 5 * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra,s_dec),CIRCLE(83.8,-5.4,3))"
_SHELL_EXAMPLE = "SELECT target_name, COUNT(*) AS n FROM ivoa.obscore GROUP BY target_name"
_COLUMNS_QUERY = """SELECT column_name, unit, datatype, description
FROM TAP_SCHEMA.columns
WHERE table_name = '{}'
ORDER BY column_index"""

_MEANINGS = {
    PackageState.WAITING: "only at the location where it was made",
    PackageState.TRANSFERRING: "part of an active transfer package",
    PackageState.ARCHIVED: "stored in the long-term archive",
    PackageState.FAILED: "transfer or archiving failed",
}


@dataclass(frozen=True, slots=True)
class PackageStateLine:
    """One state of a package; ``templates/pages/marks.html`` has its mark."""

    name: str
    meaning: str
    count: int


def routes() -> list[Route]:
    """Routes of the pages. The TAP service's own address is for programs; a browser is shown the first page."""
    return [
        Route("/", landing),
        Route("/query", query),
        Route("/tap", to_landing),
        Route("/tap/", to_landing),
    ]


async def to_landing(request: Request) -> Response:
    """Lead to the first page, whatever name the service is called by."""
    return Response(status_code=303, headers={"location": "../" if request.url.path.endswith("/") else "./"})


async def landing(request: Request) -> Response:
    """The first page; without counts while the database does not answer."""
    catalog: Catalog = request.app.state.catalog
    url = public_url(request)
    try:
        holdings = await run_in_threadpool(catalog.holdings)
        has_images = await run_in_threadpool(catalog.sia2.is_offered)
    except UnavailableError as fault:
        page = await run_in_threadpool(_landing, catalog, url, problem=fault.message)
        return HTMLResponse(page, fault_status(type(fault)), fault_headers(fault))
    return HTMLResponse(await run_in_threadpool(_landing, catalog, url, holdings, has_images=has_images))


def _landing(
    catalog: Catalog,
    url: str,
    holdings: PublishedHoldings | None = None,
    *,
    has_images: bool = False,
    problem: str | None = None,
) -> bytes:
    counts = {} if holdings is None else holdings.held.packages
    examples = catalog.examples
    return render(
        "pages/landing.html",
        title=catalog.settings.service.title,
        publisher=catalog.settings.publication.publisher,
        contact=catalog.settings.publication.contact,
        problem=problem,
        states=[PackageStateLine(state.value, text, counts.get(state, 0)) for state, text in _MEANINGS.items()],
        total=sum(counts.values()),
        programs=0 if holdings is None else holdings.held.programs,
        published=0 if holdings is None else holdings.published,
        url=url,
        tap_url=f"{url}/tap",
        has_images=has_images,
        example=_EXAMPLE,
        examples=examples[:_EXAMPLES],
        example_count=len(examples),
        python_example=_PYTHON_EXAMPLE,
        shell_example=_SHELL_EXAMPLE,
        schemas=catalog.schemas,
        columns_query=_COLUMNS_QUERY,
        version=catalog.version,
    )


async def query(request: Request) -> Response:
    """A query, its first rows, and where to get them all; the form alone when nothing is asked."""
    catalog: Catalog = request.app.state.catalog
    try:
        adql = single_values(await read_pairs(request), ("QUERY",)).get("QUERY", "")
    except CatalogError as fault:
        return _refuse(catalog, "", fault)
    if not adql.strip():
        return HTMLResponse(_query(catalog, _EXAMPLE))
    return StreamResponse(
        partial(_prepare, catalog, adql, caller_of(request)),
        admission=request.app.state.admission,
        refuse=partial(_refuse, catalog, adql),
    )


def _prepare(catalog: Catalog, adql: str, caller: Caller) -> Answer:
    rows = catalog.query(adql, caller=caller, maxrec=_ROWS)
    return Answer(_pieces(catalog, adql, rows), rows.close, _HTML)


def _pieces(catalog: Catalog, adql: str, rows: TableStream) -> Iterator[bytes]:
    """The whole page as one piece: it is short."""
    with rows:
        cells = [row for batch in rows for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]
    yield _query(catalog, adql, rows=cells, columns=rows.table.columns, truncated=rows.truncated)


def _refuse(catalog: Catalog, adql: str, error: Exception) -> Response:
    fault = as_fault(error)
    text, proposal = _sentence(fault), None
    if isinstance(fault, QueryError):
        text, proposal = render_diagnostic(adql, fault), fault.proposal
    page = _query(catalog, adql, fault=text, proposal=proposal)
    return HTMLResponse(page, fault_status(type(fault)), fault_headers(fault))


def _sentence(fault: CatalogError) -> str:
    return f"{fault.message}\n{fault.hint}" if fault.hint else fault.message


def _query(catalog: Catalog, adql: str, **facts: object) -> bytes:
    nothing: dict[str, object] = {"fault": None, "proposal": None, "rows": None, "columns": (), "truncated": False}
    formats = {fmt.title: fmt for fmt in reversed(FORMATS)}  # of two names for one format the first
    page = nothing | {"title": catalog.settings.service.title, "query": adql, "formats": [*formats.values()][::-1]}
    return render("pages/query.html", **(page | facts))
