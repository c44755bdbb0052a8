"""The application: routes, life span, headers that every answer carries."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import CatalogError
from catalog.web import pages, tap
from catalog.web.responses import fault_status, internal_fault
from catalog.wiring import Catalog

__all__ = ["create_app"]

_LOG = logging.getLogger(__name__)


def create_app(catalog: Catalog) -> Starlette:
    """The HTTP service over an open catalog.

    Args:
        catalog: Stays the caller's: it is not closed here.
    """
    app = Starlette(
        routes=[Route("/", pages.landing), Mount("/tap", routes=tap.routes())],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _refusal, CatalogError: _fault, Exception: _failure},
    )
    app.state.catalog = catalog
    app.add_middleware(_Headers, server=f"catalog/{catalog.version}")
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_housekeeping, app.state.catalog)
        yield
        tasks.cancel_scope.cancel()


async def _housekeeping(catalog: Catalog) -> None:
    """Publish what others changed by plain SQL, every few seconds; a failure is logged and tried again."""
    while True:
        await anyio.sleep(catalog.settings.service.housekeeping_s)
        try:
            await run_in_threadpool(catalog.refresh)
        except Exception:
            _LOG.exception("housekeeping failed and will be tried again")


class _Headers:
    """Every answer names the server and may be read by pages from elsewhere."""

    def __init__(self, app: ASGIApp, server: str) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["server"] = self._server
                headers["access-control-allow-origin"] = "*"
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for it)
    return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code, headers=error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, CatalogError)  # noqa: S101  (registered for it)
    return PlainTextResponse(f"{error.message}\n", status_code=fault_status(error))


async def _failure(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{internal_fault(error).message}\n", status_code=500)
