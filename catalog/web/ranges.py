"""Stored bytes over HTTP, whole or a range, to be resumed and verified (RFC 9110 sections 13 and 14, RFC 9530)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from typing import IO

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from catalog.errors import InternalError
from catalog.web.streaming import breaking_off, cancelled_when_gone, send_piece

__all__ = ["StoredObject", "object_response"]

_PIECE_BYTES = 512 * 1024
_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,1000})-(\d{0,1000})", re.IGNORECASE)
_DIGESTS = {"sha256": "sha-256", "sha512": "sha-512"}  # as RFC 9530 section 5 calls them
_SHOWN = ("text/html", "text/plain")  # by a browser; other things it is to keep in a file
_HEXADECIMAL = re.compile("(?:[0-9a-f]{2})+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes that never change."""

    size: int
    """How many there are."""

    tag: str
    """The same for the same bytes alone: printable ASCII without quotes."""

    digest: tuple[str, str] | None
    """Algorithm (``sha256`` or ``sha512``; others are not told) and checksum, hexadecimal; None when not known."""

    media_type: str
    name: str
    """What to call a file that they are kept in."""

    modified: datetime
    """When they were stored, aware UTC."""

    open: Callable[[int], IO[bytes]]
    """The bytes from this one on; whoever gets them closes them."""

    is_shown: bool = True
    """Whether a browser may show what is a page or text, and not keep it in a file."""

    threads: anyio.CapacityLimiter | None = None
    """In whose threads they are read: a disk that hangs takes no others; those of everything when None."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with the bytes, with one range of them, and with word that the client has them."""


def object_response(request: Request, stored: StoredObject, *, refuse: Callable[[Exception], Response]) -> Response:
    """The object, one range of it, or word that the client has it already; HEAD tells the same without the bytes.

    Of several ranges at once none is taken, as the standard allows: the whole object is sent.

    Args:
        request: GET or HEAD; may carry ``Range``, ``If-Range``, ``If-Match``, ``If-None-Match``, ``If-Modified-Since``.
        stored: What is asked for.
        refuse: The document for bytes that cannot be opened.
    """
    headers = {
        "etag": f'"{stored.tag}"',
        "last-modified": format_datetime(stored.modified.astimezone(UTC), usegmt=True),
        "cache-control": "private, no-cache",  # keep it, and ask whether it is still there
        **stored.headers,
    }
    if "if-match" in request.headers and not _lists(request, "if-match", headers["etag"]):
        return Response(status_code=412, headers=headers)
    if _has_already(request, stored, headers["etag"]):
        return Response(status_code=304, headers=headers)
    headers["accept-ranges"] = "bytes"
    asked = _asked_range(request, stored.size, headers)
    if asked is not None and not asked:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{stored.size}"})
    headers |= _description(stored)
    if asked is None:
        status, span = 200, range(stored.size)
    else:
        status, span = 206, asked
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{stored.size}"
    headers["content-length"] = str(len(span))
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return _SpanResponse(partial(stored.open, span.start), len(span), status, headers, refuse, stored.threads)


def _description(stored: StoredObject) -> dict[str, str]:
    is_inline = stored.is_shown and stored.media_type.startswith(_SHOWN)
    disposition = "inline" if is_inline else "attachment"
    described = {
        "content-type": stored.media_type,
        "content-disposition": f'{disposition}; filename="{_UNSAFE.sub("_", stored.name)}"',
    }
    algorithm, checksum = stored.digest or ("", "")
    if algorithm in _DIGESTS and _HEXADECIMAL.fullmatch(checksum):  # whatever has been recorded
        described["repr-digest"] = f"{_DIGESTS[algorithm]}=:{base64.b64encode(bytes.fromhex(checksum)).decode()}:"
    return described


def _lists(request: Request, header: str, etag: str, *, weakly: bool = False) -> bool:
    """Whether a header lists this tag; a weak one counts only where that is enough."""
    tags = [tag.strip() for tag in ",".join(request.headers.getlist(header)).split(",")]
    return any((tag.removeprefix("W/") if weakly else tag) in (etag, "*") for tag in tags)


def _has_already(request: Request, stored: StoredObject, etag: str) -> bool:
    if "if-none-match" in request.headers:
        return _lists(request, "if-none-match", etag, weakly=True)
    since = _date(request.headers.get("if-modified-since"))
    return since is not None and stored.modified.replace(microsecond=0) <= since


def _asked_range(request: Request, size: int, headers: dict[str, str]) -> range | None:
    """The bytes asked for, none of them when there are no such bytes; None for everything."""
    if request.method != "GET" or request.headers.get("if-range", headers["etag"]) not in (
        headers["etag"],
        headers["last-modified"],
    ):
        return None
    asked = _ONE_RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class _SpanResponse(Response):
    """Sends bytes as they are read; each piece is read by a thread that does not wait for the client."""

    def __init__(
        self,
        open_: Callable[[], IO[bytes]],
        length: int,
        status: int,
        headers: dict[str, str],
        refuse: Callable[[Exception], Response],
        threads: anyio.CapacityLimiter | None,
    ) -> None:
        self.status_code = status
        self.background = None
        self.init_headers(headers)
        self._open = open_
        self._length = length
        self._refuse = refuse
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and watch the client meanwhile."""
        with cancelled_when_gone(receive):
            try:
                file = await run_sync(self._open, limiter=self._threads)
            except Exception as error:
                await self._refuse(error)(scope, receive, send)
            else:
                try:
                    await self._send(file, send)
                finally:
                    with anyio.CancelScope(shield=True):
                        await run_sync(file.close, limiter=self._threads)

    async def _send(self, file: IO[bytes], send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with breaking_off():
            left = self._length
            while left:
                piece = await run_sync(file.read, min(left, _PIECE_BYTES), limiter=self._threads)
                if not piece:
                    raise InternalError("a stored file is shorter than it was when it was written")
                left -= len(piece)
                await send_piece(send, piece)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
