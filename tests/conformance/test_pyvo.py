"""pyvo asks, and nothing in the answer surprises it; warnings are errors here."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
import pyvo
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import votable
from pyvo.dal.exceptions import DALOverflowWarning, DALQueryError

pytestmark = pytest.mark.conformance

CONE = "SELECT TOP 5 * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra,s_dec),CIRCLE(83.8,-5.4,3))"


def test_the_cone_of_the_readme_returns_rows_with_units_and_ucds(tap_url: str) -> None:
    rows = pyvo.dal.TAPService(tap_url).search(CONE)
    assert len(rows) == 5
    table = rows.to_table()
    assert table["s_ra"].unit == units.deg
    assert table["access_estsize"].unit == units.Unit("kbyte")
    assert rows.getdesc("s_ra").ucd == "pos.eq.ra"
    assert rows.getdesc("t_min").utype == "obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime"
    centre = SkyCoord(83.8, -5.4, unit="deg")
    found = SkyCoord(np.asarray(table["s_ra"]), np.asarray(table["s_dec"]), unit="deg")
    assert (found.separation(centre).deg <= 3).all()


def test_the_document_is_valid_votable(tap_url: str) -> None:
    for form in ("votable", "votable/b2", "votable/td", "text/xml"):
        answer = httpx.get(f"{tap_url}/sync", params={"LANG": "ADQL", "QUERY": CONE, "RESPONSEFORMAT": form})
        parsed = votable.parse(io.BytesIO(answer.content), verify="exception")
        assert len(parsed.get_first_table().array) == 5


def test_tables_and_capabilities_are_read(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    table = service.tables["ivoa.obscore"]
    assert len(table.columns) >= 30
    assert "ivoa.obscore_radio" in service.tables
    assert service.maxrec > 0
    assert service.get_tap_capability().get_adql().get_feature_list("ivo://ivoa.net/std/TAPRegExt#features-adqlgeo")


@pytest.mark.parametrize(("top", "overflows"), [(4, False), (5, False), (6, True)])
def test_overflow_is_exact(tap_url: str, top: int, overflows: bool) -> None:
    query = {"LANG": "ADQL", "QUERY": f"SELECT TOP {top} obs_id FROM ivoa.obscore", "MAXREC": "5"}
    parsed = votable.parse(io.BytesIO(httpx.get(f"{tap_url}/sync", params=query).content), verify="exception")
    assert len(parsed.get_first_table().array) == min(top, 5)
    statuses = [info.value for info in parsed.resources[0].infos if info.name == "QUERY_STATUS"]
    assert statuses == (["OK", "OVERFLOW"] if overflows else ["OK"])


def test_pyvo_warns_of_an_overflow_that_it_did_not_ask_for(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    everything = service.search("SELECT COUNT(*) AS n FROM fyst.files")["n"][0]
    assert service.maxrec == 20_000
    assert everything < service.maxrec
    with pytest.warns(DALOverflowWarning):
        rows = service.search("SELECT a.file_id FROM fyst.files AS a, fyst.programs AS b, fyst.programs AS c")
    assert len(rows) == service.maxrec


def test_maxrec_zero_gives_the_columns(tap_url: str) -> None:
    answer = httpx.post(f"{tap_url}/sync", data={"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore", "MAXREC": "0"})
    parsed = votable.parse(io.BytesIO(answer.content), verify="exception")
    assert len(parsed.get_first_table().fields) >= 30
    assert len(parsed.get_first_table().array) == 0


def test_an_error_names_what_is_wrong(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    with pytest.raises(DALQueryError, match="s_raa") as raised:
        service.search("SELECT s_raa FROM ivoa.obscore")
    assert "s_ra" in str(raised.value)


def test_natural_join_with_the_radio_extension(tap_url: str) -> None:
    rows = pyvo.dal.TAPService(tap_url).search(
        "SELECT TOP 20 obs_publisher_did, scan_mode, instr_tel_diameter "
        "FROM ivoa.obscore NATURAL JOIN ivoa.obscore_radio WHERE scan_mode IS NOT NULL"
    )
    assert len(rows) == 20
    assert set(rows["instr_tel_diameter"]) == {6.0}


def test_both_engines_count_the_same_as_the_sum_of_groups(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    total = service.search("SELECT COUNT(*) AS n FROM ivoa.obscore")["n"][0]
    groups = service.search(
        "SELECT instrument_name, COUNT(*) AS n FROM ivoa.obscore GROUP BY instrument_name ORDER BY n DESC"
    )
    assert sum(groups["n"]) == total > 1500
    assert list(groups["n"]) == sorted(groups["n"], reverse=True)


# --- jobs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def service(tap_url: str, leaky_client: None) -> Any:
    """The service as pyvo sees it; it does not read answers of jobs to their ends, and leaves connections open."""
    return pyvo.dal.TAPService(tap_url)


LONG = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"


def test_pyvo_leads_a_job_through_its_life(service: Any) -> None:
    job = service.submit_job(CONE, runid="pyvo", maxrec=3)
    assert job.phase == "PENDING"
    assert job.url.startswith(f"{service.baseurl}/async/")
    assert job.job.runid == "pyvo"
    job.query = CONE.replace("TOP 5", "TOP 4")
    assert job.query.startswith("SELECT TOP 4")
    job.execution_duration = 33
    assert job.execution_duration.sec == 33
    later = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=1)
    job.destruction = later
    assert job.destruction.to_datetime() == later
    job.run()
    job.wait(timeout=60)
    job.raise_if_error()
    assert job.phase == "COMPLETED"
    rows = job.fetch_result()
    assert len(rows) == 3
    statuses = [info.value for info in rows.votable.resources[0].infos if info.name == "QUERY_STATUS"]
    assert statuses == ["OK", "OVERFLOW"]
    assert job.job.jobid in [each.jobid for each in service.get_job_list(phases=["COMPLETED"], last=5)]
    url = job.url
    job.delete()
    assert httpx.get(url).status_code == 404


def test_pyvo_asks_asynchronously_as_it_does_synchronously(service: Any) -> None:
    query = "SELECT TOP 30 obs_publisher_did, s_ra FROM ivoa.obscore ORDER BY obs_publisher_did"
    sync, later = service.search(query), service.run_async(query)
    assert list(sync["obs_publisher_did"]) == list(later["obs_publisher_did"])
    assert list(sync["s_ra"]) == list(later["s_ra"])


def test_pyvo_is_told_why_a_job_has_no_result(service: Any) -> None:
    job = service.submit_job("SELECT s_raa FROM ivoa.obscore")
    job.run()
    job.wait(timeout=60)
    assert job.phase == "ERROR"
    with pytest.raises(DALQueryError, match="did you mean s_ra"):
        job.raise_if_error()
    job.delete()


def test_pyvo_aborts_a_job(service: Any) -> None:
    job = service.submit_job(LONG)
    job.run()
    deadline = time.monotonic() + 60
    while job.phase != "EXECUTING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    job.abort()
    assert job.phase == "ABORTED"
    job.delete()


def test_the_limits_of_jobs_are_read(service: Any) -> None:
    capability = service.get_tap_capability()
    assert capability.executionduration.default == 3600
    assert capability.executionduration.hard == 21600
    assert capability.retentionperiod.default == 7 * 86400
    assert capability.outputlimit.default.content == 20_000
