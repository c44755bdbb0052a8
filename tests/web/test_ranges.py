"""Stored bytes over HTTP: ranges, conditions, digests; and how it ends when the bytes or the client go away."""

from __future__ import annotations

import base64
import hashlib
import io
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.errors import NotFoundError
from catalog.web.ranges import StoredObject, object_response
from catalog.web.responses import as_fault, fault_response

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT)
ETAG = f'"{SHA256.hexdigest()}"'
MODIFIED = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
LAST_MODIFIED = "Mon, 04 May 2026 03:02:01 GMT"


def at(content: bytes) -> Callable[[int], IO[bytes]]:
    def open_at(start: int) -> IO[bytes]:
        return io.BytesIO(content[start:])

    return open_at


def stored(content: bytes = CONTENT, **changes: Any) -> StoredObject:
    facts: dict[str, Any] = {
        "size": len(content),
        "tag": hashlib.sha256(content).hexdigest(),
        "digest": ("sha256", hashlib.sha256(content).hexdigest()),
        "media_type": "text/csv;header=present",
        "name": "job 1/../x.csv",
        "modified": MODIFIED,
        "open": at(content),
    }
    return StoredObject(**(facts | changes))


def app_of(kept: StoredObject) -> Starlette:
    async def answer(request: Request) -> Response:
        return object_response(request, kept, refuse=lambda error: fault_response(as_fault(error)))

    return Starlette(routes=[Route("/", answer)])


def ask(kept: StoredObject, method: str = "GET", **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(kept)), base_url="http://x") as client:
            return await client.request(method, "/", headers={name.replace("_", "-"): v for name, v in headers.items()})

    return anyio.run(send)


def is_digest_of(header: str, content: bytes) -> bool:
    return header == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def test_the_whole_object_says_how_long_it_is_and_how_to_verify_it() -> None:
    answer = ask(stored())
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-type"] == "text/csv;header=present"
    assert answer.headers["etag"] == ETAG
    assert answer.headers["last-modified"] == LAST_MODIFIED
    assert answer.headers["accept-ranges"] == "bytes"
    assert is_digest_of(answer.headers["repr-digest"], CONTENT)
    assert answer.headers["content-disposition"] == 'attachment; filename="job_1_.._x.csv"'
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, 10_239),
        ("bytes=0-", 0, 10_239),
        ("bytes=10239-", 10_239, 10_239),
        ("bytes=10000-99999999999999999999999", 10_000, 10_239),
        ("bytes=-1", 10_239, 10_239),
        ("bytes=-99999", 0, 10_239),
        ("BYTES=5-6", 5, 6),
    ],
)
def test_one_range_is_sent_with_the_digest_of_the_whole(asked: str, first: int, last: int) -> None:
    answer = ask(stored(), Range=asked)
    assert answer.status_code == 206
    assert answer.content == CONTENT[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/10240"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.headers["etag"] == ETAG
    assert is_digest_of(answer.headers["repr-digest"], CONTENT)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=10240-10241", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_beyond_the_end_is_refused_with_the_size(asked: str) -> None:
    answer = ask(stored(), Range=asked)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10240"
    assert answer.content == b""


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=5-4", "bytes=-", "bytes=a-b", "lines=0-1", "bytes 0-1", "", "bytes=0-1-2"]
)
def test_what_is_no_single_range_is_answered_by_the_whole(asked: str) -> None:
    answer = ask(stored(), Range=asked)
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize(("tag", "status"), [(ETAG, 206), (f"W/{ETAG}", 200), ('"other"', 200)])
def test_a_range_of_what_has_changed_meanwhile_is_the_whole(tag: str, status: int) -> None:
    assert ask(stored(), Range="bytes=0-9", If_Range=tag).status_code == status


@pytest.mark.parametrize(("date", "status"), [(LAST_MODIFIED, 206), ("Mon, 04 May 2026 03:02:00 GMT", 200), ("x", 200)])
def test_a_range_may_hang_on_a_date(date: str, status: int) -> None:
    assert ask(stored(), Range="bytes=0-9", If_Range=date).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f'"a", W/{ETAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"a"'}, 200),
        ({"If-Modified-Since": LAST_MODIFIED}, 304),
        ({"If-Modified-Since": "Mon, 04 May 2026 03:02:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": "Mon, 04 May 99999999999999999999 03:02:01 GMT"}, 200),
        ({"If-Modified-Since": "Mon, 04 May 2026 03:02:01 +99999999999999"}, 200),
        ({"If-None-Match": '"a"', "If-Modified-Since": LAST_MODIFIED}, 200),
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-Match": '"a", "b"'}, 412),
        ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, 304),
    ],
)
def test_conditions_are_kept(headers: dict[str, str], status: int) -> None:
    answer = ask(stored(), **headers)
    assert answer.status_code == status
    assert answer.headers["etag"] == ETAG
    assert answer.content == (CONTENT if status == 200 else b"")


def test_head_says_what_get_would_and_knows_no_ranges() -> None:
    told = ask(stored(open=at(b"")), "HEAD", Range="bytes=0-9")
    assert (told.status_code, told.content) == (200, b"")
    got = ask(stored())
    assert dict(told.headers) == dict(got.headers)


def test_an_empty_object_is_sent_and_has_no_ranges() -> None:
    assert ask(stored(b"")).content == b""
    assert ask(stored(b"")).headers["content-length"] == "0"
    assert ask(stored(b""), Range="bytes=0-").status_code == 416


def test_text_is_shown_and_other_things_are_kept() -> None:
    for media_type, disposition in (("text/html", "inline"), ("text/plain", "inline"), ("text/xml", "attachment")):
        assert ask(stored(media_type=media_type)).headers["content-disposition"].startswith(disposition)


def test_what_is_gone_is_answered_by_a_document() -> None:
    def gone(start: int) -> IO[bytes]:
        raise NotFoundError("the result is gone")

    answer = ask(stored(open=gone))
    assert answer.status_code == 404
    assert b"the result is gone" in answer.content
    assert "content-disposition" not in answer.headers


async def drive(kept: StoredObject, send: Callable[[Any], Any], receive: Callable[[], Any]) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    await app_of(kept)(scope, receive, send)


async def stay() -> dict[str, str]:
    await anyio.sleep_forever()
    raise AssertionError


def test_bytes_that_end_too_early_break_the_answer() -> None:
    messages = []

    async def send(message: Any) -> None:
        messages.append(message)

    anyio.run(drive, stored(open=at(CONTENT[:5000])), send, stay)
    assert messages[0]["status"] == 200
    assert sum(len(message.get("body", b"")) for message in messages) == 5000
    assert all(message["more_body"] for message in messages[1:]), "it must not look complete"


class Recorded(io.BytesIO):
    """Says whether it was closed, and how much was read."""

    was_closed = False

    def close(self) -> None:
        self.was_closed = True
        super().close()


def test_a_client_that_hangs_up_ends_the_reading() -> None:
    file = Recorded(bytes(50_000_000))
    gone = anyio.Event()
    read = 0

    async def send(message: Any) -> None:
        nonlocal read
        read += len(message.get("body", b""))
        if read > 1_000_000:
            gone.set()
            await anyio.sleep_forever()

    async def leave() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    kept = stored(b"", size=50_000_000, open=lambda start: file)
    anyio.run(drive, kept, send, leave)
    assert file.was_closed
    assert read < 3_000_000


def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    path = tmp_path / "large"
    size = 300_000_000
    with path.open("wb") as file:
        file.truncate(size)

    def open_at(start: int) -> IO[bytes]:
        file = path.open("rb")
        file.seek(start)
        return file

    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    tracemalloc.start()
    try:
        anyio.run(drive, stored(b"", size=size, open=open_at), send, stay)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert sent == size


def test_times_are_told_in_utc() -> None:
    there = MODIFIED.astimezone(timezone(timedelta(hours=-4)))
    assert ask(stored(modified=there)).headers["last-modified"] == LAST_MODIFIED
