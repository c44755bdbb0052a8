"""Parameters of a request, from the URL and the body, as UTF-8 and within bounds (DALI 1.1 section 2)."""

from __future__ import annotations

from urllib.parse import parse_qsl

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from catalog.errors import ParameterError, QueryTimeoutError, ResourceLimitError

__all__ = ["MAX_BODY_BYTES", "read_pairs"]

MAX_BODY_BYTES = 4 * 2**20
"""Longest body of a request; it is read piece by piece and refused at the first byte beyond."""

_MAX_FIELDS = 200
_BODY_SECONDS = 60.0
_DISCARD_SECONDS = 2.0
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """Names and values in the order they came: those of the URL, then those of the body, which may be mixed.

    Raises:
        ParameterError: They are no UTF-8, too many, or in a form that is not known.
        ResourceLimitError: The body is too long.
        QueryTimeoutError: The body did not arrive in time.
    """
    pairs = _split(request.scope["query_string"], "URL")
    if request.method == "POST":
        body = await _read_body(request)
        if body:
            pairs += await _body_pairs(request, body)
    return pairs


async def _body_pairs(request: Request, body: bytes) -> list[tuple[str, str]]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _URLENCODED:
        return _split(body, "body")
    if content_type == _MULTIPART:
        return await _parts(request, body)
    raise ParameterError(f"the body is '{content_type[:80]}'; expected {_URLENCODED} or {_MULTIPART}")


def _split(text: bytes, where: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except UnicodeDecodeError:
        raise ParameterError(f"the parameters in the {where} are not text in UTF-8") from None
    except ValueError:
        raise ParameterError(f"the {where} has more than {_MAX_FIELDS} parameters") from None


async def _parts(request: Request, body: bytes) -> list[tuple[str, str]]:
    """The fields of a multipart body; files are left out."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        limits = {"max_files": _MAX_FIELDS, "max_fields": _MAX_FIELDS}
        async with Request(request.scope, receive).form(**limits, max_part_size=MAX_BODY_BYTES) as form:
            return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
    except HTTPException as error:
        raise ParameterError(f"the body of the request cannot be read: {error.detail}") from None


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_SECONDS):
            pieces = request.stream()
            if int(request.headers.get("content-length", 0)) <= MAX_BODY_BYTES:
                async for piece in pieces:
                    body += piece
                    if len(body) > MAX_BODY_BYTES:
                        break
                else:
                    return bytes(body)
            # A client that is still writing sees the answer only if what it writes is taken for a while.
            with anyio.move_on_after(_DISCARD_SECONDS):
                async for _ in pieces:
                    pass
    except TimeoutError:
        raise QueryTimeoutError(f"the body of the request did not arrive within {_BODY_SECONDS:g} s") from None
    raise ResourceLimitError(f"the body of the request is longer than {MAX_BODY_BYTES:,} bytes")
