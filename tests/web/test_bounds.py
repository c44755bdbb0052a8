"""What nobody may do: send without end, ask without end, wait without end."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from catalog.web.parameters import MAX_BODY_BYTES
from catalog.web.server import listen

URLENCODED = "application/x-www-form-urlencoded"
QUERY = "SELECT TOP 1 obs_id FROM ivoa.obscore"


@pytest.fixture(scope="module")
def impatient(filled_url: str, start_with: Callable[..., Any]) -> Iterator[Any]:
    """A service that waits half a second where others wait a minute, and takes twelve connections."""
    changes = "server._REQUEST_SECONDS = parameters._BODY_SECONDS = streaming._SLICE_SECONDS = 0.5\n"
    changes += "server._CONNECTIONS = 12\n"
    with start_with(filled_url, changes, tap_maxrec_default=5_000_000) as service:
        yield service


def connect(service: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def head_of_post(length: int) -> bytes:
    lines = ["POST /tap/sync HTTP/1.1", "Host: x", f"Content-Type: {URLENCODED}", f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode()


def read_to_the_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def resident_bytes(pid: int) -> int:
    """Memory of a process at its highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def fault_of(answer: httpx.Response) -> str:
    [info] = etree.fromstring(answer.content).findall(".//{*}INFO[@name='QUERY_STATUS']")
    assert info.get("value") == "ERROR"
    return str(info.text)


# --- bodies --------------------------------------------------------------------------------------------------


def test_a_query_of_a_megabyte_is_read(service: Any) -> None:
    """It is the parser that says where its limit lies, not the connection."""
    long = f"{QUERY} -- {'x' * 2**20}"
    answer = httpx.post(f"{service.tap}/sync", data={"QUERY": long})
    assert answer.status_code in (200, 400)
    assert answer.headers["content-type"] == "application/x-votable+xml"


@pytest.mark.parametrize("kind", ["form", "multipart", "no length", "another kind"])
def test_a_body_beyond_the_limit_is_refused_in_words(service: Any, kind: str) -> None:
    large = "x" * (MAX_BODY_BYTES + 1)
    before = resident_bytes(service.pid)
    if kind == "form":
        answer = httpx.post(f"{service.tap}/sync", data={"QUERY": large})
    elif kind == "multipart":
        answer = httpx.post(f"{service.tap}/sync", files={"QUERY": (None, large)})
    elif kind == "no length":
        pieces = (b"QUERY=" + b"x" * 2**20 for _ in range(30))
        answer = httpx.post(f"{service.tap}/sync", content=pieces, headers={"content-type": URLENCODED})
        assert answer.request.headers["transfer-encoding"] == "chunked"
    else:
        answer = httpx.post(f"{service.tap}/sync", content=large, headers={"content-type": "text/plain"})
    assert answer.status_code == 413
    assert f"longer than {MAX_BODY_BYTES:,} bytes" in fault_of(answer)
    assert resident_bytes(service.pid) - before < 8 * MAX_BODY_BYTES


def test_a_body_is_bounded_before_it_is_read_whole(service: Any) -> None:
    """A gigabyte is announced and a little of it sent: the answer comes all the same."""
    with connect(service) as connection:
        connection.sendall(head_of_post(2**30) + b"QUERY=")
        began = time.monotonic()
        answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < 10


def test_many_small_fields_are_no_way_round_the_limit(service: Any) -> None:
    parts = [(f"p{number}", (None, "x" * 100_000)) for number in range(60)]
    assert httpx.post(f"{service.tap}/sync", files=parts).status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(impatient: Any) -> None:
    with connect(impatient) as connection:
        connection.sendall(head_of_post(100) + b"QUERY=")
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_while_it_sends_is_no_error(service: Any) -> None:
    before = service.log.read_text()
    with connect(service) as connection:
        connection.sendall(head_of_post(100) + b"QUERY=")
    time.sleep(0.5)
    assert service.get(QUERY).status_code == 200
    assert service.log.read_text() == before


# --- headers and connections ---------------------------------------------------------------------------------


def test_a_long_url_is_read_and_a_longer_one_refused(service: Any) -> None:
    comment = "x" * 50_000
    assert service.get(f"{QUERY} -- {comment}").status_code == 200
    with connect(service) as connection:
        connection.sendall(b"GET /tap/sync?QUERY=" + b"x" * 100_000)
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [b"", b"GET /tap/availability HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_request_that_does_not_come_is_not_waited_for(impatient: Any, sent: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        assert read_to_the_end(connection) == b""
    assert time.monotonic() - began < 5


def test_a_request_that_drips_is_not_waited_for(impatient: Any) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(50):
            connection.sendall(b"X-Slow: x\r\n")
            time.sleep(0.1)

    with connect(impatient) as connection, pytest.raises(OSError, match=r"Broken pipe|reset"):
        drip(connection)


def test_a_second_request_on_a_connection_may_take_its_time_to_begin(impatient: Any) -> None:
    with httpx.Client() as client:
        for _ in range(2):
            assert client.get(f"{impatient.tap}/availability").status_code == 200
            time.sleep(1.0)
        [connection] = client._transport._pool.connections  # type: ignore[attr-defined]
        assert connection.is_idle()
        assert "Request Count: 2" in repr(connection)


def test_a_query_that_takes_longer_than_a_request_may_is_answered(impatient: Any) -> None:
    tables, seconds = "fyst.files AS a, fyst.files AS b", 0.0
    for name in "cdefg":  # a machine may be ten times as quick as another
        tables += f", fyst.programs AS {name}"
        began = time.monotonic()
        answer = impatient.get(f"SELECT COUNT(*) AS n FROM {tables}")
        seconds = time.monotonic() - began
        assert answer.status_code == 200
        if seconds > 0.5:
            break
    assert seconds > 0.5, "the queries are too quick for this test"


def test_a_client_that_does_not_read_loses_its_place(impatient: Any, readers: Callable[..., int]) -> None:
    idle = readers(impatient)
    query = "SELECT a.file_id, b.file_id AS other FROM fyst.files AS a, fyst.files AS b"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", impatient.port))
        connection.sendall(f"GET /tap/sync?QUERY={query.replace(' ', '+')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 10
        while "broken off: the client reads" not in impatient.log.read_text():
            assert time.monotonic() < deadline, impatient.log.read_text()
            time.sleep(0.05)
        while readers(impatient) > idle:
            assert time.monotonic() < deadline, "the query goes on"
            time.sleep(0.05)
        rest = read_to_the_end(connection)
    assert not rest.endswith(b"0\r\n\r\n"), "the answer must not look complete"


def test_connections_beyond_the_limit_are_asked_to_come_later(impatient: Any) -> None:
    crowd = [connect(impatient) for _ in range(12)]
    try:
        answer = httpx.get(f"{impatient.tap}/availability")
        assert answer.status_code == 503
    finally:
        for connection in crowd:
            connection.close()
    time.sleep(0.2)
    assert httpx.get(f"{impatient.tap}/availability").status_code == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_is_turned_away(service: Any, garbage: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        assert read_to_the_end(connection)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 505")
    assert httpx.get(f"{service.tap}/availability").status_code == 200


def test_the_log_never_shows_a_traceback(service: Any, impatient: Any) -> None:
    for each in (service, impatient):
        assert "Traceback" not in each.log.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_the_one_before_to_be_acknowledged(host: str) -> None:
    """Of small answers on one connection each would wait 40 ms; a connection that says TCP_NODELAY does not."""
    with listen(host, 0) as listener, socket.create_connection((host, listener.getsockname()[1])):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
