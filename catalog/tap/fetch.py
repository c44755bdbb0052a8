"""Fetch what a client names by URL, without letting it reach what only we can reach (TAP 1.1 section 2.7.5.1).

The name is resolved here, every address that it has is judged, and the connection goes to the address that was judged,
also after redirects: what the name means a moment later does not matter. No credentials, no cookies and no proxy are
used, and faults say nothing of what is inside.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Timer
from typing import IO
from urllib.parse import SplitResult, urljoin, urlsplit

from catalog.errors import ParameterError, ResourceLimitError, SettingsError

__all__ = ["Fetcher"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_log = logging.getLogger(__name__)
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_STEP_SECONDS = 10.0  # between two signs of life
_PIECE = 64 * 1024
_EMBEDDING = (  # prefixes that carry an IPv4 address in their last four bytes, or in others: refused whole
    ipaddress.ip_network("64:ff9b::/96"),  # NAT64, RFC 6052
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64, RFC 8215
    ipaddress.ip_network("2002::/16"),  # 6to4, RFC 3056
    ipaddress.ip_network("2001::/32"),  # Teredo, RFC 4380
    ipaddress.ip_network("::/96"),  # IPv4-compatible, RFC 4291
    ipaddress.ip_network("fec0::/10"),  # site-local, RFC 3879
)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """One entry of the list of hosts that may be asked wherever they are."""

    host: str | None
    network: Network | None
    port: int | None

    def matches(self, host: str, address: Address, port: int) -> bool:
        if self.port not in (None, port):
            return False
        return self.host == host if self.network is None else address in self.network


class Fetcher:
    """Fetches documents of the public internet, and of hosts that the operator allows.

    Args:
        allowed: ``host``, ``host:port`` or a network such as ``10.1.0.0/16``, which may be asked although they are
            private.
        seconds: How long one document may take, redirects included.
        context: How certificates are judged; the system's way when None.

    Raises:
        SettingsError: An entry has another form.
    """

    def __init__(self, allowed: Sequence[str], *, seconds: float, context: ssl.SSLContext | None = None) -> None:
        self._allowed = [_parse_allowed(entry) for entry in allowed]
        self._seconds = seconds
        self._given_context = context

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Made when it is needed: reading the system's certificates takes longer than most commands have to start."""
        return self._given_context or ssl.create_default_context()

    def fetch(self, url: str, target: IO[bytes], *, max_bytes: int) -> str:
        """Write the document of a URL to a file.

        Args:
            url: With http or https.
            target: Where to.
            max_bytes: How much is taken.

        Returns:
            The media type that the server states; empty when it states none.

        Raises:
            ParameterError: The URL has another form, leads where nothing is fetched from, or nothing answers well.
            ResourceLimitError: The document is too large, or takes too long.
        """
        deadline = time.monotonic() + self._seconds
        for _ in range(_MAX_REDIRECTS + 1):
            parts = _parse(url)
            connection = self._connect(parts, deadline)
            try:
                with (
                    closing(connection),
                    _ending(connection.sock, deadline),
                    _ask(connection, parts) as response,
                ):
                    if response.status not in _REDIRECTS:
                        _check(response, max_bytes)
                        _copy(response, target, max_bytes)
                        return response.headers.get("Content-Type", "")
                    url = urljoin(url, response.headers.get("Location", ""))
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._failed(parts, error, deadline) from None
        raise ParameterError(f"the URL leads from one address to the next more than {_MAX_REDIRECTS} times")

    def _failed(self, parts: SplitResult, error: Exception, deadline: float) -> ParameterError | ResourceLimitError:
        _log.info("fetching from %s failed: %r", parts.hostname, error)
        if time.monotonic() >= deadline:
            return ResourceLimitError(f"the document did not arrive within {self._seconds:g} s")
        return ParameterError(f"the document cannot be fetched from {_shown(parts)}")

    def _connect(self, parts: SplitResult, deadline: float) -> http.client.HTTPConnection:
        """A connection to an address that has been judged."""
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]
        addresses = _resolve(host, port)
        allowed = [address for address in addresses if self._may_ask(host, address, port)]
        if len(allowed) < len(addresses) or not addresses:
            # One answer for what is refused and for what is not there: it tells nothing of our network.
            raise ParameterError(f"nothing is fetched from {_shown(parts)}: it has no public address")
        for address in allowed:
            if time.monotonic() >= deadline:
                break
            try:
                return self._open(host, address, port, parts.scheme, deadline)
            except (OSError, ValueError) as error:
                _log.info("connecting to %s failed: %r", host, error)
        raise self._failed(parts, OSError("no address answers"), deadline)

    def _open(self, host: str, address: Address, port: int, scheme: str, deadline: float) -> http.client.HTTPConnection:
        seconds = min(_STEP_SECONDS, max(0.01, deadline - time.monotonic()))
        raw = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            raw.settimeout(seconds)
            raw.connect((str(address), port))
            connection = http.client.HTTPConnection(host, port, timeout=seconds)
            connection.default_port = _PORTS[scheme]
            connection.sock = raw
            if scheme == "https":
                with _ending(raw, deadline):
                    connection.sock = self._context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return connection

    def _may_ask(self, host: str, address: Address, port: int) -> bool:
        return _is_public(address) or any(entry.matches(host, address, port) for entry in self._allowed)


def _parse_allowed(entry: str) -> _Allowed:
    with suppress(ValueError):
        return _Allowed(None, ipaddress.ip_network(entry, strict=False), None)
    try:
        parts = urlsplit(f"//{entry}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.username is not None:
        raise SettingsError(f"tap.upload_allowed_hosts: '{entry}' is no host, host:port or network")
    with suppress(ValueError):
        return _Allowed(None, ipaddress.ip_network(host), port)
    return _Allowed(host, None, port)


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ParameterError("the URL cannot be read; expected a form such as https://host/path") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ParameterError("the URL leads to no http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ParameterError("the URL has a user name in it; credentials are not passed on")
    return parts


def _shown(parts: SplitResult) -> str:
    return f"'{(parts.hostname or '')[:80]}'"


def _resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, each once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return False
        if any(address in network for network in _EMBEDDING):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


@contextmanager
def _ending(connection: socket.socket, deadline: float) -> Iterator[None]:
    """End a transfer at the deadline, whatever it waits for, and do not take what came for all there is."""

    def end() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    cut = Timer(max(0.0, deadline - time.monotonic()), end)
    cut.daemon = True
    cut.start()
    try:
        yield
    finally:
        cut.cancel()
    if time.monotonic() >= deadline:
        raise TimeoutError


def _ask(connection: http.client.HTTPConnection, parts: SplitResult) -> http.client.HTTPResponse:
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    connection.putrequest("GET", target.encode("ascii", "strict").decode("ascii"), skip_accept_encoding=True)
    connection.putheader("Accept", "application/x-votable+xml, text/xml, text/csv, application/fits, */*")
    connection.putheader("Accept-Encoding", "identity")
    connection.putheader("User-Agent", "catalog")
    connection.putheader("Connection", "close")
    connection.endheaders()
    return connection.getresponse()


def _check(response: http.client.HTTPResponse, max_bytes: int) -> None:
    if response.status != 200:
        raise ParameterError("the server that the URL names does not give the document")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise ParameterError("the server that the URL names sends the document in an encoding that is not known")
    length = response.headers.get("Content-Length", "0")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _copy(response: http.client.HTTPResponse, target: IO[bytes], max_bytes: int) -> None:
    taken = 0
    while piece := response.read1(_PIECE):
        taken += len(piece)
        if taken > max_bytes:
            raise _too_large(max_bytes)
        target.write(piece)
    left = response.length
    if left:
        raise http.client.IncompleteRead(b"", left)


def _too_large(max_bytes: int) -> ResourceLimitError:
    return ResourceLimitError(f"the document is larger than the {max_bytes:,} bytes that are left for uploads")
