"""Parameters and files of a request, from the URL and the body, as UTF-8 and within bounds (DALI 1.1 section 2)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

import anyio
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from catalog.dali import UploadedFile
from catalog.errors import ParameterError, QueryTimeoutError, ResourceLimitError

__all__ = ["MAX_BODY_BYTES", "Form", "read_form", "read_pairs"]

T = TypeVar("T")

MAX_BODY_BYTES = 4 * 2**20
"""Longest body of a request without its files; it is read piece by piece and refused at the first byte beyond."""

_MAX_FIELDS = 200
_MAX_FILES = 100
_BODY_SECONDS = 60.0
_SLOWEST = 64 * 1024  # bytes per second that a body which takes longer must come with
_DISCARD_SECONDS = 2.0
_MEDIA_TYPE = re.compile("[!-~]([ -~]{0,200}[!-~])?")  # what a header of an answer can say again
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"

_Pieces = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Form:
    """What a request brought."""

    pairs: list[tuple[str, str]]
    """Names and values in the order they came: those of the URL, then those of the body."""

    files: tuple[UploadedFile, ...] = ()
    """Files of a multipart body; beyond a megabyte each lies on disk, without a name there."""

    def close(self) -> None:
        """Let go of the files."""
        for each in self.files:
            each.file.close()


async def read_form(request: Request, *, upload_limit_bytes: int = 0, max_fields: int = _MAX_FIELDS) -> Form:
    """Parameters and files; whoever gets them closes them.

    Args:
        request: Parameters may be partly in the URL and partly in the body.
        upload_limit_bytes: Size of all files together at most.
        max_fields: Parameters in the URL, and in the body, at most.

    Raises:
        ParameterError: They are no UTF-8, too many, or in a form that is not known.
        ResourceLimitError: The body is too long.
        QueryTimeoutError: The body did not arrive in time.
    """
    pairs = _split(request.scope["query_string"], "URL", max_fields)
    if request.method != "POST":
        return Form(pairs)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _MULTIPART and request.headers.get("content-length") != "0":
        consume = partial(_multipart, request.headers, upload_limit_bytes, max_fields)
        fields, files = await _read(request, MAX_BODY_BYTES + upload_limit_bytes, consume)
        return Form(pairs + fields, files)
    body = await _read(request, MAX_BODY_BYTES, _whole)
    if body and content_type != _URLENCODED:
        raise ParameterError(f"the body is '{content_type[:80]}'; expected {_URLENCODED} or {_MULTIPART}")
    return Form(pairs + _split(body, "body", max_fields))


async def read_pairs(request: Request, *, max_fields: int = _MAX_FIELDS) -> list[tuple[str, str]]:
    """The parameters alone, of a resource that takes no files; raises what `read_form` raises."""
    form = await read_form(request, max_fields=max_fields)
    form.close()
    return form.pairs


def _split(text: bytes, where: str, max_fields: int) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=max_fields)
    except UnicodeDecodeError:
        raise ParameterError(f"the parameters in the {where} are not text in UTF-8") from None
    except ValueError:
        raise ParameterError(f"the {where} has more than {max_fields} parameters") from None


async def _multipart(
    headers: Headers, upload_limit_bytes: int, max_fields: int, pieces: _Pieces
) -> tuple[list[tuple[str, str]], tuple[UploadedFile, ...]]:
    try:
        items = (await _Parts(headers, pieces, upload_limit_bytes, max_fields).parse()).multi_items()
    except MultiPartException as error:
        raise ParameterError(f"the body of the request cannot be read: {error.message}") from None
    fields = [(name, value) for name, value in items if isinstance(value, str)]
    return fields, tuple(_uploaded(name, value) for name, value in items if isinstance(value, UploadFile))


def _uploaded(name: str, value: UploadFile) -> UploadedFile:
    content_type = (value.content_type or "").strip()
    stated = content_type if _MEDIA_TYPE.fullmatch(content_type) else ""
    return UploadedFile(name, stated, value.size or 0, value.file)


class _Parts(MultiPartParser):
    """The parts of a multipart body; fields together and files together are bounded."""

    def __init__(self, headers: Headers, pieces: _Pieces, upload_limit_bytes: int, max_fields: int) -> None:
        super().__init__(headers, pieces, max_files=_MAX_FILES, max_fields=max_fields, max_part_size=MAX_BODY_BYTES)
        self._upload_limit_bytes = upload_limit_bytes
        self._field_bytes = 0
        self._file_bytes = 0
        self._ended = False
        self.stream = self._to_its_end(pieces)

    async def _to_its_end(self, pieces: _Pieces) -> _Pieces:
        async for piece in pieces:
            yield piece
        if not self._ended:
            raise ParameterError("the body of the request ends before its last part does")

    def on_end(self) -> None:
        self._ended = True

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._field_bytes += end - start
            if self._field_bytes > MAX_BODY_BYTES:
                raise ResourceLimitError(f"the parameters in the body are longer than {MAX_BODY_BYTES:,} bytes")
        else:
            self._file_bytes += end - start
            if self._file_bytes > self._upload_limit_bytes:
                raise _too_large(self._upload_limit_bytes)
        super().on_part_data(data, start, end)


def _too_large(limit: int) -> ResourceLimitError:
    if limit == 0:
        return ResourceLimitError("the body of the request brings files, and this resource takes none")
    return ResourceLimitError(f"the files in the body of the request are longer than {limit:,} bytes")


async def _whole(pieces: _Pieces) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
    return bytes(body)


async def _read(request: Request, limit: int, consume: Callable[[_Pieces], Awaitable[T]]) -> T:
    """What the consumer makes of the body, which it gets within bounds of size and time."""
    pieces = request.stream()
    try:
        with anyio.fail_after(_BODY_SECONDS) as scope:
            try:
                if int(request.headers.get("content-length", 0)) > limit:
                    raise _too_long(limit)
                return await consume(_bounded(pieces, limit, scope))
            except ResourceLimitError:
                # A client that is still writing sees the answer only if what it writes is taken for a while.
                with anyio.move_on_after(_DISCARD_SECONDS):
                    async for _ in pieces:
                        pass
                raise
    except TimeoutError:
        raise QueryTimeoutError(f"the body of the request did not arrive within {_BODY_SECONDS:g} s") from None


async def _bounded(pieces: _Pieces, limit: int, scope: anyio.CancelScope) -> _Pieces:
    until, received = scope.deadline, 0
    async for piece in pieces:
        received += len(piece)
        if received > limit:
            raise _too_long(limit)
        scope.deadline = until + received / _SLOWEST
        yield piece


def _too_long(limit: int) -> ResourceLimitError:
    return ResourceLimitError(f"the body of the request is longer than {limit:,} bytes")
