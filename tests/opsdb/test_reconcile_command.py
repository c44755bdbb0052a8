"""``catalog packages reconcile``, as an operator types it."""

from __future__ import annotations

import json
import os
import sys

import pytest

from catalog import open_catalog
from catalog.cli import main
from catalog.db import Database

DID = "ivo://ccat.example/raw?00000000-0000-4000-8000-000000000001"


def test_packages_are_rehearsed_moved_and_then_in_order(
    observed: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(name)
    url = observed.engine.url.render_as_string(hide_password=False)
    with open_catalog(url) as catalog:
        catalog.init()

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["catalog", "packages", "reconcile", *arguments, "--db", url])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    line = f"{DID}  waiting -> archived  stored: a long-term archive has a copy\n"
    found = [{"state": "waiting", "wanted": "archived", "ground": "stored", "packages": 1}]
    assert run("--dry-run") == (1, line, "packages would be moved: 1\n")
    code, out, _ = run("--dry-run", "--json")
    assert (code, json.loads(out)) == (1, {"dry_run": True, "findings": found})
    assert run("--actor", " ")[0] == 2
    assert run("--actor", "ada", "--reason", "after the move") == (0, line, "packages moved: 1\n")
    assert run("--dry-run") == (0, "", "every package is in the state that it should be in\n")
    with open_catalog(url) as catalog:
        (move,) = catalog.copies.history(DID)
    assert (move.subject, move.verb, move.actor, move.reason) == ("package", "archive", "ada", "after the move")
