"""Small documents over HTTP, with an ETag: who has one already is told so and gets no second (RFC 9110 section 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cachetools import LRUCache
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.web.compression import accepts_gzip, pack, shrinks

__all__ = ["XML", "KeptDocuments", "document_response"]

XML = "application/xml"
_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Document:
    content: bytes
    packed: bytes | None
    """In gzip, where that pays."""

    tag: str


class KeptDocuments(LRUCache[Hashable, _Document]):
    """Documents that were asked for last, by whatever they depend on.

    Of the keys a part may come from clients, such as the name by which they call the service: the oldest makes room.
    """

    def __init__(self) -> None:
        super().__init__(_KEPT)


async def document_response(
    request: Request, render: Callable[[], bytes], media_type: str = XML, *, key: Hashable = None
) -> Response:
    """The document, or status 304 when the client's copy is the same.

    Args:
        request: May carry ``If-None-Match``.
        render: Makes the document; called in a worker thread.
        media_type: Of the document.
        key: Everything that the document depends on besides what is settled when the service starts; it is made anew
            for each request when None.
    """
    kept: KeptDocuments = request.app.state.documents
    document = None if key is None else kept.get(key)
    if document is None:
        document = await run_in_threadpool(lambda: _made(render(), media_type))
        if key is not None:
            kept[key] = document
    tags = (f'"{document.tag}"', f'"{document.tag}-gzip"')  # one for each coding: their bytes differ
    is_packed = document.packed is not None and accepts_gzip(request.headers.get("accept-encoding"))
    # Keep it, and ask whether it is still true.
    headers = {"etag": tags[is_packed], "cache-control": "no-cache", "vary": "Accept-Encoding"}
    if _has_already(request, tags[is_packed]):
        return Response(status_code=304, headers=headers)
    if document.packed is not None and is_packed:
        headers["content-encoding"] = "gzip"
        return Response(document.packed, headers=headers, media_type=media_type)
    return Response(document.content, headers=headers, media_type=media_type)


def _made(content: bytes, media_type: str) -> _Document:
    packed = pack(content) if shrinks(media_type, len(content)) else None
    return _Document(content, packed, hashlib.sha256(content).hexdigest()[:32])


def _has_already(request: Request, expected: str) -> bool:
    """Whether one of the client's tags is this one; weak tags compare by their text."""
    known = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(tag.strip().removeprefix("W/") in (expected, "*") for tag in known)
