"""Pages for people: what the service is, what it holds, and how to ask it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.formats.media import FORMATS
from catalog.opsdb.enums import PackageState
from catalog.vo.documents import render
from catalog.wiring import Catalog

__all__ = ["PackageStateLine", "routes"]

_EXAMPLE = """SELECT TOP 100 obs_publisher_did, target_name, instrument_name, s_ra, s_dec, t_min, t_exptime
FROM ivoa.obscore
WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(83.8, -5.4, 3))
ORDER BY t_min DESC"""
_PYTHON_EXAMPLE = "SELECT TOP 5 * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra,s_dec),CIRCLE(83.8,-5.4,3))"

_MARKS = {
    PackageState.WAITING: ("⌛", "only at the location where it was made"),
    PackageState.TRANSFERRING: ("●", "part of an active transfer package"),
    PackageState.ARCHIVED: ("✔", "stored in the long-term archive"),
    PackageState.FAILED: ("✘", "transfer or archiving failed"),
}


@dataclass(frozen=True, slots=True)
class PackageStateLine:
    """One state of the customer's design with its mark: hourglass, circle, check, cross."""

    name: str
    mark: str
    meaning: str
    count: int


def routes() -> list[Route]:
    """Routes of the pages. The TAP service's own address is for programs; a browser is shown the first page."""
    return [Route("/", landing), Route("/tap", to_landing), Route("/tap/", to_landing)]


async def to_landing(request: Request) -> Response:
    """Lead to the first page, whatever name the service is called by."""
    return Response(status_code=303, headers={"location": "../" if request.url.path.endswith("/") else "./"})


async def landing(request: Request) -> Response:
    """The first page."""
    catalog: Catalog = request.app.state.catalog
    holdings = await run_in_threadpool(catalog.holdings)
    states = [
        PackageStateLine(state.value, mark, meaning, holdings.held.packages[state])
        for state, (mark, meaning) in _MARKS.items()
    ]
    page = render(
        "pages/landing.html",
        title=catalog.settings.service.title,
        publisher=catalog.settings.publication.publisher,
        tap_url=catalog.public_url("/tap"),
        example=_EXAMPLE,
        python_example=_PYTHON_EXAMPLE,
        formats=FORMATS,
        states=states,
        total=sum(line.count for line in states),
        published=holdings.published,
        schemas=catalog.schemas,
        version=catalog.version,
    )
    return Response(page, media_type="text/html")
