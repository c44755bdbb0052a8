"""A builder names the tar: size, checksum and places of the files are found in it, and compared."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog import Settings, open_catalog
from catalog.ingest.tar import write_tar
from catalog.opsdb.identity import build_package_id
from catalog.opsdb.models import RawDataFile, RawDataPackage

EXECUTION = "0b8f5a3e-2c1d-4f60-9a7b-3e5d1c2b4a60"
CONTENTS = {"a/1.fits": b"first" * 300, "a/ä.json": b"{}", "b": b""}


@pytest.fixture
def planned(database_url: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A package that is begun, and the command that reports it."""
    files = [
        {"relative_path": path, "size_bytes": len(content), "checksum": hashlib.sha256(content).hexdigest()}
        for path, content in CONTENTS.items()
    ]
    location = {"site": "x", "site_name": "X", "name": "y", "storage_type": "disk", "location_type": "buffer"}
    copies = [{"location": location | {"path": "/y"}}]
    record: dict[str, Any] = {"instrument": "CHAI", "module": "LFA", "telescope": "FYST", "files": files}
    record["executed_obs_unit"] = {
        "id": EXECUTION,
        "start_time": "2026-04-01T02:00:00Z",
        "end_time": "2026-04-01T03:00:00Z",
        "obs_unit": {"name": "Map", "program": {"short_name": "P", "name": "P"}},
    }
    record["files"][0]["copies"] = copies
    (tmp_path / "m.jsonl").write_text(json.dumps(record))
    package = str(build_package_id(UUID(EXECUTION), "CHAI", "LFA", 0))
    with open_catalog(Settings.model_validate({"database": {"url": database_url}})) as catalog:
        catalog.init()
        assert catalog.ingest([tmp_path / "m.jsonl"], create_instruments=True).created == 1
        task = catalog.packaging.take(actor="builder")
        assert task is not None
        assert str(task.package_id) == package

    def complete(*words: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
        options = ["--attempt", "1", "--location", "x/y", "--actor", "builder", "--db", database_url]
        command = [Path(sys.executable).with_name("catalog"), "packages", "complete", package, *options, *words]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    return complete


def make_tar(folder: Path, contents: dict[str, bytes]) -> Path:
    members = {}
    for number, (name, content) in enumerate(contents.items()):
        members[name] = folder / f"member-{number}"
        members[name].write_bytes(content)
    write_tar(members, folder / "built.tar")
    return folder / "built.tar"


def recorded(url: str) -> tuple[int | None, str | None, dict[str, int | None]]:
    with open_catalog(Settings.model_validate({"database": {"url": url}})) as catalog, catalog.session() as session:
        package = session.scalars(sa.select(RawDataPackage)).one()
        files = session.scalars(sa.select(RawDataFile))
        return package.size_bytes, package.checksum, {file.relative_path: file.tar_offset for file in files}


def test_everything_is_found_in_the_tar(
    planned: Callable[..., subprocess.CompletedProcess[str]], database_url: str, tmp_path: Path
) -> None:
    tar = make_tar(tmp_path, CONTENTS | {"further": b"not recorded"})
    done = planned("--tar", str(tar))
    assert done.returncode == 0, done.stderr
    content = tar.read_bytes()
    size, checksum, offsets = recorded(database_url)
    assert (size, checksum) == (len(content), hashlib.sha256(content).hexdigest())
    assert set(offsets) == set(CONTENTS)
    for path, offset in offsets.items():
        assert offset is not None
        assert content[offset : offset + len(CONTENTS[path])] == CONTENTS[path]
    assert planned("--tar", str(tar)).returncode == 0


@pytest.mark.parametrize(
    ("contents", "words", "why"),
    [
        ({"a/1.fits": CONTENTS["a/1.fits"], "b": b""}, [], "has no file 'a/ä.json'"),
        (CONTENTS | {"a/1.fits": b"other" * 300}, [], "'a/1.fits' of the tar has other bytes"),
        (CONTENTS | {"b": b"x"}, [], "'b' of the tar has other bytes"),
        (CONTENTS, ["--size", "5"], "not what was stated"),
        (CONTENTS, ["--checksum", "ab" * 32], "not what was stated"),
        (CONTENTS, ["--algorithm", "xxh64"], "xxh64 cannot be computed here"),
    ],
)
def test_another_tar_is_refused_and_nothing_recorded(
    planned: Callable[..., subprocess.CompletedProcess[str]],
    database_url: str,
    tmp_path: Path,
    contents: dict[str, bytes],
    words: list[str],
    why: str,
) -> None:
    done = planned("--tar", str(make_tar(tmp_path, contents)), *words)
    assert (done.returncode != 0, why in " ".join(done.stderr.split())) == (True, True), done.stderr
    assert recorded(database_url) == (None, None, dict.fromkeys(CONTENTS))


def test_a_builder_says_what_was_built(
    planned: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for words, why in (
        ([], "--tar, or --size and --checksum"),
        (["--size", "5"], "--tar, or --size and --checksum"),
        (["--tar", str(tmp_path / "none.tar")], "cannot be read: No such file"),
    ):
        done = planned(*words)
        assert (done.returncode != 0, why in " ".join(done.stderr.split())) == (True, True), done.stderr
    assert planned("--size", "512", "--checksum", "ab" * 32).returncode == 0
