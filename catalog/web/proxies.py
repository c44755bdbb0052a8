"""Under which name the service was asked, and from where, when proxies stand between (RFC 7239, ``X-Forwarded-…``).

Anybody can send these headers. They count when they come from a proxy that the settings trust, and of what proxies
append to, only the last entry does. Where the two families of headers contradict each other, the proxy has set one and
passed the client's other on: then neither counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import Request

from catalog.settings import Network
from catalog.wiring import Catalog

__all__ = ["client_address", "public_url"]

_Address = IPv4Address | IPv6Address

_SAYS_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_LOOPBACK = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){1,10}")
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*([;,]|$)')


@dataclass(frozen=True, slots=True)
class _Claim:
    """What headers say of the request that a proxy was sent."""

    addresses: Sequence[str] = ()
    """From whom the first proxy had it, from whom the second had it, …"""

    scheme: str | None = None
    host: str | None = None
    prefix: str | None = None


def public_url(request: Request, path: str = "") -> str:
    """What the client calls a path of the service: by the setting, else by the word of a trusted proxy.

    Who asks from this machine may call it by any name that only this machine has.
    """
    catalog: Catalog = request.app.state.catalog
    service = catalog.settings.service
    if service.base_url is None and _is_trusted(_peer(request), service.trusted_proxies):
        claim = _claim(request, service.trusted_proxies)
        if claim is not None:
            host = claim.host or request.headers.get("host", "")
            scheme = (claim.scheme or "http").lower()
            prefix = (claim.prefix or "").rstrip("/")
            if _HOST.fullmatch(host) and scheme in ("http", "https") and (not prefix or _PREFIX.fullmatch(prefix)):
                return f"{scheme}://{host}{prefix}{path}"
    asked, peer = request.headers.get("host", ""), _peer(request)
    if service.base_url is None and peer is not None and peer.is_loopback and _LOOPBACK.fullmatch(asked):
        return f"http://{asked}{path}"
    return catalog.public_url(path)


def client_address(request: Request) -> str | None:
    """Address of the client; None when it is not known for certain, and then nobody else's may be taken for it."""
    catalog: Catalog = request.app.state.catalog
    trusted = catalog.settings.service.trusted_proxies
    peer = _peer(request)
    if not _is_trusted(peer, trusted):
        is_forwarded = any(name in request.headers for name in _SAYS_FORWARDED)
        return None if peer is None or is_forwarded else str(peer)
    claim = _claim(request, trusted)
    address = None if claim is None else _origin(claim.addresses, trusted)
    return None if address is None else str(address)


def _claim(request: Request, trusted: Sequence[Network]) -> _Claim | None:
    """What the headers say, if they say one thing."""
    claims = [claim for claim in (_usual_claim(request), _standard_claim(request)) if claim is not None]
    if len(claims) == 2:
        first, second = claims
        if _origin(first.addresses, trusted) != _origin(second.addresses, trusted):
            return None
        if any(a and b and a != b for a, b in ((first.scheme, second.scheme), (first.host, second.host))):
            return None
        return _Claim(first.addresses, first.scheme or second.scheme, first.host or second.host, first.prefix)
    return claims[0] if claims else None


def _usual_claim(request: Request) -> _Claim | None:
    """By the headers ``X-Forwarded-…``."""
    found = {name: _entries(request, f"x-forwarded-{name}") for name in ("for", "proto", "host", "prefix")}
    if not any(found.values()):
        return None
    last = {name: entries[-1] if entries else None for name, entries in found.items()}
    return _Claim(found["for"], last["proto"], last["host"], last["prefix"])


def _entries(request: Request, header: str) -> list[str]:
    return [entry.strip() for line in request.headers.getlist(header) for entry in line.split(",")]


def _standard_claim(request: Request) -> _Claim | None:
    """By the header ``Forwarded``; one that cannot be read says nothing."""
    text = ",".join(request.headers.getlist("forwarded"))
    if not text:
        return None
    hops: list[dict[str, str]] = [{}]
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            return _Claim()
        hops[-1][pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2]
        if pair[3] == ",":
            hops.append({})
        position = pair.end()
    return _Claim([hop.get("for", "") for hop in hops], hops[-1].get("proto"), hops[-1].get("host"))


def _origin(addresses: Sequence[str], trusted: Sequence[Network]) -> _Address | None:
    """The last address that is no trusted proxy; who stands before it says nothing that can be trusted."""
    address = None
    for text in reversed(addresses):
        address = _address(text)
        if not _is_trusted(address, trusted):
            break
    return address


def _peer(request: Request) -> _Address | None:
    return None if request.client is None else _address(request.client.host)


def _address(text: str) -> _Address | None:
    """An address as the headers write it, with or without a port; None for what is none."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: _Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)
