"""astroquery's TapPlus asks as a client of TAP 1.0: FORMAT, REQUEST=doQuery, and PHASE=RUN with the creation of a job.

It never closes its connections, which is the one warning that is not an error here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from astropy.table import Table
from astroquery.utils.tap.core import TapPlus

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROWS = "SELECT TOP 5 obs_publisher_did, s_ra, s_dec, t_min FROM ivoa.obscore ORDER BY obs_publisher_did"
WAYS = ["launch_job", "launch_job_async"]


@pytest.fixture
def tap(tap_url: str) -> TapPlus:
    return TapPlus(url=tap_url, verbose=False)


def ask(tap: TapPlus, way: str, query: str, **options: Any) -> Table:
    return getattr(tap, way)(query, **options).get_results()


@pytest.mark.parametrize("way", WAYS)
def test_rows_have_the_names_and_units_of_their_columns(tap: TapPlus, way: str) -> None:
    """Names are those that were asked for, although this client reads them from the IDs of a VOTable."""
    found = ask(tap, way, ROWS)
    assert found.colnames == ["obs_publisher_did", "s_ra", "s_dec", "t_min"]
    assert [str(found[name].unit) for name in found.colnames[1:]] == ["deg", "deg", "d"]
    assert len(found) == 5


def test_both_ways_answer_the_same(tap: TapPlus) -> None:
    now, later = (ask(tap, way, ROWS) for way in WAYS)
    assert list(map(str, now["obs_publisher_did"])) == list(map(str, later["obs_publisher_did"]))
    assert list(now["t_min"]) == list(later["t_min"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["table", "file"])
def test_tables_are_uploaded(tap: TapPlus, way: str, kind: str, tmp_path: Path) -> None:
    mine = Table({"n": np.array([1, 2, 3], np.int32), "x": [1.5, 2.5, 0.1], "word": ["a", "b", "c"]})
    path = tmp_path / "mine.vot"
    mine.write(path, format="votable")
    upload = mine if kind == "table" else str(path)
    query = "SELECT * FROM TAP_UPLOAD.mine ORDER BY n"
    found = ask(tap, way, query, upload_resource=upload, upload_table_name="mine")
    assert found.colnames == mine.colnames
    assert list(found["x"]) == list(mine["x"])
    assert list(map(str, found["word"])) == ["a", "b", "c"]


@pytest.mark.parametrize("way", WAYS)
def test_other_formats_and_fewer_rows(tap: TapPlus, way: str) -> None:
    assert len(ask(tap, way, ROWS, output_format="csv", maxrec=3)) == 3


@pytest.mark.parametrize("way", WAYS)
def test_an_error_says_what_is_wrong(tap: TapPlus, way: str) -> None:
    with pytest.raises(requests.exceptions.HTTPError, match="there is no column s_raa"):
        ask(tap, way, "SELECT s_raa FROM ivoa.obscore")


def test_jobs_are_listed_and_found_again(tap: TapPlus) -> None:
    made = tap.launch_job_async(ROWS, background=True)
    assert made.jobid in [job.jobid for job in tap.list_async_jobs()]
    again = tap.load_async_job(jobid=made.jobid)
    assert len(again.get_results()) == 5
    assert again.get_phase() == "COMPLETED"
