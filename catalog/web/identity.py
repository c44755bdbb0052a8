"""Who asks for jobs, as far as it is known: by the address that an anonymous request came from."""

from __future__ import annotations

from starlette.requests import Request

from catalog.uws.job import Client
from catalog.web.proxies import client_address, public_url

__all__ = ["client_of", "lister_of"]

_BEHIND = "somewhere behind"  # no address begins like this


def client_of(request: Request) -> Client:
    """Whom a job is counted for.

    Who comes through a proxy that is not trusted may be anybody, and shares the bounds of all who come that way: a
    header that anybody can send does not free from them.
    """
    address = client_address(request)
    if address is None and request.client is not None:
        return Client(origin=f"{_BEHIND} {request.client.host}")
    return Client(origin=address)


def lister_of(request: Request) -> Client:
    """Whose jobs are listed: nobody's, unless the address is known and the request is no other site's.

    A browser sends ``Origin`` with what a page of another site asks. That page shall not see what the person before the
    browser has asked.
    """
    origin = request.headers.get("origin")
    is_foreign = origin is not None and not f"{public_url(request)}/".startswith(f"{origin}/")
    return Client() if is_foreign else Client(origin=client_address(request))
