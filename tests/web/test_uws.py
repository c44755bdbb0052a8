"""Jobs over HTTP: every resource of UWS 1.1, on a service whose jobs lie in its own engine."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from astropy.io import votable
from lxml import etree

LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"
QUERY = "SELECT TOP 5 obs_publisher_did, target_name FROM ivoa.obscore ORDER BY obs_publisher_did"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
FINAL = {"COMPLETED", "ERROR", "ABORTED"}
HREF = "{http://www.w3.org/1999/xlink}href"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def jobs_of(engine: str, url: str, **settings: object) -> dict[str, object]:
    """Settings that put the jobs into a database of the same engine; on SQLite they have a file of their own anyway."""
    return {"jobs_url": url, **settings} if engine == "postgresql" else settings


@pytest.fixture(scope="module")
def tap(copy_of_filled: Callable[[], str], engine: str, start: Callable[..., Any]) -> Iterator[Any]:
    """A service of its own."""
    url = copy_of_filled()
    with start(url, **jobs_of(engine, url, tap_async_maxrec_default=100, jobs_running_per_caller=10)) as service:
        yield service


def validate(stilts: str, xml: bytes, folder: Path) -> None:
    path = folder / "document.xml"
    path.write_bytes(xml)
    judged = subprocess.run([stilts, "xsdvalidate", f"doc={path}", "uselocals=true"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def fault_of(answer: httpx.Response, status: int) -> str:
    """The message of an error document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/x-votable+xml"
    [info] = etree.fromstring(answer.content).findall(".//{*}INFO[@name='QUERY_STATUS']")
    assert info.get("value") == "ERROR"
    return str(info.text)


def rows_of(content: bytes) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in votable.parse(io.BytesIO(content), verify="exception").get_first_table().array]


def is_digest_of(header: str, content: bytes) -> bool:
    return header == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def connect(service: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def create(service: Any, **params: str) -> str:
    """Make a job and return its address."""
    answer = httpx.post(f"{service.tap}/async", data={"LANG": "ADQL", **params}, timeout=30)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def phase_of(job: str) -> str:
    return httpx.get(f"{job}/phase").text


def finished(job: str, seconds: float = 60) -> str:
    """The phase that a job ends in."""
    deadline = time.monotonic() + seconds
    while (phase := phase_of(job)) not in FINAL:
        assert time.monotonic() < deadline, phase
        httpx.get(f"{job}?WAIT=5", timeout=30)
    return phase


def completed(service: Any, query: str = QUERY, **params: str) -> str:
    job = create(service, QUERY=query, PHASE="RUN", **params)
    assert finished(job) == "COMPLETED", httpx.get(f"{job}/error").text
    return job


def document(url: str, **params: Any) -> Any:
    answer = httpx.get(url, timeout=60, **params)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/xml"
    return etree.fromstring(answer.content)


def listed(service: Any, params: Any = None, **headers: str) -> list[str]:
    """Identifiers of the jobs in the list."""
    root = document(f"{service.tap}/async", params=params, headers=headers)
    return [each.get("id") for each in root.iter(f"{UWS}jobref")]


# --- a job's life --------------------------------------------------------------------------------------------


def test_a_job_is_made_run_and_read(tap: Any, tmp_path: Path, stilts: str) -> None:
    job = create(tap, QUERY=QUERY, RUNID="first")
    assert job.startswith(f"{tap.tap}/async/")
    assert phase_of(job) == "PENDING"
    pending = document(job)
    assert pending.get("version") == "1.1"
    assert pending.findtext(f"{UWS}jobId") == job.rpartition("/")[2]
    assert pending.findtext(f"{UWS}phase") == "PENDING"
    assert pending.findtext(f"{UWS}runId") == "first"
    assert TIME.fullmatch(pending.findtext(f"{UWS}creationTime"))
    validate(stilts, etree.tostring(pending), tmp_path)

    run = httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert (run.status_code, run.headers["location"]) == (303, job)
    assert finished(job) == "COMPLETED"
    done = document(job)
    validate(stilts, etree.tostring(done), tmp_path)
    [result] = done.iter(f"{UWS}result")
    assert result.get(HREF) == f"{job}/results/result"
    [line] = document(f"{job}/results").iter(f"{UWS}result")
    assert dict(line.attrib) == dict(result.attrib)
    answer = httpx.get(result.get(HREF))
    assert answer.headers["content-type"] == "application/x-votable+xml" == result.get("mime-type")
    assert int(result.get("size")) == len(answer.content) == int(answer.headers["content-length"])
    assert rows_of(answer.content) == rows_of(tap.get(QUERY).content)


@pytest.mark.parametrize("kind", ["form", "multipart", "url", "lower case"])
def test_a_job_may_be_run_as_it_is_made(tap: Any, kind: str) -> None:
    params = {"LANG": "ADQL", "QUERY": QUERY, "PHASE": "RUN", "RESPONSEFORMAT": "csv"}
    if kind == "form":
        answer = httpx.post(f"{tap.tap}/async", data=params)
    elif kind == "multipart":
        answer = httpx.post(f"{tap.tap}/async", files={name: (None, value) for name, value in params.items()})
    elif kind == "url":
        answer = httpx.post(f"{tap.tap}/async", params=params)
    else:
        answer = httpx.post(f"{tap.tap}/async", data={name.lower(): value for name, value in params.items()})
    assert answer.status_code == 303
    job = answer.headers["location"]
    assert finished(job) == "COMPLETED"
    result = httpx.get(f"{job}/results/result")
    assert result.headers["content-type"] == "text/csv;header=present"
    assert result.headers["content-disposition"].endswith('.csv"')
    assert result.text.count("\n") == 6


@pytest.mark.parametrize("way", ["DELETE", "ACTION"])
def test_a_deleted_job_is_gone_with_all_its_resources(tap: Any, way: str) -> None:
    job = completed(tap)
    paths = ("", "/phase", "/results", "/results/result", "/parameters", "/owner", "/quote", "/destruction")
    assert all(httpx.get(f"{job}{path}").status_code == 200 for path in paths)
    gone = httpx.delete(job) if way == "DELETE" else httpx.post(job, data={"action": "delete"})
    assert (gone.status_code, gone.headers["location"]) == (303, f"{tap.tap}/async")
    for path in (*paths, "/error", "/executionduration", "/parameters/QUERY"):
        assert fault_of(httpx.get(f"{job}{path}"), 404)
    assert httpx.delete(job).status_code == 404
    assert job.rpartition("/")[2] not in listed(tap)


def test_single_values_are_plain_text(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    root = document(job)
    for path, told in (
        ("phase", "PENDING"),
        ("executionduration", root.findtext(f"{UWS}executionDuration")),
        ("destruction", root.findtext(f"{UWS}destruction")),
        ("quote", ""),
        ("owner", ""),
    ):
        answer = httpx.get(f"{job}/{path}")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text == told
        head = httpx.head(f"{job}/{path}")
        assert (head.status_code, head.content) == (200, b"")
    assert root.find(f"{UWS}ownerId").get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"


def test_limits_of_a_job_are_set_within_those_of_the_service(tap: Any) -> None:
    job = create(tap, QUERY=QUERY, EXECUTIONDURATION="17")
    assert httpx.get(f"{job}/executionduration").text == "17"
    for asked, kept in (("25", "25"), ("0", "21600"), ("999999999", "21600")):
        changed = httpx.post(f"{job}/executionduration", data={"EXECUTIONDURATION": asked})
        assert (changed.status_code, changed.headers["location"]) == (303, job)
        assert httpx.get(f"{job}/executionduration").text == kept
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert httpx.post(f"{job}/destruction", data={"DESTRUCTION": soon}).status_code == 303
    assert httpx.get(f"{job}/destruction").text == soon
    assert httpx.post(f"{job}/destruction", data={"destruction": "2999-01-01T00:00:00"}).status_code == 303
    told = datetime.fromisoformat(httpx.get(f"{job}/destruction").text)
    assert timedelta(days=29) < told - datetime.now(UTC) < timedelta(days=30, minutes=1)
    for path, params in (
        ("executionduration", {"EXECUTIONDURATION": "-1"}),
        ("executionduration", {}),
        ("destruction", {"DESTRUCTION": "tomorrow"}),
        ("phase", {"PHASE": "JUMP"}),
        ("phase", {}),
    ):
        assert fault_of(httpx.post(f"{job}/{path}", data=params), 400)


def test_a_job_is_destroyed_when_its_time_has_come(tap: Any) -> None:
    job = completed(tap)
    httpx.post(f"{job}/destruction", data={"DESTRUCTION": "2020-01-01T00:00:00Z"})
    wait_until(lambda: httpx.get(job).status_code == 404, 40)
    assert httpx.get(f"{job}/results/result").status_code == 404


def test_the_error_of_a_job_is_a_document_that_names_it(tap: Any) -> None:
    """A bad query is accepted, as the standard has it, and found out at once when it is run."""
    job = create(tap, QUERY="SELECT s_raa FROM ivoa.obscore")
    assert fault_of(httpx.get(f"{job}/error"), 404)
    httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert finished(job) == "ERROR"
    message = fault_of(httpx.get(f"{job}/error"), 200)
    assert "did you mean s_ra?" in message
    assert "^^^^^" in message
    said = httpx.get(f"{job}/error", headers={"accept": "application/json"}).json()
    assert (said["code"], said["line"], said["column"]) == ("unknown-column", 1, 8)
    assert said["job_id"] == job.rpartition("/")[2]
    assert "s_raa" in document(job).findtext(f".//{UWS}message")
    assert fault_of(httpx.get(f"{job}/results/result"), 404)
    assert list(document(f"{job}/results").iter(f"{UWS}result")) == []
    assert fault_of(httpx.post(f"{job}/phase", data={"PHASE": "RUN"}), 403)


def test_moves_that_are_not_allowed_are_refused_and_change_nothing(tap: Any) -> None:
    job = completed(tap)
    for path, params in (
        ("phase", {"PHASE": "RUN"}),
        ("phase", {"PHASE": "ABORT"}),
        ("parameters", {"QUERY": "x"}),
        ("executionduration", {"EXECUTIONDURATION": "5"}),
    ):
        answer = httpx.post(f"{job}/{path}", data=params, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (403, "PhaseFault")
        assert answer.json()["job_id"] == job.rpartition("/")[2]
    assert phase_of(job) == "COMPLETED"
    pending = create(tap, QUERY=QUERY)
    for _ in range(2):
        assert httpx.post(f"{pending}/phase", data={"PHASE": "ABORT"}).status_code == 303
    assert phase_of(pending) == "ABORTED"
    assert httpx.post(f"{pending}/phase", data={"PHASE": "RUN"}).status_code == 403


# --- parameters ----------------------------------------------------------------------------------------------


def test_parameters_are_added_and_replaced_before_the_job_is_run(tap: Any) -> None:
    job = create(tap, Query="SELECT", RUNID="a")
    for params in ({"QUERY": QUERY, "MaxRec": "2"}, {"runId": "b"}, {"RESPONSEFORMAT": "csv"}):
        added = httpx.post(f"{job}/parameters", data=params)
        assert (added.status_code, added.headers["location"]) == (303, job)
    told = {each.get("id"): each.text for each in document(f"{job}/parameters").iter(f"{UWS}parameter")}
    assert told == {"LANG": "ADQL", "QUERY": QUERY, "MaxRec": "2", "runId": "b", "RESPONSEFORMAT": "csv"}
    assert document(job).findtext(f"{UWS}runId") == "b"
    assert httpx.get(f"{job}/parameters/query").text == QUERY
    assert fault_of(httpx.get(f"{job}/parameters/UPLOAD"), 404)
    httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert finished(job) == "COMPLETED"
    assert httpx.get(f"{job}/results/result").text.count("\n") == 3


def test_parameters_sent_to_the_job_itself_are_refused(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    for params in ({"QUERY": "x"}, {"PHASE": "RUN"}, {"ACTION": "RUN"}, {}):
        assert "/parameters" in fault_of(httpx.post(job, data=params), 400)
    assert httpx.get(f"{job}/parameters/QUERY").text == QUERY
    assert phase_of(job) == "PENDING"


def test_a_file_that_comes_with_a_job_is_kept_and_shown_by_reference(tap: Any) -> None:
    table = b"ra,dec\n1,2\n"
    parts = {"LANG": (None, "ADQL"), "QUERY": (None, QUERY), "PHASE": (None, "RUN")}
    answer = httpx.post(f"{tap.tap}/async", files={**parts, "my file/1": ("t.csv", table, "text/csv")})
    job = answer.headers["location"]
    assert finished(job) == "COMPLETED"
    [file] = [each for each in document(job).iter(f"{UWS}parameter") if each.get("byReference") == "true"]
    got = httpx.get(file.text)
    assert (got.content, got.headers["content-type"]) == (table, "text/csv")
    assert is_digest_of(got.headers["repr-digest"], table)


def test_a_file_beyond_the_limit_is_refused(own_url: str, engine: str, start: Callable[..., Any]) -> None:
    with start(own_url, **jobs_of(engine, own_url, tap_upload_limit_bytes=1000)) as service:
        for path in ("async", "sync"):
            files = {"QUERY": (None, QUERY), "t": ("t", b"x" * 1001)}
            answer = httpx.post(f"{service.tap}/{path}", files=files)
            assert "1,000 bytes" in fault_of(answer, 413)
        assert listed(service) == []


def resident_bytes(pid: int) -> int:
    """Memory of a process at its highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def test_a_large_file_is_taken_without_being_held(tap: Any, tmp_path: Path) -> None:
    path, size = tmp_path / "large", 80_000_000
    with path.open("wb") as file:
        file.truncate(size)
    create(tap, QUERY=QUERY)
    before = resident_bytes(tap.pid)
    with path.open("rb") as file:
        answer = httpx.post(f"{tap.tap}/async", data={"QUERY": QUERY}, files={"t": file}, timeout=120)
    assert answer.status_code == 303
    kept = f"{answer.headers['location']}/parameters/t"
    assert int(httpx.head(kept).headers["content-length"]) == size
    with httpx.stream("GET", kept) as got:
        assert sum(len(piece) for piece in got.iter_bytes()) == size
    assert resident_bytes(tap.pid) - before < size // 2
    httpx.delete(answer.headers["location"])


# --- faults that others have ---------------------------------------------------------------------------------


def test_a_parameter_that_comes_twice_makes_no_job(tap: Any) -> None:
    before = listed(tap)
    for name in ("QUERY", "LANG", "MAXREC", "PHASE", "RUNID"):
        values = {"QUERY": QUERY, "LANG": "ADQL", "MAXREC": "1", "PHASE": "RUN", "RUNID": "x"}
        answer = httpx.post(f"{tap.tap}/async", params={name.lower(): values[name]}, data=values)
        assert f"{name} was given more than once" in fault_of(answer, 400)
    assert listed(tap) == before


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"QUERY": QUERY, "MAXREC": "-1"}, "MAXREC"),
        ({"QUERY": QUERY, "LANG": "OOBLECK"}, "LANG"),
        ({"QUERY": QUERY, "RESPONSEFORMAT": "xls"}, "the format 'xls' is not offered"),
        ({}, "QUERY"),
    ],
)
def test_wrong_parameters_lead_to_an_error_that_names_them(tap: Any, params: dict[str, str], word: str) -> None:
    job = create(tap, PHASE="RUN", **params)
    assert finished(job, 5) == "ERROR"
    assert word in fault_of(httpx.get(f"{job}/error"), 200)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_other_methods_make_and_change_nothing(tap: Any, method: str) -> None:
    before = listed(tap)
    data = {"LANG": "ADQL", "QUERY": QUERY, "PHASE": "RUN"}
    for path, allowed in (("/async", {"GET", "HEAD", "POST"}), ("/sync", {"GET", "HEAD", "POST"})):
        answer = httpx.request(method, f"{tap.tap}{path}", data=data)
        assert fault_of(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == allowed
    job = create(tap, QUERY=QUERY)
    for path in ("", "/phase", "/parameters", "/results", "/results/result", "/error", "/quote", "/owner"):
        answer = httpx.request(method, f"{job}{path}", data=data)
        assert fault_of(answer, 405)
        assert "GET" in answer.headers["allow"]
    assert set(httpx.request(method, job).headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    assert phase_of(job) == "PENDING"
    assert len(listed(tap)) == len(before) + 1
    assert httpx.delete(f"{tap.tap}/async").status_code == 405


def test_unknown_jobs_and_resources_are_not_found(tap: Any) -> None:
    job = completed(tap)
    for url in (f"{tap.tap}/async/nothing", f"{tap.tap}/async/{'x' * 5000}", f"{job}/nothing", f"{job}/results/other"):
        assert fault_of(httpx.get(url), 404)
    for path, params in (
        ("phase", {"PHASE": "RUN"}),
        ("parameters", {"QUERY": "x"}),
        ("destruction", {"DESTRUCTION": "2030-01-01"}),
    ):
        assert fault_of(httpx.post(f"{tap.tap}/async/nothing/{path}", data=params), 404)


# --- waiting -------------------------------------------------------------------------------------------------


def test_who_waits_is_told_when_the_phase_changes(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(document, job, params={"WAIT": wait}) for wait in ("-1", "40", "999999")]
        time.sleep(0.5)
        assert not any(each.done() for each in waiting)
        began = time.monotonic()
        httpx.post(f"{job}/phase", data={"PHASE": "ABORT"})
        assert {each.result().findtext(f"{UWS}phase") for each in waiting} == {"ABORTED"}
        assert time.monotonic() - began < 20, "nobody waited to the end of his time"


def test_waiting_ends_with_its_time(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    began = time.monotonic()
    assert document(job, params={"wait": "1"}).findtext(f"{UWS}phase") == "PENDING"
    assert 0.9 < time.monotonic() - began < 30


@pytest.mark.parametrize("params", [{"WAIT": "40", "PHASE": "QUEUED"}, {"WAIT": "0"}, {"PHASE": "PENDING"}])
def test_nobody_waits_who_knows_another_phase_or_does_not_want_to(tap: Any, params: dict[str, str]) -> None:
    job = create(tap, QUERY=QUERY)
    began = time.monotonic()
    assert document(job, params=params).findtext(f"{UWS}phase") == "PENDING"
    assert time.monotonic() - began < 20


def test_nobody_waits_for_a_job_that_has_ended(tap: Any) -> None:
    job = completed(tap)
    for params in ({"WAIT": "-1"}, {"WAIT": "40", "PHASE": "COMPLETED"}):
        began = time.monotonic()
        assert document(job, params=params).findtext(f"{UWS}phase") == "COMPLETED"
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("params", [{"WAIT": "-2"}, {"WAIT": "1.5"}, {"WAIT": "x"}, {"WAIT": "1", "PHASE": "NO"}])
def test_what_is_no_time_to_wait_is_refused(tap: Any, params: dict[str, str]) -> None:
    assert fault_of(httpx.get(create(tap, QUERY=QUERY), params=params), 400)


def test_a_job_that_disappears_while_it_is_waited_for_is_not_found(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(httpx.get, job, params={"WAIT": "40"}, timeout=60)
        time.sleep(0.3)
        began = time.monotonic()
        httpx.delete(job)
        assert fault_of(waiting.result(), 404)
        assert time.monotonic() - began < 20


def threads(pid: int) -> int:
    return int(re.findall(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


def test_any_number_may_wait_without_a_thread_and_without_blocking_others(tap: Any) -> None:
    job = create(tap, QUERY=QUERY)
    for _ in range(3):
        httpx.get(job)
    before = threads(tap.pid)
    with ExitStack() as stack:
        request = f"GET {httpx.URL(job).path}?WAIT=40 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        crowd = [stack.enter_context(connect(tap)) for _ in range(150)]
        for connection in crowd:
            connection.sendall(request)
        time.sleep(1)
        assert threads(tap.pid) < before + 60
        for path in ("", "/phase", "/parameters"):
            assert httpx.get(f"{job}{path}", timeout=20).status_code == 200
        assert tap.get(QUERY).status_code == 200
        httpx.post(f"{job}/phase", data={"PHASE": "ABORT"})
        for connection in crowd:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


# --- the list ------------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_phase_time_and_number(tap: Any, tmp_path: Path, stilts: str) -> None:
    pending = create(tap, QUERY=QUERY, RUNID="in the list").rpartition("/")[2]
    time.sleep(1.1)
    second = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.1)
    done, failed = (job.rpartition("/")[2] for job in (completed(tap), create(tap, QUERY="x", PHASE="RUN")))
    finished(f"{tap.tap}/async/{failed}")
    everything = listed(tap)
    assert everything[:3] == [failed, done, pending]
    for params, expected in (
        ({"LAST": "2"}, [failed, done]),
        ({"AFTER": second}, [failed, done]),
        ({"after": second, "phase": "completed"}, [done]),
        ({"LAST": "1", "PHASE": "PENDING"}, [pending]),
        ([("PHASE", "ERROR"), ("PHASE", "COMPLETED"), ("AFTER", second)], [failed, done]),
        ({"PHASE": "ARCHIVED"}, []),
        ({"LAST": "0"}, []),
        ({"LAST": "100000"}, everything),
    ):
        assert listed(tap, params) == expected, params
    answer = httpx.get(f"{tap.tap}/async", params={"LAST": "1"})
    validate(stilts, answer.content, tmp_path)
    [line] = etree.fromstring(answer.content).iter(f"{UWS}jobref")
    assert line.get(HREF) == f"{tap.tap}/async/{failed}"
    for params in ({"LAST": "x"}, {"LAST": "-1"}, {"AFTER": "now"}, {"PHASE": "DONE"}):
        assert fault_of(httpx.get(f"{tap.tap}/async", params=params), 400)


def test_nobody_sees_the_jobs_of_others_in_the_list(own_url: str, engine: str, start: Callable[..., Any]) -> None:
    trusted = jobs_of(engine, own_url, service_trusted_proxies="127.0.0.1")
    with start(own_url, **trusted) as service:
        made = {}
        for address in ("203.0.113.1", "203.0.113.2"):
            headers = {"x-forwarded-for": address, "x-forwarded-proto": "https", "x-forwarded-host": "a.example"}
            answer = httpx.post(f"{service.tap}/async", data={"QUERY": QUERY}, headers=headers)
            assert answer.headers["location"].startswith("https://a.example/tap/async/")
            made[address] = answer.headers["location"].rpartition("/")[2]
        for address, job in made.items():
            assert listed(service, **{"x-forwarded-for": address}) == [job]
        assert listed(service) == []
        assert listed(service, **{"x-forwarded-for": "unknown"}) == []
    with start(own_url, **jobs_of(engine, own_url)) as service:
        httpx.post(f"{service.tap}/async", data={"QUERY": QUERY}, headers={"x-forwarded-for": "203.0.113.1"})
        assert listed(service, **{"x-forwarded-for": "127.0.0.1"}) == []
        assert listed(service, via="1.1 proxy") == []


def test_a_page_of_another_site_is_not_shown_the_jobs_of_who_looks_at_it(tap: Any) -> None:
    create(tap, QUERY=QUERY)
    assert listed(tap)
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{tap.port}0", "http://127.0.0.1"):
        assert listed(tap, origin=origin) == []
    assert listed(tap, origin=tap.url)


# --- bounds --------------------------------------------------------------------------------------------------


def test_who_has_too_many_jobs_is_asked_to_come_later(own_url: str, engine: str, start: Callable[..., Any]) -> None:
    with start(own_url, **jobs_of(engine, own_url, jobs_jobs_per_caller=3)) as service:
        jobs = [create(service, QUERY=QUERY) for _ in range(3)]
        answer = httpx.post(f"{service.tap}/async", data={"QUERY": QUERY})
        assert "at most 3" in fault_of(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        httpx.delete(jobs[0])
        create(service, QUERY=QUERY)
        for n in range(4):
            headers = {"x-forwarded-for": f"203.0.113.{n}", "via": f"1.{n} x"}
            answer = httpx.post(f"{service.tap}/async", data={"QUERY": QUERY}, headers=headers)
            assert answer.status_code == (303 if n < 3 else 429), "no header frees from the bounds"


def test_results_are_resumed_and_verified(tap: Any) -> None:
    job = completed(tap, "SELECT * FROM ivoa.obscore", MAXREC="100")
    url = f"{job}/results/result"
    whole = httpx.get(url)
    assert is_digest_of(whole.headers["repr-digest"], whole.content)
    half = len(whole.content) // 2
    rest = httpx.get(url, headers={"range": f"bytes={half}-", "if-range": whole.headers["etag"]})
    assert rest.status_code == 206
    assert rest.content == whole.content[half:]
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    assert rest.headers["repr-digest"] == whole.headers["repr-digest"]
    assert httpx.get(url, headers={"range": "bytes=999999999-"}).status_code == 416
    assert httpx.get(url, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    head = httpx.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


# --- ends that are not good ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["ABORT", "DELETE"])
def test_ending_a_job_stops_its_query_in_the_database(
    own_url: str, engine: str, start: Callable[..., Any], readers: Callable[[Any], int], way: str
) -> None:
    with start(own_url, **jobs_of(engine, own_url)) as service:
        job = create(service, QUERY=LONG, PHASE="RUN")
        wait_until(lambda: phase_of(job) == "EXECUTING" and readers(service) > 0, 30)
        if way == "ABORT":
            assert httpx.post(f"{job}/phase", data={"PHASE": "ABORT"}).status_code == 303
            assert phase_of(job) == "ABORTED"
        else:
            assert httpx.delete(job).status_code == 303
        wait_until(lambda: readers(service) == 0, 2)
        if way == "ABORT":
            assert phase_of(job) == "ABORTED"
        assert completed(service)
        assert "Traceback" not in service.log.read_text()


def test_a_service_that_is_killed_finds_its_jobs_again(
    own_url: str, engine: str, start_in: Callable[..., Any], tmp_path: Path
) -> None:
    settings = jobs_of(engine, own_url, jobs_lease_s=1)
    with start_in(tmp_path, own_url, **settings) as service:
        pending, done = create(service, QUERY=QUERY), completed(service)
        failed = create(service, QUERY="x", PHASE="RUN")
        running = create(service, QUERY=LONG, PHASE="RUN")
        wait_until(lambda: phase_of(running) == "EXECUTING", 30)
        content = httpx.get(f"{done}/results/result").content
        os.kill(service.pid, signal.SIGKILL)
        service.process.wait(10)
    with start_in(tmp_path, own_url, **settings) as service:
        again = [f"{service.tap}/async/{job.rpartition('/')[2]}" for job in (pending, done, failed, running)]
        assert [phase_of(job) for job in again[:3]] == ["PENDING", "COMPLETED", "ERROR"]
        assert httpx.get(f"{again[1]}/results/result").content == content
        assert httpx.get(f"{again[2]}/error").status_code == 200
        assert sorted(listed(service)) == sorted(job.rpartition("/")[2] for job in again)
        wait_until(lambda: phase_of(again[3]) == "EXECUTING", 30)
        httpx.post(f"{again[3]}/phase", data={"PHASE": "ABORT"})
        assert phase_of(again[3]) == "ABORTED"
        httpx.post(f"{again[0]}/phase", data={"PHASE": "RUN"})
        assert finished(again[0]) == "COMPLETED"


def test_a_service_that_stops_hands_its_jobs_back_and_answers_who_waits(
    own_url: str, engine: str, start_in: Callable[..., Any], tmp_path: Path
) -> None:
    settings = jobs_of(engine, own_url)
    with start_in(tmp_path, own_url, **settings) as service, ThreadPoolExecutor() as pool:
        job = create(service, QUERY=LONG, PHASE="RUN")
        wait_until(lambda: phase_of(job) == "EXECUTING", 30)
        waiting = pool.submit(document, job, params={"WAIT": "50"})
        time.sleep(0.5)
        os.kill(service.pid, signal.SIGTERM)
        assert waiting.result().findtext(f"{UWS}phase") == "EXECUTING"
        assert service.process.wait(30) == 0
        assert not re.search("WARNING|ERROR|Traceback", service.log.read_text())
    with start_in(tmp_path, own_url, **settings, jobs_workers=0) as service:
        job = f"{service.tap}/async/{job.rpartition('/')[2]}"
        assert phase_of(job) == "QUEUED"
        assert "catalog worker" in service.log.read_text()
        assert httpx.delete(job).status_code == 303
