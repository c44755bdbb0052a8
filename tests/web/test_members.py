"""Single files out of packages, from disks and from an object store."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.opsdb.models import RawDataFile, ResolveQueue

CATALOG = Path(sys.executable).with_name("catalog")
DISK, SECOND, S3 = "cologne/archive", "ccat/buffer", "cornell/objects"


def index(held: Any, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    environ |= {f"CATALOG_{name.upper()}": value for name, value in held.environment().items()}
    environ["CATALOG_DATABASE_URL"] = held.database_url
    return subprocess.run(
        [CATALOG, "packages", "index", *words], capture_output=True, text=True, env=environ, check=False
    )


@pytest.fixture(scope="module")
def held(engine: str, make_stored: Callable[[str], Any]) -> Any:
    """Every package that can be read is indexed; what cannot be is told."""
    made = make_stored(engine)
    done = index(made)
    assert done.returncode == 1
    assert "packages indexed: 3, files: 12; 5 could not be" in done.stdout + done.stderr
    assert f"{made.id('tape')}: the package {made.id('tape')} cannot be read" in done.stderr
    return made


@pytest.fixture(scope="module")
def service(held: Any, start: Callable[..., Any]) -> Iterator[Any]:
    with start(held.database_url, **held.environment()) as running:
        yield running


@pytest.fixture
def get(service: Any, held: Any) -> Callable[..., httpx.Response]:
    def ask(name: str, path: str, who: str | None = None, *, method: str = "GET", **options: Any) -> httpx.Response:
        headers = held.bearer(who) | options.pop("headers", {})
        url = f"{service.url}/files/{held.id(name)}/{quote(path)}"
        return httpx.request(method, url, headers=headers, timeout=60, **options)

    return ask


@pytest.mark.parametrize("place", [DISK, SECOND, S3])
def test_every_file_is_what_lies_in_the_package(get: Callable[..., httpx.Response], held: Any, place: str) -> None:
    for path, content in held.members("open").items():
        answer = get("open", path, params={"copy": held.copy_id("open", place)})
        assert (answer.status_code, answer.content) == (200, content), path
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["content-disposition"].startswith("attachment")
        head = get("open", path, method="HEAD", params={"copy": held.copy_id("open", place)})
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])


@pytest.mark.parametrize("place", [DISK, S3])
def test_a_range_of_a_file_is_sent_and_never_more_than_the_file(
    get: Callable[..., httpx.Response], held: Any, place: str
) -> None:
    path, content = next(iter(held.members("open").items()))
    copy = {"copy": held.copy_id("open", place)}
    part = get("open", path, params=copy, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, content[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(content)}"
    last = get("open", path, params=copy, headers={"Range": f"bytes={len(content) - 5}-{len(content) + 5000}"})
    assert (last.status_code, last.content) == (206, content[-5:])
    assert get("open", path, params=copy, headers={"Range": f"bytes={len(content)}-"}).status_code == 416


def test_who_may_not_fetch_a_package_gets_no_file_of_it(get: Callable[..., httpx.Response], held: Any) -> None:
    path, content = next(iter(held.members("secret").items()))
    for who, status in ((None, 401), ("bob", 403), ("alice", 200), ("sam", 200)):
        answer = get("secret", path, who)
        assert (answer.status_code, answer.content == content) == (status, status == 200)
        assert get("secret", "no such file", who).status_code == (404 if status == 200 else status)


@pytest.mark.parametrize(
    "path",
    ["open", "open/", "/open/0001.fits", "../open.tar", "open/0001.fits/", "\0", "%", ""],
)
def test_a_path_that_is_not_recorded_is_not_found(get: Callable[..., httpx.Response], path: str) -> None:
    assert get("open", path).status_code == 404


def test_the_file_of_another_package_is_none_of_this_one(get: Callable[..., httpx.Response], held: Any) -> None:
    assert get("open", next(iter(held.members("secret")))).status_code == 404


def test_a_file_that_is_not_indexed_says_so(get: Callable[..., httpx.Response], held: Any) -> None:
    path = next(iter(held.members("dark")))
    answer = get("dark", path)
    assert (answer.status_code, "nobody has recorded where" in answer.text) == (404, True)
    assert "Fetch the package" in answer.text


def test_what_is_wrongly_recorded_of_a_file_is_not_believed(get: Callable[..., httpx.Response], held: Any) -> None:
    path, content = list(held.members("open").items())[1]
    mine = RawDataFile.relative_path == path
    with open_catalog(held.settings()) as catalog:
        with catalog.database.engine.connect() as connection:
            row = connection.execute(sa.select(RawDataFile.tar_offset, RawDataFile.checksum).where(mine)).one()
        try:
            for wrong, status in (
                ({"tar_offset": -512}, 404),
                ({"tar_offset": 10**12}, 404),
                ({"checksum": 'no "hex'}, 200),
            ):
                with catalog.database.begin() as changing:
                    changing.execute(sa.update(RawDataFile).where(mine).values(row._asdict() | wrong))
                answer = get("open", path)
                assert (answer.status_code, answer.content == content) == (status, status == 200)
                assert "repr-digest" not in answer.headers
        finally:
            with catalog.database.begin() as changing:
                changing.execute(sa.update(RawDataFile).where(mine).values(row._asdict()))


def test_a_file_comes_from_the_next_copy_when_one_is_gone(get: Callable[..., httpx.Response], held: Any) -> None:
    path, content = next(iter(held.members("open").items()))
    tar = held.tar("open")
    kept = tar.rename(tar.with_name("kept"))
    try:
        assert get("open", path).content == content
    finally:
        kept.rename(tar)


def test_a_file_with_a_word_of_its_own_is_just_bytes(get: Callable[..., httpx.Response], held: Any) -> None:
    path = next(iter(held.members("open")))
    statement = sa.update(RawDataFile).where(RawDataFile.relative_path == path)
    with open_catalog(held.settings()) as catalog:
        for word, told in (
            ("x\r\nset-cookie: a=b", "application/octet-stream"),
            ("text/html", "text/html; charset=utf-8"),
            (None, "application/octet-stream"),
        ):
            with catalog.session() as session:
                session.execute(statement.values(file_type=word))
                session.commit()
            answer = get("open", path)
            assert answer.headers["content-type"].partition(";")[0] == told.partition(";")[0]
            assert answer.headers["content-disposition"].startswith("attachment")
            assert "set-cookie" not in answer.headers


def test_indexing_again_changes_nothing_and_other_bytes_are_refused(held: Any) -> None:
    name = str(held.id("open"))
    assert "packages indexed: 1, files: 4\n" in index(held, name).stderr
    tar = held.tar("open")
    content = tar.read_bytes()
    tar.write_bytes(content[:-1] + b"x")
    try:
        done = index(held, name)
        assert (done.returncode, "has other bytes than the package" in done.stderr) == (1, True)
    finally:
        tar.write_bytes(content)


def test_an_index_makes_no_package_wait_for_its_publication(held: Any) -> None:
    with open_catalog(held.settings()) as catalog:
        with catalog.database.begin() as connection:
            connection.execute(sa.delete(ResolveQueue))
        catalog.index_package(held.id("objects"))
        with catalog.session() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(ResolveQueue)) == 0
