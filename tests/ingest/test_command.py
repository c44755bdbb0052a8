"""`catalog ingest` as a process of its own: killed, rehearsed, repeated; whole databases are compared."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from astropy.io import fits

from catalog import open_catalog
from catalog.db import Database
from catalog.obscore.comparison import compare_with_fresh
from catalog.opsdb.models import RawDataPackage

Record = dict[str, Any]
Content = Callable[[Database], dict[str, list[tuple[Any, ...]]]]

CATALOG = Path(sys.executable).parent / "catalog"
WAIT_SECONDS = 120.0


@pytest.fixture(scope="session")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a catalog as `catalog init` makes it."""
    path = tmp_path_factory.mktemp("whole") / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as opened:
        opened.init()
    return path


@pytest.fixture(scope="session")
def whole_server(postgres_server: Any) -> str:
    """Address of a catalog as `catalog init` makes it."""
    url: str = postgres_server.create_database()
    with open_catalog(url) as opened:
        opened.init()
    return url


@pytest.fixture
def other_url(whole_file: Path, tmp_path: Path) -> str:
    """A catalog on SQLite, whatever the other is on."""
    return f"sqlite:///{shutil.copy(whole_file, tmp_path / 'other.db')}"


@pytest.fixture
def catalog_url(engine_name: str, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[str]:
    """A catalog of either engine."""
    if engine_name == "sqlite":
        path = tmp_path_factory.mktemp("catalog") / "catalog.db"
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('whole_file'), path)}"
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("whole_server"))
    yield url
    server.drop_database(url)


def start(*arguments: str | Path, url: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    command = [CATALOG, "ingest", *arguments, "--json", "--create-instruments", "--db", url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(*arguments: str | Path, url: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, summary and messages."""
    process = start(*arguments, url=url)
    out, messages = process.communicate(timeout=300)
    assert out, messages
    return process.returncode, json.loads(out), messages


def dump(url: str) -> list[str]:
    """Every row of every table of a database; on SQLite with the whole schema."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        with sqlite3.connect(str(address.database)) as connection:
            lines = list(connection.iterdump())
        connection.close()
        return lines
    lines = []
    with psycopg.connect(
        host=address.host, port=address.port, user=address.username, dbname=address.database
    ) as server:
        tables = server.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            with server.cursor().copy(f"COPY {table} TO STDOUT") as rows:
                lines += sorted(f"{table}\t{bytes(row).decode()}" for row in rows)
    assert len(tables) > 40
    return lines


@pytest.fixture
def manifest(record: Record, tmp_path: Path) -> Path:
    """600 records, of which the first lacks what another brings."""
    records = []
    for number in range(600):
        one = copy.deepcopy(record) | {"sequence": number, "relative_path": f"{number}.tar"}
        one["files"][0]["relative_path"] = f"{number}.g3"
        records.append(one)
    del records[0]["executed_obs_unit"]["obs_unit"]
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of FITS files: two observations of two files each, one file alone, one that is broken."""
    root = tmp_path / "night"
    names = {"a/1.fits": ("o1", "LFA"), "a/2.fits": ("o1", "LFA"), "b/1.fits": ("o2", "LFA"), "b/2.fits": ("o2", "HFA")}
    for number, (name, (observation, module)) in enumerate(names.items()):
        write_fits(root / name, number, OBS_ID=observation, DETECTOR=module, INSTRUME="CHAI", TELESCOP="FYST")
    write_fits(root / "alone.fits", 9, INSTRUME="CHAI", TELESCOP="FYST", RA=83.8, DEC=-5.4)
    (root / "broken.fits").write_bytes(b"SIMPLE" + bytes(100))
    return root


def write_fits(path: Path, number: int, **keywords: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = fits.PrimaryHDU(np.arange(100, dtype=np.int16) + number)
    image.header.update({"DATE-OBS": f"2026-04-01T02:0{number}:00", "EXPTIME": 30.0, **keywords})
    image.writeto(path)


def test_a_killed_ingest_loses_nothing_committed_and_the_next_completes_it(
    catalog: Database, catalog_url: str, other_url: str, content: Content, manifest: Path
) -> None:
    count = sa.select(sa.func.count()).select_from(RawDataPackage)
    process = start(manifest, url=catalog_url)
    try:
        committed, deadline = 0, time.monotonic() + WAIT_SECONDS
        while committed < 200:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
            with catalog.engine.connect() as connection:
                committed = connection.scalar(count) or 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with catalog.engine.connect() as connection:
        kept = connection.scalar(count) or 0
        assert list(compare_with_fresh(connection)) == [], "what is committed is published with it"
    assert committed <= kept < 600

    code, summary, messages = run(manifest, url=catalog_url)

    assert (code, messages) == (0, "")
    assert summary["created"] == 600 - kept
    assert summary["unchanged"] + summary["completed"] == kept + summary["unparked"] - (1 if summary["parked"] else 0)
    assert run(manifest, url=other_url)[0] == 0
    with Database(other_url) as other:
        assert content(catalog) == content(other)
    with catalog.engine.connect() as connection:
        assert list(compare_with_fresh(connection)) == []


def test_a_killed_ingest_of_files_leaves_whole_tars_or_none(
    catalog: Database, catalog_url: str, tmp_path: Path
) -> None:
    root, tars = tmp_path / "night", tmp_path / "tars"
    for number in range(150):
        write_fits(root / f"{number:03}.fits", number % 10, OBJECT=f"o{number}")
    process = start(root, "--tar", tars, url=catalog_url)
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(list(tars.rglob("*.tar"))) < 20:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert len(list(tars.rglob("*.tar"))) < 150
    check_tars(catalog, tars, whole=False)

    code, summary, _ = run(root, "--tar", tars, url=catalog_url)

    assert (code, summary["records"]) == (0, 150)
    assert summary["created"] < 140
    assert check_tars(catalog, tars, whole=True) == 150


def check_tars(database: Database, folder: Path, *, whole: bool) -> int:
    """Every recorded package has its tar, of the recorded size and checksum; how many there are."""
    query = sa.select(RawDataPackage.relative_path, RawDataPackage.size_bytes, RawDataPackage.checksum)
    with database.engine.connect() as connection:
        recorded = {path: (size, checksum) for path, size, checksum in connection.execute(query)}
    found = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*.tar")
        if not path.name.startswith(".")
    }
    assert recorded.items() <= found.items()
    if whole:
        assert recorded == found
        assert [path for path in folder.rglob(".*") if path.is_file()] == []
    return len(recorded)


def test_a_rehearsal_changes_nothing_and_says_what_would_happen(
    catalog_url: str, manifest: Path, tree: Path, tmp_path: Path
) -> None:
    tars = tmp_path / "tars"
    before, names = dump(catalog_url), sorted(tmp_path.rglob("*"))

    code, dry, messages = run(manifest, tree, "--tar", tars, "--dry-run", url=catalog_url)

    assert dump(catalog_url) == before
    assert sorted(tmp_path.rglob("*")) == names
    assert code == 1
    assert "broken.fits" in messages
    assert (dry["dry_run"], dry["created"], dry["refused"]) == (True, 604, 1)
    wet_code, wet, wet_messages = run(manifest, tree, "--tar", tars, url=catalog_url)
    assert (wet_code, wet_messages) == (code, messages)
    assert wet == dry | {"dry_run": False}
    assert dump(catalog_url) != before
    assert len(list(tars.rglob("*.tar"))) == 4


def test_a_rehearsal_over_a_filled_catalog_changes_nothing(catalog_url: str, tree: Path, tmp_path: Path) -> None:
    run(tree, url=catalog_url)
    write_fits(tree / "late.fits", 7, INSTRUME="CHAI", TELESCOP="FYST")
    (tree / "a/1.fits").unlink()
    write_fits(tree / "a/1.fits", 8, OBS_ID="o1", DETECTOR="LFA", INSTRUME="CHAI", TELESCOP="FYST")
    before = dump(catalog_url)

    code, summary, messages = run(tree, "--dry-run", url=catalog_url)

    assert dump(catalog_url) == before
    assert (code, summary["created"], summary["refused"]) == (1, 1, 2)
    assert "differ" in messages


def test_repeating_changes_no_row_and_no_file(catalog_url: str, manifest: Path, tree: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    run(manifest, tree, "--tar", tars, url=catalog_url)
    before = dump(catalog_url)
    files = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tars.rglob("*")}

    code, summary, _ = run(manifest, tree, "--tar", tars, url=catalog_url)

    assert dump(catalog_url) == before
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tars.rglob("*")} == files
    assert (code, summary["created"], summary["completed"], summary["unchanged"]) == (1, 0, 0, 604)


def test_the_tars_of_the_same_tree_are_the_same_and_restore_it(
    catalog_url: str, other_url: str, tree: Path, tmp_path: Path
) -> None:
    run(tree, "--tar", tmp_path / "one", url=catalog_url)
    moved = tmp_path / "elsewhere"
    tree.rename(moved)
    for path in moved.rglob("*.fits"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    run(moved, "--tar", tmp_path / "two", url=other_url)

    one, two = tmp_path / "one", tmp_path / "two"
    assert bytes_below(one) == bytes_below(two)
    assert len(bytes_below(one)) == 4
    restored = tmp_path / "restored"
    for path in one.rglob("*.tar"):
        with tarfile.open(path) as opened:
            opened.extractall(restored, filter="data")
    (moved / "broken.fits").unlink()
    assert bytes_below(restored) == bytes_below(moved)


def bytes_below(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
