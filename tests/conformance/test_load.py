"""Packages are taken in while clients stream results: nobody fails, and each result is one state of the catalog."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import httpx
import pytest

from catalog import Catalog, open_catalog
from catalog.settings import load_settings

pytestmark = pytest.mark.conformance

CLIENTS = 8
NIGHTS = 3
PACKAGES = 25
"""Of one night; they are taken in by one transaction."""

SHORT = "SELECT o.obs_publisher_did, o.access_url, p.description FROM ivoa.obscore AS o, fyst.programs AS p"
LONG = f"{SHORT}, fyst.programs AS q"
"""More than the database hands over at once, and than the network takes in before it is read."""

NIGHT = "2031-04-01"


@pytest.fixture(scope="module")
def own_url(new_catalog: Callable[..., str]) -> str:
    """A database to be written to."""
    return new_catalog(("demo", "--packages", "500"))


@pytest.fixture
def owner(own_url: str) -> Iterator[Catalog]:
    """The catalog in the hands of another process than the service."""
    with open_catalog(load_settings(environ={"CATALOG_DATABASE_URL": own_url})) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def own_tap_url(own_url: str, serve: Any) -> Iterator[str]:
    with serve(own_url, tap_maxrec_default=5_000_000) as base:
        yield f"{base}/tap"


def write_night(path: Path, night: int) -> Path:
    """A manifest of packages that the catalog does not have."""
    lines = []
    for number in range(PACKAGES):
        obs_unit = {"name": f"Night {night}", "program": {"short_name": "GEco"}, "source": {"name": "Orion-KL"}}
        start = f"{NIGHT}T{night:02}:{number:02}:00Z"
        executed = {"id": str(uuid.uuid4()), "start_time": start, "end_time": start, "obs_unit": obs_unit}
        record = {"instrument": "Prime-Cam", "module": "280", "executed_obs_unit": executed}
        lines.append(json.dumps(record | {"size_bytes": 1, "checksum": f"{night * 1000 + number:064x}"}))
    path.write_text("\n".join(lines))
    return path


def stream(url: str, query: str, begin: Callable[[], object], pause: Callable[[], object]) -> Counter[str]:
    """How often each package occurs in a result; `pause` is called now and then while it is read."""
    packages: Counter[str] = Counter()
    params = {"QUERY": query, "RESPONSEFORMAT": "tsv"}
    with httpx.stream("GET", f"{url}/sync", params=params, timeout=120) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        next(lines)
        begin()
        for number, line in enumerate(lines):
            packages[line.partition("\t")[0]] += 1
            if number % 200 == 0:
                pause()
    return packages


def read_slowly(url: str, begun: Semaphore, written: Event) -> list[Counter[str]]:
    """One result, most of which is read when all is written."""
    return [stream(url, LONG, begun.release, lambda: written.wait(0.1))]


def read_again_and_again(url: str, begun: Semaphore, written: Event) -> list[Counter[str]]:
    """Results until all is written."""
    results = []
    while not (results and written.is_set()):
        results.append(stream(url, SHORT, lambda: None if results else begun.release(), lambda: None))
        written.wait(0.5)
    return results


def count(url: str, what: str) -> int:
    answer = httpx.get(f"{url}/sync", params={"QUERY": f"SELECT COUNT(*) FROM {what}", "RESPONSEFORMAT": "tsv"})
    return int(answer.text.split()[-1])


def test_ingest_proceeds_while_clients_stream(
    engine: str, owner: Catalog, own_url: str, own_tap_url: str, tmp_path: Path
) -> None:
    packages, programs = count(own_tap_url, "ivoa.obscore"), count(own_tap_url, "fyst.programs")
    begun, written = Semaphore(0), Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        try:
            slow, quick = (
                [pool.submit(read, own_tap_url, begun, written) for _ in range(CLIENTS // 2)]
                for read in (read_slowly, read_again_and_again)
            )
            for _ in range(CLIENTS):
                assert begun.acquire(timeout=60)
            for night in range(NIGHTS):
                owner.ingest([write_night(tmp_path / f"{night}.jsonl", night)])
        finally:
            written.set()
        for client in slow:
            [found] = client.result(300)
            assert len(found) == packages, "what was begun before the first night shows none of it"
            assert set(found.values()) == {programs**2}
        states = [packages + night * PACKAGES for night in range(NIGHTS + 1)]
        for client in quick:
            found = client.result(300)
            assert {len(result) for result in found} <= set(states)
            assert [len(result) for result in found] == sorted(len(result) for result in found)
            assert {times for result in found for times in result.values()} == {programs}
    assert count(own_tap_url, "ivoa.obscore") == states[-1]
    if engine == "sqlite":
        more = (write_night(tmp_path / "more.jsonl", night) for night in range(NIGHTS, 18))
        assert_log_is_used_again(Path(f"{own_url.removeprefix('sqlite:///')}-wal"), owner, more)


def assert_log_is_used_again(log: Path, owner: Catalog, manifests: Iterator[Path]) -> None:
    """The write-ahead log is written over when it is long enough: one of several transactions leaves it as it was."""
    size = 0
    for manifest in manifests:
        owner.ingest([manifest])
        before, size = size, log.stat().st_size
        if before == size:
            return
    pytest.fail("each transaction makes the log longer")
