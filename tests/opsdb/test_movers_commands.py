"""The commands of builders and movers, as programs and wrong hands type them; the how-to page runs them all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.cli import main
from catalog.db import Database
from catalog.errors import NotFoundError
from catalog.opsdb.models import DataTransferPackage, DataTransferRoute, RawDataFile, RawDataPackage, Site

EXECUTED = UUID("00000000-0000-4000-8000-0000000000ee")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(observed: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a command on a catalog with one file that is in no package and a route; in this process."""
    for name in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(name)
    url = observed.engine.url.render_as_string(hide_password=False)
    with open_catalog(url) as catalog:
        catalog.init()
    with observed.session() as session:
        session.execute(sa.update(RawDataPackage).values(status="failed"))
        session.execute(sa.update(DataTransferPackage).values(status="failed"))
        module = session.scalars(sa.select(RawDataPackage.instrument_module_id)).first()
        named = {"name": "late.fits", "relative_path": "late.fits", "size_bytes": 10}
        session.add(RawDataFile(id=uuid4(), instrument_module_id=module, executed_obs_unit_id=EXECUTED, **named))
        sites = {site.key: site.id for site in session.scalars(sa.select(Site))}
        ends = {"origin_site_id": sites["ccat"], "destination_site_id": sites["cologne"]}
        session.add(DataTransferRoute(name="home", method="bbcp", **ends))
        session.commit()

    def command(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["catalog", *map(str, arguments), "--db", url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    return command


def test_summaries_and_tasks_are_json_for_the_next_program(run: Run, observed: Database) -> None:
    code, out, _ = run("packages", "build", "--dry-run", "--json")
    assert (code, json.loads(out)["files"], json.loads(out)["dry_run"]) == (0, 1, True)
    assert json.loads(run("packages", "build", "--json")[1])["packages"] == 1
    task = json.loads(run("packages", "start", "--json", "--actor", "b")[1])
    assert (task["attempt"], task["status"], task["files"]) == (1, "in_progress", 1)
    report = ("--attempt", 1, "--size", 20, "--checksum", "ab" * 32, "--location", "ccat/buffer", "--json")
    done = json.loads(run("packages", "complete", task["package_id"], *report)[1])
    assert (done["before"], done["after"], done["attempt"]) == ("in_progress", "completed", 1)
    assert "nothing is changed" in run("packages", "complete", task["package_id"], *report[:-1])[2]
    with observed.session() as session:
        made = session.get_one(RawDataPackage, UUID(task["package_id"])).created_at
    assert made < datetime.now(UTC)
    assert json.loads(run("transfers", "plan", "--json")[1])["waiting"] == 1
    assert json.loads(run("transfers", "list", "--json")[1]) == {"transfers": []}
    assert run("transfers", "list") == (0, "", "")
    assert run("transfers", "plan", "--dry-run")[1].startswith("waits  ccat/buffer -> cologne/archive  1 packages")


def test_a_failed_building_is_told(run: Run) -> None:
    run("packages", "build")
    task = json.loads(run("packages", "start", "--json", "--actor", "b")[1])
    code, _, err = run("packages", "fail", task["package_id"], "--attempt", 1, "--reason", "disk full", "--final")
    assert (code, err) == (0, f"the package {task['package_id']} is 'failed'\n")
    code, _, err = run("packages", "start", task["package_id"], "--actor", "b")
    assert code == 1
    assert "has failed for good" in err


@pytest.mark.parametrize("step", ["bundle", "move", "unpack"])
def test_nothing_is_due_is_exit_code_1(run: Run, step: str) -> None:
    assert run("transfers", "start", "--step", step)[0] == 1
    assert json.loads(run("transfers", "start", "--step", step, "--json")[1]) is None
    assert run("packages", "start")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("start", "x"), "expected the number of a transfer"),
        (("start", "1", "--step", "bundle"), "expected the id of a bundle"),
        (("start", "7"), "there is no transfer 7"),
        (("complete", "7"), "--attempt"),
        (("complete", "7", "--attempt", "1", "--actor", " "), "name somebody"),
        (("complete", EXECUTED, "--attempt", "1", "--step", "bundle"), "give both"),
        (("fail", "7", "--attempt", "1"), "--reason"),
        (("log", "7", "/x"), "there is no transfer 7"),
        (("contents", EXECUTED), "there is no transfer package"),
        (("plan", "--route", "nowhere"), "there is no active route nowhere"),
    ],
)
def test_wrong_arguments_are_told(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = run("transfers", *arguments)
    assert code == 2
    assert says in err


def test_what_is_built_is_published_at_once_and_what_is_refused_is_not(run: Run, observed: Database) -> None:
    url = observed.engine.url.render_as_string(hide_password=False)
    run("packages", "build")
    with open_catalog(url) as catalog:
        task = catalog.packaging.take(actor="b")
        assert task is not None
        did = f"ivo://ccat.example/raw?{task.package_id}"
        known: dict[str, Any] = {"attempt": 1, "size_bytes": 20, "checksum": "ab" * 32, "actor": "b"}
        with pytest.raises(NotFoundError):
            catalog.packaging.complete(task.package_id, location="ccat/nowhere", **known)
        with pytest.raises(NotFoundError):
            catalog.record(did)
        assert catalog.packaging.complete(task.package_id, location="ccat/buffer", **known).is_new
        assert catalog.record(did).as_dict()["access_estsize"] == 1
    assert run("refresh", "--check")[0] == 0


def test_a_manifest_reports_many_packages_that_were_planned(run: Run, observed: Database, tmp_path: Path) -> None:
    run("packages", "build")
    record = {
        "telescope": "FYST",
        "instrument": "CHAI",
        "module": "LFA",
        "executed_obs_unit": {"id": str(EXECUTED)},
        "sequence": 2,
        "size_bytes": 20,
        "checksum": "ab" * 32,
        "copies": ["ccat/buffer"],
    }
    manifest = tmp_path / "built.jsonl"
    manifest.write_text(json.dumps(record) + "\n")
    code, out, err = run("ingest", manifest, "--json")
    assert (code, json.loads(out)["completed"]) == (0, 1), err
    assert json.loads(run("ingest", manifest, "--json")[1])["unchanged"] == 1
    with observed.session() as session:
        package = session.scalars(sa.select(RawDataPackage).where(RawDataPackage.sequence == 2)).one()
        assert (package.status, package.size_bytes, len(package.files)) == ("completed", 20, 1)
    assert run("packages", "start")[0] == 1
