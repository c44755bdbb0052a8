"""Running services over a synthetic observatory and over an empty catalog, started as an operator starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres import free_port

CATALOG = Path(sys.executable).parent / "catalog"
START_SECONDS = 60.0

Serve = Callable[..., AbstractContextManager[str]]


def run_catalog(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a database and expect it to succeed."""
    done = subprocess.run(
        [CATALOG, *arguments, "--db", url], capture_output=True, text=True, env=environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


def environment(**settings: object) -> dict[str, str]:
    """The environment of a command, with these settings and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    return others | {f"CATALOG_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, for all services."""
    return str(request.param)


@pytest.fixture(scope="session")
def new_catalog(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """Makes a database by `catalog init` and fills it by other commands."""

    def make(*commands: tuple[str, ...]) -> str:
        if engine == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('catalog')}/catalog.db"
        else:
            server: Any = request.getfixturevalue("postgres_server")
            url = server.create_database()
        for command in (("init",), *commands):
            run_catalog(*command, url=url)
        return url

    return make


@pytest.fixture(scope="session")
def catalog_url(new_catalog: Callable[..., str]) -> str:
    """A database with the default synthetic observatory; tests read it only."""
    return new_catalog(("demo", "--packages", "2000"))


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts a service on a database, with settings of its own; the process is ended by its own pid."""

    @contextmanager
    def start(database_url: str, **settings: object) -> Iterator[str]:
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        folder = tmp_path_factory.mktemp("service")
        log = folder / "service.log"
        if database_url.startswith("postgresql"):
            settings = {"jobs_url": database_url, **settings}
        with log.open("w") as sink:
            process = subprocess.Popen(
                [CATALOG, "serve", "--port", str(port), "--db", database_url],
                stderr=sink,
                cwd=folder,
                env=environment(**settings),
            )
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
        assert "Traceback" not in log.read_text()

    return start


@pytest.fixture(scope="session")
def service_url(catalog_url: str, serve: Serve) -> Iterator[str]:
    """Base URL of a service over the synthetic observatory."""
    with serve(catalog_url) as base:
        yield base


@pytest.fixture(scope="session")
def tap_url(service_url: str) -> str:
    """Base URL of its TAP service."""
    return f"{service_url}/tap"


@pytest.fixture(scope="session")
def empty_tap_url(new_catalog: Callable[..., str], serve: Serve) -> Iterator[str]:
    """Base URL of the TAP service over a catalog that holds nothing but a user, so that one may log in."""
    with serve(new_catalog(("users", "add", "clara"), ("tokens", "create", "clara", "script"))) as base:
        yield f"{base}/tap"
