"""An observatory whose packages lie somewhere: tars on disks, in an object store, at another server, and on tape."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest
import sqlalchemy as sa
from botocore.session import get_session
from postgres import free_port

from catalog import Settings, open_catalog
from catalog.ingest.tar import write_tar
from catalog.opsdb.models import DiskDataLocation, Permission, PhysicalCopy, Role, Site

BUCKET = "fyst-raw"
START_SECONDS = 60.0
SPACE = UUID("6f1c7d1e-8a43-4a52-9b0a-0d0c5a7e4f11")
LONG = "x" * 120 + "/übersicht é.json"
MEMBERS = {
    "0001.fits": b"SIMPLE  =                    T" + bytes(range(256)) * 300,
    "0002.fits": b"SIMPLE  =                    T" + bytes(reversed(range(256))) * 5000,
    "empty.log": b"",
    LONG: '{"night": "é"}'.encode(),
}
"""What each tar holds, below a folder with the package's name."""

DISK, SECOND, S3, TAPE = "cologne/archive", "ccat/buffer", "cornell/objects", "cologne/tape"
OTHER, DARK, PROCESSING = "cornell/server", "ccat/vault", "cologne/processing"
PACKAGES: dict[str, tuple[str, ...]] = {
    "open": (DISK, SECOND, S3, TAPE),
    "secret": (DISK, S3, TAPE),
    "objects": (S3,),
    "other": (OTHER,),
    "tape": (TAPE,),
    "secret-tape": (TAPE,),
    "dark": (DARK,),
    "lost": (),
}
"""Packages by name, and where each has a copy; the secret ones are not released."""

LOCATIONS: dict[str, dict[str, Any]] = {
    DISK: {"storage_type": "disk", "location_type": "long_term_archive", "path": "/srv/raw"},
    SECOND: {"storage_type": "disk", "location_type": "buffer", "path": "/data/raw"},
    S3: {"storage_type": "s3", "location_type": "long_term_archive", "bucket": "unrelated", "priority": 1},
    TAPE: {"storage_type": "tape", "location_type": "long_term_archive", "path": "/tape/raw"},
    OTHER: {"storage_type": "disk", "location_type": "long_term_archive", "path": "/srv/other"},
    DARK: {"storage_type": "disk", "location_type": "long_term_archive", "path": "/vault"},
}
VERIFIED = (DISK, S3, TAPE)


def content_of(name: str) -> dict[str, bytes]:
    """Bytes of the members of a package, by their paths."""
    return {f"{name}/{path}": content + name.encode() * 9 * bool(content) for path, content in MEMBERS.items()}


@dataclass
class Stored:
    """The observatory: its database, its folders, and its object store."""

    database_url: str
    folder: Path
    """Holds a folder for each location on disk, by its name."""

    s3: str
    """Address of the object store."""

    prefix: str
    """In the bucket, of this observatory."""

    tokens: Mapping[str, str]
    """Of alice, who is a member of the secret programme, bob, who is of none, and sam of the staff."""

    files: dict[str, Any] = field(default_factory=dict)
    """The section ``files`` of the settings; a test may change it."""

    _copy_ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def id(self, name: str) -> UUID:
        """Of a package."""
        return package_id(name)

    def did(self, name: str) -> str:
        """Publisher identifier of a package."""
        return f"ivo://ccat.example/raw?{package_id(name)}"

    def tar(self, name: str, place: str = DISK) -> Path:
        """Where a package lies, or would lie, at a location on disk."""
        return self.folder / place.replace("/", "-") / f"{name}.tar"

    def content(self, name: str) -> bytes:
        """Bytes of the tar of a package."""
        return (self.folder / "tars" / f"{name}.tar").read_bytes()

    def members(self, name: str) -> dict[str, bytes]:
        """Bytes of the files in a package, by their paths."""
        return content_of(name)

    def bearer(self, who: str | None) -> dict[str, str]:
        """Headers with a user's token; none for nobody."""
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    def environment(self) -> dict[str, str]:
        """Settings of a service, as `start` takes them."""
        return {
            f"files_{name}": value if isinstance(value, str | int | float) else json.dumps(value)
            for name, value in self.files.items()
        }

    def settings(self) -> Settings:
        """The same for `open_catalog`."""
        return Settings.model_validate({"database": {"url": self.database_url}, "files": self.files})

    def set_copy(self, name: str, place: str, **values: Any) -> None:
        """Change what is recorded of a copy."""
        with open_catalog(self.settings()) as catalog, catalog.session() as session:
            session.execute(sa.update(PhysicalCopy).where(PhysicalCopy.id == self.copy_id(name, place)).values(values))
            session.commit()

    def copy_id(self, name: str, place: str) -> int:
        """Number of a copy, as it is published."""
        if not self._copy_ids:
            names = {self.id(each): each for each in PACKAGES}
            with open_catalog(self.settings()) as catalog:
                for package, copies in catalog.package_copies.of(names).items():
                    found = {(names[package], copy.stored.place): copy.stored.copy_id for copy in copies}
                    self._copy_ids |= found
        return self._copy_ids[name, place]

    def put_object(self, name: str, content: bytes | None) -> None:
        """Lay other bytes of a package into the object store; None removes it."""
        key = {"Bucket": BUCKET, "Key": f"{self.prefix}/{name}.tar"}
        client = get_session().create_client("s3", region_name="us-east-1", endpoint_url=self.s3)
        if content is None:
            client.delete_object(**key)
        else:
            client.put_object(**key, Body=content)


def package_id(name: str) -> UUID:
    return uuid5(SPACE, name)


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that speaks S3, with the bucket; it is ended by its own pid."""
    port = free_port()
    log = tmp_path_factory.mktemp("object-store") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    url = f"http://127.0.0.1:{port}"
    environ = pytest.MonkeyPatch()
    environ.setenv("AWS_ACCESS_KEY_ID", "key-of-the-service")
    environ.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-service")
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        httpx.put(f"{url}/{BUCKET}").raise_for_status()
        yield url
    finally:
        environ.undo()
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def stored_tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tar of each package."""
    folder = tmp_path_factory.mktemp("stored")
    for name in PACKAGES:
        members = {}
        for number, (path, content) in enumerate(content_of(name).items()):
            members[path] = folder / "members" / f"{name}-{number}"
            members[path].parent.mkdir(exist_ok=True)
            members[path].write_bytes(content)
        write_tar(members, folder / f"{name}.tar")
    return folder


@pytest.fixture(scope="session")
def stored_templates() -> dict[str, tuple[str, dict[str, str]]]:
    """Addresses of the filled databases that tests copy, and the tokens in them, by engine."""
    return {}


@pytest.fixture(scope="session")
def make_stored(
    stored_tars: Path,
    stored_templates: dict[str, tuple[str, dict[str, str]]],
    object_store: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Stored]:
    """Makes such an observatory, on the engine that is named."""

    def make(engine: str) -> Stored:
        server = request.getfixturevalue("postgres_server") if engine == "postgresql" else None
        if engine not in stored_templates:
            path = tmp_path_factory.mktemp("stored-template") / "catalog.db"
            url = f"sqlite:///{path}" if server is None else server.create_database()
            stored_templates[engine] = url, fill(url, stored_tars)
        template, tokens = stored_templates[engine]
        folder = tmp_path_factory.mktemp("locations")
        if server is None:
            shutil.copyfile(template.removeprefix("sqlite:///"), folder / "catalog.db")
            url = f"sqlite:///{folder / 'catalog.db'}"
        else:
            url = server.create_database(template)
        made = Stored(url, folder, object_store, f"raw/{folder.name}", tokens)
        put_tars(made, stored_tars)
        made.files = files_section(made)
        return made

    return make


@pytest.fixture
def stored(engine_name: str, make_stored: Callable[[str], Stored]) -> Stored:
    """An observatory of this test, which may change it, on each engine."""
    return make_stored(engine_name)


def put_tars(made: Stored, tars: Path) -> None:
    """Lay a tar at each location where it has a copy."""
    (made.folder / "tars").symlink_to(tars)
    for name, places in PACKAGES.items():
        for place in places:
            if place == S3:
                made.put_object(name, made.content(name))
            elif place in (DISK, SECOND, DARK, OTHER):
                made.tar(name, place).parent.mkdir(exist_ok=True)
                shutil.copyfile(tars / f"{name}.tar", made.tar(name, place))
    (made.folder / PROCESSING.replace("/", "-")).mkdir()


def files_section(made: Stored) -> dict[str, Any]:
    """Every location is served but the vault; the other server is none that runs, unless the test starts it."""
    disks = {place: {"root": str(made.tar("x", place).parent)} for place in (DISK, SECOND, PROCESSING)}
    objects = {"bucket": BUCKET, "prefix": made.prefix, "endpoint": made.s3, "region": "us-east-1"}
    return {
        "locations": {**disks, S3: objects, OTHER: {"url": "http://127.0.0.1:9/raw"}},
        "regions": {"cologne": "europe", "cornell": "america", "ccat": "chile"},
        "near": "europe,america,chile",
        "staging_location": PROCESSING,
    }


def fill(url: str, tars: Path) -> dict[str, str]:
    """Record the packages and their copies, and three users; their tokens by name."""
    manifest = tars / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(record(name, tars)) + "\n" for name in PACKAGES))
    settings = Settings.model_validate({"database": {"url": url}})
    with open_catalog(settings) as catalog:
        catalog.init()
        summary = catalog.ingest([manifest], create_instruments=True)
        assert summary.created == len(PACKAGES), summary
        with catalog.session() as session:
            rights = [Permission(action=action, resource="unreleased") for action in ("read", "download")]
            session.add(Role(name="staff", permissions=rights))
            cologne = session.scalars(sa.select(Site).where(Site.key == "cologne")).one()
            session.add(DiskDataLocation(site=cologne, name="processing", location_type="processing", path="/scratch"))
            session.commit()
        tokens = {}
        for who in ("alice", "bob", "sam"):
            catalog.accounts.add_user(who, roles=["staff"] if who == "sam" else [])
            tokens[who] = catalog.accounts.create_token(who, "tests")
        catalog.accounts.set_member("alice", "Hidden", held=True)
    return tokens


def record(name: str, tars: Path) -> dict[str, Any]:
    """A line of the manifest: the package, its files, its copies."""
    content = (tars / f"{name}.tar").read_bytes()
    is_secret = name.startswith("secret")
    program: dict[str, Any] = {"short_name": "Hidden", "name": "Hidden", "release_months": 1200}
    if not is_secret:
        program = {"short_name": "Shown", "name": "Shown", "release_date": "2020-01-01T00:00:00Z"}
    begin = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(hours=list(PACKAGES).index(name))
    return {
        "id": str(package_id(name)),
        "instrument": "CHAI",
        "module": "LFA",
        "telescope": "FYST",
        "relative_path": f"{name}.tar",
        "content_format": "application/fits",
        "executed_obs_unit": {
            "id": str(uuid5(SPACE, f"execution {name}")),
            "start_time": begin.isoformat(),
            "end_time": (begin + timedelta(minutes=30)).isoformat(),
            "obs_unit": {"name": f"Map of {name}", "program": program},
        },
        "size_bytes": len(content),
        "checksum": hashlib.sha256(content).hexdigest(),
        "files": [
            {"relative_path": path, "size_bytes": len(inside), "checksum": hashlib.sha256(inside).hexdigest()}
            for path, inside in content_of(name).items()
        ],
        "copies": [copy_record(place) for place in PACKAGES[name]],
    }


def copy_record(place: str) -> dict[str, Any]:
    site, _, name = place.partition("/")
    location = {"site": site, "site_name": site.title(), "name": name, **LOCATIONS[place]}
    if place not in VERIFIED:
        return {"location": location}
    verified_at = datetime.now(UTC) - timedelta(days=1)
    return {"location": location, "verification": "ok", "verified_at": verified_at.isoformat()}
