"""Fetch a small document of an issuer: within a time, up to a size, from nowhere else than its address."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import closing, suppress
from functools import cache
from threading import Timer
from urllib.parse import urlsplit

from catalog.errors import UnavailableError
from catalog.settings.oidc import is_safe_url

__all__ = ["fetch_document"]

_PIECE = 64 * 1024


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def fetch_document(url: str, *, seconds: float, max_bytes: int) -> bytes:
    """What lies at a URL. No redirect is followed, and no credentials, cookies or proxies are used.

    Args:
        url: With https, or http on this machine.
        seconds: How long everything may take together.
        max_bytes: How large the document may be.

    Raises:
        UnavailableError: It is not there, too large or too slow, or the URL is of another kind.
    """
    if not is_safe_url(url):
        raise UnavailableError("an address is not https")
    parts = urlsplit(url)
    kind = http.client.HTTPConnection if parts.scheme == "http" else _secure_connection
    deadline = time.monotonic() + seconds
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=seconds)) as connection:
            connection.connect()
            cut = Timer(max(0.0, deadline - time.monotonic()), _cut, [connection.sock])
            cut.daemon = True
            cut.start()
            try:
                return _read(connection, parts.path or "/", parts.query, max_bytes)
            finally:
                cut.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise UnavailableError(f"it did not answer within {seconds:g} s") from error
        raise UnavailableError("it does not answer as it should") from error


def _secure_connection(host: str, port: int | None, *, timeout: float) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=_context())


def _cut(connection: socket.socket) -> None:
    """End a connection whatever its reader waits for."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read(connection: http.client.HTTPConnection, path: str, query: str, max_bytes: int) -> bytes:
    connection.request(
        "GET",
        f"{path}?{query}" if query else path,
        headers={"Accept": "application/json", "User-Agent": "catalog", "Connection": "close"},
    )
    with connection.getresponse() as response:
        if response.status != 200:
            raise UnavailableError(f"it answers with status {response.status}")
        pieces, size = [], 0
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise UnavailableError(f"it answers with more than {max_bytes:,} bytes")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(pieces)
