"""The documents of jobs: valid, complete, and escaped."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from catalog.uws.documents import render_job, render_jobs, render_parameters, render_results, render_time
from catalog.uws.job import Client, Job, JobError, JobRef, Parameter, Progress, Result, StoredFile
from catalog.uws.phase import Phase

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
URL = "http://127.0.0.1:8080/tap/async"
MADE = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ODD = "a < b & \"c\" 'd' ]]> \x00\x0bé\n"
FILE = StoredFile("j/result-1", 12, "00", 'text/csv; charset="utf-8"')

PENDING = Job("j", Phase.PENDING, Client(), None, MADE, None, None, MADE + timedelta(days=7), 3600)
COMPLETED = replace(
    PENDING,
    phase=Phase.COMPLETED,
    client=Client(owner="<alice>"),
    run_id='run "7"',
    started=MADE,
    ended=MADE,
    parameters=(Parameter("Query", ODD), Parameter("UPLOAD", "t,param:a b/c"), Parameter("a b/c", "", FILE)),
    results=(Result("result", FILE, 3),),
    progress=Progress(3, 10),
)
FAILED = replace(PENDING, phase=Phase.ERROR, error=JobError(ODD, "x"), progress=Progress(0))
GONE = replace(PENDING, phase=Phase.ABORTED, error=JobError("late", "x", transient=True))
JOBS = {"pending": PENDING, "completed": COMPLETED, "failed": FAILED, "aborted": GONE}


def validate(stilts: str, document: bytes, folder: Path) -> None:
    path = folder / "document.xml"
    path.write_bytes(document)
    judged = subprocess.run([stilts, "xsdvalidate", f"doc={path}", "uselocals=true"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("name", JOBS)
def test_documents_are_valid(name: str, tmp_path: Path, stilts: str) -> None:
    for render in (render_job, render_parameters, render_results):
        validate(stilts, render(JOBS[name], URL), tmp_path)


@pytest.mark.parametrize("count", [0, 3])
def test_lists_are_valid(count: int, tmp_path: Path, stilts: str) -> None:
    refs = [JobRef("j", Phase.QUEUED, "r" if n else None, "alice" if n else None, MADE) for n in range(count)]
    document = render_jobs(refs, URL)
    validate(stilts, document, tmp_path)
    found = etree.fromstring(document)
    assert found.get("version") == "1.1"
    assert [ref.get(f"{XLINK}href") for ref in found] == [f"{URL}/j"] * count
    assert [ref.findtext(f"{UWS}phase") for ref in found] == ["QUEUED"] * count


def test_what_is_not_yet_is_nil(tmp_path: Path) -> None:
    found = etree.fromstring(render_job(PENDING, URL))
    assert found.get("version") == "1.1"
    assert [each.tag.removeprefix(UWS) for each in found] == [
        "jobId",
        "ownerId",
        "phase",
        "quote",
        "creationTime",
        "startTime",
        "endTime",
        "executionDuration",
        "destruction",
        "parameters",
        "results",
    ]
    assert [each.tag.removeprefix(UWS) for each in found if each.get(NIL)] == [
        "ownerId",
        "quote",
        "startTime",
        "endTime",
    ]


def test_a_completed_job_says_everything() -> None:
    found = etree.fromstring(render_job(COMPLETED, URL))
    assert found.findtext(f"{UWS}runId") == 'run "7"'
    assert found.findtext(f"{UWS}ownerId") == "<alice>"
    query, upload, file = found.find(f"{UWS}parameters")
    assert (query.get("id"), query.text) == ("Query", ODD.replace("\x00", "").replace("\x0b", ""))
    assert upload.text == "t,param:a b/c"
    assert (file.get("byReference"), file.text) == ("true", f"{URL}/j/parameters/a%20b%2Fc")
    (result,) = found.find(f"{UWS}results")
    assert result.get("id") == "result"
    assert result.get(f"{XLINK}href") == f"{URL}/j/results/result"
    assert (result.get("size"), result.get("mime-type")) == ("12", FILE.content_type)
    (progress,) = found.find(f"{UWS}jobInfo")
    assert [each.text for each in progress] == ["3", "10"]


def test_errors_tell_whether_they_may_pass() -> None:
    for job, kind in ((FAILED, "fatal"), (GONE, "transient")):
        error = etree.fromstring(render_job(job, URL)).find(f"{UWS}errorSummary")
        assert (error.get("type"), error.get("hasDetail")) == (kind, "true")
        assert error.findtext(f"{UWS}message")


def test_times_end_with_z_and_have_no_fraction_that_says_nothing() -> None:
    assert render_time(MADE) == "2030-01-02T03:04:05.678901Z"
    assert render_time(MADE.replace(microsecond=0)) == "2030-01-02T03:04:05Z"
