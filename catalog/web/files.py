"""Bytes of packages over HTTP: streamed from a disk of this service, or from where a redirect leads."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from catalog.broker.service import FilePackage, Redirected, Streamed
from catalog.dali import single_values
from catalog.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogError,
    NotFoundError,
    ParameterError,
    UnavailableError,
)
from catalog.opsdb.readable import PackageCopy
from catalog.web.identity import caller_of, challenge_of
from catalog.web.proxies import public_url
from catalog.web.ranges import StoredObject, object_response
from catalog.web.responses import accepts_json, as_fault, fault_headers, fault_response, fault_status
from catalog.wiring import Catalog

__all__ = ["FILES_PATH", "STAGING_PATH", "THREADS", "refuse", "route", "routes"]

FILES_PATH = "/files"
"""Where the packages are, below the base URL."""

STAGING_PATH = "/staging"
"""Where requests for packages from tape are, below the base URL."""

THREADS = 24
"""How many may wait for disks, object stores and other servers at once; those of everything else are apart."""

_TAR = "application/x-tar"
_UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_NUMBER = re.compile("[0-9]{1,18}")

_PATIENCE_S = 20.0  # for one of them

T = TypeVar("T")
_Handler = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    """Routes below the base URL."""
    return [
        route(f"{FILES_PATH}/{{package}}", GET=fetch, POST=stage),
        route(f"{FILES_PATH}/{{package}}/{{member:path}}", GET=fetch_member),
    ]


def route(path: str, **handlers: _Handler) -> Route:
    """One address with what each method does, and faults in words."""

    async def handle(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return await handler(request)
        except CatalogError as fault:
            return refuse(request, fault)

    return Route(path, handle, methods=list(handlers))


def refuse(request: Request, error: Exception) -> Response:
    """The fault in a line, or as JSON for who asks for that; who is anonymous may try again as somebody."""
    fault = as_fault(error)
    if isinstance(fault, AuthorizationError) and caller_of(request).username is None:
        fault = AuthenticationError(fault.message, challenge=challenge_of(request), hint="Log in to fetch it.")
    if accepts_json(request.headers.get("accept")):
        answer = fault_response(fault, request=request)
    else:
        text = f"{fault.message}\n{fault.hint}\n" if fault.hint else f"{fault.message}\n"
        answer = PlainTextResponse(text, fault_status(type(fault)), {"vary": "Accept"} | fault_headers(fault))
    answer.headers["cache-control"] = "no-store"
    return answer


async def fetch(request: Request) -> Response:
    """The bytes of a package, or where they are; of one copy, if one is named."""
    catalog: Catalog = request.app.state.catalog
    package_id, copy_id = _package_id(request), _copy_id(request)
    chosen = await _reading(
        request, partial(catalog.broker.fetch, package_id, caller_of(request), copy_id=copy_id, method=request.method)
    )
    links = _links(request, chosen.package, chosen.others)
    if isinstance(chosen, Redirected):
        headers = {"location": chosen.url, "cache-control": "no-store"}
        return Response(status_code=307, headers=headers | links)
    return object_response(request, _stored(chosen, links, _threads(request)), refuse=partial(refuse, request))


async def fetch_member(request: Request) -> Response:
    """The bytes of one file in a package."""
    catalog: Catalog = request.app.state.catalog
    path, caller = request.path_params["member"], caller_of(request)
    found = await _reading(
        request, partial(catalog.broker.member, _package_id(request), path, caller, copy_id=_copy_id(request))
    )
    is_known = found.checksum is not None and found.checksum_algorithm is not None
    kept = StoredObject(
        size=found.size_bytes,
        tag=f"{found.package.checksum}-{found.offset}",
        digest=(str(found.checksum_algorithm), str(found.checksum)) if is_known else None,
        media_type=_media_type(found.media_type),
        name=found.name,
        modified=found.package.recorded_at,
        open=found.open,
        is_shown=False,
        threads=_threads(request),
        headers=_caching(found.package),
    )
    return object_response(request, kept, refuse=partial(refuse, request))


async def _reading(request: Request, work: Callable[[], T]) -> T:
    """Look for bytes in a thread of those that may wait for them.

    Raises:
        UnavailableError: Each of them waits for something that does not answer.
    """
    with anyio.move_on_after(_PATIENCE_S):
        return await run_sync(work, limiter=_threads(request))
    raise UnavailableError("the places where packages lie answer too slowly now; try again in a while")


def _threads(request: Request) -> anyio.CapacityLimiter:
    threads: anyio.CapacityLimiter = request.app.state.reading
    return threads


def _media_type(text: str | None) -> str:
    """The recorded word, if it is a media type: an instrument may have one of its own."""
    return text if text is not None and _MEDIA_TYPE.fullmatch(text) else "application/octet-stream"


async def stage(request: Request) -> Response:
    """Ask for a package that lies on tape, and lead to where the request is followed; asking again leads there too."""
    catalog: Catalog = request.app.state.catalog
    package_id = _package_id(request)
    asked = await run_sync(catalog.tapes.ask, package_id, caller_of(request))
    headers = {"cache-control": "no-store"}
    if asked.is_ready:
        location = public_url(request, f"{FILES_PATH}/{package_id}")
        return Response(status_code=303, headers=headers | {"location": location})
    if asked.job_id is None:
        text = "The package was asked for before and is being brought from tape. Ask for it here again in a while.\n"
        return PlainTextResponse(text, 202, headers | {"retry-after": str(catalog.tapes.wait_s)})
    location = public_url(request, f"{STAGING_PATH}/{asked.job_id}")
    return Response(status_code=303, headers=headers | {"location": location})


def _stored(chosen: Streamed, links: dict[str, str], threads: anyio.CapacityLimiter) -> StoredObject:
    package = chosen.package
    return StoredObject(
        size=package.size_bytes,
        tag=package.checksum,
        digest=(package.checksum_algorithm, package.checksum),
        media_type=_TAR,
        name=package.name,
        modified=package.recorded_at,
        open=chosen.open,
        threads=threads,
        headers=_caching(package) | links,
    )


def _caching(package: FilePackage) -> dict[str, str]:
    """Others may keep what everybody may have, and ask whether that is still so."""
    return {"cache-control": "public, no-cache" if package.is_public else "private, no-cache"}


def _links(request: Request, package: FilePackage, others: Sequence[PackageCopy]) -> dict[str, str]:
    """The other copies, the better first (RFC 6249 section 3)."""
    url = public_url(request, f"{FILES_PATH}/{package.id}")
    links = [f"<{url}?copy={copy.stored.copy_id}>; rel=duplicate; pri={n}" for n, copy in enumerate(others, start=1)]
    return {"link": ", ".join(links)} if links else {}


def _package_id(request: Request) -> UUID:
    text = request.path_params["package"]
    if _UUID.fullmatch(text) is None:
        raise NotFoundError("there is no package of this name; expected its UUID, the end of its identifier")
    return UUID(text)


def _copy_id(request: Request) -> int | None:
    """The number of the only copy that is wanted; None for any.

    Raises:
        ParameterError: It is no number, or there are several.
    """
    text = single_values(request.query_params.multi_items(), ("COPY",)).get("COPY")
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise ParameterError("copy is no number; expected the copy_id of a copy, as the links show it")
    return int(text)
