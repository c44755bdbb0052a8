"""STILTS reads what pyvo reads, and its linter finds nothing to say."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("form", ["votable", "votable/td"])
def test_votlint_is_silent(tap_url: str, name: str, form: str, tmp_path: Path, stilts: str) -> None:
    answer = httpx.get(f"{tap_url}/sync", params={"QUERY": QUERIES[name], "LANG": "ADQL", "RESPONSEFORMAT": form})
    assert answer.status_code == 200
    path = tmp_path / "answer.vot"
    path.write_bytes(answer.content)
    judged = subprocess.run([stilts, "votlint", f"votable={path}"], capture_output=True, text=True, timeout=120)
    assert judged.stdout + judged.stderr == ""


def test_votlint_is_silent_about_errors(tap_url: str, tmp_path: Path, stilts: str) -> None:
    answer = httpx.get(f"{tap_url}/sync", params={"QUERY": "DUFF QUERY", "LANG": "ADQL"})
    assert answer.status_code == 400
    path = tmp_path / "error.vot"
    path.write_bytes(answer.content)
    judged = subprocess.run([stilts, "votlint", f"votable={path}"], capture_output=True, text=True, timeout=120)
    assert judged.stdout + judged.stderr == ""


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
