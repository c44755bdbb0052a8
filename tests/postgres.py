"""PostgreSQL servers of our own: for the tests in a temporary folder, for measurements in one that is kept."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

__all__ = [
    "READER",
    "SETTINGS",
    "SUPERUSER",
    "Cluster",
    "NotInstalledError",
    "PostgresServer",
    "database_name",
    "free_port",
    "prepare",
    "stop",
    "temporary_cluster",
]

READER = "catalog_reader"
SUPERUSER = "postgres"
TEMPLATE = "catalog_template"
START_SECONDS = 60.0
PR_SET_PDEATHSIG = 1  # prctl(2)

# The server's own zone and sort order are neither UTC nor by code point: what forgets to ask for those is found out.
INITDB = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "America/Santiago",
}


class NotInstalledError(Exception):
    """A program that a server needs is not there."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server of ours."""

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


class Cluster:
    """The data of a server, in a folder.

    Args:
        folder: Made if it is not there.
        settings: Of the server.

    Raises:
        NotInstalledError: PostgreSQL or pgsphere is missing.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] = SETTINGS) -> None:
        self._programs = postgresql_programs()
        self._folder = folder
        self._settings = dict(settings)
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # initdb refuses root
        self._identity: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        if not (folder / "data" / "PG_VERSION").exists():
            self._initialise()

    def start(self, known: int | None = None) -> tuple[PostgresServer, subprocess.Popen[bytes]]:
        """Start the server; a port that another process took in between is given up for the next, unless known."""
        for _ in range(5):
            port = known or free_port()
            settings = {**self._settings, "port": str(port), "unix_socket_directories": str(self._folder)}
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            with (self._folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self._folder / "data", *options],
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    preexec_fn=die_with_parent,
                    **self._identity,
                )
            server = PostgresServer(port, count(1))
            if answers(server, process):
                return server, process
            stop(process)
        raise RuntimeError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-2000:]}")

    def _initialise(self) -> None:
        command: list[str | Path] = [
            self._programs / "initdb",
            f"--pgdata={self._folder / 'data'}",
            f"--username={SUPERUSER}",
            "--no-sync",
            *INITDB,
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder, **self._identity)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")


@contextmanager
def temporary_cluster() -> Iterator[Cluster]:
    """A fresh cluster in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="catalog-pg-"))
    try:
        yield Cluster(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgresql_programs() -> Path:
    """Folder of initdb and postgres, version 15 or later, with pgsphere installed beside.

    Raises:
        NotInstalledError: There is none.
    """
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin/postgres") if int(path.parts[-3]) >= 15]
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        raise NotInstalledError("PostgreSQL 15 (package postgresql-15)")
    programs = min(found).parent if found else Path(str(on_path)).resolve().parent
    shared = subprocess.run(
        [programs / "pg_config", "--sharedir"], capture_output=True, text=True, check=False
    ).stdout.strip()
    places = [Path(shared) / "extension"] if shared else []
    places.append(Path("/usr/share/postgresql") / programs.parent.name / "extension")
    if not any((place / "pg_sphere.control").exists() for place in places):
        raise NotInstalledError("pgsphere (package postgresql-15-pgsphere)")
    return programs


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


def stop(process: subprocess.Popen[bytes], *, with_signal: signal.Signals = signal.SIGQUIT) -> None:
    """End the server: at once, or with SIGINT so that its data stay in order."""
    process.send_signal(with_signal)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
