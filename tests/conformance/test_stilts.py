"""STILTS reads what pyvo reads, and its linter finds nothing to say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest
import pyvo

pytestmark = pytest.mark.conformance

QUERIES = {
    "cone": "SELECT TOP 5 * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra,s_dec),CIRCLE(83.8,-5.4,3)) "
    "ORDER BY obs_publisher_did",
    "radio": "SELECT TOP 50 * FROM ivoa.obscore_radio ORDER BY obs_publisher_did",
    "groups": "SELECT instrument_name, COUNT(*) AS n, MIN(t_min) AS t_first, AVG(em_min) AS em FROM ivoa.obscore "
    "GROUP BY instrument_name ORDER BY instrument_name",
    "nothing": "SELECT * FROM ivoa.obscore WHERE s_dec > 89.9999",
}


DOCUMENTS: dict[str, tuple[str, dict[str, str]]] = {
    **{f"{name} {form}": ("/tap/sync", {"QUERY": query, "RESPONSEFORMAT": form})
       for name, query in QUERIES.items() for form in ("votable", "votable/td")},
    **{f"cone {form}": ("/tap/sync", {"QUERY": QUERIES["cone"], "RESPONSEFORMAT": form})
       for form in ("votable/b", "votable/fits")},
    "plan": ("/tap/sync", {"QUERY": "SELECT TOP 50 * FROM ivoa.obsplan"}),
    "columns": ("/tap/sync", {"QUERY": "SELECT * FROM TAP_SCHEMA.columns", "RESPONSEFORMAT": "votable/td"}),
    "no rows wanted": ("/tap/sync", {"QUERY": QUERIES["cone"], "MAXREC": "0"}),
    "overflow": ("/tap/sync", {"QUERY": QUERIES["cone"], "MAXREC": "2"}),
    "error": ("/tap/sync", {"QUERY": "DUFF QUERY"}),
    "links": ("/datalink/links", {}),
    "no link": ("/datalink/links", {"ID": "ivo://ccat.example/raw?none"}),
}  # fmt: skip
"""Every kind of VOTable that the service writes, by its address and parameters."""


ONE_LETTER = re.compile("^INFO .*No arraysize for character, FIELD implies single character")
"""So it is: FITS knows columns that are one letter wide."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_votlint_is_silent(service_url: str, name: str, tmp_path: Path, stilts: str) -> None:
    path, params = DOCUMENTS[name]
    answer = httpx.get(f"{service_url}{path}", params=params)
    assert answer.status_code == (400 if name == "error" else 200)
    assert lint(answer.content, tmp_path, stilts) == ""


def test_votlint_is_silent_about_the_error_of_a_job(tap_url: str, tmp_path: Path, stilts: str) -> None:
    made = httpx.post(f"{tap_url}/async", data={"LANG": "ADQL", "QUERY": "DUFF QUERY", "PHASE": "RUN"})
    answer = httpx.get(f"{made.headers['location']}/error")
    assert b'value="ERROR"' in answer.content
    assert lint(answer.content, tmp_path, stilts) == ""


def lint(document: bytes, folder: Path, stilts: str) -> str:
    """What votlint has to say."""
    path = folder / "document.vot"
    path.write_bytes(document)
    judged = subprocess.run([stilts, "votlint", f"votable={path}"], capture_output=True, text=True, timeout=120)
    return "".join(line for line in (judged.stdout + judged.stderr).splitlines(True) if not ONE_LETTER.search(line))


def test_votlint_is_not_silent_about_what_is_wrong(tap_url: str, tmp_path: Path, stilts: str) -> None:
    answer = httpx.get(f"{tap_url}/sync", params={"QUERY": QUERIES["cone"], "RESPONSEFORMAT": "votable/td"})
    assert "ERROR" in lint(answer.content.replace(b"</TD>", b"</TD><TD/>", 1), tmp_path, stilts)


def test_tapquery_reads_the_same_as_pyvo(tap_url: str, stilts: str) -> None:
    query = QUERIES["cone"].replace("*", "obs_publisher_did, s_ra, s_dec, access_estsize")
    read = subprocess.run(
        [stilts, "tapquery", f"tapurl={tap_url}", f"adql={query}", "sync=true", "ofmt=csv"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert read.returncode == 0, read.stderr
    lines = [line.split(",") for line in read.stdout.splitlines()]
    rows = pyvo.dal.TAPService(tap_url).search(query)
    assert lines[0] == ["obs_publisher_did", "s_ra", "s_dec", "access_estsize"]
    assert [line[0] for line in lines[1:]] == list(rows["obs_publisher_did"])
    assert [float(line[1]) for line in lines[1:]] == pytest.approx(list(rows["s_ra"]))
    assert [int(line[3]) for line in lines[1:]] == list(rows["access_estsize"])


def test_tapquery_understands_queries_by_what_the_service_declares(tap_url: str, stilts: str) -> None:
    """It parses ADQL 2.0, with the tables, columns and features that it finds in the service."""
    region = "1=CONTAINS(POINT('ICRS',s_ra,s_dec),CIRCLE('ICRS',83.8,-5.4,3))"
    command = [stilts, "tapquery", f"tapurl={tap_url}", "sync=true", "parse=true", "ofmt=csv"]
    for column, is_there in (("s_ra", True), ("s_raa", False)):
        query = f"adql=SELECT TOP 2 {column} FROM ivoa.obscore WHERE {region}"
        read = subprocess.run([*command, query], capture_output=True, text=True, timeout=120)
        assert (read.returncode == 0) == is_there, read.stderr
        assert (read.stdout.count("\n") == 3) == is_there
    assert "s_raa" in read.stderr


def test_tapquery_reads_the_same_by_a_job(tap_url: str, stilts: str) -> None:
    query = QUERIES["cone"].replace("*", "obs_publisher_did, s_ra, s_dec, access_estsize")
    command = [stilts, "tapquery", f"tapurl={tap_url}", f"adql={query}", "ofmt=csv"]
    answers = [
        subprocess.run([*command, f"sync={sync}", *options], capture_output=True, text=True, timeout=120)
        for sync, options in (("true", []), ("false", ["poll=200", "delete=finished"]))
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers[1].stderr
    assert answers[0].stdout == answers[1].stdout
    assert answers[1].stdout.count("\n") == 6


def test_tapresume_finds_a_job_again(tap_url: str, stilts: str, tmp_path: Path) -> None:
    made = httpx.post(f"{tap_url}/async", data={"LANG": "ADQL", "QUERY": QUERIES["groups"], "PHASE": "RUN"})
    path = tmp_path / "rows.csv"
    command = [stilts, "tapresume", f"joburl={made.headers['location']}", "poll=200", f"out={path}", "ofmt=csv"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert read.returncode == 0, read.stderr
    assert path.read_text().startswith("instrument_name,n,t_first,em\n")
