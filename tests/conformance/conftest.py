"""A running service over a synthetic observatory, on each engine, started as an operator starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

CATALOG = Path(sys.executable).parent / "catalog"
START_SECONDS = 60.0


def run_catalog(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a database and expect it to succeed."""
    done = subprocess.run(
        [CATALOG, *arguments, "--db", url], capture_output=True, text=True, env=environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the default synthetic observatory, filled by the command."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('service')}/catalog.db"
    else:
        server: Any = request.getfixturevalue("postgres_server")
        url = server.create_database()
    run_catalog("demo", "--packages", "2000", url=url)
    return url


@pytest.fixture(scope="session")
def service_url(catalog_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running service; the process is ended by its own pid."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("service")
    log = folder / "service.log"
    jobs = {"CATALOG_JOBS_URL": catalog_url} if catalog_url.startswith("postgresql") else {}
    with log.open("w") as sink:
        command = [CATALOG, "serve", "--port", str(port), "--db", catalog_url]
        process = subprocess.Popen(command, stderr=sink, cwd=folder, env=environment() | jobs)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(f"{base}/tap/availability").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def tap_url(service_url: str) -> str:
    """Base URL of the TAP service."""
    return f"{service_url}/tap"
