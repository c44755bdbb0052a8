"""Byte iterators become streaming responses; faults become documents with a status code.

This is the only place that knows which HTTP status a fault has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from catalog.errors import (
    CatalogError,
    InternalError,
    NotFoundError,
    QueryTimeoutError,
    ResourceLimitError,
    UnavailableError,
    UsageError,
)
from catalog.formats.votable import error_document
from catalog.vo.table import Info

__all__ = ["StreamResponse", "fault_response", "fault_status", "stream"]

_LOG = logging.getLogger(__name__)
_VOTABLE = "application/x-votable+xml"
_XML = "application/xml"

_STATUS: tuple[tuple[type[CatalogError], int], ...] = (
    (NotFoundError, 404),
    (UsageError, 400),
    (QueryTimeoutError, 408),
    (ResourceLimitError, 413),
    (UnavailableError, 503),
)


def fault_status(fault: CatalogError) -> int:
    """The HTTP status of a fault; 500 for what is our own mistake."""
    for kind, status in _STATUS:
        if isinstance(fault, kind):
            return status
    return 500


def fault_response(fault: CatalogError, text: str | None = None) -> Response:
    """The fault as a VOTable with QUERY_STATUS ERROR (DALI 1.1 section 4.4), whatever format was asked for.

    Args:
        fault: What went wrong.
        text: The message, when more is known than the fault itself says (a caret under the query).
    """
    message = text or fault.message
    if fault.hint and fault.hint not in message:
        message = f"{message}\n{fault.hint}"
    document = error_document(message, infos=(Info("ERROR_CODE", fault.code),))
    return Response(document, status_code=fault_status(fault), media_type=_VOTABLE)


def internal_fault(error: Exception) -> InternalError:
    """An unforeseen exception as a fault that says nothing of the inside; the log has the rest."""
    _LOG.error("unforeseen error", exc_info=error)
    return InternalError("the service failed; its operators find the reason in the log")


async def stream(pieces: Iterator[bytes], cancel: Callable[[], None], content_type: str) -> Response:
    """A response that sends pieces as they come, after the first of them has been made.

    Args:
        pieces: A generator of bytes; it is closed at the end, whatever happens.
        cancel: Stops whatever the generator waits for; called from another thread when the client hangs up.
        content_type: Media type to declare.

    Raises:
        CatalogError: The first piece could not be made.
    """
    first = await run_in_threadpool(next, pieces, b"")
    return StreamResponse(first, pieces, cancel, content_type)


class StreamResponse(Response):
    """Send pieces of bytes from a synchronous generator; stop the work when the client hangs up."""

    def __init__(self, first: bytes, pieces: Iterator[bytes], cancel: Callable[[], None], content_type: str) -> None:
        self.status_code = 200
        self.background = None
        self._first = first
        self._pieces = pieces
        self._cancel = cancel
        self.init_headers({"content-type": content_type})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a fault midway breaks the connection, since the format has no tail to tell it in."""
        try:
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    await run_in_threadpool(self._cancel)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                await self._send(send)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._close)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        piece: bytes | None = self._first
        while piece is not None:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await run_in_threadpool(next, self._pieces, None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
