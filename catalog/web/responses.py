"""Faults become documents with a status code.

This is the only place that knows which HTTP status a fault has.
"""

from __future__ import annotations

import json
import logging

from starlette.requests import Request
from starlette.responses import Response

from catalog.adql.diagnostics import render_diagnostic
from catalog.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogError,
    IntegrityError,
    InternalError,
    NotFoundError,
    PhaseError,
    QueryError,
    QueryTimeoutError,
    QuotaError,
    ResourceLimitError,
    UnavailableError,
    UsageError,
)
from catalog.formats.votable import error_document
from catalog.vo.table import Info

__all__ = [
    "accepts_json",
    "as_fault",
    "fault_headers",
    "fault_response",
    "fault_status",
]

_LOG = logging.getLogger(__name__)
_VOTABLE = "application/x-votable+xml"
_RETRY_SECONDS = 10

_STATUS: tuple[tuple[type[CatalogError], int], ...] = (
    (NotFoundError, 404),
    (AuthenticationError, 401),
    (AuthorizationError, 403),
    (PhaseError, 403),  # UWS 1.1 section 2.2.3.1
    (IntegrityError, 409),
    (UsageError, 400),
    (QueryTimeoutError, 408),
    (QuotaError, 429),
    (ResourceLimitError, 413),
    (UnavailableError, 503),
)


def fault_status(kind: type[CatalogError]) -> int:
    """The HTTP status of a kind of fault; 500 for what is our own mistake."""
    for known, status in _STATUS:
        if issubclass(kind, known):
            return status
    return 500


def fault_headers(fault: CatalogError) -> dict[str, str]:
    """What else the answer says of a fault: when to ask again; that the rest of a request is not read any more."""
    if isinstance(fault, UnavailableError):
        return {"retry-after": str(fault.retry_after or _RETRY_SECONDS)}
    if isinstance(fault, QuotaError):
        return {"retry-after": str(fault.retry_after)}
    if isinstance(fault, AuthenticationError):
        return {"www-authenticate": fault.challenge}
    return {"connection": "close"} if isinstance(fault, ResourceLimitError) else {}


def fault_response(
    fault: CatalogError,
    *,
    request: Request | None = None,
    query: str | None = None,
    job_id: str | None = None,
    status: int | None = None,
    info: str | None = None,
    prefix: str = "",
) -> Response:
    """The fault as a VOTable with QUERY_STATUS ERROR (DALI 1.1 section 4.4), or as JSON with the same facts.

    Args:
        fault: What went wrong.
        request: JSON is for a client that asks for it before anything else by ``Accept``.
        query: What was asked; the message then shows the place in it that a `QueryError` means.
        job_id: The job that it happened to.
        status: HTTP status; the fault's own when None.
        info: Name of a further INFO in which a protocol that is older than DALI has the message.
        prefix: What the message begins with where a protocol has words of its own for faults.
    """
    message = fault.message
    if isinstance(fault, QueryError) and query is not None:
        message = render_diagnostic(query, fault)
    elif fault.hint and fault.hint not in message:
        message = f"{message}\n{fault.hint}"
    message = f"{prefix}{message}"
    facts = _facts(fault, job_id)
    if request is not None and accepts_json(request.headers.get("accept")):
        content = json.dumps({"status": "ERROR", "message": message, **facts}, ensure_ascii=False).encode()
        media_type = "application/json"
    else:
        content = error_document(
            message,
            infos=[Info(f"ERROR_{name.upper()}", str(fact)) for name, fact in facts.items()],
            first=[] if info is None else [Info(info, message)],
        )
        media_type = _VOTABLE
    headers = fault_headers(fault) | {"vary": "Accept"}
    return Response(content, status or fault_status(type(fault)), headers, media_type=media_type)


def accepts_json(accept: str | None) -> bool:
    """Whether an Accept header asks for JSON before anything else that we have."""
    wanted = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return wanted[0] == "application/json"


def _facts(fault: CatalogError, job_id: str | None) -> dict[str, str | int]:
    """What machines read: the code, the job, and of a query the place, the hint and the proposed query."""
    facts: dict[str, str | int | None] = {"code": fault.code}
    if isinstance(fault, QueryError):
        facts |= {"line": fault.line, "column": fault.column}
        facts["length"] = None if fault.line is None else fault.length
        facts |= {"hint": fault.hint, "proposal": fault.proposal}
    else:
        facts["hint"] = fault.hint
    facts["job_id"] = job_id
    return {name: value for name, value in facts.items() if value is not None}


def as_fault(error: Exception) -> CatalogError:
    """The exception, if it is a fault; else one that says nothing of the inside, and the log has the rest."""
    if isinstance(error, CatalogError):
        return error
    _LOG.error("unforeseen error", exc_info=error)
    return InternalError("the service failed; its operators find the reason in the log")
