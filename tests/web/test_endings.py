"""How an answer ends that does not end well: the client leaves, the time is over, the service stops."""

from __future__ import annotations

import io
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from astropy.io import votable
from lxml import etree

LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"
MANY = "SELECT a.file_id, b.file_id AS other FROM fyst.files AS a, fyst.files AS b, fyst.files AS c"
QUICK_THEN_SLOW = (
    "SELECT a.file_id FROM fyst.files AS a, fyst.programs AS b, fyst.programs AS c, fyst.programs AS d UNION ALL "
    "SELECT a.file_id FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d "
    "WHERE a.size_bytes + b.size_bytes + c.size_bytes + d.size_bytes < 0"
)
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def patient(copy_of_filled: Callable[[], str], start: Callable[..., Any]) -> Iterator[Any]:
    """A service that gives a query a minute, on a database that nobody else reads."""
    with start(copy_of_filled(), tap_maxrec_default=5_000_000) as service:
        yield service


def ask(service: Any, query: str, fmt: str = "votable", method: str = "GET") -> socket.socket:
    """A connection on which a query has been sent."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    params = str(httpx.QueryParams({"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": fmt}))
    if method == "GET":
        connection.sendall(f"GET /tap/sync?{params} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    else:
        kind = "Content-Type: application/x-www-form-urlencoded"
        connection.sendall(
            f"POST /tap/sync HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(params)}\r\n\r\n{params}".encode()
        )
    return connection


def hang_up(connection: socket.socket) -> None:
    """As a client that is killed does: at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_still_so(condition: Callable[[], bool]) -> bool:
    time.sleep(0.5)
    return condition()


# --- the client leaves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_hangs_up_while_waiting_stops_the_query(patient: Any, readers: Callable[[Any], int], method: str) -> None:
    wait_until(lambda: readers(patient) == 0, 5)
    with ask(patient, LONG, method=method) as connection:
        wait_until(lambda: readers(patient) > 0 and is_still_so(lambda: readers(patient) > 0), 10)
        hang_up(connection)
    wait_until(lambda: readers(patient) == 0, 1)
    before = processor_seconds(patient.pid)
    time.sleep(1)
    assert processor_seconds(patient.pid) - before < 0.5, "a thread still works for nobody"
    assert "Traceback" not in patient.log.read_text()


@pytest.mark.parametrize("fmt", ["votable", "csv", "parquet", "fits"])
def test_who_hangs_up_while_reading_stops_the_query(patient: Any, readers: Callable[[Any], int], fmt: str) -> None:
    wait_until(lambda: readers(patient) == 0, 5)
    with ask(patient, MANY, fmt) as connection:
        if fmt != "fits":  # whose header tells the number of rows, so that nothing is sent before the last is read
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: readers(patient) > 0, 10)
        hang_up(connection)
    wait_until(lambda: readers(patient) == 0, 1)
    assert "Traceback" not in patient.log.read_text()


def test_head_of_a_query_does_not_run_it_to_its_end(patient: Any, readers: Callable[[Any], int]) -> None:
    began = time.monotonic()
    answer = httpx.head(f"{patient.tap}/sync", params={"QUERY": MANY}, timeout=30)
    assert answer.status_code == 200
    assert time.monotonic() - began < 10
    wait_until(lambda: readers(patient) == 0, 2)


# --- the time is over ----------------------------------------------------------------------------------------


def test_a_query_that_takes_too_long_is_a_timeout_fault(hasty: Any) -> None:
    began = time.monotonic()
    answer = hasty.get(LONG)
    assert 0.9 < time.monotonic() - began < 5
    assert answer.status_code == 408
    root = etree.fromstring(answer.content)
    [status] = root.findall(".//{*}INFO[@name='QUERY_STATUS']")
    [code] = root.findall(".//{*}INFO[@name='ERROR_CODE']")
    assert (status.get("value"), code.get("value")) == ("ERROR", "TimeoutFault")
    assert "within 1 s" in status.text
    assert f"{hasty.tap}/async, where a query may take up to 21600 s" in status.text


def test_a_votable_that_breaks_midway_says_so_at_its_end(hasty: Any) -> None:
    for fmt in ("votable", "votable/td"):
        answer = hasty.get(QUICK_THEN_SLOW, RESPONSEFORMAT=fmt)
        assert answer.status_code == 200
        document = etree.fromstring(answer.content, etree.XMLParser(huge_tree=True))
        statuses = document.findall(".//{*}INFO[@name='QUERY_STATUS']")
        assert [info.get("value") for info in statuses] == ["OK", "ERROR"]
        assert "within 1 s" in statuses[1].text
        rows = votable.parse(io.BytesIO(answer.content), verify="exception").get_first_table().array
        assert len(rows) >= 16_384


def test_json_that_breaks_midway_says_so_at_its_end(hasty: Any) -> None:
    document = hasty.get(QUICK_THEN_SLOW, RESPONSEFORMAT="json").json()
    assert document["data"]
    assert "within 1 s" in str({name: value for name, value in document.items() if name != "data"})


def test_an_answer_that_is_read_for_too_long_is_broken_off_and_says_so(
    filled_url: str, start: Callable[..., Any]
) -> None:
    with start(filled_url, tap_sync_answer_s=1e-6, tap_maxrec_default=5_000_000) as impatient:
        document = etree.fromstring(impatient.get(MANY).content)
        statuses = document.findall(".//{*}INFO[@name='QUERY_STATUS']")
        assert [info.get("value") for info in statuses] == ["OK", "ERROR"]
        assert "an asynchronous query keeps them" in statuses[1].text
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            impatient.get(MANY, RESPONSEFORMAT="csv")


@pytest.mark.parametrize(("fmt", "query"), [("csv", QUICK_THEN_SLOW), ("tsv", QUICK_THEN_SLOW), ("parquet", MANY)])
def test_a_format_without_a_tail_breaks_the_connection(hasty: Any, fmt: str, query: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        hasty.get(query, RESPONSEFORMAT=fmt)
    assert "broken off: the database did not answer within 1 s" in hasty.log.read_text()
    assert "Traceback" not in hasty.log.read_text()


def test_a_service_goes_on_after_all_that(hasty: Any, readers: Callable[[Any], int]) -> None:
    assert hasty.get("SELECT TOP 1 obs_id FROM ivoa.obscore").status_code == 200
    wait_until(lambda: readers(hasty) == 0, 2)


# --- places --------------------------------------------------------------------------------------------------


def test_checks_and_pages_are_served_while_every_place_is_taken(
    own_url: str, start: Callable[..., Any], readers: Callable[[Any], int], engine: str
) -> None:
    with start(own_url, tap_sync_concurrency=2) as service, ExitStack() as stack:
        asked = [stack.enter_context(ask(service, LONG)) for _ in range(6)]
        counted = 2 if engine == "postgresql" else 1  # where queries can be counted
        wait_until(lambda: readers(service) >= counted, 30)
        time.sleep(0.5)
        if engine == "postgresql":
            assert readers(service) == 2, "as many queries run as there are places"
        began = time.monotonic()
        assert httpx.get(service.url).status_code == 200
        assert b">true<" in httpx.get(f"{service.tap}/availability").content
        assert time.monotonic() - began < 5
        for connection in asked:
            hang_up(connection)
        assert service.get("SELECT TOP 1 obs_id FROM ivoa.obscore").status_code == 200


# --- the service stops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_lets_an_answer_end_and_is_no_failure(own_url: str, start: Callable[..., Any], number: int) -> None:
    query = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.programs AS c"
    with start(own_url) as service, ask(service, query) as connection:
        time.sleep(0.5)  # a busy machine takes a while to accept the connection
        os.kill(service.pid, number)
        assert service.process.wait(15) == 0
        received = b""
        while piece := connection.recv(65536):
            received += piece
        assert received.startswith(b"HTTP/1.1 200")
        assert received.endswith(b"</VOTABLE>\n")
        assert service.log.read_text().count("\n") == 1, "it says where it serves, and no more"


def test_stopping_cancels_what_would_take_too_long(
    own_url: str, start: Callable[..., Any], readers: Callable[[Any], int]
) -> None:
    with start(own_url) as service, ask(service, LONG) as connection:
        wait_until(lambda: readers(service) > 0, 10)
        began = time.monotonic()
        os.kill(service.pid, signal.SIGTERM)
        assert service.process.wait(15) == 0
        assert time.monotonic() - began < 10
        wait_until(lambda: readers(service) == 0, 1)
        assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert "the service stops" in service.log.read_text()
        assert "Traceback" not in service.log.read_text()
