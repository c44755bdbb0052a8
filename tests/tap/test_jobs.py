"""Asynchronous queries, from their parameters to the stored result, and to the database that is asked no more."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from astropy.io import votable

from catalog import Catalog, Settings, open_catalog
from catalog.access import Caller
from catalog.errors import QueryError
from catalog.uws.job import Client, Job
from catalog.uws.phase import FINISHED, Phase

ALICE = Client(owner="alice")
LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d, fyst.files AS e"
BREAKS_MIDWAY = (
    "SELECT a.size_bytes FROM fyst.files AS a, fyst.files AS b UNION ALL "
    "SELECT CAST(c.file_name AS BIGINT) FROM fyst.files AS c"
)


@pytest.fixture
def open_again(catalog: Catalog, tmp_path: Path) -> Iterator[Callable[..., Catalog]]:
    """Opens the catalog once more, as another process would, with jobs of this test's own."""
    url = catalog.settings.database.url.get_secret_value()
    jobs = f"sqlite:///{tmp_path}/jobs.db" if catalog.database.dialect == "sqlite" else url
    opened: list[Catalog] = []

    def open_it(**tap: Any) -> Catalog:
        values = {"database": {"url": url}, "tap": tap, "jobs": {"url": jobs, "results": str(tmp_path / "results")}}
        opened.append(Catalog(Settings.model_validate(values)))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()
    with catalog.database.begin() as connection:
        if catalog.database.dialect == "postgresql":
            connection.execute(sa.text("DROP SCHEMA IF EXISTS uws CASCADE"))


@pytest.fixture
def ours(open_again: Callable[..., Catalog]) -> Iterator[Catalog]:
    """A catalog with one thread that does jobs."""
    opened = open_again()
    runner = opened.runner(1)
    runner.start()
    yield opened
    runner.stop()


def ask(catalog: Catalog, query: str, **parameters: str) -> str:
    pairs = [("QUERY", query), ("PHASE", "RUN"), *parameters.items()]
    return catalog.jobs.create(pairs, client=ALICE).id


def wait(catalog: Catalog, job_id: str, *phases: Phase) -> Job:
    deadline = time.monotonic() + 60
    while (job := catalog.jobs.get(job_id, client=ALICE)).phase not in (phases or FINISHED):
        assert time.monotonic() < deadline, f"the job is still {job.phase}"
        time.sleep(0.02)
    return job


def content(catalog: Catalog, job: Job) -> bytes:
    with catalog.jobs.open(job.results[0].file) as file:
        return file.read()


def test_opening_a_catalog_makes_no_files_for_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as opened:
        opened.init()
        assert not (tmp_path / "var").exists()
        opened.jobs.create([], client=ALICE)
    assert (tmp_path / "var" / "jobs.db").exists()


@pytest.mark.parametrize(
    ("fmt", "beginning"),
    [("", b"<?xml"), ("csv", b"obs_id"), ("votable/td", b"<?xml"), ("fits", b"SIMPLE"), ("application/json", b"{")],
)
def test_a_query_is_answered_in_the_format_asked_for(ours: Catalog, fmt: str, beginning: bytes) -> None:
    job = wait(ours, ask(ours, "SELECT TOP 5 obs_id FROM ivoa.obscore", ResponseFormat=fmt))
    assert job.phase is Phase.COMPLETED
    (result,) = job.results
    assert (result.id, result.rows, result.truncated) == ("result", 5, False)
    assert content(ours, job).startswith(beginning)
    assert job.progress is not None
    assert job.progress.rows == 5


def test_the_result_says_what_the_synchronous_one_says(ours: Catalog) -> None:
    query = "SELECT obs_publisher_did, s_ra FROM ivoa.obscore WHERE s_ra > 0 ORDER BY obs_publisher_did"
    job = wait(ours, ask(ours, query))
    found = votable.parse(io.BytesIO(content(ours, job)), verify="exception")
    with ours.query(query) as rows:
        expected = rows.read_all().to_pydict()
    table = found.get_first_table().array
    assert [str(did) for did in table["obs_publisher_did"]] == expected["obs_publisher_did"]
    assert list(table["s_ra"]) == expected["s_ra"]
    infos = {info.name: info.value for info in found.resources[0].infos}
    assert infos["query"] == query


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_overflow_is_noticed(ours: Catalog, more: int) -> None:
    query = "SELECT obs_id FROM ivoa.obscore"
    with ours.query(query) as rows:
        count = rows.read_all().num_rows
    job = wait(ours, ask(ours, query, MAXREC=str(count + more)))
    (result,) = job.results
    assert (result.rows, result.truncated) == (min(count, count + more), more < 0)
    assert (b"OVERFLOW" in content(ours, job)) == (more < 0)


def test_no_rows_are_a_result(ours: Catalog) -> None:
    job = wait(ours, ask(ours, "SELECT obs_id FROM ivoa.obscore WHERE 1 = 0"))
    assert (job.phase, job.results[0].rows) == (Phase.COMPLETED, 0)
    job = wait(ours, ask(ours, "SELECT obs_id FROM ivoa.obscore", MAXREC="0"))
    assert (job.phase, job.results[0].rows) == (Phase.COMPLETED, 0)


def test_jobs_have_limits_of_their_own(open_again: Callable[..., Catalog]) -> None:
    ours = open_again(maxrec_default=1, maxrec_hard=2, async_maxrec_default=3, async_maxrec_hard=4)
    runner = ours.runner(1)
    runner.start()
    query = "SELECT obs_id FROM ivoa.obscore"
    assert wait(ours, ask(ours, query)).results[0].rows == 3
    assert wait(ours, ask(ours, query, MAXREC="10")).results[0].rows == 4
    runner.stop()


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("QUERY", "SELECT TOP 5 nothing FROM ivoa.obscore")], "nothing"),
        ([("QUERY", "SELEC 1")], "SELEC"),
        ([], "QUERY"),
        ([("QUERY", "SELECT 1 AS a FROM ivoa.obscore"), ("MAXREC", "-1")], "MAXREC"),
        ([("QUERY", "SELECT 1 AS a FROM ivoa.obscore"), ("LANG", "OOBLECK")], "LANG"),
        ([("QUERY", "SELECT 1 AS a FROM ivoa.obscore"), ("RESPONSEFORMAT", "papyrus")], "papyrus"),
    ],
)
def test_what_cannot_be_answered_fails_at_once_when_it_is_run(
    open_again: Callable[..., Catalog], pairs: list[tuple[str, str]], sentence: str
) -> None:
    """Without any worker; and not when the job is made."""
    ours = open_again()
    job = ours.jobs.create(pairs, client=ALICE)
    assert job.phase is Phase.PENDING
    job = ours.jobs.run(job.id, client=ALICE)
    assert job.phase is Phase.ERROR
    assert job.error is not None
    assert sentence in job.error.message


def test_the_place_in_the_query_is_kept(open_again: Callable[..., Catalog]) -> None:
    ours = open_again()
    job_id = ask(ours, "SELECT TOP 5 obs_idd\nFROM ivoa.obscore")
    error = ours.jobs.get(job_id, client=ALICE).error
    assert error is not None
    fault = error.to_fault()
    assert isinstance(fault, QueryError)
    assert (fault.code, fault.line, fault.column, fault.length) == ("unknown-column", 1, 14, 7)
    assert "obs_id" in str(fault.hint)
    assert fault.proposal == "SELECT TOP 5 obs_id\nFROM ivoa.obscore"


@pytest.mark.parametrize("fmt", ["votable", "votable/td", "json", "csv", "fits", "parquet"])
def test_a_query_that_breaks_midway_is_an_error_in_every_format(ours: Catalog, fmt: str) -> None:
    """Also in those that could tell so after the rows."""
    job = wait(ours, ask(ours, BREAKS_MIDWAY, RESPONSEFORMAT=fmt))
    assert job.phase is Phase.ERROR
    assert job.results == ()
    assert job.error is not None
    assert job.error.code == "bad-cast"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a request."""

    name: str
    content: bytes
    content_type: str = "text/csv"

    @property
    def file(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def bring(catalog: Catalog, query: str, upload: str, *parts: Part) -> Job:
    pairs = [("QUERY", query), ("UPLOAD", upload), ("RESPONSEFORMAT", "csv"), ("PHASE", "RUN")]
    return wait(catalog, catalog.jobs.create(pairs, client=ALICE, files=parts).id)


def test_uploads_come_along(ours: Catalog) -> None:
    query = "SELECT b.n, a.n AS m FROM TAP_UPLOAD.One AS a JOIN tap_upload.two AS b ON a.n < b.n ORDER BY b.n, a.n"
    parts = [Part("first", b"n\n1\n2\n"), Part("second", b"n\n2\n3\n")]
    job = bring(ours, query, "one,param:first;two,param:second", *parts)
    assert job.phase is Phase.COMPLETED
    assert content(ours, job).split() == [b"n,m", b"2,1", b"3,1", b"3,2"]
    ours.jobs.delete(job.id, client=ALICE)


def test_uploads_may_come_later_and_bit_by_bit(ours: Catalog) -> None:
    job = ours.jobs.create([("QUERY", "SELECT a.x, b.y FROM tap_upload.a, tap_upload.b")], client=ALICE)
    for name, column in (("a", "x"), ("b", "y")):
        part = Part(name, f"{column}\n7\n".encode())
        ours.jobs.add_parameters(job.id, [("UPLOAD", f"{name},param:{name}")], client=ALICE, files=[part])
    ours.jobs.run(job.id, client=ALICE)
    done = wait(ours, job.id)
    assert done.phase is Phase.COMPLETED
    assert done.results[0].rows == 1


@pytest.mark.parametrize(
    ("query", "upload", "sentence"),
    [
        ("SELECT nothing FROM tap_upload.t", "t,param:f", "nothing"),
        ("SELECT n FROM tap_upload.t", "t,param:other", "other"),
        ("SELECT n FROM tap_upload.t", "t,file:///etc/passwd", "http"),
        ("SELEC n FROM tap_upload.t", "t,param:f", "SELEC"),
    ],
)
def test_what_is_wrong_with_an_upload_is_the_error_of_the_job(
    ours: Catalog, query: str, upload: str, sentence: str
) -> None:
    job = bring(ours, query, upload, Part("f", b"n\n1\n"))
    assert job.phase is Phase.ERROR
    assert job.error is not None
    assert sentence in job.error.message


def test_a_table_elsewhere_is_fetched_when_the_job_is_run_if_its_host_is_allowed(
    open_again: Callable[..., Catalog],
) -> None:
    class Table(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.end_headers()
            self.wfile.write(b"n\n41\n")

        def log_message(self, *args: object) -> None:
            pass

    query = "SELECT n + 1 AS m FROM tap_upload.t"
    with HTTPServer(("127.0.0.1", 0), Table) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"t,http://127.0.0.1:{server.server_port}/table"
        answers = []
        for allowed in ([], ["127.0.0.1"]):
            ours = open_again(upload_allowed_hosts=allowed)
            runner = ours.runner(1)
            runner.start()
            answers.append(bring(ours, query, url))
            runner.stop()
        server.shutdown()
    refused, done = answers
    assert (refused.phase, done.phase) == (Phase.ERROR, Phase.COMPLETED)
    assert content(ours, done).split() == [b"m", b"42"]


def is_asked(catalog: Catalog) -> bool:
    """Whether the database works on a query of the reading side."""
    if catalog.database.dialect == "sqlite":
        return any(not batches._released for batches in catalog.database._running)
    with catalog.database.engine.connect() as connection:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        statement += "AND application_name = 'catalog' AND pid <> pg_backend_pid()"
        return bool(connection.scalar(sa.text(statement)))


@pytest.mark.parametrize("act", ["abort", "delete"])
@pytest.mark.parametrize("where", ["here", "in another process"])
def test_aborting_and_deleting_cancel_the_query_in_the_database(
    ours: Catalog, open_again: Callable[..., Catalog], act: str, where: str
) -> None:
    job_id = ask(ours, LONG)
    wait(ours, job_id, Phase.EXECUTING)
    until(lambda: is_asked(ours))
    time.sleep(0.5)
    assert is_asked(ours), "the query is too quick for this test"
    getattr((ours if where == "here" else open_again()).jobs, act)(job_id, client=ALICE)
    until(lambda: not is_asked(ours))
    assert wait(ours, ask(ours, "SELECT TOP 1 obs_id FROM ivoa.obscore")).phase is Phase.COMPLETED


def test_a_query_beyond_its_duration_is_aborted_and_cancelled(ours: Catalog) -> None:
    job = wait(ours, ask(ours, LONG, EXECUTIONDURATION="1"))
    assert job.phase is Phase.ABORTED
    assert job.error is not None
    assert "execution duration of 1 s" in job.error.message
    until(lambda: not is_asked(ours))


def test_stopping_cancels_the_query_and_a_later_process_answers_it(open_again: Callable[..., Catalog]) -> None:
    first = open_again()
    runner = first.runner(1)
    runner.start()
    job_id = ask(first, LONG)
    wait(first, job_id, Phase.EXECUTING)
    until(lambda: is_asked(first))
    runner.stop()
    assert not is_asked(first)
    first.close()
    second = open_again()
    assert second.jobs.get(job_id, client=ALICE).phase is Phase.QUEUED
    runner = second.runner(1)
    runner.start()
    wait(second, job_id, Phase.EXECUTING)
    runner.stop()


def test_closing_the_catalog_hands_jobs_back(open_again: Callable[..., Catalog]) -> None:
    first = open_again()
    first.runner(1).start()
    job_id = ask(first, LONG)
    wait(first, job_id, Phase.EXECUTING)
    first.close()
    assert open_again().jobs.get(job_id, client=ALICE).phase is Phase.QUEUED


def test_results_outlive_the_process(open_again: Callable[..., Catalog]) -> None:
    first = open_again()
    runner = first.runner(1)
    runner.start()
    job = wait(first, ask(first, "SELECT TOP 3 obs_id FROM ivoa.obscore", RESPONSEFORMAT="csv"))
    runner.stop()
    expected = content(first, job)
    first.close()
    second = open_again()
    assert second.jobs.get(job.id, client=ALICE) == job
    assert content(second, job) == expected


def test_expected_rows_are_told_where_the_planner_says_them(ours: Catalog) -> None:
    job = wait(ours, ask(ours, "SELECT obs_id FROM ivoa.obscore", MAXREC="7"))
    assert job.progress is not None
    expected = 7 if ours.database.dialect == "postgresql" else None
    assert job.progress.rows_expected == expected


@pytest.mark.parametrize(
    ("bounds", "permissions", "programmes", "roles"),
    [
        ({}, {"read:observations"}, 2, {"observer"}),
        ({"scopes": frozenset({"write:observations"})}, set(), 0, {"observer"}),
        ({"scopes": frozenset({"read:observations"})}, {"read:observations"}, 2, {"observer"}),
        ({"scopes": frozenset({"read:unreleased"})}, set(), 0, {"observer"}),
        ({"roles": frozenset({"service"})}, {"read:observations"}, 2, {"observer"}),
        ({"scopes": frozenset({"read:unreleased"}), "roles": frozenset({"service"})}, set(), 0, {"observer"}),
        ({"roles": frozenset({"no such role"})}, {"read:observations"}, 2, {"observer"}),
    ],
)
def test_a_job_runs_with_what_its_credential_had_and_no_more(
    ours: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    bounds: dict[str, Any],
    permissions: set[str],
    programmes: int,
    roles: set[str],
) -> None:
    """Of a member of two programmes. Roles that an issuer vouched for are gone with the issuer; here there is none."""
    run, callers = ours.tap.run, []

    def watched(*words: Any, caller: Caller, **named: Any) -> Any:
        callers.append(caller)
        return run(*words, caller=caller, **named)

    monkeypatch.setattr(ours.tap, "run", watched)
    client = Client(owner="synthetic-observer-1", **bounds)
    job_id = ours.jobs.create([("QUERY", "SELECT TOP 1 obs_id FROM ivoa.obscore"), ("PHASE", "RUN")], client=client).id
    until(lambda: ours.jobs.get(job_id, client=client).phase in FINISHED)
    assert ours.jobs.get(job_id, client=client).phase is Phase.COMPLETED
    [caller] = callers
    assert caller.username == "synthetic-observer-1"
    assert caller.permissions & {"read:observations", "read:unreleased"} == permissions
    assert len(caller.programmes) == programmes
    assert caller.roles == roles


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
