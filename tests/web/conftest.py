"""Services as an operator starts them, over a small synthetic observatory, on each engine."""

from __future__ import annotations

import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres import free_port
from psycopg import sql

from catalog import open_catalog
from catalog.opsdb.enums import DataRights
from catalog.opsdb.models import RawDataPackage, RawDataPackageMetadata

CATALOG = Path(sys.executable).parent / "catalog"
START_SECONDS = 60.0
EDGES = [
    *((0.0, 90.0), (123.0, 89.9), (0.0, -90.0), (77.0, -89.95), (0.0, 0.0), (360.0, 0.0), (359.99, 0.01)),
    *((0.02, -0.01), (180.0, 0.0), (0.0, 45.0), (359.5, -45.0), (90.0, 89.99), (270.0, 89.99), (10.0, 20.0)),
]
"""Positions at which simple arithmetic goes wrong."""

PACKAGES = 240

SERVE_WITH = """
import sys
from catalog import Settings, open_catalog
from catalog.settings import load_settings
from catalog.web import parameters, server, streaming
{changes}
with server.listen("127.0.0.1", int(sys.argv[1])) as listener:
    with open_catalog(load_settings().with_service(port=int(sys.argv[1]))) as catalog:
        server.run(catalog, listener)
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    database_url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def tap(self) -> str:
        return f"{self.url}/tap"

    def get(self, query: str, **params: str | int) -> httpx.Response:
        """A query by GET."""
        return httpx.get(f"{self.tap}/sync", params={"LANG": "ADQL", "QUERY": query, **params}, timeout=60)


Start = Callable[..., Any]


def environment(database_url: str, **settings: object) -> dict[str, str]:
    """The environment of a command, with these settings and no others."""
    wanted = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    wanted["CATALOG_DATABASE_URL"] = database_url
    return wanted | {f"CATALOG_{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def running(
    folder: Path, database_url: str, command: Sequence[str | Path], port: int, **settings: object
) -> Iterator[Service]:
    """Start a service, wait until it answers, and end it by its own pid."""
    log = folder / f"service-{port}.log"
    with log.open("w") as sink:
        process = subprocess.Popen(command, cwd=folder, stderr=sink, env=environment(database_url, **settings))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"http://127.0.0.1:{port}/tap/capabilities"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Service(f"http://127.0.0.1:{port}", database_url, process, log)
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a service by the command, with settings of its own."""

    def start_service(database_url: str, **settings: object) -> Any:
        port = free_port()
        command = [CATALOG, "serve", "--port", str(port)]
        return running(tmp_path_factory.mktemp("service"), database_url, command, port, **settings)

    return start_service


@pytest.fixture(scope="session")
def start_in() -> Start:
    """Starts a service in a folder, where it finds what another left behind."""

    def start_service(folder: Path, database_url: str, **settings: object) -> Any:
        port = free_port()
        return running(folder, database_url, [CATALOG, "serve", "--port", str(port)], port, **settings)

    return start_service


@pytest.fixture(scope="session")
def start_with(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a service whose limits are changed, lest the test waits for minutes."""

    def start_service(database_url: str, changes: str, **settings: object) -> Any:
        port = free_port()
        command = [sys.executable, "-c", SERVE_WITH.format(changes=changes), str(port)]
        return running(tmp_path_factory.mktemp("service"), database_url, command, port, **settings)

    return start_service


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, for a whole set of services."""
    return str(request.param)


@pytest.fixture(scope="session")
def copy_of_filled(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes a database with a small synthetic observatory: a copy of one that nobody is connected to."""
    server: Any = None if engine == "sqlite" else request.getfixturevalue("postgres_server")
    folder = tmp_path_factory.mktemp("filled")
    original = f"sqlite:///{folder}/catalog.db" if server is None else server.create_database()
    done = subprocess.run(
        [CATALOG, "demo", "--packages", str(PACKAGES)], env=environment(original), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    def copy() -> str:
        if server is not None:
            return str(server.create_database(original))
        another = tmp_path_factory.mktemp("copy") / "catalog.db"
        shutil.copy(folder / "catalog.db", another)
        return f"sqlite:///{another}"

    return copy


@pytest.fixture(scope="session")
def filled_url(copy_of_filled: Callable[[], str]) -> str:
    """A database with a small synthetic observatory; tests read it only."""
    return copy_of_filled()


@pytest.fixture(scope="session")
def sky_url(copy_of_filled: Callable[[], str]) -> str:
    """Packages at the poles, about right ascension 0 and all over the sky, some of them images and cubes."""
    url = copy_of_filled()
    draw = random.Random(7)
    with open_catalog(url) as catalog, catalog.session() as session:
        for number, package in enumerate(session.query(RawDataPackage).order_by(RawDataPackage.id)):
            stated = package.package_metadata or RawDataPackageMetadata(package=package)
            if number % 4:
                place = EDGES[number // 4] if number // 4 < len(EDGES) else _anywhere(draw)
                stated.s_ra, stated.s_dec, stated.s_fov = *place, draw.choice((0.01, 0.5, 3.0, 20.0))
                stated.s_region = None
            stated.data_rights = DataRights.PUBLIC if number % 3 == 0 else DataRights.PROPRIETARY
            if number % 5 < 3:
                _make_image(stated, draw)
        session.commit()
    return url


def _anywhere(draw: random.Random) -> tuple[float, float]:
    return draw.uniform(0, 360), math.degrees(math.asin(draw.uniform(-1, 1)))


def _make_image(stated: RawDataPackageMetadata, draw: random.Random) -> None:
    stated.dataproduct_type = draw.choice(("image", "image", "cube"))
    stated.calib_level = draw.choice((1, 2, 3))
    stated.target_name = draw.choice(("M 31", "O'Neil's \N{GREEK SMALL LETTER ALPHA}", "Orion-KL"))
    stated.s_resolution = draw.choice((3.5, 12.0, 45.0))
    stated.t_min = draw.choice((61000.0, 61010.25, 61020.5))
    stated.t_max = stated.t_min + draw.choice((0.0, 0.5, 9.0))
    stated.t_exptime = draw.choice((10.0, 600.0))
    stated.t_resolution = draw.choice((None, 0.1, 4.0))
    stated.em_min = draw.choice((3.5e-4, 8.5e-4))
    stated.em_max = stated.em_min * draw.choice((1.0, 1.5, 3.0))
    stated.em_res_power = draw.choice((None, 100.0, 1e5))
    stated.pol_states = draw.choice((None, "/I/", "/I/Q/U/", "/XX/YY/"))
    stated.facility_name = draw.choice(("FYST", "APEX"))


@pytest.fixture
def own_url(copy_of_filled: Callable[[], str]) -> str:
    """The like, to be changed."""
    return copy_of_filled()


@pytest.fixture(scope="session")
def service(filled_url: str, start: Start) -> Iterator[Service]:
    """A service with small limits on rows: 20 by default, 50 at most."""
    with start(filled_url, tap_maxrec_default=20, tap_maxrec_hard=50) as running_service:
        yield running_service


@pytest.fixture(scope="session")
def hasty(filled_url: str, start: Start) -> Iterator[Service]:
    """A service that gives the database one second for a query, and hands out any number of rows."""
    with start(filled_url, tap_sync_timeout_s=1, tap_maxrec_default=5_000_000) as running_service:
        yield running_service


@pytest.fixture(scope="session")
def readers(engine: str, request: pytest.FixtureRequest) -> Callable[[Service], int]:
    """Counts the queries that hold the database of a service; on SQLite only whether there are any."""
    numbers = count(1)

    def old_snapshots(service: Service) -> int:
        path = service.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
            connection.execute(f"PRAGMA user_version = {next(numbers)}")  # a checkpoint needs something to do
            connection.execute("PRAGMA busy_timeout = 0")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return int(busy)

    def transactions(service: Service) -> int:
        server: Any = request.getfixturevalue("postgres_server")
        name = service.database_url.rpartition("/")[2]
        query = sql.SQL(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = {} AND application_name = 'catalog'"
            " AND state <> 'idle'"
        ).format(sql.Literal(name))
        return int(server.execute(query)[0][0])

    return old_snapshots if engine == "sqlite" else transactions
