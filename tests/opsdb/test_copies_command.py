"""The commands ``catalog copies …``, as an operator types them, on the example of the design document."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
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


def test_invariant_a_package_stays_published_when_its_copies_go(example: Database, force: Any) -> None:
    force(example, sa.update(PhysicalCopy).values(status="deleted"))
    with open_catalog(example.engine.url.render_as_string(hide_password=False)) as catalog:
        catalog.refresh()
        assert catalog.record(DID).as_dict()["obs_publisher_did"] == DID
        rows = catalog.datalink.links([DID], base_url="http://catalog.example").read_all().to_pylist()
        assert rows[0]["error_message"] == "NotFoundFault: no copy of the package remains"
        assert [record.status for record in catalog.copies.copies(DID)] == ["deleted"] * 3
    for table in ("raw_data_package", "package_publication", "physical_copy"):
        schema = {"sqlite": "", "postgresql": "catalog." if table == "package_publication" else "ops."}
        with pytest.raises(sa.exc.IntegrityError, match="never deleted"), example.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {schema[example.dialect]}{table}")


def test_a_buffer_is_freed_at_once(
    run: Run, example: Database, many_packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_packages(example, 3)
    here = ("--location", "ccat/many_buffer")
    code, out, err = run("request", *here, "--older-than", "30")
    assert (code, out, err) == (0, "", "copies: none\n")
    code, out, err = run("request", *here, "--dry-run", "--limit", "2")
    assert (code, out, err) == (0, "", "copies: 2 would be deletion_pending\n")
    code, out, err = run("request", *here, "--actor", "ada", "--reason", "the buffer is full")
    assert (code, out, err) == (0, "", "copies: 3 are now deletion_pending\n")
    for step, state in (("schedule", "deletion_scheduled"), ("start", "deletion_in_progress")):
        assert run(step, *here, "--actor", "ada")[::2] == (0, f"copies: 3 are now {state}\n")
    with example.engine.connect() as connection:
        chosen = sa.select(PhysicalCopy.id).where(PhysicalCopy.status == "deletion_in_progress")
        keys = connection.scalars(chosen.order_by(PhysicalCopy.id)).all()
    gone = tmp_path / "gone"
    gone.write_text("".join(f"{key}\n" for key in [*keys, 999]), encoding="utf-8")
    assert run("confirm", "--from", gone, "--actor", "ada") == (
        1,
        "999  unknown_copy\n",
        "copies: 3 are now deleted, 1 refused (unknown_copy)\n",
    )
    code, out, _ = run("confirm", *keys, "--actor", "ada", "--json")
    assert (code, json.loads(out)) == (0, {"moved": {}, "already": 3, "refused": {}})


def test_verifications_come_from_a_file(run: Run, copies: dict[str, int], tmp_path: Path) -> None:
    told = tmp_path / "checked.csv"
    told.write_text(
        f"{copies['archive']}, ok\n\n{copies['buffer']},mismatch,2026-01-01T00:00:00Z\n999,ok\n", encoding="utf-8"
    )
    assert run("verify", "--from", told) == (
        1,
        "999  there is no copy 999\n",
        "verifications: 1 mismatch, 1 ok, 1 refused\n",
    )
    assert run("verify", copies["buffer"], copies["archive"], "--outcome", "missing")[0] == 0
    for line in ("1", "x,ok", "1,fine", "1,ok,yesterday", "1,ok,2026-01-01T00:00:00", "0,ok", f"{2**70},ok", "1,ok,,"):
        told.write_text(f"\n{line}\n", encoding="utf-8")
        code, _, err = run("verify", "--from", told)
        assert (code, f"line 2 of --from is '{line}'" in err) == (2, True), err


def test_wrong_arguments_are_told(run: Run, copies: dict[str, int]) -> None:
    assert run("prove", DID, "--without", "cologne")[0] == 2
    assert run("prove", DID, "--without", "site:bonn")[0] == 2
    assert run("list", "ivo://ccat.example/raw?none")[0] == 2
    assert run("cancel", 999)[0] == 2
    assert run("start", copies["buffer"])[0] == 1
    assert run("verify", copies["buffer"], "--outcome", "never")[0] == 2
    for wrong in (
        ("verify", copies["buffer"]),
        ("verify", "--outcome", "ok"),
        ("request",),
        ("request", copies["buffer"], "--location", "ccat/buffer"),
        ("request", copies["buffer"], "--older-than", 3),
        ("request", "--from", "/nowhere"),
        ("request", "--location", "ccat/none"),
        ("request", 0),
        ("request", 2**70),
    ):
        assert run(*wrong)[0] == 2, wrong
