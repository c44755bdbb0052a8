"""Real FITS files become packages that pyvo finds on the sky: the main job, by the commands that an operator types."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy
import pytest
import pyvo
from astropy.coordinates import SkyCoord

pytestmark = pytest.mark.conformance

CATALOG = Path(sys.executable).parent / "catalog"
EXPECTED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "ingest" / "astropy_files.json").read_text())
TOLERANCE_DEG = 0.0005
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service over a catalog that holds the files, and what filling it said."""

    tap: pyvo.dal.TAPService
    url: str
    root: Path
    exit_code: int
    summary: dict[str, Any]
    messages: str


def run_catalog(*arguments: str | Path, url: str) -> subprocess.CompletedProcess[str]:
    command = [CATALOG, *arguments, "--db", url]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=False)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of every FITS file in the tests of the installed astropy, under the same path."""
    installed, root = Path(astropy.__file__).parent, tmp_path_factory.mktemp("files")
    for path in sorted(installed.glob("**/tests/**/*.fits*")):
        target = root / path.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A fresh catalog, filled by `catalog ingest` and served by `catalog serve`; ended by its own pid."""
    folder = tmp_path_factory.mktemp("service")
    if request.param == "sqlite":
        url = f"sqlite:///{folder}/catalog.db"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    assert run_catalog("init", url=url).returncode == 0
    done = run_catalog("ingest", tree, "--create-instruments", "--json", url=url)
    log = folder / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [CATALOG, "serve", "--port", "0", "--db", url], stderr=sink, stdout=sink, env=environment()
        )
    try:
        address = announced(process, log)
        tap = pyvo.dal.TAPService(f"{address}tap")
        yield Service(tap, url, tree, done.returncode, json.loads(done.stdout), done.stderr)
    finally:
        process.terminate()
        process.wait(20)


def announced(process: subprocess.Popen[bytes], log: Path) -> str:
    """Base URL that the service says it has."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = re.search(r"serving (http://\S+/) ", log.read_text())
        if said:
            return said.group(1)
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def present(service: Service, names: Any) -> set[str]:
    """Those that the installed astropy has."""
    return {name for name in names if (service.root / name).exists()}


def test_exactly_the_bad_files_are_reported_and_the_rest_go_in(service: Service) -> None:
    files = {path.relative_to(service.root).as_posix() for path in service.root.rglob("*") if path.is_file()}
    bad = present(service, EXPECTED["bad"])
    assert len(files) > 40
    assert bad

    assert service.exit_code == 1
    told = {Path(p["file"]).relative_to(service.root).as_posix(): p["reason"] for p in service.summary["problems"]}
    assert told.keys() == bad
    for name, reason in told.items():
        assert EXPECTED["bad"][name] in reason
        assert f"{service.root / name}: {reason}" in service.messages
    assert (service.summary["refused"], service.summary["created"]) == (len(bad), len(files) - len(bad))
    found = service.tap.search("SELECT path_in_package FROM fyst.files")
    assert sorted(found["path_in_package"]) == sorted(files - bad)


def test_packages_are_found_where_the_headers_say(service: Service) -> None:
    """A cone of less than two arcseconds around each expected centre holds the file's package."""
    names = present(service, EXPECTED["centres"])
    assert len(names) >= 15
    for name in sorted(names):
        ra, dec = EXPECTED["centres"][name]
        found = service.tap.search(
            "SELECT f.path_in_package, o.s_ra, o.s_dec FROM ivoa.obscore AS o JOIN fyst.files AS f "
            "ON f.obs_publisher_did = o.obs_publisher_did "
            f"WHERE 1 = CONTAINS(POINT(o.s_ra, o.s_dec), CIRCLE({ra}, {dec}, {TOLERANCE_DEG}))"
        )
        assert name in set(found["path_in_package"]), name
        centre = SkyCoord(ra, dec, unit="deg")
        for row in found:
            assert SkyCoord(row["s_ra"], row["s_dec"], unit="deg").separation(centre).deg <= TOLERANCE_DEG


def test_files_without_coordinates_have_no_position_at_all(service: Service) -> None:
    """Never 0, 0; and nothing else lies anywhere."""
    found = service.tap.search(
        "SELECT f.path_in_package, o.s_ra FROM ivoa.obscore AS o "
        "JOIN fyst.files AS f ON f.obs_publisher_did = o.obs_publisher_did WHERE o.s_ra IS NOT NULL"
    )
    assert set(found["path_in_package"]) == present(service, EXPECTED["centres"])


def test_what_the_headers_say_is_published(service: Service) -> None:
    found = service.tap.search(
        "SELECT f.path_in_package, o.t_min, o.target_name, o.facility_name, o.calib_level, o.access_format "
        "FROM ivoa.obscore AS o JOIN fyst.files AS f ON f.obs_publisher_did = o.obs_publisher_did"
    )
    rows = {row["path_in_package"]: row for row in found}
    assert {int(row["calib_level"]) for row in found} == {1}
    chandra = rows["io/fits/tests/data/chandra_time.fits"]
    assert chandra["target_name"] == "Mrk 1434"
    assert chandra["t_min"] == pytest.approx(57413.748157593, abs=1e-8)  # 2016-01-26T17:58:29 TT, 68.184 s ahead
    plate = rows["wcs/tests/data/dss.14.29.56-62.41.05.fits.gz"]
    assert plate["t_min"] == pytest.approx(42848.734722222, abs=1e-8)  # 1976-03-11T17:38:00


def test_filling_it_again_changes_nothing(service: Service) -> None:
    """The packages are there: the same identities, the same bytes; the bad files are reported again."""
    query = "SELECT obs_publisher_did, changed_at FROM fyst.packages ORDER BY obs_publisher_did"
    before = service.tap.search(query).to_table()

    again = run_catalog("ingest", service.root, "--json", url=service.url)

    assert again.returncode == 1
    summary = json.loads(again.stdout)
    assert (summary["created"], summary["completed"]) == (0, 0)
    assert (summary["unchanged"], summary["refused"]) == (service.summary["created"], service.summary["refused"])
    assert (service.tap.search(query).to_table() == before).all()
