"""The commands ``catalog copies …``, as an operator types them, on the example of the design document."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.cli import main
from catalog.db import Database
from catalog.opsdb.models import (
    DataLocation,
    DiskDataLocation,
    PhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    Site,
    StagingJob,
)

PACKAGE = "00000000-0000-4000-8000-000000000001"
DID = f"ivo://ccat.example/raw?{PACKAGE}"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def example(observed: Database) -> Database:
    """PRESENT at the buffer in Chile, PRESENT in the archive in Cologne, STAGED where it is processed."""
    with open_catalog(observed.engine.url.render_as_string(hide_password=False)) as catalog:
        catalog.init()
    with observed.session() as session:
        session.execute(sa.update(StagingJob).values(status="failed"))
        session.execute(sa.update(RawDataPackage).values(state="archived"))
        cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
        scratch = DiskDataLocation(site=cologne, name="scratch", location_type="processing", path="/x")
        session.add(scratch)
        package = session.scalars(sa.select(RawDataPackage).where(RawDataPackage.sequence == 0)).one()
        session.add(RawDataPackagePhysicalCopy(raw_data_package=package, location=scratch, status="staged"))
        session.commit()
    return observed


@pytest.fixture
def copies(example: Database) -> dict[str, int]:
    """The copies of the package by the names of their locations."""
    named = sa.select(DataLocation.name, PhysicalCopy.id).join(PhysicalCopy)
    with example.engine.connect() as connection:
        rows = connection.execute(named.where(PhysicalCopy.raw_data_package_id.is_not(None)))
        return {row.name: row.id for row in rows}


@pytest.fixture
def run(example: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a command; in this process, which is quicker."""
    for name in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(name)
    url = example.engine.url.render_as_string(hide_password=False)

    def command(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["catalog", "copies", *map(str, arguments), "--db", url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    return command


def test_invariant_chile_is_freed_and_the_last_archive_copy_stays(run: Run, copies: dict[str, int]) -> None:
    code, out, _ = run("list", DID)
    assert code == 0
    assert f"{copies['archive']}  cologne/archive (long_term_archive, s3)  present  verified: never" in out
    assert f"{copies['scratch']}  cologne/scratch (processing, disk)  staged" in out

    code, out, err = run("prove", DID)
    assert (code, out) == (1, "")
    assert err.startswith("no_survivor: ")
    code, _, err = run("schedule", copies["buffer"], "--actor", "ada")
    assert code == 1
    assert "no verified copy in a long-term archive would be left" in err

    assert run("verify", copies["archive"], "--outcome", "ok")[0] == 0
    assert run("prove", DID, "--without", "site:ccat")[0] == 0
    assert run("request", copies["buffer"], "--dry-run")[0] == 0
    for step in ("request", "schedule", "start", "confirm"):
        assert run(step, copies["buffer"], "--actor", "ada", "--reason", "the buffer is full")[0] == 0
    code, out, _ = run("confirm", copies["buffer"], "--actor", "ada", "--json")
    told = {"copy_id": copies["buffer"], "before": "deleted", "after": "deleted", "refusal": None}
    assert json.loads(out) == told

    for arguments in (("request", copies["archive"], "--dry-run"), ("schedule", copies["archive"], "--actor", "ada")):
        code, _, err = run(*arguments)
        assert code == 1
        assert "no_survivor" in err
    code, out, _ = run("prove", DID, "--json")
    assert code == 1
    assert json.loads(out)["refusal"] == "too_few_sites"
    assert [survivor["site"] for survivor in json.loads(out)["survivors"]] == ["cologne"]

    _, out, _ = run("history", DID)
    assert "deletion_in_progress -> deleted (confirm) by ada: the buffer is full" in out
    code, out, _ = run("at-risk")
    assert code == 1
    assert f"{DID}  below_rule  archive sites: 1" in out


def test_wrong_arguments_are_told(run: Run, copies: dict[str, int]) -> None:
    assert run("prove", DID, "--without", "cologne")[0] == 2
    assert run("prove", DID, "--without", "site:bonn")[0] == 2
    assert run("list", "ivo://ccat.example/raw?none")[0] == 2
    assert run("cancel", 999)[0] == 2
    assert run("start", copies["buffer"])[0] == 1
    assert run("verify", copies["buffer"], "--outcome", "never")[0] == 2
