"""A million synthetic packages on each engine, kept between runs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from postgres import READER, SUPERUSER, Cluster, PostgresServer, stop
from psycopg import sql

from catalog.adql.sqlite_functions import SQLITE_FUNCTIONS
from catalog.db import SqlFunction

__all__ = ["Observatory", "postgresql_observatory", "sqlite_observatory"]

# What an archive of this size would set on a machine of 24 GB. Commits wait for the disk, as in production.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "2GB",
    "effective_cache_size": "12GB",
    "maintenance_work_mem": "512MB",
    "random_page_cost": "1.1",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_compression": "on",
}
_NAME = "bench"


@dataclass(frozen=True, slots=True)
class Observatory:
    """A filled catalog."""

    dialect: str
    url: str
    environment: Mapping[str, str]
    """What the command ``catalog`` needs to find it."""

    folder: Path
    fill_s: float
    """Seconds that filling it took, whenever that was."""

    server: PostgresServer | None = None

    def connect_sqlite(self) -> sqlite3.Connection:
        """The file by the standard library alone, with the functions that our SQL calls."""
        connection = sqlite3.connect(f"file:{self.url.removeprefix('sqlite:///')}?mode=ro", uri=True)
        for known in (SqlFunction(*function) for function in SQLITE_FUNCTIONS):
            if not known.aggregate:
                connection.create_function(known.name, known.narg, known.function, deterministic=known.deterministic)
        return connection

    def connect_postgresql(self) -> psycopg.Connection:
        """The database by the driver alone, without just-in-time compilation, as our sessions are."""
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True, options="-c jit=off")

    @contextmanager
    def fresh_url(self) -> Iterator[str]:
        """Address of an empty database on the same server, or beside the same file; removed at the end."""
        if self.server is None:
            path = (self.folder / "fresh.db").resolve()
            try:
                yield f"sqlite:///{path}"
            finally:
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            return
        url = self.server.url("fresh")
        self.server.drop_database(url)
        self.server.execute(sql.SQL("CREATE DATABASE fresh"))
        self.server.execute(sql.SQL("CREATE EXTENSION pg_sphere"), "fresh")
        try:
            yield url
        finally:
            self.server.drop_database(url)


@contextmanager
def postgresql_observatory(folder: Path, packages: int) -> Iterator[Observatory]:
    """The catalog on a PostgreSQL server of its own, which is stopped at the end."""
    server, process = Cluster(folder / "postgresql", SETTINGS).start()
    try:
        name = f"{_NAME}_{packages}"
        if not server.execute(sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(name)):
            if not server.execute(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(READER)):
                server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(READER)))
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            server.execute(sql.SQL("CREATE EXTENSION pg_sphere"), name)
        environment = {
            "CATALOG_DATABASE_URL": server.url(name, SUPERUSER),
            "CATALOG_DATABASE_PUBLIC_URL": server.url(name, READER),
        }
        seconds = _fill(folder / f"{name}.postgresql.json", folder, environment, packages)
        yield Observatory("postgresql", server.url(name), environment, folder, seconds, server)
    finally:
        stop(process, with_signal=signal.SIGINT)


@contextmanager
def sqlite_observatory(folder: Path, packages: int) -> Iterator[Observatory]:
    """The catalog in a file."""
    path = (folder / f"{_NAME}_{packages}.db").resolve()
    environment = {"CATALOG_DATABASE_URL": f"sqlite:///{path}"}
    mark = folder / f"{_NAME}_{packages}.sqlite.json"
    if not mark.exists():
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    seconds = _fill(mark, folder, environment, packages)
    yield Observatory("sqlite", f"sqlite:///{path}", environment, folder, seconds)


def _fill(mark: Path, folder: Path, environment: Mapping[str, str], packages: int) -> float:
    """Bring the catalog to what the code of now wants, and fill it if that was never done to the end."""
    _catalog(environment, folder, "init")
    if mark.exists():
        return float(json.loads(mark.read_text())["fill_s"])
    print(f"== filling {packages:,} packages: {mark.stem}", flush=True)
    began = time.perf_counter()
    _catalog(environment, folder, "demo", "--packages", str(packages))
    seconds = time.perf_counter() - began
    mark.write_text(json.dumps({"fill_s": seconds}))
    return seconds


def _catalog(environment: Mapping[str, str], folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "catalog", *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, cwd=folder, check=False, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()[-3000:]}")
