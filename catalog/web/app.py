"""The application: routes, life span, headers that every answer carries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import CatalogError, NotFoundError, UnavailableError, UsageError
from catalog.web import datalink, files, oai, pages, scs, sia2, staging, tap
from catalog.web.admission import Admission
from catalog.web.documents import KeptDocuments
from catalog.web.housekeeping import keep_house, keep_registry
from catalog.web.identity import Identification
from catalog.web.responses import as_fault, fault_headers, fault_response, fault_status
from catalog.web.waiting import PhaseWatch
from catalog.wiring import Catalog

__all__ = ["create_app"]

_LOG = logging.getLogger(__name__)
_QUEUE_SECONDS = 20.0
_PAGE_POLICY = (  # a page loads nothing, runs nothing, and sends its form to us alone
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FOR_PROGRAMS = ("/tap/", "/datalink/", "/scs", "/sia2/")
_OFFERS = (*_FOR_PROGRAMS, "/files/", "/staging/")
_PREFLIGHT_SECONDS = 86_400


def create_app(catalog: Catalog, *, is_housekeeper: bool = True) -> Starlette:
    """The HTTP service over an open catalog.

    Args:
        catalog: Stays the caller's: it is not closed here.
        is_housekeeper: Whether this process publishes what others change by plain SQL.
    """
    app = Starlette(
        routes=[
            *pages.routes(),
            Mount("/tap", routes=tap.routes()),
            Mount("/datalink", routes=datalink.routes()),
            *scs.routes(),
            *sia2.routes(),
            *oai.routes(),
            *files.routes(),
            *staging.routes(),
        ],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _refusal, CatalogError: _fault, ClientDisconnect: _gone},
    )
    app.router.redirect_slashes = False  # it would redirect to the host that the request names
    app.state.catalog = catalog
    app.state.is_housekeeper = is_housekeeper
    app.state.documents = KeptDocuments()
    app.state.phase_watch = PhaseWatch(catalog.jobs.phases)
    catalog.jobs.on_change(app.state.phase_watch.changed)
    app.state.reading = anyio.CapacityLimiter(files.THREADS)
    app.state.admission = Admission(catalog.settings.tap.sync_concurrency, wait_s=_QUEUE_SECONDS)
    app.add_middleware(
        Identification,
        accounts=catalog.accounts,
        tokens=catalog.oidc,
        realm=catalog.settings.publication.authority,
        offers=_OFFERS,
    )
    app.add_middleware(
        _Preflight,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["*"],
        max_age=_PREFLIGHT_SECONDS,
    )
    app.add_middleware(_Manners, server=f"catalog/{catalog.version}")
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    catalog: Catalog = app.state.catalog
    runner = catalog.runner()
    await run_in_threadpool(runner.start)
    try:
        async with anyio.create_task_group() as tasks:
            if app.state.is_housekeeper:
                tasks.start_soon(keep_house, catalog)
                tasks.start_soon(keep_registry, catalog)
            tasks.start_soon(app.state.phase_watch.watch)
            yield
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(runner.stop)


class _Preflight(CORSMiddleware):
    """Tells browsers what pages from elsewhere may ask; that they may read the answer `_Manners` says of every one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_asked = scope["type"] == "http" and scope["method"] == "OPTIONS"
        await (super().__call__ if is_asked else self.app)(scope, receive, send)


class _Manners:
    """Every answer names the server and may be read by pages from elsewhere; no failure shows the inside."""

    def __init__(self, app: ASGIApp, server: str) -> None:
        self._app = app
        self._headers = [
            (b"server", server.encode()),
            (b"access-control-allow-origin", b"*"),
            (b"access-control-expose-headers", b"*"),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                given = [header for header in message["headers"] if not header[0].startswith(b"access-control-allow-o")]
                message["headers"] = [*given, *self._headers]
                if any(name == b"content-type" and value.startswith(b"text/html") for name, value in given):
                    message["headers"].append((b"content-security-policy", _PAGE_POLICY.encode()))
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except asyncio.CancelledError:
            _LOG.warning("an answer was broken off: the service stops")
            if not begun:
                fault: CatalogError = UnavailableError("the service is being stopped; try again in a while")
                await _refuse(Request(scope), fault)(scope, receive, with_headers)
        except Exception as error:
            fault = as_fault(error)
            if not begun:
                await _refuse(Request(scope), fault)(scope, receive, with_headers)


def _refuse(request: Request, fault: CatalogError, status: int | None = None) -> Response:
    """The fault as a document where programs ask, and in a line elsewhere."""
    if request.scope["path"].startswith(_FOR_PROGRAMS):
        return fault_response(fault, request=request, status=status)
    return PlainTextResponse(f"{fault.message}\n", status or fault_status(type(fault)), fault_headers(fault))


async def _fault(request: Request, error: Exception) -> Response:
    return _refuse(request, as_fault(error))


async def _refusal(request: Request, error: Exception) -> Response:
    """What has no route; OPTIONS is answered with the methods that have one."""
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for it)
    if request.method == "OPTIONS" and error.status_code == 405:
        return Response(status_code=204, headers=error.headers)
    fault: CatalogError
    if error.status_code == 404:
        fault = NotFoundError("there is nothing at this address")
    elif error.status_code == 405:
        allowed = Headers(error.headers or {}).get("allow", "")
        fault = UsageError(f"{request.method[:20]} is no method of this address; it knows {allowed}")
    else:
        fault = UsageError(error.detail)
    refusal = _refuse(request, fault, error.status_code)
    refusal.headers.update(error.headers or {})
    return refusal


async def _gone(request: Request, error: Exception) -> Response:
    """The client hung up while it sent the request; nobody reads this."""
    return Response(status_code=400)
