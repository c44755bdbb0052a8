"""Real FITS files, as astropy's wheel installs them with its tests: which go in, and where they lie on the sky.

``astropy_files.json`` says so; tests/conformance asks the same of a running service.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy
import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.ingest.report import IngestSummary
from catalog.opsdb.models import RawDataFile, RawDataPackageMetadata
from catalog.vo.position import unit_vectors

EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("astropy_files.json").read_text())
TOLERANCE_DEG = 0.0005


@pytest.fixture
def astropy_tree(tmp_path: Path) -> Path:
    """A copy of every FITS file in the tests of the installed astropy, under the same path."""
    installed = Path(astropy.__file__).parent
    for path in sorted(installed.glob("**/tests/**/*.fits*")):
        target = tmp_path / "astropy" / path.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return tmp_path / "astropy"


def check_positions(found: dict[str, tuple[float | None, float | None]]) -> None:
    """Compare positions by relative path with the table, as far as the installed astropy has the files."""
    assert len(found.keys() & EXPECTED["centres"].keys()) >= 15
    for name, (got_ra, got_dec) in found.items():
        if name not in EXPECTED["centres"]:
            assert (got_ra, got_dec) == (None, None), name
            continue
        ra, dec = EXPECTED["centres"][name]
        assert got_ra is not None, name
        assert got_dec is not None, name
        distance = ((unit_vectors(ra, dec) - unit_vectors(got_ra, got_dec)) ** 2).sum() ** 0.5 * 57.29578
        assert distance < TOLERANCE_DEG, (name, got_ra, got_dec)


def test_exactly_the_bad_files_are_refused_and_the_rest_is_found_at_its_place(
    catalog: Database, ingest: Callable[..., IngestSummary], astropy_tree: Path
) -> None:
    names = {str(path.relative_to(astropy_tree)) for path in astropy_tree.rglob("*") if path.is_file()}
    assert len(names) > 40, "this astropy was installed without its tests"
    bad = {name: reason for name, reason in EXPECTED["bad"].items() if name in names}
    summary = ingest(catalog, astropy_tree)
    assert not summary.ok
    refused = {str(Path(p.file).relative_to(astropy_tree)): p.reason for p in summary.problems}
    assert refused.keys() == bad.keys()
    assert all(reason in refused[name] for name, reason in bad.items())
    assert (summary.refused, summary.created, summary.files) == (len(bad), len(names) - len(bad), len(names) - len(bad))

    query = sa.select(RawDataFile.relative_path, RawDataPackageMetadata.s_ra, RawDataPackageMetadata.s_dec).join(
        RawDataPackageMetadata,
        RawDataPackageMetadata.raw_data_package_id == RawDataFile.raw_data_package_id,
        isouter=True,
    )
    with catalog.engine.connect() as connection:
        check_positions({name: (ra, dec) for name, ra, dec in connection.execute(query)})

    schema, view = catalog.published_name("ivoa.obscore")
    published = sa.table(view, *map(sa.column, ("obs_id", "s_ra", "s_dec")), schema=schema)
    with catalog.engine.connect() as connection:
        rows = {str(row.obs_id): (row.s_ra, row.s_dec) for row in connection.execute(sa.select(published))}
        files = connection.execute(sa.select(RawDataFile.relative_path, RawDataFile.executed_obs_unit_id))
        found = {name: rows[str(execution)] for name, execution in files}
    assert len(rows) == len(names) - len(bad)
    check_positions(found)


def test_times_of_real_headers_are_utc(
    small: Database, ingest: Callable[..., IngestSummary], astropy_tree: Path
) -> None:
    ingest(small, astropy_tree)
    expected = {
        "io/fits/tests/data/chandra_time.fits": "2016-01-26T17:57:20.816",  # 17:58:29 TT, 68.184 s ahead
        "io/fits/tests/data/memtest.fits": "2000-07-18T23:02:53.816",  # 23:03:58 TT, 64.184 s ahead
        "io/fits/tests/data/o4sp040b0_raw.fits": "1998-04-20T18:38:15",
        "io/fits/tests/data/test0.fits": "1994-05-19T15:41:16",  # written 19/05/94
        "wcs/tests/data/dss.14.29.56-62.41.05.fits.gz": "1976-03-11T17:38:00",
        "wcs/tests/data/header_newlines.fits": "2009-06-25T08:41:23.970",
    }
    with small.engine.connect() as connection:
        query = sa.select(RawDataFile.relative_path, RawDataFile.start_time)
        found = {row.relative_path: row.start_time for row in connection.execute(query)}
    for name, time in expected.items():
        if name in found:
            start = found[name]
            assert start is not None
            assert start.isoformat(timespec="milliseconds").removesuffix("+00:00").removesuffix(".000") == time, name
