"""The wheel: built from the sources, installed where no checkout is in sight, and put to work."""

from __future__ import annotations

import ast
import io
import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest
from astropy.io import votable
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
FOLDERS = {
    "catalog": "catalog",
    "templates": "catalog/_assets/templates",
    "vo_resources": "catalog/_assets/vo_resources",
}
EXTRAS = {"botocore", "lxml", "pyjwt"}  # asked for where it is used, with word of the extra that brings it
NOT_IMPORTED = {"psycopg", "python-multipart"}  # SQLAlchemy and Starlette import these by name


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment with the wheel, and an empty folder to work in."""

    python: Path
    folder: Path

    def run(self, *arguments: str | Path) -> str:
        """Standard output of a command of the environment, which must succeed."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments: str | Path) -> list[str | Path]:
        return [self.python.parent / arguments[0], *arguments[1:]]


def environment() -> dict[str, str]:
    wanted = {name: value for name, value in os.environ.items() if not name.startswith(("CATALOG_", "PYTHON"))}
    return wanted | {"CATALOG_DATABASE_URL": "sqlite:///holdings/catalog.db"}


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """What the wheel must carry, listed before it is built."""
    return list_sources()


def list_sources() -> set[str]:
    """Every file of the package and of its assets, under its name in the wheel."""
    return {
        f"{there}/{path.relative_to(ROOT / here)}"
        for here, there in FOLDERS.items()
        for path in (ROOT / here).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(sources: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a release is: the source archive first, the wheel from that."""
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, ROOT], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in an environment of its own.

    Its dependencies are those of the running environment, reached by a path file: such a path is searched for modules,
    but the path files that lie there, among them the one that leads to the checkout, are not followed.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--quiet", wheel],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert installed.returncode == 0, installed.stderr  # a requirement that is not met fails here: there is no index
    work = folder / "work"
    work.mkdir()
    return Installation(python, work)


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """The installation with a small synthetic observatory."""
    summary = json.loads(installation.run("catalog", "init", "--json"))
    assert summary["revision"]
    installation.run("catalog", "demo", "--packages", "50")
    assert (installation.folder / "holdings" / "catalog.db").exists()
    return installation


@pytest.fixture
def service_url(filled: Installation) -> Iterator[str]:
    """Base URL of a service that the installed command runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = filled.folder / "service.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            filled.command("catalog", "serve", "--port", str(port)), cwd=filled.folder, env=environment(), stderr=sink
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/tap/availability").is_success
    except httpx.TransportError:
        return False


def test_every_source_travels_and_nothing_else(wheel: Path, sources: set[str]) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert sources <= carried
    assert carried <= sources | list_sources()
    assert {"catalog/adql/adql.lark", "catalog/_assets/templates/pages/landing.html", "catalog/py.typed"} <= sources
    assert any(name.startswith("catalog/opsdb/migrations/versions/0001") for name in carried)


def test_the_installed_package_is_not_the_checkout(installation: Installation) -> None:
    asked = "import sys, catalog; print(catalog.__file__); print(*sys.path, sep='\\n')"
    module, *path = installation.run("python", "-c", asked).splitlines()
    assert Path(module).is_relative_to(installation.python.parent.parent)
    assert str(ROOT) not in path


def test_the_installed_command_answers_a_query(filled: Installation) -> None:
    counted = filled.run("catalog", "query", "SELECT COUNT(*) AS n FROM ivoa.obscore", "--format", "csv")
    heading, number = counted.split()
    assert heading == "n"
    assert 40 <= int(number) <= 50  # some packages are not published


def test_the_installed_service_answers_tap_and_shows_its_page(service_url: str) -> None:
    rows = httpx.post(
        f"{service_url}/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT TOP 3 obs_publisher_did, access_url FROM ivoa.obscore"},
    )
    assert rows.status_code == 200
    table = votable.parse(io.BytesIO(rows.content), verify="exception").get_first_table().to_table()
    assert len(table) == 3
    assert all(str(url).startswith(service_url) for url in table["access_url"])
    assert b"<vosi:tableset" in httpx.get(f"{service_url}/tap/tables").content
    assert "ivoa.obscore" in httpx.get(service_url).text


def test_what_is_imported_is_required_and_what_is_required_is_imported() -> None:
    """An installation must not live on what another package happens to bring along."""
    homes = packages_distributions()
    imported = {
        canonicalize_name(homes[module][0])
        for path in (ROOT / "catalog").rglob("*.py")
        for module in imports(ast.parse(path.read_text(encoding="utf-8")))
        if module not in sys.stdlib_module_names and module != "catalog"
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert imported - required - EXTRAS == set()
    assert required - imported - NOT_IMPORTED == set()


def imports(tree: ast.Module) -> Iterator[str]:
    """Top-level names of the modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
