"""What a request brings: parameters and files, within bounds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request

from catalog.errors import ParameterError, ResourceLimitError
from catalog.web.parameters import MAX_BODY_BYTES, Form, read_form, read_pairs

URL = "http://test/tap/sync"


async def received(request: httpx.Request) -> Request:
    """A request as the server would get it, body and all."""
    body = await request.aread()
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)] or [b""]
    messages = iter(
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    )

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    return Request(scope, receive)


def form_of(limit: int = 1_000_000, **request: Any) -> Form:
    async def read() -> Form:
        return await read_form(await received(httpx.Request("POST", URL, **request)), upload_limit_bytes=limit)

    return anyio.run(read)


def test_a_multipart_body_brings_parameters_and_files_in_their_order() -> None:
    large = os.urandom(800_000)
    form = form_of(
        params={"LANG": "ADQL"},
        files=[
            ("UPLOAD", (None, "a,param:one")),
            ("one", ("stars.vot", b"<VOTABLE/>", "application/x-votable+xml; serialization=TABLEDATA")),
            ("QUERY", (None, "SELECT 'Ångström'")),
            ("two", ("empty", b"")),
            ("three", ("t.csv", large, "text/csv")),
        ],
    )
    assert form.pairs == [("LANG", "ADQL"), ("UPLOAD", "a,param:one"), ("QUERY", "SELECT 'Ångström'")]
    assert [(each.name, each.size, each.file.read()) for each in form.files] == [
        ("one", 10, b"<VOTABLE/>"),
        ("two", 0, b""),
        ("three", len(large), large),
    ]
    assert form.files[0].content_type == "application/x-votable+xml; serialization=TABLEDATA"
    assert form.files[2].content_type == "text/csv"
    form.close()
    assert all(each.file.closed for each in form.files)


def test_a_file_is_called_only_what_a_header_can_say() -> None:
    for stated, kept in [
        (" text/csv; header=absent \t", "text/csv; header=absent"),
        ("text/html\x0bx", ""),
        ("text/\xe9", ""),
        ("text/" + "x" * 300, ""),
    ]:
        part = (
            f'--b\r\nContent-Disposition: form-data; name="t"; filename="t"\r\nContent-Type: {stated}\r\n\r\nx\r\n--b--'
        )
        form = form_of(content=part.encode("latin-1"), headers={"content-type": "multipart/form-data; boundary=b"})
        form.close()
        assert [each.content_type for each in form.files] == [kept]


def test_files_are_bounded_together_and_parameters_apart_from_them() -> None:
    parts = [("a", ("a", b"x" * 600)), ("b", ("b", b"x" * 400)), ("QUERY", (None, "y" * 5000))]
    form = form_of(1000, files=parts)
    assert [each.size for each in form.files] == [600, 400]
    form.close()
    with pytest.raises(ResourceLimitError, match="longer than 999 bytes"):
        form_of(999, files=parts)
    fields = [(f"p{number}", (None, "x" * (MAX_BODY_BYTES // 50))) for number in range(51)]
    with pytest.raises(ResourceLimitError, match=f"parameters in the body are longer than {MAX_BODY_BYTES:,} bytes"):
        form_of(10 * MAX_BODY_BYTES, files=fields)


def test_too_many_files_are_refused() -> None:
    with pytest.raises(ParameterError, match="Too many files"):
        form_of(files=[(f"f{number}", (f"f{number}", b"x")) for number in range(101)])


def test_a_resource_that_takes_no_files_says_so() -> None:
    async def read() -> list[tuple[str, str]]:
        files: Any = [("detail", (None, "min")), ("t", ("t", b"abc"))]
        return await read_pairs(await received(httpx.Request("POST", URL, files=files)))

    with pytest.raises(ResourceLimitError, match="takes none"):
        anyio.run(read)


def test_a_file_that_ends_too_early_is_refused() -> None:
    async def cut() -> Form:
        whole = httpx.Request("POST", URL, files={"t": ("t", b"abc" * 1000)})
        body = (await whole.aread())[:2000]

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        request = httpx.Request("POST", URL, content=pieces(), headers={"content-type": whole.headers["content-type"]})
        return await read_form(await received(request), upload_limit_bytes=10_000)

    with pytest.raises(ParameterError, match="ends before its last part"):
        anyio.run(cut)
