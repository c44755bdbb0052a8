"""Clients in use bring their tables: pyvo and STILTS, inline and by URL, at once and as jobs."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvo
from astropy.io import votable
from astropy.table import MaskedColumn, Table

pytestmark = pytest.mark.conformance

MATCH = (
    "SELECT u.n, o.obs_publisher_did, o.s_ra, o.s_dec FROM TAP_UPLOAD.mine AS u JOIN ivoa.obscore AS o "
    "ON DISTANCE(POINT(u.ra, u.de), POINT(o.s_ra, o.s_dec)) < 0.001"
)


@pytest.fixture
def targets(tap_url: str) -> Table:
    """Positions of some packages, and one where nothing is."""
    query = "SELECT TOP 20 s_ra, s_dec, obs_publisher_did FROM ivoa.obscore WHERE s_ra IS NOT NULL"
    found = pyvo.dal.TAPService(tap_url).search(query).to_table()
    table = Table({"n": np.arange(20, dtype=np.int32), "ra": found["s_ra"], "de": found["s_dec"]})
    table["did"] = [str(did) for did in found["obs_publisher_did"]]
    table.add_row([-1, 1.0, 89.999, "none"])
    return table


def as_votable(table: Table, form: str) -> bytes:
    document = votable.from_table(table)
    target = io.BytesIO()
    votable.writeto(document, target, tabledata_format=form)
    return target.getvalue()


@pytest.mark.filterwarnings("ignore:unclosed <socket", "ignore::pytest.PytestUnraisableExceptionWarning")  # pyvo's
@pytest.mark.usefixtures("leaky_client")
@pytest.mark.parametrize("way", ["sync", "async"])
def test_pyvo_uploads_an_astropy_table(tap_url: str, targets: Table, way: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    ask = service.run_sync if way == "sync" else service.run_async
    found = ask(MATCH, uploads={"mine": targets}).to_table()
    assert set(found["n"]) == set(range(20))
    nearest = {int(row["n"]): (row["s_ra"], row["s_dec"]) for row in found}
    assert nearest[3] == pytest.approx((targets["ra"][3], targets["de"][3]), abs=0.001)


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W03")  # a name with a blank is no XML ID
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # pyvo's
@pytest.mark.usefixtures("leaky_client")
@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_pyvo_uploads_a_document_and_gets_it_back(tap_url: str, form: str, tmp_path: Path) -> None:
    sent = Table(
        {
            "small": np.array([1, -2, 3], np.int16),
            "letter": np.array(["a", "b", ""]),
            "name with blank": ["Ωx", "", "z"],
            "z": np.array([1 + 2j, 0, -1j], np.complex64),
            "vector": np.arange(6, dtype=np.float32).reshape(3, 2),
            "half": MaskedColumn([1.5, 2.5, 3.5], mask=[False, True, False], unit="mJy", description="Half a flux"),
        }
    )
    sent["half"].info.meta = {"ucd": "phot.flux"}
    path = tmp_path / "sent.vot"
    path.write_bytes(as_votable(sent, form))
    answer = pyvo.dal.TAPService(tap_url).run_sync("SELECT * FROM TAP_UPLOAD.sent", uploads={"sent": str(path)})
    found = answer.to_table()
    assert found.colnames == sent.colnames
    assert [found[name].dtype for name in ("small", "z", "vector")] == [np.int16, np.complex64, np.float32]
    assert list(found["small"]) == [1, -2, 3]
    assert list(found["z"]) == list(sent["z"])
    assert np.array_equal(found["vector"], sent["vector"])
    assert [str(value) for value in found["name with blank"].filled("")] == ["Ωx", "", "z"]
    assert str(found["half"].unit) == "mJy"
    assert answer.getdesc("half").ucd == "phot.flux"
    assert found["half"].mask[1] or np.isnan(found["half"][1])
    assert found["half"][2] == 3.5


def run_stilts(stilts: str, *arguments: str) -> Table:
    done = subprocess.run([stilts, *arguments, "ofmt=votable-tabledata"], capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    return votable.parse_single_table(io.BytesIO(done.stdout)).to_table()


@pytest.mark.parametrize("sync", ["true", "false"])
@pytest.mark.parametrize("upload", ["TABLEDATA", "BINARY", "BINARY2"])
def test_tapquery_uploads(tap_url: str, stilts: str, targets: Table, tmp_path: Path, sync: str, upload: str) -> None:
    path = tmp_path / "mine.vot"
    path.write_bytes(as_votable(targets, "tabledata"))
    query = [f"tapurl={tap_url}", f"adql={MATCH} ORDER BY u.n", "nupload=1", f"upload1={path}", "upname1=mine"]
    found = run_stilts(stilts, "tapquery", *query, f"sync={sync}", f"upvotformat={upload}")
    assert set(found["n"]) == set(range(20))


@pytest.mark.parametrize("sync", ["true", "false"])
def test_tapskymatch_uploads(tap_url: str, stilts: str, targets: Table, tmp_path: Path, sync: str) -> None:
    path = tmp_path / "mine.vot"
    path.write_bytes(as_votable(targets, "binary2"))
    places = ["inlon=ra", "inlat=de", "taplon=s_ra", "taplat=s_dec", "taptable=ivoa.obscore"]
    query = [f"in={path}", f"tapurl={tap_url}", *places, "sr=0.001", "blocksize=7", f"sync={sync}", "find=all"]
    found = run_stilts(stilts, "tapskymatch", *query, "tapcols=obs_publisher_did")
    assert set(found["n"]) == set(range(20))


def test_the_service_declares_what_it_takes(tap_url: str) -> None:
    service = pyvo.dal.TAPService(tap_url)
    methods = {str(method.ivo_id).rpartition("#")[2] for method in service.upload_methods}
    assert methods == {"upload-inline", "upload-http", "upload-https"}
    limit: Any = service.get_tap_capability().uploadlimit
    assert (limit.hard.unit, limit.hard.content) == ("byte", 100_000_000)
