"""Small documents over HTTP, with an ETag: who has one already is told so and gets no second (RFC 9110 section 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["XML", "document_response"]

XML = "application/xml"


async def document_response(request: Request, render: Callable[[], bytes], media_type: str = XML) -> Response:
    """The document, or status 304 when the client's copy is the same.

    Args:
        request: May carry ``If-None-Match``.
        render: Makes the document; called in a worker thread.
        media_type: Of the document.
    """
    document = await run_in_threadpool(render)
    etag = f'"{hashlib.sha256(document).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}  # keep it, and ask whether it is still true
    if _has_already(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(document, headers=headers, media_type=media_type)


def _has_already(request: Request, etag: str) -> bool:
    """Whether one of the client's tags is this one; weak tags compare by their text."""
    known = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in known)
