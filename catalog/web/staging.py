"""Requests for packages from tape: where each stands, for who made it and for staff."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from catalog.access import DATA_PERMISSION, Caller
from catalog.errors import NotFoundError
from catalog.opsdb.enums import Status
from catalog.opsdb.requested import RequestedStaging
from catalog.web.files import FILES_PATH, STAGING_PATH, route
from catalog.web.identity import caller_of
from catalog.web.proxies import public_url
from catalog.web.responses import accepts_json
from catalog.wiring import Catalog

__all__ = ["routes"]

_NUMBER = re.compile("[0-9]{1,10}")
_POLL_S = 60  # a client that waits for hours need not ask more often
_SENTENCES = {
    Status.PENDING: "waits for its turn",
    Status.SCHEDULED: "waits for its turn",
    Status.IN_PROGRESS: "is being brought",
    Status.COMPLETED: "has been brought",
    Status.FAILED: "could not be brought; ask for it again, or ask the operators",
}


def routes() -> list[Route]:
    """Routes below the base URL."""
    return [route(f"{STAGING_PATH}/{{job}}", GET=job)]


async def job(request: Request) -> Response:
    """A request, in a sentence or as JSON."""
    catalog: Catalog = request.app.state.catalog
    text = request.path_params["job"]
    if _NUMBER.fullmatch(text) is None:
        raise NotFoundError("requests have numbers, which a POST to the address of a package leads to")
    found = await run_in_threadpool(catalog.tapes.job, int(text), caller_of(request))
    headers = {"cache-control": "no-store", "vary": "Accept"}
    if found.is_open:
        headers["retry-after"] = str(min(_POLL_S, catalog.tapes.wait_s))
    urls = [public_url(request, f"{FILES_PATH}/{package}") for package in found.packages]
    if accepts_json(request.headers.get("accept")):
        facts = _facts(found, urls, caller_of(request))
        return Response(json.dumps(facts), headers=headers, media_type="application/json")
    lines = [f"{url} {_SENTENCES[found.status]}" for url in urls]
    return PlainTextResponse("\n".join(lines) + "\n", headers=headers)


def _facts(found: RequestedStaging, urls: list[str], caller: Caller) -> dict[str, Any]:
    """What programs read; why it failed is told to staff alone, since movers write what they like."""
    facts = {
        "job_id": found.job_id,
        "status": str(found.status),
        "is_over": not found.is_open,
        "failed_attempts": found.attempts,
        "requested_at": found.requested_at.isoformat(),
        "finished_at": None if found.finished_at is None else found.finished_at.isoformat(),
        "packages": urls,
    }
    if DATA_PERMISSION in caller.permissions:
        facts |= {"requester": found.requester, "destination": found.destination, "failure": found.failure}
    return facts
