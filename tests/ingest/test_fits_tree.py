"""Trees of FITS files into a catalog: grouped, packed, repeated, changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io import fits

from catalog.db import Database
from catalog.errors import UsageError
from catalog.ingest.report import IngestSummary
from catalog.opsdb.enums import Status, Verification
from catalog.opsdb.identity import build_execution_id
from catalog.opsdb.models import (
    DataLocation,
    ExecutedObsUnit,
    ObsUnit,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    SolarSystemObject,
    Source,
)

Ingest = Callable[..., IngestSummary]
Content = Callable[[Database], dict[str, list[tuple[Any, ...]]]]

BASE = {"TELESCOP": "FYST", "INSTRUME": "CHAI", "OBJECT": "Orion-KL"}
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL2": -5.4, "CRPIX1": 5.5, "CRPIX2": 5.5} | {
    "CDELT1": -0.01,
    "CDELT2": 0.01,
}


def write(root: Path, name: str, **cards: Any) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    unit = fits.PrimaryHDU(np.zeros((10, 10), np.uint8))
    unit.header.update(
        {key.replace("_", "-") if key.startswith("DATE") else key: value for key, value in cards.items()}
    )
    unit.writeto(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two modules in one observation, an observation of its own, and things that are not FITS."""
    root = tmp_path / "tree"
    one = BASE | {"OBS_ID": "scan 25650"}
    write(root, "n1/lfa_1.fits", **one, DETECTOR="LFA", DATE_OBS="2026-04-01T02:00:00", EXPTIME=60, **SKY, CRVAL1=83.7)
    write(root, "n1/lfa_2.fits", **one, DETECTOR="LFA", DATE_OBS="2026-04-01T02:02:00", EXPTIME=60, **SKY, CRVAL1=83.9)
    write(root, "n1/hfa_1.fits", **one, DETECTOR="HFA", DATE_OBS="2026-04-01T02:01:00", EXPTIME=240, **SKY, CRVAL1=83.8)
    write(root, "n2/jupiter.fits", **(BASE | {"OBJECT": "JUPITER"}), DATE_OBS="2026-04-02T02:00:00", EXPTIME=60)
    (root / "n2" / "log.txt").write_text("wind")
    return root


def packages(database: Database) -> dict[str, RawDataPackage]:
    """Packages by module."""
    with database.session() as session:
        query = sa.select(RawDataPackage).options(sa.orm.selectinload("*"))
        return {package.instrument_module.name: package for package in session.scalars(query)}


def test_files_become_packages_of_observation_and_module(catalog: Database, ingest: Ingest, root: Path) -> None:
    summary = ingest(catalog, root)
    assert summary.ok
    assert (summary.records, summary.created, summary.files, summary.skipped) == (3, 3, 4, 1)
    found = packages(catalog)
    assert sorted(found) == ["HFA", "LFA", "main"]
    lfa, hfa, jupiter = found["LFA"], found["HFA"], found["main"]
    assert [file.relative_path for file in sorted(lfa.files, key=lambda f: f.name)] == [
        "n1/lfa_1.fits",
        "n1/lfa_2.fits",
    ]
    assert lfa.executed_obs_unit_id == hfa.executed_obs_unit_id == build_execution_id("FYST", "CHAI", "scan 25650")
    assert jupiter.executed_obs_unit_id == build_execution_id("FYST", "CHAI", "file:n2/jupiter.fits")
    assert lfa.relative_path.startswith("CHAI/LFA/scan_25650_")
    assert (lfa.content_format, lfa.status) == ("application/fits", Status.COMPLETED)
    metadata = lfa.package_metadata
    assert metadata is not None
    assert (metadata.s_ra, metadata.s_dec) == pytest.approx((83.8, -5.4), abs=1e-4)
    assert (metadata.t_exptime, metadata.facility_name, metadata.dataproduct_type) == (120.0, "FYST", "image")
    with catalog.session() as session:
        execution = session.get_one(ExecutedObsUnit, lfa.executed_obs_unit_id)
        assert execution.start_time is not None
        assert execution.end_time is not None
        assert execution.start_time.isoformat() == "2026-04-01T02:00:00+00:00"
        assert execution.end_time.isoformat() == "2026-04-01T02:05:00+00:00"
        assert sorted(session.scalars(sa.select(ObsUnit.name))) == ["Ingested: JUPITER", "Ingested: Orion-KL"]
        kinds = {source.name: type(source) for source in session.scalars(sa.select(Source))}
        assert kinds == {"JUPITER": SolarSystemObject, "Orion-KL": Source}
        for kept in session.scalars(sa.select(PhysicalCopy)):
            content = Path(kept.full_path).read_bytes()
            assert kept.verification is Verification.OK
            assert kept.checksum == hashlib.sha256(content).hexdigest()
        assert session.scalar(sa.select(sa.func.count()).select_from(PhysicalCopy)) == 4


def test_packages_have_the_size_and_checksum_that_their_tar_has(
    catalog: Database, ingest: Ingest, content: Content, root: Path, tmp_path: Path
) -> None:
    ingest(catalog, root)
    before = {name: (p.size_bytes, p.checksum) for name, p in packages(catalog).items()}
    summary = ingest(catalog, root, tar_dir=tmp_path / "tars")
    assert (summary.completed, summary.refused) == (3, 0)
    assert {name: (p.size_bytes, p.checksum) for name, p in packages(catalog).items()} == before
    with catalog.session() as session:
        tars = session.scalars(sa.select(RawDataPackagePhysicalCopy)).all()
        for kept in tars:
            size, checksum = before[kept.raw_data_package.instrument_module.name]
            data = Path(kept.full_path).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, checksum)
            assert (kept.checksum, kept.verification) == (checksum, Verification.OK)
        assert len(tars) == 3
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "tars").rglob("*") if path.is_file()}
    assert len(written) == 3
    before_again = content(catalog)
    again = ingest(catalog, root, tar_dir=tmp_path / "tars")
    assert (again.unchanged, again.files) == (3, 0)
    assert content(catalog) == before_again
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "tars").rglob("*") if path.is_file()} == written


def test_unpacking_every_tar_restores_the_tree(small: Database, ingest: Ingest, root: Path, tmp_path: Path) -> None:
    ingest(small, root, tar_dir=tmp_path / "tars")
    for path in (tmp_path / "tars").rglob("*.tar"):
        with tarfile.open(path) as opened:
            opened.extractall(tmp_path / "restored", filter="data")

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.fits")}

    assert contents(tmp_path / "restored") == contents(root)


def test_the_same_tree_elsewhere_has_the_same_identities(
    small: Database, ingest: Ingest, root: Path, tmp_path: Path
) -> None:
    ingest(small, root)
    shutil.copytree(root, tmp_path / "moved")
    summary = ingest(small, tmp_path / "moved")
    assert (summary.created, summary.completed) == (0, 3)
    with small.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(RawDataFile)) == 4
        assert session.scalar(sa.select(sa.func.count()).select_from(DataLocation)) == 2


@pytest.mark.parametrize("with_tar", [False, True])
def test_changed_bytes_are_refused_and_not_overwritten(
    small: Database, ingest: Ingest, content: Content, root: Path, tmp_path: Path, with_tar: bool
) -> None:
    options = {"tar_dir": tmp_path / "tars"} if with_tar else {}
    ingest(small, root, **options)
    before = content(small)
    tars = {path: path.read_bytes() for path in (tmp_path / "tars").rglob("*.tar")}
    changed = root / "n1" / "lfa_2.fits"
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    summary = ingest(small, root, **options)
    assert (summary.refused, summary.unchanged) == (1, 2)
    (problem,) = summary.problems
    assert problem.file == str(root / "n1" / "lfa_1.fits")
    assert ("exists with other bytes" if with_tar else "its bytes differ") in problem.reason
    assert content(small) == before
    assert {path: path.read_bytes() for path in (tmp_path / "tars").rglob("*") if path.is_file()} == tars


def test_a_refused_package_leaves_no_tar(small: Database, ingest: Ingest, root: Path, tmp_path: Path) -> None:
    summary = ingest(small, root, tar_dir=tmp_path / "tars", create_instruments=False)
    assert (summary.created, summary.refused) == (0, 3)
    assert [path for path in (tmp_path / "tars").rglob("*") if path.is_file()] == []


def test_a_dry_run_of_a_tree_keeps_nothing(
    catalog: Database, ingest: Ingest, content: Content, root: Path, tmp_path: Path
) -> None:
    before = content(catalog)
    dry = ingest(catalog, root, tar_dir=tmp_path / "tars", dry_run=True)
    assert not (tmp_path / "tars").exists()
    assert content(catalog) == before
    assert dry.to_json() | {"dry_run": False} == ingest(catalog, root, tar_dir=tmp_path / "tars").to_json()


def test_bad_files_are_reported_and_the_rest_goes_in(small: Database, ingest: Ingest, root: Path) -> None:
    bad = {"empty.fits": b"", "text.fits": b"no FITS", "cut.fits.gz": b"\x1f\x8b\x08"}
    bad["cut.fits"] = (root / "n1" / "lfa_1.fits").read_bytes()[:2900]
    for name, data in bad.items():
        (root / name).write_bytes(data)
    os.mkfifo(root / "pipe.fits")
    (root / "out.fits").symlink_to("/etc/passwd")
    (root / "a\nb.fits").write_bytes(b"")
    summary = ingest(small, root)
    assert not summary.ok
    assert (summary.created, summary.refused) == (3, 7)
    names = [Path(problem.file).name for problem in summary.problems]
    assert names == [r"a\nb.fits", "cut.fits", "cut.fits.gz", "empty.fits", "out.fits", "pipe.fits", "text.fits"]


def test_program_and_location_are_options(small: Database, ingest: Ingest, root: Path) -> None:
    ingest(small, root, program="Comm", location="cologne/incoming")
    with small.session() as session:
        location = session.scalars(sa.select(DataLocation)).one()
        assert (location.site.key, location.name, location.full_path("x")) == ("cologne", "incoming", str(root / "x"))
        assert {unit.program.short_name for unit in session.scalars(sa.select(ObsUnit))} == {"Comm"}
    with pytest.raises(UsageError, match=r"the location cologne/incoming is .*tree, not .*n1"):
        ingest(small, root / "n1", location="cologne/incoming")


def test_one_file_may_be_ingested_alone(small: Database, ingest: Ingest, root: Path) -> None:
    summary = ingest(small, root / "n2" / "jupiter.fits")
    assert (summary.created, summary.files) == (1, 1)


def test_the_telescope_of_the_header_is_published_whatever_came_first(
    small: Database, ingest: Ingest, tmp_path: Path
) -> None:
    write(tmp_path, "a.fits", INSTRUME="CAM")
    write(tmp_path, "b.fits", INSTRUME="CAM", TELESCOP="One")
    write(tmp_path, "c.fits", INSTRUME="CAM", TELESCOP="Two")
    ingest(small, tmp_path)
    with small.engine.connect() as connection:
        view = sa.table("ivoa_obscore", sa.column("facility_name"))
        assert sorted(connection.scalars(sa.select(view.c.facility_name))) == ["One", "Two", "unknown"]


def test_progress_counts_files(small: Database, ingest: Ingest, root: Path) -> None:
    told: list[tuple[int, int | None]] = []
    ingest(small, root, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
