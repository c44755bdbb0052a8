"""What every test may ask for: a private PostgreSQL, a fresh database of either engine, outside programs."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from catalog.access import DATA_PERMISSION, METADATA_PERMISSION, Caller
from catalog.db import Database
from catalog.opsdb.enums import DataRights
from catalog.opsdb.models import (
    ExecutedObsUnit,
    ObservingProgram,
    ObsUnit,
    PackagePublication,
    RawDataPackage,
    RawDataPackageMetadata,
    SubObservingProgram,
)
from catalog.opsdb.triggers import Triggers
from catalog.wiring import open_catalog

pytest_plugins = ["stored"]

READER = "catalog_reader"
SUPERUSER = "postgres"
TEMPLATE = "catalog_template"
START_SECONDS = 60.0
PR_SET_PDEATHSIG = 1  # prctl(2)

# The server's own zone and sort order are neither UTC nor by code point: what forgets to ask for those is found out.
INITDB = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
SERVER = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "America/Santiago",
}


def unavailable(reason: str) -> NoReturn:
    """A part that the test needs is not installed: a failure where CI=true, else a skip that says so."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"not installed, and CI may not skip: {reason}", pytrace=False)
    pytest.skip(f"NOT TESTED: {reason}; `make test` installs it")


@pytest.fixture(scope="session")
def find_program() -> Callable[[str], str]:
    """Path of a program by its name; a test that needs one that is not installed is skipped, in CI fails."""

    def find(name: str) -> str:
        return shutil.which(name) or unavailable(f"the program {name}")

    return find


@pytest.fixture(scope="session")
def stilts(find_program: Callable[[str], str]) -> str:
    """Path of STILTS."""
    find_program("java")
    return find_program("stilts")


@pytest.fixture(scope="session")
def schemata(request: pytest.FixtureRequest) -> Path:
    """Folder of the XML schemas of the standards: they come with Debian's python3-gavo, which need not be installed."""
    inside = Path("usr/lib/python3/dist-packages/gavo/resources/schemata")
    kept = Path(request.config.cache.mkdir("python3-gavo"))  # type: ignore[union-attr]
    for root in (Path("/"), kept):
        if (root / inside / "OAI-PMH.xsd").is_file():
            return root / inside
    with tempfile.TemporaryDirectory(prefix="catalog-apt-") as folder:
        download = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "python3-gavo"]
        for command in (download, ["apt-get", "update", "-qq"], download):
            if shutil.which("apt-get") and not list(Path(folder).glob("*.deb")):
                subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        packages = list(Path(folder).glob("*.deb"))
        if not packages:
            unavailable("the XML schemas of the standards (package python3-gavo, which is only unpacked)")
        subprocess.run(["dpkg-deb", "-x", packages[0], kept], check=True)
    return kept / inside


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server of this test run."""

    port: int
    numbers: Iterator[int]

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """Address of a database on this server."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def reader_url(self, url: str) -> str:
        """The same database for the role ``catalog_reader``, which has no rights unless a test grants them."""
        return self.url(database_name(url), READER)

    def create_database(self, template: str | None = None) -> str:
        """Address of a fresh database with pgsphere, or of a copy of another that nobody is connected to."""
        name = f"test_{next(self.numbers)}"
        source = TEMPLATE if template is None else database_name(template)
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(command.format(sql.Identifier(name), sql.Identifier(source)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database_name(url))))

    def execute(self, command: sql.SQL | sql.Composed, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one command as superuser, outside a transaction."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(command)
            return cursor.fetchall() if cursor.description else []


def database_name(url: str) -> str:
    """The database that an address means; a bare name means itself."""
    return str(sa.make_url(url).database) if "://" in url else url


@dataclass(slots=True)
class MortalServer:
    """A PostgreSQL server of one test, which may kill it."""

    server: PostgresServer
    process: subprocess.Popen[bytes]
    begin: Callable[[int | None], tuple[PostgresServer, subprocess.Popen[bytes]]]

    def kill(self) -> None:
        """End the server and all its processes as a crash would: nobody can tidy up."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for number in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()

    def revive(self) -> None:
        """Start it again, at the same address."""
        _, self.process = self.begin(self.server.port)


@pytest.fixture
def mortal_server() -> Iterator[MortalServer]:
    """A server that the test may kill and revive."""
    with cluster() as begin:
        server, process = begin(None)
        mortal = MortalServer(server, process, begin)
        try:
            prepare(server)
            yield mortal
        finally:
            stop(mortal.process)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of our own in a temporary folder, on a free port of 127.0.0.1; stopped at the end."""
    with cluster() as begin:
        server, process = begin(None)
        try:
            prepare(server)
            yield server
        finally:
            stop(process)


@contextmanager
def cluster() -> Iterator[Callable[[int | None], tuple[PostgresServer, subprocess.Popen[bytes]]]]:
    """A fresh cluster in a temporary folder; the function starts its server, at a port if one is named."""
    programs = postgresql_programs()
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # initdb refuses root
    folder = Path(tempfile.mkdtemp(prefix="catalog-pg-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        identity: dict[str, Any] = (
            {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        )
        initialise(programs, folder, identity)
        yield lambda port: start(programs, folder, identity, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgresql_programs() -> Path:
    """Folder of initdb and postgres, version 15 or later, with pgsphere installed beside."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin/postgres") if int(path.parts[-3]) >= 15]
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        unavailable("PostgreSQL 15 (package postgresql-15)")
    programs = min(found).parent if found else Path(str(on_path)).resolve().parent
    shared = subprocess.run(
        [programs / "pg_config", "--sharedir"], capture_output=True, text=True, check=False
    ).stdout.strip()
    places = [Path(shared) / "extension"] if shared else []
    places.append(Path("/usr/share/postgresql") / programs.parent.name / "extension")
    if not any((place / "pg_sphere.control").exists() for place in places):
        unavailable("pgsphere (package postgresql-15-pgsphere)")
    return programs


def initialise(programs: Path, folder: Path, identity: dict[str, Any]) -> None:
    """Make the cluster."""
    command: list[str | Path] = [
        programs / "initdb",
        f"--pgdata={folder / 'data'}",
        f"--username={SUPERUSER}",
        "--no-sync",
        *INITDB,
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, **identity)
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")


def start(
    programs: Path, folder: Path, identity: dict[str, Any], known: int | None = None
) -> tuple[PostgresServer, subprocess.Popen[bytes]]:
    """Start the server; a port that another process took in between is given up for the next, unless it is given."""
    for _ in range(5):
        port = known or free_port()
        settings = {**SERVER, "port": str(port), "unix_socket_directories": str(folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=die_with_parent,
                **identity,
            )
        server = PostgresServer(port, count(1))
        if answers(server, process):
            return server, process
        stop(process)
    raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """Let the server stop when the test run is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def answers(server: PostgresServer, process: subprocess.Popen[bytes]) -> bool:
    """Whether the server, and not another on its port, begins to answer."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return process.poll() is None
    return False


def prepare(server: PostgresServer) -> None:
    """The reading role and the template of fresh databases."""
    server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(READER)))
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    server.execute(sql.SQL("CREATE EXTENSION pg_sphere"), TEMPLATE)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server at once: it is thrown away."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture
def database_url(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a fresh, empty database."""
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, empty database, open."""
    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def force() -> Callable[[Database, sa.Executable], None]:
    """Run a statement whose moves no rule allows, as if the rows had always been so."""

    def run(database: Database, statement: sa.Executable) -> None:
        with database.begin() as connection:
            Triggers().drop(connection)
            connection.execute(statement)
            Triggers().install(connection)

    return run


@dataclass(frozen=True, slots=True)
class Release:
    """What decides who may have a package, and in plain words who may."""

    programme: int | None
    rights: str | None
    date: datetime | None

    def is_for(self, caller: Caller, permission: str) -> bool:
        """Whether a caller may have it, by a membership, a permission, or because it is released."""
        if permission in caller.permissions or self.programme in caller.programmes:
            return True
        released = self.rights == "public" or (self.date is not None and self.date <= datetime.now(UTC))
        return released and (self.rights != "secure" or caller.username is not None)

    def is_seen_by(self, caller: Caller) -> bool:
        """Whether a caller may see its metadata, where they are hidden until the release."""
        return self.is_for(caller, METADATA_PERMISSION)

    def is_had_by(self, caller: Caller) -> bool:
        """Whether a caller may fetch its bytes."""
        return self.is_for(caller, DATA_PERMISSION)


PAST, FUTURE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)
RELEASES = [
    *[(None, date) for date in (PAST, FUTURE, None)],
    *[(rights, date) for rights in ("public", "proprietary", "secure") for date in (PAST, FUTURE, None)],
]
"""Every state of a release: declared rights and a date."""


@pytest.fixture(scope="session")
def embargo() -> Callable[[str], dict[str, Release]]:
    """Gives the packages of a database every state of release in turn, the same to all of an observation."""

    def apply(url: str) -> dict[str, Release]:
        found: dict[str, Release] = {}
        with open_catalog(url) as catalog, catalog.session() as session:
            for rule in (
                *session.scalars(sa.select(ObservingProgram)),
                *session.scalars(sa.select(SubObservingProgram)),
            ):
                rule.release_date = rule.release_months = None
            turns: dict[tuple[int | None, Any], int] = {}
            seen: dict[int | None, int] = {}
            rows = session.execute(
                sa.select(RawDataPackage, PackagePublication.obs_publisher_did, ObsUnit.observing_program_id)
                .join(PackagePublication, PackagePublication.raw_data_package_id == RawDataPackage.id)
                .join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataPackage.executed_obs_unit_id)
                .join(ObsUnit, ObsUnit.id == ExecutedObsUnit.obs_unit_id)
                .where(PackagePublication.withdrawn_at.is_(None))
                .order_by(RawDataPackage.id)
            ).all()
            for package, did, programme in rows:
                key = programme, package.executed_obs_unit_id
                if key not in turns:
                    turns[key] = seen.get(programme, 0)
                    seen[programme] = turns[key] + 1
                rights, date = RELEASES[(turns[key] + (programme or 0)) % len(RELEASES)]
                described = package.package_metadata or RawDataPackageMetadata(raw_data_package_id=package.id)
                described.data_rights = None if rights is None else DataRights(rights)
                described.obs_release_date = date
                session.add(described)
                found[did] = Release(programme, rights, date)
            session.commit()
        return found

    return apply
