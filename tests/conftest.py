"""What every test may ask for: a private PostgreSQL, a fresh database of either engine, outside programs."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from postgres import Cluster, NotInstalledError, PostgresServer, prepare, stop, temporary_cluster

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


@pytest.fixture
def leaky_client() -> Iterator[None]:
    """For a client that leaves files and sockets open: they are found here, and not warned of in a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


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


@dataclass(slots=True)
class MortalServer:
    """A PostgreSQL server of one test, which may kill it."""

    server: PostgresServer
    process: subprocess.Popen[bytes]
    cluster: Cluster

    def kill(self) -> None:
        """End the server and all its processes as a crash would: nobody can tidy up."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for number in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()

    def revive(self) -> None:
        """Start it again, at the same address."""
        _, self.process = self.cluster.start(self.server.port)


@pytest.fixture
def mortal_server() -> Iterator[MortalServer]:
    """A server that the test may kill and revive."""
    with own_cluster() as cluster:
        server, process = cluster.start()
        mortal = MortalServer(server, process, cluster)
        try:
            prepare(server)
            yield mortal
        finally:
            stop(mortal.process)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of our own in a temporary folder, on a free port of 127.0.0.1; stopped at the end."""
    with own_cluster() as cluster:
        server, process = cluster.start()
        try:
            prepare(server)
            yield server
        finally:
            stop(process)


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """A cluster in a temporary folder, where PostgreSQL is installed."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(temporary_cluster())
        except NotInstalledError as missing:
            unavailable(str(missing))
        yield cluster


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
